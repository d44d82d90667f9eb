"""Compiled kernels of the star-formation histories.

Every kernel works on Y(l), the fraction of the mass formed during the last l Gyr of star formation, and not
on M(t) = 1 - Y: the light of young stars needs Y to full relative accuracy where Y is 1e-6 and less, and
M(today) - M(today - l) loses it.

A model is reduced to an `SFHShape`: its kind and a few arrays. A new model is a new kind, or a table. A model
that stops forming stars before today is the same model seen at that time: `start` shifts its lookback times.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from orchestrator.physics.elementary_functions import (
    COMPILE,
    complementary_error_function,
    exp_minus_1,
    exp_minus_1_and_rest,
    exponential,
)
from orchestrator.physics.pchip_kernels import Array, Model, pchip_evaluate

__all__ = [
    "DELAYED",
    "EXPONENTIAL",
    "LOG_NORMAL",
    "TABLE",
    "SFHShape",
    "constants",
    "norm",
    "norms",
    "rate_at",
    "young_at",
    "young_eight",
    "young_mass",
    "young_row",
]

EXPONENTIAL = 0
DELAYED = 1
LOG_NORMAL = 2
TABLE = 3

_SQRT_HALF = math.sqrt(0.5)
# e-foldings beyond which exp(today / tau) overflows the way that keeps the digits of young ages
_MOST_E_FOLDINGS = 600.0
# within so many (1 + |z|)-ths of a standard deviation from today the log-normal is a series of eight terms
_SERIES_RANGE = 0.1


class SFHShape(NamedTuple):
    """The star-formation histories of n_points models of one kind, as the kernels take them.

    Attributes
    ----------
    kind : int
        EXPONENTIAL, DELAYED, LOG_NORMAL or TABLE.
    first, second : ndarray, shape (n_points,)
        tau in Gyr and nothing; for LOG_NORMAL ln(t0/Gyr) and the scale; for TABLE nothing.
    start : ndarray, shape (n_points,)
        Lookback time at which the last stars form, Gyr; 0 for TABLE.
    knots : ndarray, shape (n_points, n_knots) or (1, n_knots)
        TABLE: lookback times from 0 to today, Gyr, strictly increasing; otherwise any (1, 2).
    values : ndarray, shape (n_points, n_knots) or (1, n_knots)
        TABLE: Y at the knots, from 0 to 1.
    slopes : ndarray, shape (n_points, n_knots)
        TABLE: dY/dl at the knots, 1/Gyr.
    """

    kind: int
    first: Array
    second: Array
    start: Array
    knots: Array
    values: Array
    slopes: Array


@njit(**COMPILE)
def norm(kind: int, today: float, first: float, second: float) -> float:
    """Fraction of the mass that the model forms in all time which is formed before `today`."""
    if kind == TABLE:
        return 1.0
    if kind == LOG_NORMAL:
        return 0.5 * math.erfc((first - math.log(today)) / second * _SQRT_HALF)
    u = today / first
    if kind == EXPONENTIAL:
        return -math.expm1(-u)
    if u < _MOST_E_FOLDINGS:
        return math.exp(-u) * exp_minus_1_and_rest(u)[1]
    return 1.0 - (1.0 + u) * math.exp(-u)


@njit(**COMPILE)
def norms(kind: int, today: Array, first: Array, second: Array) -> Array:
    """`norm` for arrays of shape (n_points,)."""
    out = np.empty(first.size)
    for i in range(first.size):
        out[i] = norm(kind, today[i], first[i], second[i])
    return out


@njit(**COMPILE)
def constants(kind: int, today: float, first: float, second: float) -> Model:
    """Describe one analytic model that forms stars up to `today`; for TABLE see `table_constants`.

    EXPONENTIAL, DELAYED: 1/tau, exp(-u)/norm, u = today/tau, 1/norm, the rest 0. LOG_NORMAL: 1/scale, z at
    `today`, (a, b, c) of Y = a + b erfc(c z), the end of the series in d = z(today) - z, and its coefficients:
    with He_n the Hermite polynomials, the integral of the density phi over d is
    phi(z) sum_n He_n(z) d^(n + 1) / (n + 1)!.
    """
    total = norm(kind, today, first, second)
    if kind != LOG_NORMAL:
        u = today / first
        zeros = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        return (1.0 / first, math.exp(-u) / total, u, 1.0 / total, *zeros)
    z = (math.log(today) - first) / second
    d1 = math.exp(-0.5 * z * z) / (math.sqrt(2.0 * math.pi) * total)
    h2 = z * z - 1.0
    h3 = z * h2 - 2.0 * z
    h4 = z * h3 - 3.0 * h2
    h5 = z * h4 - 4.0 * h3
    h6 = z * h5 - 5.0 * h4
    h7 = z * h6 - 6.0 * h5
    # of the two tails, the one in which the difference keeps its digits
    a, b, c = 1.0, -0.5 / total, -_SQRT_HALF
    if z > 0.0:
        a, b, c = -0.5 * math.erfc(z * _SQRT_HALF) / total, 0.5 / total, _SQRT_HALF
    end = _SERIES_RANGE / (1.0 + abs(z))
    low = (d1, d1 * z / 2.0, d1 * h2 / 6.0, d1 * h3 / 24.0)
    high = (d1 * h4 / 120.0, d1 * h5 / 720.0, d1 * h6 / 5040.0, d1 * h7 / 40320.0)
    return (1.0 / second, z, a, b, c, end, *low, *high)


@njit(forceinline=True, **COMPILE)
def _log_normal_series(d: float, model: Model) -> float:
    high = model[10] + d * model[11] + d * d * (model[12] + d * model[13])
    low = model[6] + d * model[7] + d * d * (model[8] + d * model[9])
    return d * (low + d * d * d * d * high)


@njit(forceinline=True, **COMPILE)
def _table_element(lookback: float, model: Model) -> float:
    s = lookback - model[0]
    return model[1] + s * (model[2] + s * (model[3] + s * model[4]))


@njit(forceinline=True, **COMPILE)
def _log_normal_element(d: float, model: Model) -> float:
    return model[2] + model[3] * complementary_error_function(model[4] * (model[1] - d))


@njit(forceinline=True, **COMPILE)
def _exponential_element(v: float, model: Model) -> float:
    return model[1] * exp_minus_1(v)


@njit(forceinline=True, **COMPILE)
def _delayed_element(v: float, model: Model) -> float:
    grown, rest = exp_minus_1_and_rest(v)
    return model[1] * ((model[2] - v) * grown + rest)


@njit(forceinline=True, **COMPILE)
def _burst_element(kind: int, v: float, model: Model) -> float:
    """EXPONENTIAL or DELAYED with so short a tau that only the end near the big bang is left."""
    below = v - model[2]
    y = exponential(max(below, -700.0)) * model[3]
    return y if kind == EXPONENTIAL else y * (1.0 - below)


@njit(forceinline=True, **COMPILE)
def _deviations(lookback: float, time: float, today: float, per_scale: float) -> float:
    """Return ln(today / time) in standard deviations."""
    x = lookback / today
    if x < 1e-3:
        return x * (1.0 + x * (0.5 + x * (1.0 / 3.0 + x * (0.25 + 0.2 * x)))) * per_scale
    return -math.log(time / today if time < 0.5 * today else 1.0 - x) * per_scale


@njit(**COMPILE)
def young_at(kind: int, lookback: float, time: float, today: float, model: Model) -> float:
    """Y of one model at one lookback time.

    `time` = today - lookback is given too, as one of the two has more digits; `model` is from `constants`
    or, for the piece of a table that holds `lookback`, from `table_constants`. For a model that stopped forming
    stars, `today` is when it stopped and `lookback` counts from there.
    """
    if lookback <= 0.0:
        return 0.0
    if time <= 0.0:
        return 1.0
    if kind == TABLE:
        return _table_element(lookback, model)
    if kind == LOG_NORMAL:
        d = _deviations(lookback, time, today, model[0])
        return _log_normal_series(d, model) if d < model[5] else _log_normal_element(d, model)
    v = lookback * model[0]
    if model[2] >= _MOST_E_FOLDINGS:
        return _burst_element(kind, v, model)
    return _exponential_element(v, model) if kind == EXPONENTIAL else _delayed_element(v, model)


@njit(**COMPILE)
def rate_at(kind: int, lookback: float, time: float, today: float, model: Model) -> float:
    """dY/dl of one model at one lookback time inside (0, today), 1/Gyr; arguments as for `young_at`."""
    if kind == TABLE:
        s = lookback - model[0]
        return model[2] + s * (2.0 * model[3] + 3.0 * s * model[4])
    if kind == LOG_NORMAL:
        d = _deviations(lookback, time, today, model[0])
        # the density at `time`, from that at `today`
        return model[0] / time * 2.0 * abs(model[3]) * exponential(max(-0.5 * (model[1] - d) ** 2, -700.0)) * (
            1.0 / math.sqrt(2.0 * math.pi)
        )
    v, u = lookback * model[0], model[2]
    rate = exponential(max(v - u, -700.0)) * model[3] * model[0]
    return rate if kind == EXPONENTIAL else rate * (u - v)


@njit(**COMPILE)
def young_row(
    kind: int, model: Model, lookback: Array, ln_ratio: Array, start: float, today: float, out: Array
) -> None:
    """Write Y at increasing lookback times in [start, today).

    `ln_ratio` is -ln(1 - lookback / today); `start` and `model` as in `SFHShape` and from `constants`.
    """
    n = lookback.size
    if kind == TABLE:
        for j in range(n):
            out[j] = _table_element(lookback[j], model)
    elif kind == LOG_NORMAL:
        shift = -math.log1p(-start / today)
        near = 0
        while near < n and (ln_ratio[near] - shift) * model[0] < model[5]:
            near += 1
        for j in range(near):
            out[j] = _log_normal_series((ln_ratio[j] - shift) * model[0], model)
        far_ratio, far = ln_ratio[near:], out[near:]
        for j in range(n - near):
            far[j] = _log_normal_element((far_ratio[j] - shift) * model[0], model)
    elif model[2] >= _MOST_E_FOLDINGS:
        for j in range(n):
            out[j] = _burst_element(kind, (lookback[j] - start) * model[0], model)
    elif kind == EXPONENTIAL:
        for j in range(n):
            out[j] = _exponential_element((lookback[j] - start) * model[0], model)
    else:
        for j in range(n):
            out[j] = _delayed_element((lookback[j] - start) * model[0], model)


@njit(forceinline=True, **COMPILE)
def young_eight(
    kind: int, model: Model, lookback: Array, ln_ratio: Array, start: float, today: float, out: Array
) -> None:
    """`young_row` for eight lookback times, which is one vector."""
    if kind == TABLE:
        for j in range(8):
            out[j] = _table_element(lookback[j], model)
    elif kind == LOG_NORMAL:
        shift = -math.log1p(-start / today) if start > 0.0 else 0.0
        for j in range(8):
            d = (ln_ratio[j] - shift) * model[0]
            near, far = _log_normal_series(d, model), _log_normal_element(d, model)
            out[j] = near if d < model[5] else far
    elif model[2] >= _MOST_E_FOLDINGS:
        for j in range(8):
            out[j] = _burst_element(kind, (lookback[j] - start) * model[0], model)
    elif kind == EXPONENTIAL:
        for j in range(8):
            out[j] = _exponential_element((lookback[j] - start) * model[0], model)
    else:
        for j in range(8):
            out[j] = _delayed_element((lookback[j] - start) * model[0], model)


@njit(**COMPILE)
def young_mass(shape: SFHShape, lookback: Array, today: float) -> Array:
    """Fraction of the mass formed in the last `lookback` Gyr.

    Parameters
    ----------
    shape : SFHShape
        The models.
    lookback : ndarray, shape (n_points, n_times) or (1, n_times)
        Gyr; values outside [0, today] give 0 or 1.
    today : float
        Age of the universe, Gyr.

    Returns
    -------
    ndarray, shape (n_points, n_times)
    """
    if shape.kind == TABLE:
        return pchip_evaluate(shape.knots, shape.values, shape.slopes, lookback, False)
    n_points, n_times = shape.first.size, lookback.shape[1]
    out = np.empty((n_points, n_times))
    for i in range(n_points):
        row = i if lookback.shape[0] > 1 else 0
        start = shape.start[i]
        model = constants(shape.kind, today - start, shape.first[i], shape.second[i])
        for k in range(n_times):
            value = lookback[row, k]
            out[i, k] = young_at(shape.kind, value - start, today - value, today - start, model)
    return out
