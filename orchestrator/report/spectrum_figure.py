"""The figure of a fitted spectrum: data, model, masked regions and residuals."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from orchestrator.report.labels import unit_in_mathtext
from orchestrator.report.spectral_features import mark_features
from orchestrator.report.style import (
    BLACK,
    GREY,
    LIGHT_GREY,
    PURPLE,
    RED,
    SKY,
    new_figure,
    paper_style,
    save_figure,
)
from orchestrator.report.text_placement import goodness_of_fit, header

__all__ = ["SpectrumFigureData", "masked_runs", "plot_spectrum", "robust_limits"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SpectrumFigureData:
    """What the figure of one fitted spectrum shows.

    Attributes
    ----------
    wavelength : (n,) ndarray
        Rest-frame wavelength in Angstrom, increasing.
    flux, uncertainty : (n,) ndarray
        Data and 1-sigma errors, in `flux_unit`. Pixels without a finite flux or with an error that is not
        finite and positive are not drawn.
    good_pixels : (n,) ndarray of bool
        True where the pixel was fitted.
    model : (n,) ndarray
        Best-fit model on the same pixels; NaN where it is not defined.
    continuum : (n,) ndarray or None
        Multiplicative polynomial that the model contains.
    redshift : float
        For the axis of observed wavelength.
    chi2 : float
        Of the good pixels, as stated in the figure.
    n_degrees_of_freedom : int
        Of the same fit.
    noise_scale : float
        Factor by which the fit enlarges the error bars; 1 where it does not.
    flux_unit : str
        For example ``1e-17 erg/s/cm2/A``.
    title : str
        Name of the object.
    annotations : tuple of str
        Short results, for example ``v = 12 +- 3 km/s``.
    emission_lines : bool
        Mark the common emission lines of galaxies.
    absorption_features : bool
        Mark the strong stellar absorption features.
    """

    wavelength: Array
    flux: Array
    uncertainty: Array
    good_pixels: NDArray[np.bool_]
    model: Array
    continuum: Array | None = None
    redshift: float = 0.0
    chi2: float = np.nan
    n_degrees_of_freedom: int = 0
    noise_scale: float = 1.0
    flux_unit: str = "erg/s/cm2/A"
    title: str = ""
    annotations: tuple[str, ...] = field(default=())
    emission_lines: bool = False
    absorption_features: bool = True

    def __post_init__(self) -> None:
        """Check that every array has the shape of the wavelengths."""
        for name in ("flux", "uncertainty", "good_pixels", "model", "continuum"):
            value = getattr(self, name)
            if value is not None and np.shape(value) != np.shape(self.wavelength):
                msg = f"{name} has shape {np.shape(value)}, the wavelengths have {np.shape(self.wavelength)}"
                raise ValueError(msg)

    @property
    def drawable(self) -> NDArray[np.bool_]:
        """Pixels with a value and an error, fitted or not."""
        return np.isfinite(self.flux) & np.isfinite(self.uncertainty) & (self.uncertainty > 0)

    @property
    def residuals(self) -> Array:
        """(data - model) / error, with the error bars as scaled by the fit; NaN where not drawable."""
        with np.errstate(invalid="ignore", divide="ignore"):
            residuals = (self.flux - self.model) / (self.noise_scale * self.uncertainty)
        return np.where(self.drawable, residuals, np.nan)


def masked_runs(good_pixels: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the contiguous runs of pixels that are not good.

    Parameters
    ----------
    good_pixels : (n,) ndarray of bool
        True where a pixel is used.

    Returns
    -------
    list of (int, int)
        First pixel of each run and the first one after it.
    """
    bad = np.concatenate(([False], ~np.asarray(good_pixels, dtype=bool), [False]))
    edges = np.flatnonzero(bad[1:] != bad[:-1])
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def robust_limits(data: SpectrumFigureData) -> tuple[float, float]:
    """Return flux limits that show every good pixel but the most deviant 0.4 %, and the whole model.

    Parameters
    ----------
    data : SpectrumFigureData
        The record to draw.

    Returns
    -------
    tuple of float
        Lower and upper limit, without the room for legend and labels.
    """
    good = data.good_pixels & data.drawable
    if not good.any():
        good = data.drawable
    if not good.any():
        return 0.0, 1.0
    low, high = np.percentile(data.flux[good], [0.2, 99.8])
    model = data.model[good & np.isfinite(data.model)]
    if model.size:
        low, high = min(low, model.min()), max(high, model.max())
    if not high > low:
        low, high = low - 0.5 * abs(low) - 0.5, high + 0.5 * abs(high) + 0.5
    return float(low), float(high)


