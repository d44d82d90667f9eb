"""The spectral features that a reader looks for, and their marks in a figure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import blended_transform_factory

from orchestrator.report.style import BLUE, GREY
from orchestrator.report.text_placement import place_labels

__all__ = ["ABSORPTION_FEATURES", "EMISSION_LINES", "Feature", "mark_features"]


@dataclass(frozen=True)
class Feature:
    """One feature: rest wavelength in vacuum (Angstrom) and the label in mathtext."""

    wavelength: float
    label: str


# In the order of importance: where two labels would touch, the later one is left out.
# Wavelengths: NIST, rounded; a blend has its middle.
EMISSION_LINES = (
    Feature(6564.6, r"H$\alpha$"),
    Feature(5008.2, "[O III]"),
    Feature(3728.5, "[O II]"),
    Feature(4862.7, r"H$\beta$"),
    Feature(6725.5, "[S II]"),
    Feature(6585.3, "[N II]"),
    Feature(3869.9, "[Ne III]"),
    Feature(6302.0, "[O I]"),
    Feature(4341.7, r"H$\gamma$"),
    Feature(5877.2, "He I"),
    Feature(9533.2, "[S III]"),
    Feature(1215.7, r"Ly$\alpha$"),
    Feature(1549.1, "C IV"),
    Feature(1908.7, "C III]"),
    Feature(2799.1, "Mg II"),
)
ABSORPTION_FEATURES = (
    Feature(5176.6, "Mg b"),
    Feature(3952.1, "Ca H,K"),
    Feature(5894.6, "Na D"),
    Feature(4305.6, "G"),
    Feature(4862.7, r"H$\beta$"),
    Feature(5271.6, "Fe"),
    Feature(8580.0, "Ca II"),
    Feature(4102.9, r"H$\delta$"),
    Feature(6564.6, r"H$\alpha$"),
    Feature(7150.0, "TiO"),
    Feature(8192.0, "Na I"),
    Feature(5337.0, "Fe"),
)
_LABEL_SIZE = 7.0
_BACKGROUND = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.6}


def mark_features(axes: Axes, *, emission: bool, absorption: bool) -> None:
    """Mark features below the upper edge of a panel, emission lines above absorption features.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Panel with rest-frame wavelength on x, its limits set.
    emission, absorption : bool
        Which ones.
    """
    top = 0.985
    if emission:
        _mark_row(axes, EMISSION_LINES, top, BLUE)
        top -= 0.085
    if absorption:
        _mark_row(axes, ABSORPTION_FEATURES, top, GREY)


def _mark_row(axes: Axes, features: tuple[Feature, ...], top: float, colour: str) -> None:
    low, high = axes.get_xlim()
    margin = 0.012 * (high - low)
    inside = [feature for feature in features if low + margin < feature.wavelength < high - margin]
    rows = place_labels(
        axes, [feature.wavelength for feature in inside], [f.label for f in inside], _LABEL_SIZE, n_rows=1
    )
    transform = blended_transform_factory(axes.transData, axes.transAxes)
    for feature in np.array(inside, dtype=object)[rows == 0]:
        axes.plot(
            [feature.wavelength] * 2, [top - 0.075, top - 0.05], color=colour, linewidth=0.8, zorder=6,
            transform=transform,
        )  # fmt: skip
        axes.text(
            feature.wavelength, top, feature.label, ha="center", va="top", fontsize=_LABEL_SIZE, color=colour,
            transform=transform, zorder=6, bbox=_BACKGROUND,
        )  # fmt: skip
