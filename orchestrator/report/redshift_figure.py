"""The figure of the log-likelihood as a function of redshift."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from orchestrator.physics.constants import SPEED_OF_LIGHT_KMS
from orchestrator.report.style import BLACK, BLUE, GREY, LIGHT_GREY, RED, new_figure, paper_style, save_figure
from orchestrator.report.text_placement import header

__all__ = ["RedshiftFigureData", "plot_redshift"]

Array = NDArray[np.float64]

_WIDTH = 12.0  # uncertainties on either side of the peak in the zoom


@dataclass(frozen=True, eq=False)
class RedshiftFigureData:
    """What the figure shows.

    Attributes
    ----------
    redshift, log_likelihood : (n,) ndarray
        Profile; -inf where impossible.
    best : float
        Redshift of the fit.
    uncertainty : float
        Its standard deviation; NaN where not known.
    second : float or None
        Redshift of the second peak.
    title : str
    """

    redshift: Array
    log_likelihood: Array
    best: float
    uncertainty: float = np.nan
    second: float | None = None
    title: str = ""

    def __post_init__(self) -> None:
        """Check that the profile is one."""
        if np.shape(self.redshift) != np.shape(self.log_likelihood) or np.ndim(self.redshift) != 1:
            msg = (
                f"log_likelihood has shape {np.shape(self.log_likelihood)}, the redshifts have "
                f"{np.shape(self.redshift)}"
            )
            raise ValueError(msg)


def plot_redshift(data: RedshiftFigureData, path: str | Path) -> Path:
    """Draw the whole profile, and the neighbourhood of its peak.

    Parameters
    ----------
    data : RedshiftFigureData
    path : str or Path
        File to write; the suffix chooses the format.

    Returns
    -------
    Path
        The file, written whole.
    """
    with paper_style():
        figure = new_figure(height=2.9)
        whole, near = figure.subplots(1, 2, width_ratios=[2.2, 1])
        finite = np.isfinite(data.log_likelihood)
        height = data.log_likelihood - (data.log_likelihood[finite].max() if finite.any() else 0.0)
        height = np.where(finite, height, np.nan)
        _draw_whole(data, height, whole)
        _draw_near(data, height, near)
        text = rf"$z = {data.best:.5f}$"
        if np.isfinite(data.uncertainty):
            text = rf"$z = {data.best:.5f} \pm {data.uncertainty:.5f}$"
        header(whole, data.title, [text])
        return save_figure(figure, path)


def _draw_whole(data: RedshiftFigureData, height: Array, axes: Axes) -> None:
    axes.plot(data.redshift, height, color=BLACK, linewidth=0.7)
    axes.axvline(data.best, color=RED, linewidth=0.8, zorder=0, label="Best")
    if data.second is not None:
        axes.axvline(data.second, color=BLUE, linewidth=0.8, ls="--", zorder=0, label="Second peak")
    axes.set_xlim(float(data.redshift[0]), float(data.redshift[-1]))
    low = float(np.nanmin(height)) if np.isfinite(height).any() else -1.0
    axes.set_ylim(1.08 * min(low, -1.0), -0.2 * min(low, -1.0))
    axes.legend(loc="upper right", ncols=2)
    axes.set_xlabel("Redshift")
    axes.set_ylabel(r"$\ln\,L - \ln\,L_\mathrm{max}$")


def _draw_near(data: RedshiftFigureData, height: Array, axes: Axes) -> None:
    """Draw the surroundings of the peak, in km/s, with the parabola of the uncertainty."""
    velocity = SPEED_OF_LIGHT_KMS * (data.redshift - data.best) / (1 + data.best)
    spacing = float(np.median(np.diff(velocity))) if len(velocity) > 1 else 1.0
    sigma = SPEED_OF_LIGHT_KMS * data.uncertainty / (1 + data.best) if np.isfinite(data.uncertainty) else spacing
    reach = max(_WIDTH * sigma, 6 * spacing)
    axes.axvspan(-sigma, sigma, color=LIGHT_GREY, linewidth=0, zorder=0)
    axes.plot(velocity, height, color=BLACK, linewidth=0.7, marker=".", markersize=4)
    inside = (np.abs(velocity) <= reach) & np.isfinite(height)
    axes.set_xlim(-reach, reach)
    low = min(float(height[inside].min()), -1.0) if inside.any() else -1.0
    if np.isfinite(data.uncertainty):
        fine = np.linspace(-reach, reach, 201)
        # The grid may miss the peak by half a step: the parabola goes through the highest grid point.
        top = int(np.nanargmax(np.where(inside, height, -np.inf))) if inside.any() else 0
        peak = 0.5 * (velocity[top] / sigma) ** 2 if inside.any() else 0.0
        axes.plot(fine, peak - 0.5 * (fine / sigma) ** 2, color=RED, linewidth=0.8, ls="--", zorder=3)
        axes.axhline(0, color=GREY, linewidth=0.5)
        axes.set_ylim(1.05 * low, max(peak, -0.02 * low) * 1.3 + 1e-3)
    else:
        axes.set_ylim(1.05 * low, -0.05 * low)
    axes.set_xlabel(r"Offset in velocity [km s$^{-1}$]")
