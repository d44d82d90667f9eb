"""Non-negative least squares from the normal equations.

The active-set method of Lawson & Hanson (1974, *Solving Least Squares Problems*, chapter 23), started from a
feasible point. Working on the normal matrix makes the cost independent of the number of pixels, and a start
near the solution leaves only a few changes of the active set.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["solve_non_negative"]

FloatArray = NDArray[np.float64]

# A column whose part orthogonal to the others is smaller than this adds only rounding errors.
_INDEPENDENCE = 1e-13


def solve_non_negative(
    normal_matrix: FloatArray,
    projected_data: FloatArray,
    start: FloatArray | None = None,
    *,
    tolerance: float = 1e-8,
) -> FloatArray:
    r"""Minimise :math:`x^T H x / 2 - b^T x` over :math:`x \ge 0`.

    For a design matrix ``A`` and data ``y``, ``H = A.T @ A`` and ``b = A.T @ y``.

    Parameters
    ----------
    normal_matrix : ndarray, shape (n, n)
        Symmetric, positive semi-definite.
    projected_data : ndarray, shape (n,)
    start : ndarray, shape (n,), optional
        A point with no negative entry; zero if left out. It changes the number of steps, not the minimum.
    tolerance : float
        Largest remaining gradient of an entry at zero, in units of the norm of its column: one such entry
        could lower chi2 by at most ``tolerance**2``.

    Returns
    -------
    ndarray, shape (n,)
        The minimiser. Where ``H`` is singular it is one of several, all with the same minimum.

    Raises
    ------
    ValueError
        If shapes disagree or `start` has a negative entry.
    """
    n = len(projected_data)
    first = np.zeros(n) if start is None else np.array(start, dtype=np.float64)
    if normal_matrix.shape != (n, n) or first.shape != (n,):
        msg = f"normal_matrix {normal_matrix.shape}, start {first.shape}: expected ({n}, {n}) and ({n},)"
        raise ValueError(msg)
    if np.any(first < 0):
        msg = f"start has a negative entry, {first.min()!r}; it must be feasible"
        raise ValueError(msg)
    matrix = np.ascontiguousarray(normal_matrix, dtype=np.float64)
    data = np.ascontiguousarray(projected_data, dtype=np.float64)
    return np.asarray(_active_set(matrix, data, first, tolerance, 10 * n + 20))


@njit(cache=True, error_model="numpy")
def _solve_passive(matrix, data, members, count, factor, solution):  # type: ignore[no-untyped-def]
    """Solve the equations of the first `count` members by Cholesky; return the first dependent one, or -1."""
    for i in range(count):
        row = members[i]
        for j in range(i + 1):
            value = matrix[row, members[j]]
            for k in range(j):
                value -= factor[i, k] * factor[j, k]
            if i == j:
                if not value > _INDEPENDENCE * matrix[row, row]:
                    return i
                factor[i, i] = np.sqrt(value)
            else:
                factor[i, j] = value / factor[j, j]
    for i in range(count):
        value = data[members[i]]
        for k in range(i):
            value -= factor[i, k] * solution[k]
        solution[i] = value / factor[i, i]
    for i in range(count - 1, -1, -1):
        value = solution[i]
        for k in range(i + 1, count):
            value -= factor[k, i] * solution[k]
        solution[i] = value / factor[i, i]
    return -1


@njit(cache=True, error_model="numpy")
def _to_passive_minimum(matrix, data, x, members, count, factor, solution):  # type: ignore[no-untyped-def]
    """Move x to the minimum over its members, dropping those that reach zero; return how many are left."""
    while count > 0:
        dependent = _solve_passive(matrix, data, members, count, factor, solution)
        if dependent >= 0:
            # Its weight is not shifted to the others: the next solution finds their best values anyway.
            x[members[dependent]] = 0.0
            leaving = dependent
        else:
            step, leaving = 1.0, -1
            for i in range(count):
                if solution[i] <= 0.0:
                    here = x[members[i]]
                    reach = here / (here - solution[i]) if here > 0.0 else 0.0
                    if reach < step or leaving < 0:
                        step, leaving = min(reach, step), i
            for i in range(count):
                here = x[members[i]]
                x[members[i]] = max(0.0, here + step * (solution[i] - here))
            if leaving < 0:
                return count
            x[members[leaving]] = 0.0
        for i in range(leaving, count - 1):
            members[i] = members[i + 1]
        count -= 1
    return count


@njit(cache=True, error_model="numpy")
def _active_set(matrix, data, x, tolerance, max_steps):  # type: ignore[no-untyped-def]
    """Lawson & Hanson's algorithm NNLS from the feasible point x, which is overwritten."""
    n = len(data)
    members = np.empty(n, dtype=np.int64)
    factor = np.empty((n, n))
    solution = np.empty(n)
    blocked = np.zeros(n, dtype=np.bool_)
    count = 0
    for i in range(n):
        if x[i] > 0.0:
            members[count] = i
            count += 1
    count = _to_passive_minimum(matrix, data, x, members, count, factor, solution)
    for _ in range(max_steps):
        entering, largest = -1, tolerance
        for i in range(n):
            if x[i] > 0.0 or blocked[i] or not matrix[i, i] > 0.0:
                continue
            slope = data[i]
            for k in range(count):
                slope -= matrix[i, members[k]] * x[members[k]]
            slope /= np.sqrt(matrix[i, i])
            if slope > largest:
                entering, largest = i, slope
        if entering < 0:
            break
        members[count] = entering
        count = _to_passive_minimum(matrix, data, x, members, count + 1, factor, solution)
        # An entry that is thrown out at once was let in by rounding; leave it out until something else moves.
        if x[entering] > 0.0:
            blocked[:] = False
        else:
            blocked[entering] = True
    return x
