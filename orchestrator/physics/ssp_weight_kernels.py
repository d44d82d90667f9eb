"""Compiled kernels of `orchestrator.physics.ssp_weights`, where the definition stands."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orchestrator.physics.sfh_kernels import LOG_NORMAL, TABLE, SFHShape, constants, table_constants, young_at

__all__ = ["NODES_2", "NODES_3", "project"]

Array = NDArray[np.float64]
Model = tuple[float, float, float, float, float]

NODES_2 = 0.5 * (1.0 + np.polynomial.legendre.leggauss(2)[0])
NODES_3 = 0.5 * (1.0 + np.polynomial.legendre.leggauss(3)[0])
_OUTER_3, _INNER_3 = 5.0 / 18.0, 8.0 / 18.0
_X5, _W5 = 0.5 * (1.0 + np.polynomial.legendre.leggauss(5)[0]), 0.5 * np.polynomial.legendre.leggauss(5)[1]
# exp(E x) over a panel: the error of the mean of the excess is 5e-4 E^3 with 2 nodes, 1e-6 E^5 with 3.
_CHANGE_FOR_2 = 0.08
_CHANGE_FOR_3 = 0.3
# A history that changes faster than so many panels resolve is a step for any library.
_MOST_PANELS = 1000
# In ln(t): so far below the upper end of an interval nothing is left at a relative 1e-12.
_LN_T_RANGE = 28.0


@njit(cache=True, nogil=True, error_model="numpy")
def _log_integral(r: float) -> float:
    """Integral of ln(1 - s) over s from 0 to r <= 1."""
    if r < 0.02:
        return -r * r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 12.0 + r * 0.05)))
    if r >= 1.0:
        return -1.0
    return -r - (1.0 - r) * math.log1p(-r)


@njit(cache=True, nogil=True, error_model="numpy")
def _means_in_ln_t(
    kind: int, model: Model, second: float, today: float, l1: float, l2: float, y1: float
) -> tuple[float, float]:
    """As `_means`, for an interval that reaches from t1 to below t1 / 2, where histories vary with ln(t).

    Not divided by the width of the interval.
    """
    s_high = math.log(today - l1)
    s = s_high
    if kind == LOG_NORMAL:
        ln_t0 = math.log(today) - model[2] / model[1]
        s_low = max(s - _LN_T_RANGE, min(s, ln_t0 - 8.5 * second))
    else:
        # M(t) falls at least like t
        s_low = s - 0.5 * _LN_T_RANGE
    if l2 < today:
        s_low = max(s_low, math.log(today - l2))
    m1 = 1.0 - y1
    excess = log_part = 0.0
    for _ in range(_MOST_PANELS):
        if s <= s_low:
            break
        # t / (today - t) varies fast where the age is small; far down little is left to be right about
        t = math.exp(s)
        step = min(1.2 + 0.25 * (s_high - s), 0.5 * (today - t) / t)
        if kind == LOG_NORMAL:
            step = min(step, 1.2 * second)
        elif kind == TABLE:
            step = min(step, 0.4 + 0.4 * (s_high - s))
        else:
            step = min(step, 1.2 / (t * model[0]))
        step = min(step, s - s_low)
        for q in range(5):
            t = math.exp(s - _X5[q] * step)
            y = young_at(kind, today - t, t, today, model) - y1
            weight = _W5[q] * step * t / (today - t)
            excess += weight * y
            log_part += weight * _log_integral(y / m1)
        s -= step
    rest = math.log(l2 / (today - math.exp(s)))
    if rest > 0.0 and l2 >= today:
        excess += rest * m1
        log_part -= rest
    return excess, log_part


@njit(cache=True, nogil=True, error_model="numpy")
def _change(kind: int, model: Model, second: float, l1: float, l2: float, today: float, dx: float) -> float:
    """Bound on the change of ln(dY/dx) over the interval, the measure of the quadrature's difficulty."""
    if kind == LOG_NORMAL:
        return max(dx, 2.5 * (l2 - l1) / ((today - l2) * min(second, 1.0)))
    if kind == TABLE:
        s1, s2 = l1 - model[0], l2 - model[0]
        slope1 = model[2] + s1 * (2.0 * model[3] + 3.0 * s1 * model[4])
        slope2 = model[2] + s2 * (2.0 * model[3] + 3.0 * s2 * model[4])
        # a cubic in l is nearly one in ln(l), but 2 nodes show the difference where its slope changes much
        steep = abs(slope2 - slope1) > 0.1 * max(slope1, slope2)
        return max(dx * 3.0, _CHANGE_FOR_2) if steep else dx * 1.5
    return dx * (1.0 + l2 * model[0])


