"""The figure of fitted photometry: points, limits, model bands, model SED and residuals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from orchestrator.report.labels import unit_in_mathtext
from orchestrator.report.photometric_units import ab_zero_point
from orchestrator.report.style import (
    BLACK,
    BLUE,
    GREY,
    RED,
    SKY,
    new_figure,
    paper_style,
    save_figure,
)
from orchestrator.report.text_placement import goodness_of_fit, header, place_labels

__all__ = ["PhotometryFigureData", "plot_photometry"]

Array = NDArray[np.float64]
ANGSTROM_PER_MICRON = 1e4


@dataclass(frozen=True, eq=False)
class PhotometryFigureData:
    """What the figure of one set of fitted photometry shows.

    Attributes
    ----------
    names : tuple of str
        Filters.
    effective_wavelength, bandwidth : (n,) ndarray
        Observed frame, Angstrom; the bandwidth is the full width.
    flux, uncertainty : (n,) ndarray
        Data in `unit`, per frequency; for a limit, the limit and its softness.
    is_upper_limit, is_lower_limit : (n,) ndarray of bool
        Which data are limits.
    model_flux : (n,) ndarray
        The model in the same bands.
    sed_wavelength, sed_flux : (m,) ndarray
        Model spectrum: observed frame in Angstrom, and f_nu in `unit`. May be empty.
    unit : str
        For example ``uJy``, ``nanomaggy``, ``erg/s/cm2/Hz``.
    chi2 : float
        As stated in the figure.
    n_degrees_of_freedom : int
        Of the same fit; 0 leaves the ratio out.
    title : str
        Name of the object.
    annotations : tuple of str
        Short results.
    """

    names: tuple[str, ...]
    effective_wavelength: Array
    bandwidth: Array
    flux: Array
    uncertainty: Array
    is_upper_limit: NDArray[np.bool_]
    is_lower_limit: NDArray[np.bool_]
    model_flux: Array
    sed_wavelength: Array
    sed_flux: Array
    unit: str = "uJy"
    chi2: float = np.nan
    n_degrees_of_freedom: int = 0
    title: str = ""
    annotations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that every array has one value per filter."""
        per_band = ("effective_wavelength", "bandwidth", "flux", "uncertainty", "is_upper_limit",
                    "is_lower_limit", "model_flux")  # fmt: skip
        for name in per_band:
            if np.shape(getattr(self, name)) != (len(self.names),):
                msg = f"{name} has shape {np.shape(getattr(self, name))}, expected one value for each of the "
                msg += f"{len(self.names)} filters"
                raise ValueError(msg)
        if np.shape(self.sed_flux) != np.shape(self.sed_wavelength):
            shapes = np.shape(self.sed_flux), np.shape(self.sed_wavelength)
            msg = f"sed_flux has shape {shapes[0]}, sed_wavelength {shapes[1]}"
            raise ValueError(msg)

    @property
    def is_detection(self) -> NDArray[np.bool_]:
        """Bands that are measurements, whatever their sign."""
        return ~(self.is_upper_limit | self.is_lower_limit)

    @property
    def microns(self) -> Array:
        """Effective wavelengths in micron, observed frame."""
        return np.asarray(self.effective_wavelength) / ANGSTROM_PER_MICRON

    @property
    def residuals(self) -> Array:
        """(data - model) / error; NaN where the error is not finite and positive."""
        usable = np.isfinite(self.uncertainty) & (self.uncertainty > 0)
        scale = np.where(usable, self.uncertainty, 1.0)
        return np.where(usable, (self.flux - self.model_flux) / scale, np.nan)

    @property
    def below_zero(self) -> NDArray[np.bool_]:
        """Measurements that a logarithmic axis cannot hold."""
        return self.is_detection & ~(self.flux > 0)

    @property
    def shown_flux(self) -> Array:
        """Where each point stands: the flux, or flux + 2 sigma for a measurement at or below zero."""
        return np.where(self.below_zero, self.flux + 2 * self.uncertainty, self.flux)


