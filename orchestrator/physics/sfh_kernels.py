"""Compiled kernels of the star-formation histories.

Every kernel works on Y(l), the fraction of the mass formed during the last l Gyr before `today`, and not
on M(t) = 1 - Y: the light of young stars needs Y to full relative accuracy where Y is 1e-6 and less, and
M(today) - M(today - l) loses it.

A model is reduced to an `SFHShape`: its kind and a few arrays. A new model is a new kind, or a table.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = [
    "DELAYED",
    "EXPONENTIAL",
    "LOG_NORMAL",
    "TABLE",
    "SFHShape",
    "constants",
    "norm",
    "norms",
    "pchip_evaluate",
    "pchip_slopes",
    "table_constants",
    "young_at",
    "young_mass",
]

Array = NDArray[np.float64]

EXPONENTIAL = 0
DELAYED = 1
LOG_NORMAL = 2
TABLE = 3

_SQRT_HALF = math.sqrt(0.5)


class SFHShape(NamedTuple):
    """The star-formation histories of n_points models of one kind, as the kernels take them.

    Attributes
    ----------
    kind : int
        EXPONENTIAL, DELAYED, LOG_NORMAL or TABLE.
    first, second : ndarray, shape (n_points,)
        tau in Gyr and nothing; for LOG_NORMAL ln(t0/Gyr) and the scale; for TABLE nothing.
    knots : ndarray, shape (n_points, n_knots)
        TABLE: lookback times from 0 to today, Gyr, strictly increasing; otherwise any (n_points, 2).
    values : ndarray, shape (n_knots,)
        TABLE: Y at the knots, from 0 to 1.
    slopes : ndarray, shape (n_points, n_knots)
        TABLE: dY/dl at the knots, 1/Gyr.
    """

    kind: int
    first: Array
    second: Array
    knots: Array
    values: Array
    slopes: Array


@njit(cache=True, nogil=True, error_model="numpy")
def norm(kind: int, today: float, first: float, second: float) -> float:
    """Fraction of the mass that the model forms in all time which is formed before `today`."""
    if kind == TABLE:
        return 1.0
    if kind == LOG_NORMAL:
        return 0.5 * math.erfc((first - math.log(today)) / second * _SQRT_HALF)
    u = today / first
    if kind == EXPONENTIAL:
        return -math.expm1(-u)
    if u < 1e-3:
        return u * u * (0.5 - u * (1.0 / 3.0 - u * (0.125 - u / 30.0)))
    return -math.expm1(-u) - u * math.exp(-u)


@njit(cache=True, nogil=True, error_model="numpy")
def norms(kind: int, today: float, first: Array, second: Array) -> Array:
    """`norm` for arrays of shape (n_points,)."""
    out = np.empty(first.size)
    for i in range(first.size):
        out[i] = norm(kind, today, first[i], second[i])
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def constants(
    kind: int, today: float, first: float, second: float
) -> tuple[float, float, float, float, float]:
    """Five numbers that `young_at` needs of one analytic model; for TABLE see `table_constants`."""
    total = norm(kind, today, first, second)
    if kind == LOG_NORMAL:
        z_today = (math.log(today) - first) / second
        density = math.exp(-0.5 * z_today * z_today) / math.sqrt(2.0 * math.pi)
        tail = 0.5 * math.erfc(z_today * _SQRT_HALF) / total
        return tail, 1.0 / second, z_today, 0.5 / total, density / total
    u = today / first
    return 1.0 / first, math.exp(-u) / total, u, 1.0 / total, 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def table_constants(
    knots: Array, values: Array, slopes: Array, i: int, k: int
) -> tuple[float, float, float, float, float]:
    """Five numbers that `young_at` needs of piece k of table i: its start and the cubic from there."""
    h = knots[i, k + 1] - knots[i, k]
    mean = (values[k + 1] - values[k]) / h
    d0, d1 = slopes[i, k], slopes[i, k + 1]
    return knots[i, k], values[k], d0, (3.0 * mean - 2.0 * d0 - d1) / h, (d0 + d1 - 2.0 * mean) / (h * h)


@njit(cache=True, nogil=True, error_model="numpy")
def _young_log_normal(
    lookback: float,
    time: float,
    today: float,
    tail: float,
    per_scale: float,
    z_today: float,
    half_per_total: float,
    density: float,
) -> float:
    if lookback < 1e-3 * today:
        x = lookback / today
        delta = x * (1.0 + x * (0.5 + x * (1.0 / 3.0 + 0.25 * x))) * per_scale
        steepness = z_today * delta
        if abs(steepness) + delta < 2e-3:
            return density * delta * (1.0 + 0.5 * steepness + (steepness * steepness - delta * delta) / 6.0)
        z = z_today - delta
    elif time < 0.5 * today:
        z = z_today + math.log(time / today) * per_scale
    else:
        z = z_today + math.log1p(-lookback / today) * per_scale
    # the tail in which the difference keeps its digits
    if z_today > 0.0:
        return math.erfc(z * _SQRT_HALF) * half_per_total - tail
    return 1.0 - math.erfc(-z * _SQRT_HALF) * half_per_total


@njit(cache=True, nogil=True, error_model="numpy")
def _exp_minus_1(v: float) -> float:
    if v < 0.02:
        return v * (1.0 + v * (0.5 + v * (1.0 / 6.0 + v * (1.0 / 24.0 + v * (1.0 / 120.0 + v / 720.0)))))
    if v < 0.5:
        return math.expm1(v)
    return math.exp(v) - 1.0


@njit(cache=True, nogil=True, error_model="numpy")
def young_at(
    kind: int, lookback: float, time: float, today: float, model: tuple[float, float, float, float, float]
) -> float:
    """Y of one model at one lookback time.

    `time` = today - lookback is given too, as one of the two has more digits; `model` is from `constants`
    or, for the piece of a table that holds `lookback`, from `table_constants`.
    """
    if lookback <= 0.0:
        return 0.0
    if time <= 0.0:
        return 1.0
    c0, c1, c2, c3, c4 = model
    if kind == TABLE:
        s = lookback - c0
        return c1 + s * (c2 + s * (c3 + s * c4))
    if kind == LOG_NORMAL:
        return _young_log_normal(lookback, time, today, c0, c1, c2, c3, c4)
    v = lookback * c0
    if kind == EXPONENTIAL:
        return c1 * _exp_minus_1(v) if c2 < 600.0 else math.exp(v - c2) * c3
    if c2 < 600.0:
        return c1 * ((1.0 + c2 - v) * _exp_minus_1(v) - v)
    return math.exp(v - c2) * (1.0 + c2 - v) * c3


@njit(cache=True, nogil=True, error_model="numpy")
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
        model = constants(shape.kind, today, shape.first[i], shape.second[i])
        for k in range(n_times):
            value = lookback[row, k]
            out[i, k] = young_at(shape.kind, value, today - value, today, model)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _end_slope(h0: float, h1: float, m0: float, m1: float) -> float:
    """One-sided three-point slope, limited to keep the shape."""
    slope = ((2.0 * h0 + h1) * m0 - h0 * m1) / (h0 + h1)
    if slope * m0 <= 0.0:
        return 0.0
    if m0 * m1 < 0.0 and abs(slope) > 3.0 * abs(m0):
        return 3.0 * m0
    return slope


@njit(cache=True, nogil=True, error_model="numpy")
def pchip_slopes(x: Array, y: Array) -> Array:
    """Slopes of the monotone piecewise cubic of Fritsch & Butland (1984, SIAM J. Sci. Stat. Comput. 5, 300).

    Parameters
    ----------
    x : ndarray, shape (n_points, n_knots)
        Strictly increasing in each row, n_knots >= 2.
    y : ndarray, shape (n_knots,)

    Returns
    -------
    ndarray, shape (n_points, n_knots)
    """
    n_points, n = x.shape
    slopes = np.zeros((n_points, n))
    for i in range(n_points):
        if n == 2:
            slopes[i, :] = (y[1] - y[0]) / (x[i, 1] - x[i, 0])
            continue
        for k in range(1, n - 1):
            h0, h1 = x[i, k] - x[i, k - 1], x[i, k + 1] - x[i, k]
            m0, m1 = (y[k] - y[k - 1]) / h0, (y[k + 1] - y[k]) / h1
            if m0 * m1 > 0.0:
                w0, w1 = 2.0 * h1 + h0, h1 + 2.0 * h0
                slopes[i, k] = (w0 + w1) / (w0 / m0 + w1 / m1)
        h0, h1 = x[i, 1] - x[i, 0], x[i, 2] - x[i, 1]
        slopes[i, 0] = _end_slope(h0, h1, (y[1] - y[0]) / h0, (y[2] - y[1]) / h1)
        h0, h1 = x[i, n - 1] - x[i, n - 2], x[i, n - 2] - x[i, n - 3]
        slopes[i, n - 1] = _end_slope(h0, h1, (y[n - 1] - y[n - 2]) / h0, (y[n - 2] - y[n - 3]) / h1)
    return slopes


@njit(cache=True, nogil=True, error_model="numpy")
def pchip_evaluate(x: Array, y: Array, slopes: Array, at: Array, derivative: bool) -> Array:
    """Evaluate the piecewise cubic, or its derivative.

    Parameters
    ----------
    x, slopes : ndarray, shape (n_points, n_knots)
    y : ndarray, shape (n_knots,)
    at : ndarray, shape (n_points, n_at) or (1, n_at)
        Outside the knots the end value is held (derivative 0).
    derivative : bool

    Returns
    -------
    ndarray, shape (n_points, n_at)
    """
    n_points, n = x.shape
    out = np.empty((n_points, at.shape[1]))
    for i in range(n_points):
        row = i if at.shape[0] > 1 else 0
        for j in range(at.shape[1]):
            value = at[row, j]
            if value < x[i, 0] or value > x[i, n - 1]:
                out[i, j] = 0.0 if derivative else (y[0] if value < x[i, 0] else y[n - 1])
                continue
            if value == x[i, n - 1] and not derivative:
                out[i, j] = y[n - 1]
                continue
            k = 0
            while k < n - 2 and value >= x[i, k + 1]:
                k += 1
            c0, c1, c2, c3, c4 = table_constants(x, y, slopes, i, k)
            s = value - c0
            if derivative:
                out[i, j] = c2 + s * (2.0 * c3 + 3.0 * s * c4)
            else:
                out[i, j] = c1 + s * (c2 + s * (c3 + s * c4))
    return out