def plot_spectrum(data: SpectrumFigureData, path: str | Path) -> Path:
    """Draw a fitted spectrum with its residuals.

    Parameters
    ----------
    data : SpectrumFigureData
        What to draw.
    path : str or Path
        File to write; the suffix chooses the format.

    Returns
    -------
    Path
        The file, written whole.
    """
    with paper_style():
        figure = new_figure()
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3.2, 1])
        upper.set_xlim(float(data.wavelength[0]), float(data.wavelength[-1]))
        _shade_masked(data, (upper, lower))
        _draw_flux(data, upper)
        _draw_residuals(data, lower)
        _observed_axis(data, upper)
        header(upper, data.title, [*_goodness(data), *data.annotations])
        figure.align_ylabels([upper, lower])
        return save_figure(figure, path)


def _goodness(data: SpectrumFigureData) -> list[str]:
    text = goodness_of_fit(data.chi2, data.n_degrees_of_freedom)
    scaled = rf"errors $\times$ {data.noise_scale:.3g}"
    if data.noise_scale == 1:
        return [text] if text else []
    return [f"{text} ({scaled})" if text else scaled]


def _shade_masked(data: SpectrumFigureData, panels: tuple[Axes, ...]) -> None:
    # A span reaches from edge to edge of its pixels, so that one masked pixel shows too.
    middles = 0.5 * (data.wavelength[1:] + data.wavelength[:-1])
    edges = np.concatenate((data.wavelength[:1], middles, data.wavelength[-1:]))
    for start, stop in masked_runs(data.good_pixels):
        for panel in panels:
            panel.axvspan(edges[start], edges[stop], color=LIGHT_GREY, alpha=0.6, linewidth=0, zorder=0)


def _draw_flux(data: SpectrumFigureData, axes: Axes) -> None:
    low, high = robust_limits(data)
    exponent = _exponent(max(abs(low), abs(high)))
    scale = 10.0**-exponent
    low, high = scale * low, scale * high
    good, drawable = data.good_pixels & data.drawable, data.drawable
    flux = scale * data.flux
    error = scale * data.noise_scale * np.where(drawable, data.uncertainty, 0.0)
    wavelength = data.wavelength
    axes.fill_between(
        wavelength, flux - error, flux + error, where=good, step="mid", color=SKY, alpha=0.45, linewidth=0
    )
    ignored = np.where(drawable & ~_interior(good), flux, np.nan)
    axes.plot(wavelength, ignored, drawstyle="steps-mid", color=GREY, linewidth=0.5)
    axes.plot(wavelength, np.where(good, flux, np.nan), drawstyle="steps-mid", color=BLACK, linewidth=0.6)
    axes.plot(wavelength, scale * data.model, color=RED, linewidth=0.9, zorder=4)
    if data.continuum is not None:
        axes.plot(wavelength, _scaled_continuum(data, low, high, scale), color=PURPLE, linewidth=1, ls="--")
    rows = 2 if data.emission_lines and data.absorption_features else 1
    marked = data.emission_lines or data.absorption_features
    span = high - low
    axes.set_ylim(low - 0.14 * span, high + (0.06 + 0.09 * rows * marked) * span)
    axes.set_ylabel(rf"$F_\lambda$ [{unit_in_mathtext(data.flux_unit, exponent)}]")
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    mark_features(axes, emission=data.emission_lines, absorption=data.absorption_features)
    _legend(data, axes)


