"""Compiled kernels of `orchestrator.physics.ssp_weights`, where the definition stands."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orchestrator.physics.elementary_functions import COMPILE, exponential, logarithm
from orchestrator.physics.pchip_kernels import Model, table_constants
from orchestrator.physics.sfh_kernels import (
    EXPONENTIAL,
    TABLE,
    SFHShape,
    constants,
    rate_at,
    young_at,
)
from orchestrator.physics.ssp_quadrature import (
    AgeGrid,
    Rows,
    interval_means,
    log_integral,
    new_rows,
    whole_intervals,
)

__all__ = ["project"]

Array = NDArray[np.float64]
_LEAST_LN_LIMIT = math.log(1e-14)


class _Cell(NamedTuple):
    """Two neighbouring metallicities of the library, as a history passes between them.

    Attributes
    ----------
    node : int
        The metallicity lies between nodes node and node + 1 (-1: below the library, n_met - 1: above).
    low, high : int
        Nodes that share the mass.
    ln_limit, limit : float
        Mass fraction at which the metallicity leaves the cell downwards, and its logarithm.
    constant, slope : float
        The weight of the upper node is constant + slope ln(m).
    """

    node: int
    low: int
    high: int
    ln_limit: float
    limit: float
    constant: float
    slope: float


@njit(forceinline=True, **COMPILE)
def _cell(node: int, ln_today: float, alpha: float, ln_grid: Array) -> _Cell:
    n_met = ln_grid.size
    constant = slope = 0.0
    if 0 <= node < n_met - 1:
        width = ln_grid[node + 1] - ln_grid[node]
        constant, slope = (ln_today - ln_grid[node]) / width, alpha / width
    ln_limit = -np.inf
    if node >= 0 and alpha > 0.0:
        ln_limit = (ln_grid[node] - ln_today) / alpha
        # the mass of even poorer stars is lost in the rounding of Y
        ln_limit = ln_limit if ln_limit > _LEAST_LN_LIMIT else -np.inf
    return _Cell(node, max(node, 0), min(node + 1, n_met - 1), ln_limit, math.exp(ln_limit), constant, slope)


@njit(forceinline=True, **COMPILE)
def _deposit(
    out: Array, cell: _Cell, k: int, n_age: int, mass: float, log_mass: float, upper: float, log_upper: float
) -> None:
    """Add mass between ages k - 1 and k to its four SSPs; `upper` is the part of age k."""
    richer = cell.constant * mass + cell.slope * log_mass
    richer_upper = cell.constant * upper + cell.slope * log_upper
    if k < n_age:
        out[cell.low, k] += upper - richer_upper
        out[cell.high, k] += richer_upper
    if k > 0:
        out[cell.low, k - 1] += mass - upper - richer + richer_upper
        out[cell.high, k - 1] += richer - richer_upper


@njit(forceinline=True, **COMPILE)
def _easy_run(rows: Rows, limit: float, k: int) -> int:
    """Return the first k from here on whose interval is not easy, or crosses the limit."""
    y, easy = rows.y, rows.easy
    if k == 0:
        return 0
    while k < y.size and easy[k - 1] and 1.0 - y[k] >= limit:
        k += 1
    return k


@njit(forceinline=True, **COMPILE)
def _deposit_run(
    low: Array, high: Array, constant: float, slope: float, first: int, last: int, rows: Rows
) -> None:
    """Add the mass of the intervals from ages first - 1 to last - 1, all in one cell."""
    mass, log_mass = rows.mass[first - 1 : last - 1], rows.log_mass[first - 1 : last - 1]
    upper, log_upper = rows.upper[first - 1 : last - 1], rows.log_upper[first - 1 : last - 1]
    young_low, young_high, old_low, old_high = low[first - 1 :], high[first - 1 :], low[first:], high[first:]
    for j in range(mass.size):
        richer = constant * mass[j] + slope * log_mass[j]
        richer_upper = constant * upper[j] + slope * log_upper[j]
        old_low[j] += upper[j] - richer_upper
        old_high[j] += richer_upper
        young_low[j] += mass[j] - upper[j] - richer + richer_upper
        young_high[j] += richer - richer_upper


@njit(**COMPILE)
def _crossing(
    kind: int, model: Model, start: float, today: float, target: float, low: float, high: float
) -> float:
    """Lookback time in [low, high] with 1 - Y = target: Newton's method in ln(m) against ln(t)."""
    if kind == EXPONENTIAL and model[2] < 600.0:
        return min(max(start + math.log1p((1.0 - target) / model[1]) / model[0], low), high)
    best, ln_target = low, math.log(target)
    for _ in range(100):
        t = today - best
        m = 1.0 - young_at(kind, best - start, t, today - start, model)
        if abs(m - target) <= 1e-13 * target:
            break
        if m > target:
            low = best
        else:
            high = best
        rate = rate_at(kind, best - start, t, today - start, model)
        following = 0.5 * (low + high)
        if rate > 0.0 and m > 0.0:
            newton = today - t * exponential(min(max((ln_target - logarithm(m)) * m / (t * rate), -700.0), 1.0))
            if low < newton < high:
                following = newton
        if high - low <= 4e-16 * today:
            break
        best = following
    return best


