"""Figures of samples: marginal posteriors and traces."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, ScalarFormatter
from numpy.typing import ArrayLike, NDArray

from orchestrator.report.labels import label_for, split_name, symbol_for
from orchestrator.report.style import (
    BLUE,
    ORANGE,
    PAGE_WIDTH,
    RED,
    new_figure,
    paper_style,
    save_figure,
    weighted_quantiles,
)
from orchestrator.report.table import format_value_mathtext
from orchestrator.report.text_placement import header

__all__ = ["plot_corner", "plot_trace"]

logger = logging.getLogger(__name__)

Array = NDArray[np.float64]
_ONE_SIGMA, _TWO_SIGMA = 0.682689, 0.954500
_QUANTILES = [0.158655, 0.5, 0.841345]


def plot_corner(
    samples: ArrayLike,
    weights: ArrayLike | None,
    names: Sequence[str | tuple[str, str]],
    path: str | Path,
    best_fit: ArrayLike | None = None,
    *,
    n_max: int = 10,
    title: str = "",
) -> Path:
    """Draw the marginal posteriors of one and two parameters, with contours of 68 % and 95 %.

    Parameters
    ----------
    samples : (n_samples, n_parameters) array_like
        Samples of the posterior.
    weights : (n_samples,) array_like or None
        Their weights, for samplers that weight.
    names : sequence of str or (str, str)
        Parameters as ``section--name`` or as pairs.
    path : str or Path
        File to write.
    best_fit : (n_parameters,) array_like, optional
        A point to mark.
    n_max : int
        At most so many parameters; those of continuum polynomials are left out first.
    title : str
        Name of the object.

    Returns
    -------
    Path
        The file, written whole.

    Raises
    ------
    ValueError
        Where the shapes disagree or no parameter varies.
    """
    samples, weights, best = _checked(samples, weights, names, best_fit)
    columns = _columns_to_show(samples, names, n_max)
    shown = samples[:, columns]
    pairs = [split_name(names[i]) for i in columns]
    n = len(columns)
    corner = _corner_function()
    side = float(np.clip(1.55 * n + 0.4, 3.3, 10.0))
    small = 7.5 if n > 5 else 8.0
    with paper_style():
        figure = new_figure(side, side, row_gap=None)
        figure.subplots(n, n, squeeze=False)
        with np.errstate(all="ignore"):
            corner(
                shown, fig=figure, weights=weights, bins=_n_bins(shown, weights), smooth=0.9, color=BLUE,
                levels=(_ONE_SIGMA, _TWO_SIGMA), plot_datapoints=False, fill_contours=True,
                plot_density=False, quantiles=_QUANTILES, labels=[label_for(*pair) for pair in pairs],
                range=_ranges(shown, weights), label_kwargs={"fontsize": small + 1.5},
                hist_kwargs={"linewidth": 1.0}, quiet=True,
            )  # fmt: skip
        _finish_corner(figure, shown, weights, pairs, small)
        if best is not None:
            _mark_point(np.array(figure.axes[: n * n]).reshape(n, n), best[columns])
        if title:
            figure.suptitle(title, x=0.98, y=0.985, ha="right", va="top", fontsize=10, parse_math=False)
        return save_figure(figure, path)


def _corner_function() -> Callable[..., Figure]:
    # corner imports pyplot (never used here: it gets its figure) and, for input that is not given here, ArviZ,
    # which takes two seconds: it is hidden for the moment unless it is there already.
    hidden = "arviz" not in sys.modules
    if hidden:
        sys.modules["arviz"] = None  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from corner import corner
    finally:
        if hidden:
            del sys.modules["arviz"]
    return corner  # type: ignore[no-any-return, unused-ignore]


def _checked(
    samples: ArrayLike, weights: ArrayLike | None, names: Sequence[object], best_fit: ArrayLike | None
) -> tuple[Array, Array | None, Array | None]:
    samples = np.asarray(samples, dtype=float)
    if samples.ndim != 2 or samples.shape[1] != len(names):
        msg = f"samples have shape {samples.shape}, expected (n_samples, {len(names)}) for {len(names)} names"
        raise ValueError(msg)
    best = None if best_fit is None else np.asarray(best_fit, dtype=float)
    if best is not None and best.shape != (len(names),):
        msg = f"best_fit has shape {best.shape}, expected ({len(names)},)"
        raise ValueError(msg)
    keep = np.isfinite(samples).all(axis=1)
    if weights is None:
        return samples[keep], None, best
    weights = np.asarray(weights, dtype=float)
    if weights.shape != samples.shape[:1]:
        msg = f"weights have shape {weights.shape}, expected {samples.shape[:1]}"
        raise ValueError(msg)
    keep &= weights > 0
    return samples[keep], weights[keep], best


def _columns_to_show(
    samples: Array, names: Sequence[str | tuple[str, str]], n_max: int
) -> list[int]:
    """Return the parameters that vary, at most `n_max`, without polynomials where there are too many."""
    columns = [i for i in range(samples.shape[1]) if samples.shape[0] > 1 and np.ptp(samples[:, i]) > 0]
    if not columns:
        msg = f"no parameter varies over the {samples.shape[0]} usable samples: there is no posterior to draw"
        raise ValueError(msg)
    if len(columns) > n_max:
        physical = [i for i in columns if split_name(names[i])[0].lower().partition("_")[0] != "legendre"]
        chosen = sorted((physical + [i for i in columns if i not in physical])[:n_max])
        logger.info("The corner plot shows %d of %d sampled parameters", len(chosen), len(columns))
        return chosen
    return columns


def _n_effective(samples: Array, weights: Array | None) -> float:
    return samples.shape[0] if weights is None else float(weights.sum() ** 2 / (weights**2).sum())


def _n_bins(samples: Array, weights: Array | None) -> int:
    return int(np.clip(_n_effective(samples, weights) ** (1 / 3) * 1.5, 8, 40))


def _ranges(samples: Array, weights: Array | None) -> list[tuple[float, float]]:
    """Return the central 99.4 % of each parameter and a margin: stray walkers do not rule the axes."""
    low, high = weighted_quantiles(samples, [0.003, 0.997], weights)
    low = np.where(high > low, low, samples.min(axis=0))
    high = np.where(high > low, high, samples.max(axis=0))
    margin = 0.08 * (high - low)
    return list(zip((low - margin).tolist(), (high + margin).tolist(), strict=True))


def _finish_corner(
    figure: Figure, shown: Array, weights: Array | None, pairs: Sequence[tuple[str, str]], small: float
) -> None:
    n = len(pairs)
    side = figure.get_size_inches()[0]
    lower_margin = min(0.85 / side, 0.26)
    figure.subplots_adjust(
        left=lower_margin, bottom=lower_margin, right=1 - 0.12 / side, top=1 - 0.4 / side,
        wspace=0.06, hspace=0.06,
    )  # fmt: skip
    panels = np.array(figure.axes[: n * n]).reshape(n, n)
    quantiles = weighted_quantiles(shown, _QUANTILES, weights)
    for i, (section, name) in enumerate(pairs):
        low, middle, high = quantiles[:, i]
        text = format_value_mathtext(middle, middle - low, high - middle)
        separator = "\n" if n > 3 else " = "
        panels[i, i].set_title(f"{symbol_for(section, name)}{separator}{text}", fontsize=small + 1, pad=5)
        for axis in (panels[n - 1, i].xaxis, panels[i, 0].yaxis):
            formatter = ScalarFormatter(useOffset=False)
            formatter.set_powerlimits((-3, 4))
            axis.set_major_formatter(formatter)
    for i in range(n):
        ticks = _inner_ticks(*panels[i, i].get_xlim())
        for panel in panels[i:, i]:
            panel.xaxis.set_major_locator(FixedLocator(ticks))
        for panel in panels[i, :i]:
            panel.yaxis.set_major_locator(FixedLocator(ticks))
    for panel in panels[np.tril_indices(n)]:
        panel.minorticks_off()
        for line in panel.lines:  # the quantiles; corner draws them thick
            line.set_linewidth(0.8)
        panel.tick_params(labelsize=small, length=2.5)
    # Tick labels stand at 45 degrees; the offset in inches keeps the axis labels clear of them.
    box = panels[0, 0].get_position()
    x_offset, y_offset = -0.5 / (box.width * side), -0.46 / (box.height * side)
    for i in range(n):
        panels[n - 1, i].xaxis.set_label_coords(0.5, y_offset)
        if i:
            panels[i, 0].yaxis.set_label_coords(x_offset, 0.5)
    panels[0, 0].set_yticks([])


def _inner_ticks(low: float, high: float) -> list[float]:
    """Return round values away from the ends, where the labels of neighbouring panels would meet."""
    margin = 0.1 * (high - low)
    ticks = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [float(tick) for tick in ticks if low + margin < tick < high - margin]


def _mark_point(panels: NDArray[np.object_], point: Array) -> None:
    """Mark one point in every panel (corner itself cannot where there is one parameter only)."""
    for row in range(len(point)):
        panels[row, row].axvline(point[row], color=RED, linewidth=0.9)
        for column in range(row):
            panels[row, column].axvline(point[column], color=RED, linewidth=0.7)
            panels[row, column].axhline(point[row], color=RED, linewidth=0.7)
            panels[row, column].plot(point[column], point[row], marker="s", markersize=3.5, color=RED)


def plot_trace(
    chain: ArrayLike,
    names: Sequence[str | tuple[str, str]],
    path: str | Path,
    *,
    burn_in: int = 0,
    n_max: int = 10,
    title: str = "",
) -> Path:
    """Draw every walker's way through each parameter.

    Parameters
    ----------
    chain : (n_steps, n_walkers, n_parameters) array_like
        Samples in the order in which they were drawn.
    names : sequence of str or (str, str)
        Parameters as ``section--name`` or as pairs.
    path : str or Path
        File to write.
    burn_in : int
        First step that is used; those before are shaded.
    n_max : int
        At most so many parameters, the first ones.
    title : str
        Name of the object.

    Returns
    -------
    Path
        The file, written whole.

    Raises
    ------
    ValueError
        Where the chain does not have three axes or the names do not fit it.
    """
    chain = np.asarray(chain, dtype=float)
    if chain.ndim != 3 or chain.shape[2] != len(names):
        msg = f"chain has shape {chain.shape}, expected (n_steps, n_walkers, {len(names)})"
        raise ValueError(msg)
    n = min(len(names), n_max)
    steps = np.arange(chain.shape[0])
    with paper_style():
        figure = new_figure(PAGE_WIDTH, 0.6 + 0.95 * n)
        panels = figure.subplots(n, 1, sharex=True, squeeze=False)[:, 0]
        for i, panel in enumerate(panels):
            alpha = float(np.clip(6 / chain.shape[1], 0.1, 0.8))
            panel.plot(steps, chain[:, :, i], color=BLUE, linewidth=0.4, alpha=alpha, rasterized=True)
            used = chain[burn_in:, :, i]
            if used.size:
                panel.axhline(np.nanmedian(used), color=RED, linewidth=0.9)
            panel.set_ylim(*_trace_limits(chain[:, :, i], burn_in))
            if burn_in:
                panel.axvspan(0, burn_in, color=ORANGE, alpha=0.15, linewidth=0)
            panel.set_ylabel(label_for(*split_name(names[i])), fontsize=8.5)
            panel.yaxis.set_major_locator(MaxNLocator(3))
            panel.tick_params(which="both", top=True, right=True)
        panels[-1].set_xlabel("Step")
        panels[-1].set_xlim(0, max(chain.shape[0] - 1, 1))
        remark = f"{chain.shape[1]} walkers" + (f", first {burn_in} steps not used" if burn_in else "")
        header(panels[0], title, [remark])
        figure.align_ylabels(panels)
        return save_figure(figure, path)


def _trace_limits(walkers: Array, burn_in: int) -> tuple[float, float]:
    """Return limits that hold all samples used and most of those before, but not one lost walker."""
    low, high = np.nanpercentile(walkers, [0.5, 99.5])
    used = walkers[burn_in:]
    if burn_in and used.size:
        low, high = min(low, np.nanmin(used)), max(high, np.nanmax(used))
    margin = 0.12 * (high - low) or 0.5
    return float(low - margin), float(high + margin)
