"""Compiled monotone piecewise cubics, through the knots of tabulated star-formation histories."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orchestrator.physics.elementary_functions import COMPILE

__all__ = ["Array", "Model", "pchip_evaluate", "pchip_slopes", "table_constants"]

Array = NDArray[np.float64]
Model = tuple[float, ...]
"""Fourteen numbers that describe one star-formation history, or one piece of a table."""


@njit(**COMPILE)
def table_constants(knots: Array, values: Array, slopes: Array, i: int, k: int) -> Model:
    """Describe piece k of table i: where it starts and the cubic from there."""
    x = knots[i if knots.shape[0] > 1 else 0]
    y = values[i if values.shape[0] > 1 else 0]
    h = x[k + 1] - x[k]
    mean = (y[k + 1] - y[k]) / h
    d0, d1 = slopes[i, k], slopes[i, k + 1]
    zeros = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    return (x[k], y[k], d0, (3.0 * mean - 2.0 * d0 - d1) / h, (d0 + d1 - 2.0 * mean) / (h * h), *zeros)


@njit(**COMPILE)
def _end_slope(h0: float, h1: float, m0: float, m1: float) -> float:
    """One-sided three-point slope, limited to keep the shape."""
    slope = ((2.0 * h0 + h1) * m0 - h0 * m1) / (h0 + h1)
    if slope * m0 <= 0.0:
        return 0.0
    if m0 * m1 < 0.0 and abs(slope) > 3.0 * abs(m0):
        return 3.0 * m0
    return slope


@njit(**COMPILE)
def pchip_slopes(x: Array, y: Array) -> Array:
    """Slopes of the monotone piecewise cubic of Fritsch & Butland (1984, SIAM J. Sci. Stat. Comput. 5, 300).

    Parameters
    ----------
    x : ndarray, shape (n_points, n_knots) or (1, n_knots)
        Strictly increasing in each row, n_knots >= 2.
    y : ndarray, shape (n_points, n_knots) or (1, n_knots)

    Returns
    -------
    ndarray, shape (n_points, n_knots)
    """
    n_points, n = max(x.shape[0], y.shape[0]), x.shape[1]
    slopes = np.zeros((n_points, n))
    for i in range(n_points):
        at, of = x[i if x.shape[0] > 1 else 0], y[i if y.shape[0] > 1 else 0]
        if n == 2:
            slopes[i, 0] = slopes[i, 1] = (of[1] - of[0]) / (at[1] - at[0])
            continue
        h0, m0 = at[1] - at[0], (of[1] - of[0]) / (at[1] - at[0])
        for k in range(1, n - 1):
            h1 = at[k + 1] - at[k]
            m1 = (of[k + 1] - of[k]) / h1
            if k == 1:
                slopes[i, 0] = _end_slope(h0, h1, m0, m1)
            if m0 * m1 > 0.0:
                w0, w1 = 2.0 * h1 + h0, h1 + 2.0 * h0
                slopes[i, k] = (w0 + w1) / (w0 / m0 + w1 / m1)
            if k == n - 2:
                slopes[i, n - 1] = _end_slope(h1, h0, m1, m0)
            h0, m0 = h1, m1
    return slopes


@njit(**COMPILE)
def pchip_evaluate(x: Array, y: Array, slopes: Array, at: Array, derivative: bool) -> Array:
    """Evaluate the piecewise cubic, or its derivative.

    Parameters
    ----------
    x, y : ndarray, shape (n_points, n_knots) or (1, n_knots)
    slopes : ndarray, shape (n_points, n_knots)
    at : ndarray, shape (n_points, n_at) or (1, n_at)
        Outside the knots the end value is held (derivative 0).
    derivative : bool

    Returns
    -------
    ndarray, shape (n_points, n_at)
    """
    n_points, n = slopes.shape
    out = np.empty((n_points, at.shape[1]))
    for i in range(n_points):
        row = i if at.shape[0] > 1 else 0
        knots, values = x[i if x.shape[0] > 1 else 0], y[i if y.shape[0] > 1 else 0]
        for j in range(at.shape[1]):
            value = at[row, j]
            if value < knots[0] or value > knots[n - 1]:
                out[i, j] = 0.0 if derivative else (values[0] if value < knots[0] else values[n - 1])
                continue
            if value == knots[n - 1] and not derivative:
                out[i, j] = values[n - 1]
                continue
            k = 0
            while k < n - 2 and value >= knots[k + 1]:
                k += 1
            model = table_constants(x, y, slopes, i, k)
            s = value - model[0]
            if derivative:
                out[i, j] = model[2] + s * (2.0 * model[3] + 3.0 * s * model[4])
            else:
                out[i, j] = model[1] + s * (model[2] + s * (model[3] + s * model[4]))
    return out