@njit(forceinline=True, **COMPILE)
def _walk_interval(
    shape: SFHShape, i: int, model: Model, cell: _Cell, ln_today: float, alpha: float, ln_grid: Array,
    today: float, grid: AgeGrid, k: int, y1: float, y_end: float, work: Array, out: Array,
) -> _Cell:
    """Add the mass between ages k - 1 and k (0 and n_age: the open ends), split wherever anything has a kink.

    `y1` and `y_end`: Y at both ends. Return the cell at the older end.
    """  # fmt: skip
    kind, start, second, n_age = shape.kind, shape.start[i], shape.second[i], grid.edges.size
    inner = 0 < k < n_age
    left = grid.edges[k - 1] if k > 0 else 0.0
    x_left = grid.ln_edges[k - 1] if k > 0 else 0.0
    end = grid.edges[k] if k < n_age else today
    if left < start:
        if end <= start:
            return cell
        left = start
        x_left = math.log(start)
    ln_m1 = logarithm(1.0 - y1) if y1 < 1.0 else 0.0
    piece, piece_end = -1, left if kind == TABLE else today
    while left < end and y1 < 1.0:
        if kind == TABLE and left >= piece_end and piece < shape.slopes.shape[1] - 2:
            piece += 1
            piece_end = shape.knots[i if shape.knots.shape[0] > 1 else 0, piece + 1]
            if left < piece_end or piece == shape.slopes.shape[1] - 2:
                model = table_constants(shape.knots, shape.values, shape.slopes, i, piece)
            continue
        right = min(end, piece_end)
        y2 = y_end if right == end else young_at(kind, right - start, today - right, today - start, model)
        crosses = 1.0 - y2 < cell.limit
        if crosses:
            y2 = max(1.0 - cell.limit, y1)
            if inner:
                right = _crossing(kind, model, start, today, cell.limit, left, right)
        mass = y2 - y1
        x_right = grid.ln_edges[k] if k < n_age and right == grid.edges[k] else logarithm(right)
        if mass > 0.0:
            m1 = 1.0 - y1
            r2 = mass / m1
            with_log = cell.slope > 0.0
            log_mass = mass * ln_m1 + m1 * log_integral(r2) if with_log else 0.0
            upper, log_upper = mass, log_mass
            if k == n_age:
                upper = log_upper = 0.0
            elif inner and x_right > x_left:
                dx = x_right - x_left
                excess, log_part = interval_means(
                    kind, model, second, start, today, left, right, x_left, dx, y1, r2, with_log, work
                )
                per_width = grid.per_width[k - 1]
                at = (x_right - grid.ln_edges[k - 1]) * per_width
                upper = at * mass - dx * per_width * excess
                log_upper = at * log_mass - dx * per_width * (ln_m1 * excess + m1 * log_part)
            elif inner:
                at = (x_right - grid.ln_edges[k - 1]) * grid.per_width[k - 1]
                upper, log_upper = at * mass, at * log_mass
            _deposit(out, cell, k, n_age, mass, log_mass, upper, log_upper)
            y1 = y2
            ln_m1 = logarithm(1.0 - y1) if y1 < 1.0 else 0.0
        # an open end has no ages to follow: what is left after a crossing is still in it
        if inner or not crosses:
            left, x_left = right, x_right
        if crosses:
            ln_m1 = cell.ln_limit
            cell = _cell(cell.node - 1, ln_today, alpha, ln_grid)
    return cell


