"""Compiled quadrature of `orchestrator.physics.ssp_weights`: means over ln(age) inside the intervals of a library.

For an interval of lookback times [l1, l2], with Y the mass younger than l, y1 = Y(l1) and m1 = 1 - y1, the two
means over ln(l) of

    Y - y1    and    L((Y - y1) / m1),   L(r) = integral of ln(1 - s) over s from 0 to r,

are all that the weights need. Five Gauss-Legendre nodes give them to a relative 1e-9 where the star-formation
rate changes by less than a factor e over the interval and where it holds less than a quarter of the older
mass (`whole_intervals`, on all intervals at once); elsewhere panels of eight nodes do (`interval_means`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orchestrator.physics.elementary_functions import COMPILE, exponential, logarithm
from orchestrator.physics.pchip_kernels import Model
from orchestrator.physics.sfh_kernels import LOG_NORMAL, TABLE, young_eight, young_row

__all__ = ["NODES", "AgeGrid", "Rows", "interval_means", "log_integral", "new_rows", "whole_intervals"]

Array = NDArray[np.float64]

NODES = 0.5 * (1.0 + np.polynomial.legendre.leggauss(5)[0])
_WEIGHTS = 0.5 * np.polynomial.legendre.leggauss(5)[1]
_NODES_8 = 0.5 * (1.0 + np.polynomial.legendre.leggauss(8)[0])
_WEIGHTS_8 = 0.5 * np.polynomial.legendre.leggauss(8)[1]
# Up to these the five nodes of one panel suffice, see above.
_EASY_CHANGE = 1.0
_EASY_MASS = 0.25
_PANEL_CHANGE = 4.0
# Below it the series of L, above it the closed form, to the same 1e-12.
_SMALL = 0.02
# A history that changes faster than so many panels resolve is a step for any library.
_MOST_PANELS = 1000
# In ln(t): so far below the upper end of an interval nothing is left at a relative 1e-12.
_LN_T_RANGE = 28.0


class AgeGrid(NamedTuple):
    """Ages of a library, cut at `today`, and the quadrature nodes between them.

    Attributes
    ----------
    edges, ln_edges : ndarray, shape (n_age,)
        Ages in Gyr, none above `today`; their logarithms.
    edge_ln_ratio : ndarray, shape (n_age,)
        -ln(1 - age / today), infinite at `today`.
    widths, per_width : ndarray, shape (n_age - 1,)
        Width of each interval of the library, not cut, in ln(age), and its inverse.
    nodes, node_ln_ratio : ndarray, shape (5, n_age - 1)
        Lookback times of the nodes of each interval, Gyr; -ln(1 - node / today).
    """

    edges: Array
    ln_edges: Array
    edge_ln_ratio: Array
    widths: Array
    per_width: Array
    nodes: Array
    node_ln_ratio: Array


class Rows(NamedTuple):
    """Work space: one history at the edges, and in the intervals of an age grid.

    Attributes
    ----------
    y, ln_m : ndarray, shape (n_age,)
        Y and ln(1 - Y) at the edges.
    mass, log_mass : ndarray, shape (n_age - 1,)
        Integrals of dm and ln(m) dm over the mass of each interval.
    upper, log_upper : ndarray, shape (n_age - 1,)
        The same with the weight of the older end of the interval.
    easy : ndarray of bool, shape (n_age - 1,)
        Where the four above hold.
    fraction, at_node : ndarray, shape (n_age - 1,)
        Intermediate results.
    work : ndarray, shape (5, 8)
        One panel of eight nodes.
    """

    y: Array
    ln_m: Array
    mass: Array
    log_mass: Array
    upper: Array
    log_upper: Array
    easy: NDArray[np.bool_]
    fraction: Array
    at_node: Array
    work: Array


@njit(**COMPILE)
def new_rows(n_age: int) -> Rows:
    """Return work space for an age grid."""
    n = max(n_age - 1, 0)
    return Rows(
        np.zeros(n_age), np.zeros(n_age), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n),
        np.zeros(n, dtype=np.bool_), np.zeros(n), np.zeros(n), np.zeros((5, 8)),
    )  # fmt: skip


@njit(forceinline=True, **COMPILE)
def _log_integral_small(r: float) -> float:
    r2 = r * r
    return -r2 * (0.5 + r * (1.0 / 6.0) + r2 * (1.0 / 12.0 + r * 0.05 + r2 * (1.0 / 30.0 + r * (1.0 / 42.0))))


@njit(forceinline=True, **COMPILE)
def log_integral(r: float) -> float:
    """Integral of ln(1 - s) over s from 0 to r <= 1."""
    m = max(1.0 - r, 1e-300)
    return _log_integral_small(r) if r < _SMALL else -r - m * logarithm(m)


@njit(**COMPILE)
def whole_intervals(
    kind: int, model: Model, start: float, today: float, grid: AgeGrid, first: int, last: int, with_log: bool,
    rows: Rows,
) -> None:
    """Fill the rows for the intervals first to last - 1, all within one piece of the history.

    The edges first to last must lie in [start, today). `with_log`: fill the rows with ln(m) too.
    """  # fmt: skip
    # Views, here and below, because only loops from 0 become vector code: other indices might be negative.
    n = last - first
    y, mass, fraction = rows.y[first : last + 1], rows.mass[first:last], rows.fraction[first:last]
    excess, log_excess = rows.upper[first:last], rows.log_upper[first:last]
    at_node = rows.at_node[first:last]
    young_row(
        kind, model, grid.edges[first : last + 1], grid.edge_ln_ratio[first : last + 1], start, today, y
    )
    for j in range(n):
        mass[j] = max(y[j + 1] - y[j], 0.0)
        fraction[j] = mass[j] / max(1.0 - y[j], 1e-300)
        excess[j] = 0.0
        log_excess[j] = 0.0
    # from here on some interval holds much of the mass older than it
    heavy = 0
    while heavy < n and fraction[heavy] < _SMALL:
        heavy += 1
    for q in range(5):
        nodes, ln_ratio = grid.nodes[q, first:last], grid.node_ln_ratio[q, first:last]
        young_row(kind, model, nodes, ln_ratio, start, today, at_node)
        for j in range(n):
            at_node[j] -= y[j]
            excess[j] += _WEIGHTS[q] * at_node[j]
        if with_log:
            _add_log_integrals(at_node, y, heavy, _WEIGHTS[q], log_excess)
    if with_log:
        _with_logarithms(
            y, rows.ln_m[first : last + 1], mass, fraction, excess, rows.log_mass[first:last], log_excess
        )
    for j in range(n):
        excess[j] = mass[j] - excess[j]
    _mark_easy(kind, model, start, today, grid, first, n, fraction, rows.easy[first:last])


@njit(forceinline=True, **COMPILE)
def _add_log_integrals(height: Array, y: Array, heavy: int, weight: float, out: Array) -> None:
    """Add weight * L(height / (1 - y)); before `heavy` its series holds."""
    for j in range(heavy):
        out[j] += weight * _log_integral_small(height[j] / (1.0 - y[j]))
    rest, young, old = height[heavy:], y[heavy:], out[heavy:]
    for j in range(rest.size):
        r = min(rest[j] / max(1.0 - young[j], 1e-300), 1.0)
        small, m = _log_integral_small(r), max(1.0 - r, 1e-300)
        large = -r - m * logarithm(m)
        old[j] += weight * (small if r < _SMALL else large)


@njit(forceinline=True, **COMPILE)
def _with_logarithms(
    y: Array, ln_m: Array, mass: Array, fraction: Array, excess: Array, log_mass: Array, log_excess: Array
) -> None:
    """Find ln(m) and the integrals of ln(m); `log_excess` becomes the part of the older end."""
    for j in range(y.size):
        ln_m[j] = logarithm(max(1.0 - y[j], 1e-300))
    for j in range(mass.size):
        m1, r = 1.0 - y[j], fraction[j]
        small, large = _log_integral_small(r), -r - (1.0 - r) * (ln_m[j + 1] - ln_m[j])
        log_mass[j] = mass[j] * ln_m[j] + m1 * (small if r < _SMALL else large)
        log_excess[j] = log_mass[j] - (ln_m[j] * excess[j] + m1 * log_excess[j])


@njit(forceinline=True, **COMPILE)
def _table_slope(model: Model, l1: float, l2: float) -> float:
    """Bound on the slope of ln(dY/dx) against x = ln(l) between two times of a piece of a table."""
    s1, s2 = l1 - model[0], l2 - model[0]
    rate1 = model[2] + s1 * (2.0 * model[3] + 3.0 * s1 * model[4])
    rate2 = model[2] + s2 * (2.0 * model[3] + 3.0 * s2 * model[4])
    steepest = max(abs(2.0 * model[3] + 6.0 * s1 * model[4]), abs(2.0 * model[3] + 6.0 * s2 * model[4]))
    # no cubic needs more than l^3 does
    return 1.0 + min(l2 * steepest / max(min(rate1, rate2), 1e-300), 2.0)


@njit(forceinline=True, **COMPILE)
def _mark_easy(
    kind: int, model: Model, start: float, today: float, grid: AgeGrid, first: int, n: int, fraction: Array,
    easy: NDArray[np.bool_],
) -> None:
    """Tell where the five nodes suffice."""  # fmt: skip
    widths = grid.widths[first : first + n]
    edges, ln_ratio = grid.edges[first : first + n + 1], grid.edge_ln_ratio[first : first + n + 1]
    if kind == LOG_NORMAL:
        shift = -math.log1p(-start / today)
        for j in range(n):
            z = model[1] - (ln_ratio[j + 1] - shift) * model[0]
            change = max(widths[j], (ln_ratio[j + 1] - ln_ratio[j]) * (1.0 + (1.5 + abs(z)) * model[0]))
            easy[j] = change < _EASY_CHANGE and fraction[j] < _EASY_MASS
    elif kind == TABLE:
        for j in range(n):
            change = widths[j] * _table_slope(model, edges[j], edges[j + 1])
            easy[j] = change < _EASY_CHANGE and fraction[j] < _EASY_MASS
    else:
        for j in range(n):
            change = widths[j] * (1.0 + edges[j + 1] * model[0])
            easy[j] = change < _EASY_CHANGE and fraction[j] < _EASY_MASS


@njit(forceinline=True, **COMPILE)
def interval_means(
    kind: int, model: Model, second: float, start: float, today: float, l1: float, l2: float, x1: float, dx: float,
    y1: float, r2: float, with_log: bool, work: Array,
) -> tuple[float, float]:
    """Means over ln(l) in [l1, l2], any part of an interval within one piece of the history.

    `x1` = ln(l1), `dx` = ln(l2 / l1), `r2` = (Y(l2) - y1) / (1 - y1). The second mean is 0 without `with_log`.
    """  # fmt: skip
    if today - l2 < 0.5 * (today - l1):
        excess, log_part = _means_in_ln_t(kind, model, second, start, today, l1, l2, y1, with_log, work)
        return excess / dx, log_part / dx
    if kind == LOG_NORMAL:
        z = model[1] + math.log((today - l2) / (today - start)) * model[0]
        change = max(dx, math.log((today - l1) / (today - l2)) * (1.0 + (1.5 + abs(z)) * model[0]))
    elif kind == TABLE:
        change = dx * _table_slope(model, l1, l2)
    else:
        change = dx * (1.0 + l2 * model[0])
    panels = 1 + int(min(change / _PANEL_CHANGE, float(_MOST_PANELS)))
    if with_log and r2 > 0.7:
        # the logarithm of the mass has its own structure
        panels = max(panels, 3)
    step = dx / panels
    excess = log_part = 0.0
    lookback, ln_ratio, weight = work[0], work[1], work[2]
    for p in range(panels):
        for j in range(8):
            lookback[j] = exponential(x1 + (p + _NODES_8[j]) * step)
            weight[j] = _WEIGHTS_8[j]
        if kind == LOG_NORMAL:
            for j in range(8):
                ln_ratio[j] = -logarithm(1.0 - lookback[j] / today)
        part, log_of = _panel(kind, model, start, today, y1, with_log, work)
        excess += part
        log_part += log_of
    return excess / panels, log_part / panels


@njit(forceinline=True, **COMPILE)
def _means_in_ln_t(
    kind: int, model: Model, second: float, start: float, today: float, l1: float, l2: float, y1: float,
    with_log: bool, work: Array,
) -> tuple[float, float]:
    """As `interval_means`, where the cosmic time falls by half or more: there histories vary with ln(t).

    Not divided by the width of the interval.
    """  # fmt: skip
    s_high = logarithm(today - l1)
    s = s_high
    if kind == LOG_NORMAL:
        ln_t0 = math.log(today - start) - model[1] * second
        # so many standard deviations before the median a fraction 1e-16 of the mass has formed
        deviations = math.sqrt(70.0 + min(model[1], 0.0) ** 2)
        s_low = max(s - _LN_T_RANGE, min(s, ln_t0 - deviations * second))
    else:
        # M(t) falls at least like t
        s_low = s - 0.5 * _LN_T_RANGE
    if l2 < today:
        s_low = max(s_low, logarithm(today - l2))
    ln_today = logarithm(today)
    excess = log_part = 0.0
    patience = 5.0 - 0.75 * max(logarithm(1.0 - y1), -20.0)
    lookback, ln_ratio, weight = work[0], work[1], work[2]
    for _ in range(_MOST_PANELS):
        if s <= s_low:
            break
        # t / (today - t) varies fast where the age is small; far down little is left to be right about
        t = exponential(s)
        step = min(2.5 + 0.5 * (s_high - s), (today - t) / t)
        if kind == LOG_NORMAL:
            # a small mass may have the larger relative error
            step = min(step, patience * second / (3.0 + abs(s - ln_t0) / second))
        elif kind == TABLE:
            step = min(step, 1.0 + 0.5 * (s_high - s))
        else:
            step = min(step, 3.0 / (t * model[0]))
        step = min(step, s - s_low)
        for j in range(8):
            below = s - _NODES_8[j] * step
            time = exponential(below)
            lookback[j] = today - time
            ln_ratio[j] = ln_today - below
            weight[j] = _WEIGHTS_8[j] * step * time / lookback[j]
        part, log_of = _panel(kind, model, start, today, y1, with_log, work)
        excess += part
        log_part += log_of
        s -= step
    rest = math.log1p((l2 - today + math.exp(s)) / (today - math.exp(s)))
    if rest > 0.0:
        excess += rest * (1.0 - y1)
        log_part -= rest
    return excess, log_part


@njit(forceinline=True, **COMPILE)
def _panel(
    kind: int, model: Model, start: float, today: float, y1: float, with_log: bool, work: Array
) -> tuple[float, float]:
    """Sum the two integrands over the eight nodes in the first three rows of `work`."""
    weight, y, logs = work[2], work[3], work[4]
    young_eight(kind, model, work[0], work[1], start, today, y)
    per_m1 = 1.0 / (1.0 - y1)
    for j in range(8):
        y[j] -= y1
        r = max(min(y[j] * per_m1, 1.0), 0.0)
        small, m = _log_integral_small(r), max(1.0 - r, 1e-300)
        large = -r - m * logarithm(m)
        logs[j] = small if r < _SMALL else large
    excess = log_part = 0.0
    for j in range(8):
        excess += weight[j] * y[j]
        log_part += weight[j] * logs[j]
    return excess, log_part if with_log else 0.0
