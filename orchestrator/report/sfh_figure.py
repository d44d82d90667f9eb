"""The figure of a reconstructed star-formation history: rate, mass formed and metallicity over lookback time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from orchestrator.fit.derived_parameters import Bands, DerivedParameters, FormationHistoryBands
from orchestrator.report.labels import unit_in_mathtext
from orchestrator.report.style import BLACK, BLUE, GREY, RED, new_figure, paper_style, save_figure
from orchestrator.report.text_placement import header

__all__ = ["plot_formation_history"]

Array = NDArray[np.float64]

_WIDTH, _HEIGHT = 4.6, 5.8
_LEAST_SHOWN = 0.01
"""Fraction of the mass before which the metallicity is that of hardly any star, and is not shown."""


def plot_formation_history(
    history: FormationHistoryBands,
    path: str | Path,
    *,
    derived: DerivedParameters | None = None,
    title: str = "",
) -> Path:
    """Draw a reconstructed star-formation history with its 68 % and 95 % bands.

    Parameters
    ----------
    history : FormationHistoryBands
        With the best fit alone, that is all that is drawn.
    path : str or Path
        File to write.
    derived : DerivedParameters, optional
        With it, the times at which half and 90 % of the mass had formed are marked.
    title : str
        Name of the object.

    Returns
    -------
    Path
        The file, written whole.
    """
    with paper_style():
        figure = new_figure(_WIDTH, _HEIGHT, row_gap=0.03)
        rate, mass, metals = figure.subplots(3, 1, sharex=True, height_ratios=(1.25, 1.0, 0.75))
        _draw_rate(rate, history)
        _draw_mass(mass, history, derived)
        _draw_metallicity(metals, history)
        metals.set_xlabel("Lookback time [Gyr]")
        metals.set_xlim(history.today, 0.0)
        for axes in (rate, mass, metals):
            axes.tick_params(which="both", right=True, top=axes is not rate)
        _age_axis(rate, history.today)
        header(rate, title, [])
        return save_figure(figure, path)


def _draw(axes: Axes, lookback: Array, bands: Bands) -> None:
    """Draw bands, median and best fit over lookback times."""
    if bands.is_sampled:
        for low, high, alpha, label in (
            (bands.lower_95, bands.upper_95, 0.18, "95 %"),
            (bands.lower_68, bands.upper_68, 0.35, "68 %"),
        ):
            axes.fill_between(lookback, low, high, color=BLUE, alpha=alpha, linewidth=0, label=label)
        axes.plot(lookback, bands.median, color=BLUE, linewidth=1.3, label="Median")
    dashes = "--" if bands.is_sampled else "-"
    axes.plot(lookback, bands.best_fit, color=RED, linewidth=1.0, linestyle=dashes, label="Best fit")


def _each(bands: Bands, change: Callable[[Array], Array]) -> Bands:
    names = ("best_fit", "median", "lower_68", "upper_68", "lower_95", "upper_95")
    return Bands(**{name: change(getattr(bands, name)) for name in names})


def _draw_rate(axes: Axes, history: FormationHistoryBands) -> None:
    # Each step is a flat piece: its value stands at both of its ends.
    lookback = np.column_stack([history.lookback_end, history.lookback_start]).ravel()
    per_mass = history.rate_unit.startswith("1 /")
    factor, power = (1e9, 0) if per_mass else _power_of_ten(history.rate)
    bands = _each(history.rate, lambda values: factor * np.repeat(values, 2))
    _draw(axes, lookback, bands)
    highest = np.max(bands.best_fit)
    if bands.is_sampled:
        # A burst allowed in few samples may reach far above all others; the 68 % band is always whole.
        highest = max(min(np.max(bands.upper_95), 2.5 * np.max(bands.upper_68)), min(highest, np.max(bands.upper_95)))
    axes.set_ylim(0, 1.12 * highest if highest > 0 else 1.0)
    symbol = r"SFR / $M_\mathrm{formed}$" if per_mass else "SFR"
    axes.set_ylabel(f"{symbol} [{'Gyr$^{-1}$' if per_mass else unit_in_mathtext(history.rate_unit, power)}]")
    axes.legend(loc="best")


def _power_of_ten(rate: Bands) -> tuple[float, int]:
    """Return the factor that brings rates near one, and the exponent for the label; 1 and 0 where they are."""
    largest = np.max(rate.upper_68 if rate.is_sampled else rate.best_fit)
    exponent = int(np.floor(np.log10(largest))) if largest > 0 else 0
    return (1.0, 0) if -2 <= exponent <= 3 else (10.0**-exponent, exponent)


def _draw_mass(axes: Axes, history: FormationHistoryBands, derived: DerivedParameters | None) -> None:
    lookback = np.append(history.lookback_end, history.today)
    # At the big bang nothing has formed; where nothing was sampled all is NaN.
    bands = _each(history.mass_fraction, lambda values: np.append(values, 0.0 * values[-1]))
    _draw(axes, lookback, bands)
    for name, fraction in (("t50_lookback", 0.5), ("t90_lookback", 0.9)):
        row = next((row for row in derived.rows if row.name == name), None) if derived is not None else None
        axes.axhline(fraction, color=GREY, linewidth=0.5, linestyle=":", zorder=0)
        if row is None:
            continue
        sampled = np.isfinite(row.median)
        centre = row.median if sampled else row.best_fit
        error = [[centre - row.lower_68], [row.upper_68 - centre]] if sampled else None
        axes.errorbar(
            [centre], [fraction], xerr=error, fmt="o", markersize=3.5, color=BLACK, capsize=2, linewidth=1.0, zorder=5
        )
        name = rf"$t_{{{round(100 * fraction)}}}$"
        at_the_end = centre < 0.08 * history.today  # at the right there would be no room
        offset, side = ((-5, 4), "right") if at_the_end else ((5, -10), "left")
        axes.annotate(name, (centre, fraction), offset, textcoords="offset points", fontsize=8.5, ha=side)
    axes.set_ylim(0, 1.05)
    axes.set_ylabel("Fraction of the mass formed")


def _draw_metallicity(axes: Axes, history: FormationHistoryBands) -> None:
    reference = history.mass_fraction.median if history.mass_fraction.is_sampled else history.mass_fraction.best_fit
    shown = reference >= _LEAST_SHOWN
    bands = _each(history.log10_metallicity, lambda values: values[shown])
    _draw(axes, history.lookback_end[shown], bands)
    axes.set_ylabel(r"$\log_{10} Z$")
    known = np.concatenate([bands.best_fit, bands.lower_95, bands.upper_95])
    known = known[np.isfinite(known)]
    middle = bands.lower_68[np.isfinite(bands.lower_68)] if bands.is_sampled else bands.best_fit
    if known.size:
        # The first stars of a steep enrichment would leave no room for all others.
        low = max(known.min(), min(middle.min(), bands.best_fit.min()) - 0.5, known.max() - 3.0)
        margin = max(0.05, 0.08 * (known.max() - low))
        axes.set_ylim(low - margin, known.max() + margin)


def _age_axis(axes: Axes, today: float) -> None:
    def other_end(time: Any) -> Any:
        return today - time

    top = axes.secondary_xaxis("top", functions=(other_end, other_end))
    top.set_xlabel("Age of the Universe [Gyr]", labelpad=3)