@njit(cache=True, nogil=True, error_model="numpy")
def _means(
    kind: int,
    model: Model,
    second: float,
    today: float,
    l1: float,
    l2: float,
    x1: float,
    dx: float,
    y1: float,
    r2: float,
    with_log: bool,
    whole: bool,
    nodes: Model,
) -> tuple[float, float]:
    """Means over ln(l) in [l1, l2] of Y - y1 and of `_log_integral`((Y - y1) / (1 - y1)).

    `r2`: (Y(l2) - y1) / (1 - y1). The second mean is 0 without `with_log`. `whole`: the interval is one of
    the library's and `nodes` are its quadrature nodes.
    """
    if today - l2 < 0.5 * (today - l1):
        excess, log_part = _means_in_ln_t(kind, model, second, today, l1, l2, y1)
        return excess / dx, log_part / dx
    per_m1 = 1.0 / (1.0 - y1)
    change = _change(kind, model, second, l1, l2, today, dx)
    if with_log:
        # the logarithm of the mass has its own structure, and the square of a cubic is of degree six
        change = max(change, 3.0 * r2 if r2 < 0.7 else 8.0)
        if kind == TABLE and r2 > 1e-3:
            change = max(change, _CHANGE_FOR_3 + 4.0 * r2)
    excess = log_part = 0.0
    if whole and change < _CHANGE_FOR_2:
        ya = young_at(kind, nodes[0], today - nodes[0], today, model) - y1
        yb = young_at(kind, nodes[1], today - nodes[1], today, model) - y1
        if with_log:
            log_part = 0.5 * (_log_integral(ya * per_m1) + _log_integral(yb * per_m1))
        return 0.5 * (ya + yb), log_part
    if whole and change < _CHANGE_FOR_3:
        ya = young_at(kind, nodes[2], today - nodes[2], today, model) - y1
        yb = young_at(kind, nodes[3], today - nodes[3], today, model) - y1
        yc = young_at(kind, nodes[4], today - nodes[4], today, model) - y1
        if with_log:
            log_part = _OUTER_3 * (_log_integral(ya * per_m1) + _log_integral(yc * per_m1))
            log_part += _INNER_3 * _log_integral(yb * per_m1)
        return _OUTER_3 * (ya + yc) + _INNER_3 * yb, log_part
    panels = 1 + int(min(0.5 * change, _MOST_PANELS))
    for p in range(panels):
        for q in range(5):
            lookback = math.exp(x1 + (p + _X5[q]) * dx / panels)
            y = young_at(kind, lookback, today - lookback, today, model) - y1
            excess += _W5[q] * y
            if with_log:
                log_part += _W5[q] * _log_integral(y * per_m1)
    return excess / panels, log_part / panels


@njit(cache=True, nogil=True, error_model="numpy")
def _crossing(
    kind: int, model: Model, today: float, target: float, low: float, y_low: float, high: float, y_high: float
) -> float:
    """Lookback time in [low, high] with Y = target (regula falsi, Illinois variant)."""
    f_low, f_high = y_low - target, y_high - target
    side = 0
    middle = high
    for _ in range(100):
        if f_high == f_low or high - low <= 1e-15 * high:
            break
        middle = (low * f_high - high * f_low) / (f_high - f_low)
        f = young_at(kind, middle, today - middle, today, model) - target
        if abs(f) < 1e-12 * (1.0 - target):
            break
        if f > 0.0:
            high, f_high = middle, f
            f_low *= 0.5 if side == 1 else 1.0
            side = 1
        else:
            low, f_low = middle, f
            f_high *= 0.5 if side == -1 else 1.0
            side = -1
    return min(max(middle, low), high)


@njit(cache=True, nogil=True, error_model="numpy")
def _ln_limit(cell: int, ln_today: float, alpha: float, ln_grid: Array) -> float:
    """Ln of the mass fraction at which the metallicity leaves the cell downwards."""
    if cell < 0 or alpha <= 0.0:
        return -np.inf
    return (ln_grid[cell] - ln_today) / alpha


@njit(cache=True, nogil=True, error_model="numpy")
def _hat(cell: int, ln_today: float, alpha: float, ln_grid: Array) -> tuple[float, float]:
    """Coefficients (a, b) of the weight a + b ln(m) of the upper node of a metallicity cell."""
    if cell < 0 or cell >= ln_grid.size - 1:
        return 0.0, 0.0
    width = ln_grid[cell + 1] - ln_grid[cell]
    return (ln_today - ln_grid[cell]) / width, alpha / width