@njit(forceinline=True, **COMPILE)
def _prepare_rows(
    shape: SFHShape, i: int, model: Model, today: float, grid: AgeGrid, with_log: bool, rows: Rows
) -> None:
    """Fill the rows of history i: Y at all edges, and what `whole_intervals` gives."""
    edges, n_age, start = grid.edges, grid.edges.size, shape.start[i]
    for j in range(n_age):
        rows.y[j] = 1.0
    for j in range(n_age - 1):
        rows.easy[j] = False
    first = 0
    while first < n_age and edges[first] < start:
        rows.y[first] = 0.0
        first += 1
    last = n_age
    while last > first and edges[last - 1] >= today:
        last -= 1
    if shape.kind == TABLE:
        n_pieces = shape.slopes.shape[1] - 1
        knots = shape.knots[i if shape.knots.shape[0] > 1 else 0]
        for piece in range(n_pieces):
            end = first
            while end < last and (edges[end] < knots[piece + 1] or piece == n_pieces - 1):
                end += 1
            if end > first:
                part = table_constants(shape.knots, shape.values, shape.slopes, i, piece)
                whole_intervals(shape.kind, part, start, today, grid, first, end - 1, with_log, rows)
            first = end
    elif last > first:
        whole_intervals(shape.kind, model, start, today, grid, first, last - 1, with_log, rows)


@njit(**COMPILE)
def project(
    shape: SFHShape,
    valid: NDArray[np.bool_],
    metals: Array,
    alphas: Array,
    today: float,
    grid: AgeGrid,
    ln_grid: Array,
) -> Array:
    """Walk back in time from today, interval by interval, and add the mass of each to its four SSPs."""
    n_points, n_age, n_met = valid.size, grid.edges.size, ln_grid.size
    out = np.zeros((n_points, n_met, n_age))
    rows = new_rows(n_age)
    for i in range(n_points):
        if not valid[i]:
            out[i, :, :] = np.nan
            continue
        weights = out[i]
        ln_today, alpha = math.log(metals[i]), alphas[i]
        if shape.kind == TABLE:
            model = table_constants(shape.knots, shape.values, shape.slopes, i, 0)
        else:
            model = constants(shape.kind, today - shape.start[i], shape.first[i], shape.second[i])
        node = n_met - 1
        while node >= 0 and ln_today < ln_grid[node]:
            node -= 1
        cell = _cell(node, ln_today, alpha, ln_grid)
        _prepare_rows(shape, i, model, today, grid, alpha > 0.0, rows)
        # for a literal 0 everything below would be compiled a second time
        k: int = np.int64(0)  # type: ignore[assignment]
        while k <= n_age:
            last = _easy_run(rows, cell.limit, k)
            if last > k:
                _deposit_run(weights[cell.low], weights[cell.high], cell.constant, cell.slope, k, last, rows)
                k = last
                continue
            y1 = rows.y[k - 1] if k > 0 else 0.0
            y2 = rows.y[k] if k < n_age else 1.0
            if y1 >= 1.0:
                break
            if y2 > y1:
                cell = _walk_interval(
                    shape, i, model, cell, ln_today, alpha, ln_grid, today, grid, k, y1, y2, rows.work, weights
                )
            k += 1
        # rounding leaves a few weights at -1e-18
        for met in range(n_met):
            for k in range(n_age):
                weights[met, k] = max(weights[met, k], 0.0)
    return out