def _exponent(largest: float) -> int:
    """Return the power of ten to take out of the axis, 0 where plain numbers read well."""
    if largest == 0 or not np.isfinite(largest) or 0.1 <= largest < 1e4:
        return 0
    return int(np.floor(np.log10(largest)))


def _interior(good: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the good pixels whose neighbours are good: the masked line then meets the fitted one."""
    padded = np.concatenate(([True], good, [True]))
    return good & padded[:-2] & padded[2:]


def _scaled_continuum(data: SpectrumFigureData, low: float, high: float, scale: float) -> Array:
    """Return the polynomial at the level of the model, so that it can share the axis."""
    continuum: Array = np.asarray(data.continuum, dtype=float)
    use = data.good_pixels & np.isfinite(data.model) & np.isfinite(continuum)
    if not use.any() or np.median(continuum[use]) == 0:
        return np.full_like(continuum, np.nan)
    level = float(np.median(scale * data.model[use]))
    curve = level * continuum / float(np.median(continuum[use]))
    return np.where((curve >= low) & (curve <= high), curve, np.nan)


def _legend(data: SpectrumFigureData, axes: Axes) -> None:
    error = r"1$\sigma$" if data.noise_scale == 1 else r"1$\sigma$ (scaled)"
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=BLACK, linewidth=0.9, label="Data"),
        Patch(color=SKY, alpha=0.45, linewidth=0, label=error),
        Line2D([], [], color=RED, linewidth=1.2, label="Model"),
    ]
    if data.continuum is not None:
        handles.append(Line2D([], [], color=PURPLE, ls="--", linewidth=1, label="Polynomial (scaled)"))
    if not data.good_pixels.all():
        handles.append(Patch(color=LIGHT_GREY, alpha=0.6, linewidth=0, label="Not fitted"))
    axes.legend(
        handles=handles, loc="lower right", ncols=len(handles), borderaxespad=0.7, borderpad=0.2,
        handlelength=1.6, columnspacing=1.4, frameon=True, framealpha=0.85, edgecolor="none",
    ).set_zorder(6)  # fmt: skip


def _draw_residuals(data: SpectrumFigureData, axes: Axes) -> None:
    residuals = data.residuals
    good = data.good_pixels & np.isfinite(residuals)
    largest = np.percentile(np.abs(residuals[good]), 99.5) if good.any() else 0.0
    limit = max(4.2, 1.15 * largest)
    for level, style in ((1, "--"), (3, ":")):
        for sign in (-1, 1):
            axes.axhline(sign * level, color=RED, linewidth=0.7, ls=style, zorder=3)
    axes.axhline(0, color=RED, linewidth=0.8, zorder=3)
    ignored = np.isfinite(residuals) & ~data.good_pixels
    points: dict[str, Any] = {"ls": "none", "marker": ".", "markeredgewidth": 0}
    axes.plot(data.wavelength[ignored], residuals[ignored], color=GREY, markersize=2, alpha=0.6, **points)
    axes.plot(data.wavelength[good], residuals[good], color=BLACK, markersize=2.2, alpha=0.8, **points)
    axes.set_ylim(-limit, limit)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True, symmetric=True))
    axes.set_ylabel(r"Residual [$\sigma$]")
    axes.set_xlabel(r"Rest-frame wavelength [$\mathrm{\AA}$]")


def _observed_axis(data: SpectrumFigureData, axes: Axes) -> None:
    factor = 1.0 + data.redshift

    def to_observed(wavelength: Any) -> Any:
        return wavelength * factor

    def to_rest(wavelength: Any) -> Any:
        return wavelength / factor

    axes.tick_params(which="both", top=data.redshift == 0, right=True)
    if data.redshift == 0:
        return
    top = axes.secondary_xaxis("top", functions=(to_observed, to_rest))
    top.tick_params(which="both", direction="out")  # inwards they would cross the marked features
    top.set_xlabel(r"Observed wavelength [$\mathrm{\AA}$]", labelpad=3)
