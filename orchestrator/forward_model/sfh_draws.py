"""Draws of star-formation histories over the ranges of their parameters, for the basis of the templates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import DataError
from orchestrator.physics.parameter import ParameterValues
from orchestrator.physics.sfh import FixedMassFracSFH, FixedTime_sSFR_SFH, MassBinsSFH
from orchestrator.physics.sfh_base import SECTION, StarFormationHistory

__all__ = ["DrawnRanges", "draw_histories", "drawn_ranges", "outside_ranges"]

FloatArray = NDArray[np.float64]

DrawnRanges = tuple[tuple[str, float, float], ...]
"""Name, lower and upper end of each parameter of a star-formation history."""

_MARGIN = 0.1
"""The draws reach so far beyond the declared ranges, as a fraction of their width."""

_ROUNDS = 100

_TIMES = ("quenching_time", "t_at_frac")
_RECENT = (-4.0, -1.0)
"""log10 of the lookback times of recent draws over the age of the universe."""

_CONCENTRATIONS = (0.1, 5.0)
"""Of the Dirichlet distributions of masses in bins: from one bin with nearly all to even shares."""


def drawn_ranges(sfh: StarFormationHistory) -> DrawnRanges:
    """Return the ranges that draws cover: the declared ones and a margin, inside the support of the model."""
    ranges: list[tuple[str, float, float]] = []
    for parameter in sfh.parameters:
        margin = _MARGIN * (parameter.upper - parameter.lower)
        lower, upper = parameter.lower - margin, parameter.upper + margin
        if parameter.lower > 0:  # a positive quantity stays one
            lower = max(lower, 0.5 * parameter.lower)
        elif parameter.lower == 0:
            lower = 0.0
        if parameter.unit == "Gyr" and parameter.upper < sfh.today:
            upper = min(upper, 0.5 * (parameter.upper + sfh.today))
        ranges.append((parameter.name, float(lower), float(upper)))
    return tuple(ranges) if isinstance(sfh, FixedMassFracSFH) else _inside_support(sfh, ranges)


def _inside_support(sfh: StarFormationHistory, ranges: list[tuple[str, float, float]]) -> DrawnRanges:
    """Take back a margin at whose end the start values, with this one exception, are no history."""
    n = len(ranges)
    probes = np.tile([[p.start] for p in sfh.parameters], 2 * n)
    for i, (_, lower, upper) in enumerate(ranges):
        probes[i, 2 * i : 2 * i + 2] = lower, upper
    valid = sfh.valid(dict(zip((p.name for p in sfh.parameters), probes, strict=True)))
    return tuple(
        (name, lower if valid[2 * i] else p.lower, upper if valid[2 * i + 1] else p.upper)
        for i, ((name, lower, upper), p) in enumerate(zip(ranges, sfh.parameters, strict=True))
    )


def draw_histories(
    sfh: StarFormationHistory, n_draws: int, rng: np.random.Generator, *, at_edges: bool = False
) -> dict[tuple[str, str], FloatArray]:
    """Draw valid parameters, uniform over :func:`drawn_ranges`.

    Ordered times are sorted ones, and every fourth time is a recent one. Of the masses in bins every other draw is
    from a Dirichlet distribution: in a box of their logarithms the last bin, which has the rest, is nearly always the
    heaviest.

    Parameters
    ----------
    sfh : StarFormationHistory
    n_draws : int
    rng : Generator
    at_edges : bool
        Draw from the arcsine distribution, which crowds at the ends of the ranges, where a basis is worst.

    Returns
    -------
    dict of (section, name) to ndarray, shape (n_draws,)

    Raises
    ------
    DataError
        If the ranges hold hardly any valid point.
    """
    ranges = drawn_ranges(sfh)
    found = np.empty((len(ranges), 0))
    for _ in range(_ROUNDS):
        uniform = rng.random((len(ranges), n_draws))
        share = np.sin(0.5 * np.pi * uniform) ** 2 if at_edges else uniform
        values = np.array([lower + (upper - lower) * s for (_, lower, upper), s in zip(ranges, share, strict=True)])
        _draw_recent_times(sfh, ranges, values, rng)
        if isinstance(sfh, FixedMassFracSFH):
            n_times = len(sfh.mass_fraction)
            values[:n_times] = np.sort(values[:n_times], axis=0)
        elif isinstance(sfh, MassBinsSFH):
            _draw_masses(sfh, values, rng)
        valid = sfh.valid({name: row for (name, _, _), row in zip(ranges, values, strict=True)})
        if isinstance(sfh, MassBinsSFH):
            valid &= _within(ranges, values)
        found = np.concatenate([found, values[:, valid]], axis=1)
        if found.shape[1] >= n_draws:
            return {
                (SECTION, name): np.ascontiguousarray(row[:n_draws])
                for (name, _, _), row in zip(ranges, found, strict=True)
            }
    msg = f"{sfh.name}: only {found.shape[1]} of {_ROUNDS * n_draws} draws from its ranges are valid histories"
    raise DataError(msg)


def _draw_recent_times(
    sfh: StarFormationHistory, ranges: DrawnRanges, values: FloatArray, rng: np.random.Generator
) -> None:
    """Replace every fourth draw of a cosmic time by one shortly before today, where the light changes fastest.

    An end of star formation a few Myr ago is one draw in a thousand, and no other draw looks like it.
    """
    recent = slice(None, None, 4)
    for row, (parameter, (name, lower, upper)) in enumerate(zip(sfh.parameters, ranges, strict=True)):
        if parameter.unit == "Gyr" and name.startswith(_TIMES):
            ago = sfh.today * 10.0 ** rng.uniform(*_RECENT, values[row, recent].size)
            values[row, recent] = np.clip(sfh.today - ago, lower, upper)


def _draw_masses(sfh: MassBinsSFH, values: FloatArray, rng: np.random.Generator) -> None:
    """Replace every other draw of the bins' parameters, the first rows of `values`; order the others."""
    n_bins, n_draws = len(sfh.bin_names), values.shape[1]
    if isinstance(sfh, FixedTime_sSFR_SFH):
        # in order are the masses formed since each time
        shift = np.log10(np.array(sfh.edges()))[:, None]
        values[:n_bins] = np.sort(values[:n_bins] + shift, axis=0)[::-1] - shift
    half = np.arange(0, n_draws, 2)
    low, high = np.log(_CONCENTRATIONS)
    concentration = np.exp(rng.uniform(low, high, len(half)))
    shares = rng.standard_gamma(concentration[:, None], size=(len(half), n_bins + 1))
    shares = np.maximum(shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-300), 1e-6)
    for row, drawn in enumerate(sfh.values_of_masses(shares).values()):
        values[row, half] = drawn


def _within(ranges: DrawnRanges, values: FloatArray) -> NDArray[np.bool_]:
    lower, upper = np.array([[low, high] for _, low, high in ranges]).T[:, :, None]
    return np.asarray(((values >= lower) & (values <= upper)).all(axis=0))


def outside_ranges(ranges: DrawnRanges, parameters: ParameterValues) -> NDArray[np.bool_] | None:
    """Return which points have a parameter outside the ranges, shape (n_points,); None if none has.

    NaN is not outside: such a point is invalid, whatever the basis.
    """
    outside = None
    for name, lower, upper in ranges:
        values = parameters[SECTION, name]
        if len(values) == 1:  # plain numbers: a tenth of the time of calls on arrays
            beyond = not (lower <= float(values[0]) <= upper) and values[0] == values[0]
        else:
            beyond = bool(values.min() < lower or values.max() > upper or np.isnan(values).any())
        if beyond:
            here = (values < lower) | (values > upper)
            outside = here if outside is None else outside | here
    return outside if outside is not None and outside.any() else None
