"""Figure of a validation: rank histograms, coverage of the intervals, and TARP's expected coverage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from orchestrator.report.labels import split_name, symbol_for
from orchestrator.report.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    LIGHT_GREY,
    ORANGE,
    PAGE_WIDTH,
    PURPLE,
    RED,
    SKY,
    new_figure,
    paper_style,
    save_figure,
)

__all__ = ["plot_calibration"]

FloatArray = NDArray[np.float64]

COLUMNS = 4
_COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK)
_BAND = 0.99


def plot_calibration(
    ranks: Mapping[str, FloatArray], tarp: Mapping[str, FloatArray], path: str | Path, *, title: str = ""
) -> Path:
    """Draw one stage.

    Parameters
    ----------
    ranks : Mapping of str to ndarray, shape (n_mocks,)
        Parameter (``section--name``) to where the truths lie in their posteriors, 0 to 1.
    tarp : Mapping of str to ndarray, shape (n_mocks,)
        Reference point to the share of posterior samples nearer to it than the truth.
    path : str or Path
    title : str

    Returns
    -------
    Path
        The file written.
    """
    n_rows = -(-len(ranks) // COLUMNS)
    with paper_style():
        figure = new_figure(PAGE_WIDTH, 1.35 * n_rows + 3.0, row_gap=0.04)
        parts: Any = figure.subfigures(2, 1, height_ratios=[1.35 * n_rows, 2.9])
        upper, lower = parts
        grid = upper.subplots(n_rows, COLUMNS, sharex=True, sharey=True, squeeze=False)
        for axes, (name, values) in zip(grid.flat, ranks.items(), strict=False):
            _histogram(axes, values, symbol_for(*split_name(name)))
        for axes in grid.flat[len(ranks) :]:
            axes.set_visible(False)
        if title:
            upper.suptitle(title, fontsize=9.5)
        upper.supxlabel("rank of the truth among posterior draws", fontsize=8.5)
        left, right = lower.subplots(1, 2)
        number = len(next(iter(ranks.values())))
        central = {name: 2 * np.abs(values - 0.5) for name, values in ranks.items()}
        _coverage(left, {symbol_for(*split_name(name)): values for name, values in central.items()}, number)
        left.set_xlabel("credibility of central intervals")
        left.set_ylabel("covered minus nominal")
        _coverage(right, {f"points of the {name}": values for name, values in tarp.items()}, number)
        right.set_xlabel("credibility of TARP regions")
        return save_figure(figure, path)


def _histogram(axes: Any, values: FloatArray, label: str) -> None:
    """Draw a rank histogram with the band that uniform ranks stay in."""
    n_bins = int(np.clip(len(values) // 15, 4, 20))
    low, high = stats.binom.ppf([0.5 - _BAND / 2, 0.5 + _BAND / 2], len(values), 1 / n_bins)
    axes.axhspan(low, high, color=LIGHT_GREY, lw=0)
    axes.axhline(len(values) / n_bins, color=GREY, lw=0.7)
    axes.hist(values, bins=n_bins, range=(0, 1), histtype="step", color=BLUE, lw=1.0)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, max(axes.get_ylim()[1], 1.45 * high))  # room for the symbol
    axes.text(0.05, 0.93, label, transform=axes.transAxes, va="top", fontsize=8.5)
    axes.set_xticks([0, 0.5, 1], ["0", "½", "1"])


def _coverage(axes: Any, shares: Mapping[str, FloatArray], number: int) -> None:
    """Draw how often regions of each credibility hold the truth, less what they should."""
    level = np.linspace(0.0, 1.0, 201)
    sd = np.sqrt(level * (1 - level) / max(number, 1))
    for factor, colour in ((3, "#EEEEEE"), (1, LIGHT_GREY)):
        axes.fill_between(level, -factor * sd, factor * sd, color=colour, lw=0)
    axes.axhline(0.0, color=GREY, lw=0.7)
    for index, (label, values) in enumerate(shares.items()):
        covered = (values[:, None] <= level).mean(axis=0)
        style = "-" if index < len(_COLOURS) else "--"
        axes.plot(level, covered - level, style, color=_COLOURS[index % len(_COLOURS)], lw=1.0, label=label)
    axes.set_xlim(0, 1)
    largest = max(4.2 * sd.max(), 1.15 * max(abs(np.array(axes.get_ylim()))))
    axes.set_ylim(-largest, largest)
    axes.legend(ncols=3, fontsize=6.5, loc="lower left", handlelength=1.2, columnspacing=0.9)