@njit(cache=True, nogil=True, error_model="numpy")
def project(
    shape: SFHShape,
    valid: NDArray[np.bool_],
    metals: Array,
    alphas: Array,
    today: float,
    edges: Array,
    ln_edges: Array,
    per_width: Array,
    nodes: Array,
    ln_grid: Array,
) -> Array:
    """Walk back in time from today, piece by piece, and add the mass of each piece to its four SSPs."""
    kind = shape.kind
    firsts, seconds, knots, values, slopes = (
        shape.first,
        shape.second,
        shape.knots,
        shape.values,
        shape.slopes,
    )
    n_points, n_age, n_met = firsts.size, edges.size, ln_grid.size
    out = np.zeros((n_points, n_met, n_age))
    for i in range(n_points):
        if not valid[i]:
            out[i, :, :] = np.nan
            continue
        ln_today, alpha, second = math.log(metals[i]), alphas[i], seconds[i]
        model = constants(kind, today, firsts[i], second)
        piece_end, piece = today, 0
        if kind == TABLE:
            model = table_constants(knots, values, slopes, i, 0)
            piece_end = knots[i, 1]
        # cell: the metallicity lies between nodes cell and cell + 1 (-1: below the library, n_met - 1: above)
        cell = n_met - 1
        while cell >= 0 and ln_today < ln_grid[cell]:
            cell -= 1
        ln_limit = _ln_limit(cell, ln_today, alpha, ln_grid)
        limit = math.exp(ln_limit)
        constant, slope = _hat(cell, ln_today, alpha, ln_grid)
        y1, ln_m1 = 0.0, 0.0
        # k: between ages k - 1 and k; 0 and n_age are the open ends
        for k in range(n_age + 1):
            inner = 0 < k < n_age
            left = edges[k - 1] if k > 0 else 0.0
            x_left = ln_edges[k - 1] if k > 0 else 0.0
            end = edges[k] if k < n_age else today
            while left < end and y1 < 1.0:
                if kind == TABLE and left >= piece_end and piece < values.size - 2:
                    piece += 1
                    model = table_constants(knots, values, slopes, i, piece)
                    piece_end = knots[i, piece + 1]
                    continue
                right = min(end, piece_end) if kind == TABLE else end
                y2 = young_at(kind, right, today - right, today, model)
                m1 = 1.0 - y1
                crosses = 1.0 - y2 < limit
                if crosses:
                    y2 = max(1.0 - limit, y1)
                    if inner:
                        y_end = young_at(kind, right, today - right, today, model)
                        right = _crossing(kind, model, today, y2, left, y1, right, y_end)
                mass = y2 - y1
                whole = inner and left == edges[k - 1] and right == edges[k]
                x_right = ln_edges[k] if right == end and k < n_age else math.log(right)
                if mass > 0.0:
                    r2 = mass / m1
                    log_mass = mass * ln_m1 + m1 * _log_integral(r2) if slope > 0.0 else 0.0
                    upper, log_upper = mass, log_mass
                    if inner:
                        dx = x_right - x_left
                        excess = log_part = 0.0
                        if dx > 0.0:
                            points = (
                                nodes[k - 1, 0],
                                nodes[k - 1, 1],
                                nodes[k - 1, 2],
                                nodes[k - 1, 3],
                                nodes[k - 1, 4],
                            )
                            excess, log_part = _means(
                                kind,
                                model,
                                second,
                                today,
                                left,
                                right,
                                x_left,
                                dx,
                                y1,
                                r2,
                                slope > 0.0,
                                whole,
                                points,
                            )
                        at = (x_right - ln_edges[k - 1]) * per_width[k - 1]
                        part = dx * per_width[k - 1]
                        upper = at * mass - part * excess
                        log_upper = at * log_mass - part * (ln_m1 * excess + m1 * log_part)
                    elif k > 0:
                        upper = log_upper = 0.0
                    low_met, high_met = max(cell, 0), min(cell + 1, n_met - 1)
                    richer = constant * mass + slope * log_mass
                    richer_upper = constant * upper + slope * log_upper
                    if k < n_age:
                        out[i, low_met, k] += upper - richer_upper
                        out[i, high_met, k] += richer_upper
                    if k > 0:
                        out[i, low_met, k - 1] += mass - upper - richer + richer_upper
                        out[i, high_met, k - 1] += richer - richer_upper
                    if r2 < 1e-3:
                        ln_m1 -= r2 * (1.0 + r2 * (0.5 + r2 * (1.0 / 3.0 + r2 * 0.25)))
                    elif r2 < 1.0:
                        ln_m1 += math.log1p(-r2)
                    y1 = y2
                # an open end has no ages to follow: what is left after a crossing is still in it
                if inner or not crosses:
                    left, x_left = right, x_right
                if crosses:
                    ln_m1 = ln_limit
                    cell -= 1
                    ln_limit = _ln_limit(cell, ln_today, alpha, ln_grid)
                    limit = math.exp(ln_limit)
                    constant, slope = _hat(cell, ln_today, alpha, ln_grid)
        # rounding leaves a few weights at -1e-18
        for met in range(n_met):
            for k in range(n_age):
                if out[i, met, k] < 0.0:
                    out[i, met, k] = 0.0
    return out
