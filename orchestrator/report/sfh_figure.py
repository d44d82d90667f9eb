"""The figure of a star-formation history."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from orchestrator.report.style import (
    BLUE,
    PAGE_WIDTH,
    RED,
    new_figure,
    paper_style,
    save_figure,
    weighted_quantiles,
)
from orchestrator.report.text_placement import header

__all__ = ["plot_sfh"]

Array = NDArray[np.float64]
# Of the 95 % and 68 % bands, and the median between them.
_BANDS = [0.02275, 0.158655, 0.5, 0.841345, 0.97725]


def plot_sfh(
    times: ArrayLike,
    cumulative_mass: ArrayLike,
    path: str | Path,
    *,
    weights: ArrayLike | None = None,
    best_fit: ArrayLike | None = None,
    formed_mass: ArrayLike | None = None,
    title: str = "",
) -> Path:
    """Draw a star-formation history: mass formed and star-formation rate over lookback time.

    Parameters
    ----------
    times : (n_times,) array_like
        Time since the Big Bang in Gyr, increasing; the last one is the time of observation.
    cumulative_mass : (n_samples, n_times) array_like
        Fraction of the stellar mass formed before each time, in [0, 1], for each posterior sample.
    path : str or Path
        File to write.
    weights : (n_samples,) array_like, optional
        Weights of the samples.
    best_fit : (n_times,) array_like, optional
        Cumulative fraction of the best fit.
    formed_mass : float or (n_samples,) array_like, optional
        Stellar mass formed in Msun. With it the rate is in Msun/yr, otherwise in fractions per Gyr.
    title : str
        Name of the object.

    Returns
    -------
    Path
        The file, written whole.

    Raises
    ------
    ValueError
        Where the shapes disagree or the times do not increase.
    """
    times = np.asarray(times, dtype=float)
    cumulative = np.atleast_2d(np.asarray(cumulative_mass, dtype=float))
    if cumulative.shape[1:] != times.shape or not (np.diff(times) > 0).all():
        msg = f"cumulative_mass has shape {cumulative.shape}, expected (n_samples, {times.size}); "
        msg += "the times must increase"
        raise ValueError(msg)
    mass = 1.0 if formed_mass is None else np.asarray(formed_mass, dtype=float).reshape(-1, 1) / 1e9
    rate = mass * np.diff(cumulative, axis=1) / np.diff(times)
    lookback = times[-1] - times
    with paper_style():
        figure = new_figure(PAGE_WIDTH, 3.0)
        left, right = figure.subplots(1, 2, sharex=True)
        _draw_bands(left, lookback, weighted_quantiles(cumulative, _BANDS, weights), None)
        bands = weighted_quantiles(rate, _BANDS, weights)
        _draw_bands(right, lookback, np.concatenate([bands, bands[:, -1:]], axis=1), "steps-post")
        if best_fit is not None:
            left.plot(lookback, np.asarray(best_fit), color=RED, linewidth=1, ls="--", label="Best fit")
            best_rate = np.diff(np.asarray(best_fit)) / np.diff(times) * np.median(mass)
            right.step(lookback, [*best_rate, best_rate[-1]], where="post", color=RED, linewidth=1, ls="--")
        left.set(ylim=(0, 1.03), ylabel="Fraction of the mass formed")
        unit = "Gyr$^{-1}$" if formed_mass is None else r"$M_\odot$ yr$^{-1}$"
        # A burst allowed in few samples may reach far above all others; the 68 % band is always whole.
        highest = 1.08 * min(np.max(bands[4]), 2.5 * np.max(bands[3]))
        right.set(ylim=(0, highest if highest > 0 else 1.0))
        right.set_ylabel((r"SFR / $M_\mathrm{formed}$" if formed_mass is None else "SFR") + f" [{unit}]")
        left.legend(loc="upper left")
        for axes in (left, right):
            _time_axes(axes, times[-1], lookback)
        header(left, title, [])
        return save_figure(figure, path)


def _draw_bands(axes: Axes, lookback: Array, bands: Array, drawstyle: str | None) -> None:
    step: dict[str, Any] = {"step": "post"} if drawstyle else {}
    axes.fill_between(lookback, bands[0], bands[4], color=BLUE, alpha=0.18, linewidth=0, label="95 %", **step)
    axes.fill_between(lookback, bands[1], bands[3], color=BLUE, alpha=0.35, linewidth=0, label="68 %", **step)
    axes.plot(lookback, bands[2], color=BLUE, linewidth=1.3, label="Median", drawstyle=drawstyle or "default")


def _time_axes(axes: Axes, today: float, lookback: Array) -> None:
    axes.set_xlim(float(lookback[0]), 0.0)
    axes.set_xlabel("Lookback time [Gyr]")
    axes.tick_params(which="both", right=True)

    def other_end(time: Any) -> Any:
        return today - time

    top = axes.secondary_xaxis("top", functions=(other_end, other_end))
    top.set_xlabel("Age of the Universe [Gyr]", labelpad=3)