def plot_photometry(data: PhotometryFigureData, path: str | Path) -> Path:
    """Draw fitted photometry with the model SED and residuals.

    Parameters
    ----------
    data : PhotometryFigureData
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
        _set_axes(data, upper)
        _draw_model(data, upper)
        _draw_data(data, upper)
        _draw_residuals(data, lower)
        _name_filters(data, upper)
        _magnitude_axis(data, upper)
        _legend(data, upper)
        text = goodness_of_fit(data.chi2, data.n_degrees_of_freedom)
        header(upper, data.title, [text, *data.annotations] if text else data.annotations)
        figure.align_ylabels([upper, lower])
        return save_figure(figure, path)


def _set_axes(data: PhotometryFigureData, axes: Axes) -> None:
    half = 0.5 * np.nan_to_num(data.bandwidth) / ANGSTROM_PER_MICRON
    low = np.min(np.maximum(data.microns - half, 0.5 * data.microns))
    high = np.max(data.microns + half)
    margin = max((high / low) ** 0.06, 1.06)
    axes.set(xscale="log", yscale="log", xlim=(low / margin, high * margin))
    values = np.concatenate([data.shown_flux, data.model_flux, _sed_range(data, low, high)])
    values = values[np.isfinite(values) & (values > 0)]
    bottom, top = (values.min(), values.max()) if values.size else (0.1, 10.0)
    decades = max(np.log10(top / bottom), 0.3)
    # Room below for the names of the filters and arrows, above for the legend.
    axes.set_ylim(bottom / 10 ** (0.26 * decades + 0.06), top * 10 ** (0.2 * decades))
    axes.set_ylabel(rf"$f_\nu$ [{unit_in_mathtext(data.unit)}]")
    for axis, span in ((axes.xaxis, high / low), (axes.yaxis, 10**decades)):
        _plain_ticks(axis, span)
    axes.tick_params(which="both", top=True)


def _sed_range(data: PhotometryFigureData, low: float, high: float) -> Array:
    """Return low and high percentiles of the SED within the bands: the far UV does not rule the axis."""
    microns = data.sed_wavelength / ANGSTROM_PER_MICRON
    inside = data.sed_flux[(microns >= low) & (microns <= high) & (data.sed_flux > 0)]
    if not inside.size:
        return np.empty(0)
    floor = np.min(data.shown_flux[data.shown_flux > 0], initial=np.inf) / 5
    return np.array([max(np.percentile(inside, 2), floor), np.percentile(inside, 98)])


def _plain_ticks(axis: Axis, span: float) -> None:
    """Label a short logarithmic axis at 1, 2, 5 with plain numbers; a long one keeps its powers of ten."""
    if span > 300:
        return
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if span > 4 else (1, 1.5, 2, 3, 4, 5, 6, 8)))
    axis.set_major_formatter(FuncFormatter(_tick_text))
    axis.set_minor_formatter(NullFormatter())


def _tick_text(value: float, _position: int) -> str:
    if 1e-3 <= value < 1e5:
        return f"{value:.10g}"
    mantissa, _, exponent = f"{value:.3e}".partition("e")
    factor = "" if float(mantissa) == 1 else rf"{float(mantissa):g}\times"
    return rf"${factor}10^{{{int(exponent)}}}$"


def _draw_model(data: PhotometryFigureData, axes: Axes) -> None:
    if data.sed_wavelength.size:
        positive = np.where(data.sed_flux > 0, data.sed_flux, np.nan)
        axes.plot(data.sed_wavelength / ANGSTROM_PER_MICRON, positive, color=SKY, linewidth=0.8, zorder=1)
    axes.plot(
        data.microns, data.model_flux, ls="none", marker="s", markersize=8, markerfacecolor="none",
        markeredgecolor=RED, markeredgewidth=1.2, zorder=3,
    )  # fmt: skip


def _draw_data(data: PhotometryFigureData, axes: Axes) -> None:
    half = 0.5 * np.nan_to_num(data.bandwidth) / ANGSTROM_PER_MICRON
    shown, point = data.shown_flux, data.is_detection & ~data.below_zero
    error = np.where(np.isfinite(data.uncertainty), data.uncertainty, 0.0)
    bars: dict[str, Any] = {"ls": "none", "elinewidth": 0.9, "zorder": 4}
    axes.errorbar(
        data.microns[point], shown[point], yerr=error[point], xerr=half[point], color=BLACK, marker="o",
        markersize=4.2, capsize=0, **bars,
    )  # fmt: skip
    for select, colour, direction in (
        (data.is_upper_limit, BLUE, -1),
        (data.is_lower_limit, BLUE, 1),
        (data.below_zero, GREY, -1),
    ):
        usable = select & (shown > 0)
        axes.errorbar(data.microns[usable], shown[usable], xerr=half[usable], color=colour, **bars)
        for x, y in zip(data.microns[usable], shown[usable], strict=True):
            _arrow(axes, x, y, direction, colour)


def _arrow(axes: Axes, x: float, y: float, direction: int, colour: str, length: float = 16.0) -> None:
    """Draw an arrow of fixed length in points that starts at the limit."""
    axes.annotate(
        "", xy=(x, y), xytext=(0, direction * length), textcoords="offset points", zorder=4,
        arrowprops={"arrowstyle": "<|-", "color": colour, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0,
                    "mutation_scale": 9},
    )  # fmt: skip


def _draw_residuals(data: PhotometryFigureData, axes: Axes) -> None:
    residuals = data.residuals
    detected = data.is_detection & np.isfinite(residuals)
    limit = max(3.9, 1.25 * np.max(np.abs(residuals[detected]), initial=0.0))
    for level, style in ((0, "-"), (1, "--"), (3, ":")):
        for sign in (-1, 1):
            axes.axhline(sign * level, color=RED, linewidth=0.7, ls=style, zorder=1)
    positive = detected & ~data.below_zero
    for select, colour in ((positive, BLACK), (detected & data.below_zero, GREY)):
        axes.errorbar(
            data.microns[select], residuals[select], yerr=1.0, color=colour, ls="none", marker="o",
            markersize=4.2, elinewidth=0.9,
        )  # fmt: skip
    for select, direction in ((data.is_upper_limit, -1), (data.is_lower_limit, 1)):
        for x, y in zip(data.microns[select], residuals[select], strict=True):
            if np.isfinite(y):  # a limit may be satisfied by any number of sigma: it stays in the panel
                inside = float(np.clip(y, -0.92 * limit, 0.92 * limit))
                axes.plot([x], [inside], color=BLUE, marker="_", markersize=8, ls="none")
                _arrow(axes, x, inside, direction, BLUE, length=11)
    axes.set_ylim(-limit, limit)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True, symmetric=True))
    axes.tick_params(which="both", top=True, right=True)
    axes.set_ylabel(r"Residual [$\sigma$]")
    axes.set_xlabel(r"Observed wavelength [$\mathrm{\mu}$m]")


def _name_filters(data: PhotometryFigureData, axes: Axes) -> None:
    """Write the names along the lower edge, in as many rows as they need."""
    size = 7.0
    names = [name.rpartition("/")[2] for name in data.names]  # GALEX.FUV of GALEX/GALEX.FUV, and no folders
    rows = place_labels(axes, data.microns, names, size, n_rows=4)
    for x, name, row in zip(data.microns, names, rows, strict=True):
        if row >= 0:
            axes.annotate(
                name, xy=(x, 0), xycoords=("data", "axes fraction"), xytext=(0, 4 + 9 * row), va="bottom",
                textcoords="offset points", ha="center", fontsize=size, color=GREY, parse_math=False,
            )  # fmt: skip


def _magnitude_axis(data: PhotometryFigureData, axes: Axes) -> None:
    zero_point = ab_zero_point(data.unit)
    if zero_point is None:
        axes.tick_params(which="both", right=True)
        return
    # A logarithm of the flux is linear in magnitudes, so a linear axis with the same ends is exact.
    right = axes.twinx()
    right.set_ylim(*(zero_point - 2.5 * np.log10(axes.get_ylim())))
    right.set_ylabel("AB magnitude", rotation=270, va="bottom")
    axes.set_zorder(right.get_zorder() + 1)
    axes.patch.set_visible(False)


def _legend(data: PhotometryFigureData, axes: Axes) -> None:
    def marker(label: str, colour: str, shape: str, **more: Any) -> Line2D:
        return Line2D([], [], color=colour, marker=shape, ls="none", label=label, **more)

    handles = [marker("Data", BLACK, "o", markersize=4.2)]
    if data.is_upper_limit.any():
        handles.append(marker("Upper limit", BLUE, r"$\downarrow$", markersize=8))
    if data.is_lower_limit.any():
        handles.append(marker("Lower limit", BLUE, r"$\uparrow$", markersize=8))
    if data.below_zero.any():
        handles.append(marker(r"Flux $\leq$ 0 (at $+2\sigma$)", GREY, r"$\downarrow$", markersize=8))
    handles.append(marker("Model in the band", RED, "s", markersize=7, markerfacecolor="none"))
    if data.sed_wavelength.size:
        handles.append(Line2D([], [], color=SKY, linewidth=1.2, label="Model spectrum"))
    axes.legend(handles=handles, loc="upper left", ncols=len(handles), columnspacing=1.2,
                handlelength=1.2, handletextpad=0.5)  # fmt: skip
