"""The figure of fitted line indices: measured and model values by unit, and pulls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import NDArray

from orchestrator.report.style import BLACK, RED, SKY, new_figure, paper_style, save_figure
from orchestrator.report.text_placement import goodness_of_fit, header

__all__ = ["IndexFigureData", "plot_indices"]

Array = NDArray[np.float64]

_AXIS = {"Angstrom": r"Equivalent width [$\mathrm{\AA}$]", "mag": "Index [mag]", "ratio": "Break"}
_SPELLED = {
    "HdeltaA": r"H$\delta_\mathrm{A}$",
    "HdeltaF": r"H$\delta_\mathrm{F}$",
    "HgammaA": r"H$\gamma_\mathrm{A}$",
    "HgammaF": r"H$\gamma_\mathrm{F}$",
    "Hbeta": r"H$\beta$",
    "Mgb": r"Mg$\,b$",
    "Mg1": r"Mg$_1$",
    "Mg2": r"Mg$_2$",
    "CN1": r"CN$_1$",
    "CN2": r"CN$_2$",
    "C4668": r"C$_2$4668",
    "NaD": r"Na$\,$D",
    "TiO1": r"TiO$_1$",
    "TiO2": r"TiO$_2$",
    "Dn4000": r"D$_n$4000",
}
_POINT = 4.2


@dataclass(frozen=True, eq=False)
class IndexFigureData:
    """What the figure of one set of fitted indices shows.

    Attributes
    ----------
    names : tuple of str
    units : tuple of str
        ``Angstrom``, ``mag`` or ``ratio``.
    values, errors, model : ndarray, shape (n_indices,)
    chi2 : float
        With the whole covariance.
    model_without_emission : ndarray, shape (n_indices,), or None
        The stars alone.
    n_degrees_of_freedom : int
    title : str
    annotations : tuple of str
        Short remarks above the panels.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    values: Array
    errors: Array
    model: Array
    chi2: float
    model_without_emission: Array | None = None
    n_degrees_of_freedom: int = 0
    title: str = ""
    annotations: tuple[str, ...] = ()

    @property
    def pulls(self) -> Array:
        """Measured less model in units of the errors, shape (n_indices,)."""
        return (self.values - self.model) / self.errors

    def rows(self) -> list[tuple[str, NDArray[np.int64]]]:
        """Return the units that occur, each with the indices that have it."""
        units = np.array(self.units)
        return [(unit, np.flatnonzero(units == unit)) for unit in _AXIS if (units == unit).any()]


def plot_indices(data: IndexFigureData, path: str | Path) -> Path:
    """Draw measured and model indices with pulls below; one column per unit.

    Parameters
    ----------
    data : IndexFigureData
    path : str or Path
        File to write; the suffix chooses the format.

    Returns
    -------
    Path
        The file, written whole.
    """
    groups = data.rows()
    with paper_style():
        figure = new_figure()
        grid = figure.add_gridspec(
            3, len(groups), height_ratios=[0.01, 2.6, 1], width_ratios=[max(len(m), 2) + 1.6 for _, m in groups]
        )
        top = figure.add_subplot(grid[0, :])  # carries the title over all columns
        top.set_axis_off()
        limit = max(3.9, 1.2 * float(np.max(np.abs(data.pulls))))
        for column, (unit, members) in enumerate(groups):
            upper = figure.add_subplot(grid[1, column])
            lower = figure.add_subplot(grid[2, column], sharex=upper)
            _draw_values(data, members, upper)
            _draw_pulls(data, members, lower, limit)
            upper.set_ylabel(_AXIS[unit])
            lower.set_ylabel(r"Pull [$\sigma$]" if column == 0 else "")
            lower.tick_params(labelleft=column == 0)
            upper.tick_params(labelbottom=False)
            if column == 0:
                _legend(data, upper)
                figure.align_ylabels([upper, lower])
        text = goodness_of_fit(data.chi2, data.n_degrees_of_freedom)
        header(top, data.title, [text, *data.annotations] if text else data.annotations)
        return save_figure(figure, path)


def _draw_values(data: IndexFigureData, members: NDArray[np.int64], axes: Axes) -> None:
    x = np.arange(len(members))
    axes.errorbar(
        x, data.values[members], yerr=data.errors[members], color=BLACK, marker="o", markersize=_POINT, ls="none",
        elinewidth=0.9, zorder=4,
    )  # fmt: skip
    axes.plot(
        x, data.model[members], ls="none", marker="s", markersize=8, markerfacecolor="none", markeredgecolor=RED,
        markeredgewidth=1.2, zorder=3,
    )  # fmt: skip
    shown = [data.values[members] - data.errors[members], data.values[members] + data.errors[members]]
    shown.append(data.model[members])
    if data.model_without_emission is not None:
        stars = data.model_without_emission[members]
        changed = np.abs(stars - data.model[members]) > 0.1 * data.errors[members]
        axes.plot(x[changed], stars[changed], ls="none", marker="_", markersize=11, color=SKY,
                  markeredgewidth=2.0, zorder=2)  # fmt: skip
        shown.append(stars[changed])
    values = np.concatenate(shown)
    span = max(float(np.ptp(values)), 1e-3 * float(np.abs(values).max()), 1e-6)
    # Room above for the legend.
    axes.set_ylim(values.min() - 0.1 * span, values.max() + 0.24 * span)
    axes.yaxis.set_major_locator(MaxNLocator(6))
    _index_axis(data, members, axes)


def _draw_pulls(data: IndexFigureData, members: NDArray[np.int64], axes: Axes, limit: float) -> None:
    for level, style in ((0, "-"), (1, "--"), (3, ":")):
        for sign in (-1, 1):
            axes.axhline(sign * level, color=RED, linewidth=0.7, ls=style, zorder=1)
    axes.errorbar(
        np.arange(len(members)), data.pulls[members], yerr=1.0, color=BLACK, ls="none", marker="o",
        markersize=_POINT, elinewidth=0.9,
    )  # fmt: skip
    axes.set_ylim(-limit, limit)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True, symmetric=True))
    _index_axis(data, members, axes)


def _index_axis(data: IndexFigureData, members: NDArray[np.int64], axes: Axes) -> None:
    axes.set_xlim(-0.7, len(members) - 0.3)
    axes.set_xticks(np.arange(len(members)))
    axes.xaxis.set_minor_locator(NullLocator())
    labels = [_SPELLED.get(data.names[i], data.names[i]) for i in members]
    axes.set_xticklabels(labels, rotation=60 if len(data.names) > 7 else 0)
    axes.tick_params(which="both", right=True)


def _legend(data: IndexFigureData, axes: Axes) -> None:
    handles = [
        Line2D([], [], color=BLACK, marker="o", ls="none", markersize=_POINT, label="Data"),
        Line2D([], [], color=RED, marker="s", ls="none", markersize=7, markerfacecolor="none", label="Model"),
    ]
    if data.model_without_emission is not None:
        handles.append(
            Line2D([], [], color=SKY, marker="_", ls="none", markersize=9, markeredgewidth=2.0, label="Stars alone")
        )
    axes.legend(handles=handles, loc="upper left", ncols=len(handles), columnspacing=1.0, handletextpad=0.4)
