"""Derivatives and covariance of a log-density from batches of points in the unit cube.

Steps adapt to the function: each is a fixed fraction of the width that the curvature along its axis implies,
so that rounding and higher orders both stay small. Points never leave the cube; where a neighbour lies outside
the support (-inf), the other side is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Derivatives", "conditional_widths", "covariance_at_peak", "derivatives", "hessian"]

FloatArray = NDArray[np.float64]
LogDensity = Callable[[FloatArray], FloatArray]
"""Takes points of shape (n_points, n_varied) within [0, 1], returns shape (n_points,)."""

UNIFORM_WIDTH = 1.0 / np.sqrt(12.0)
"""Standard deviation of a uniform density over the cube: no width is larger."""
SMALLEST_STEP, LARGEST_STEP = 1e-9, 0.05
STEP_IN_WIDTHS = 0.1
_ROUNDS = 12
_LEAST_FALL, _MOST_FALL = 0.1, 2.0


@dataclass(frozen=True)
class Derivatives:
    """Value, gradient and curvature of a log-density at a point.

    Attributes
    ----------
    value : float
    gradient, curvature : ndarray, shape (n_varied,)
        First and second derivative along each axis; the curvature is NaN where one side is not finite.
    best_point, best_value : ndarray, float
        Best of the points that were evaluated.
    """

    value: float
    gradient: FloatArray
    curvature: FloatArray
    best_point: FloatArray
    best_value: float


def derivatives(log_density: LogDensity, point: FloatArray, steps: FloatArray) -> Derivatives:
    """Differentiate along each axis with one batch of ``2 n_varied + 1`` points.

    Second order in the step: two sides within the cube, two steps on one side at its faces.

    Parameters
    ----------
    log_density : callable
    point, steps : ndarray, shape (n_varied,)
    """
    n_varied = len(point)
    first = np.where(point + steps > 1.0, -2.0, np.where(point - steps < 0.0, 1.0, -1.0)) * steps
    second = np.where(point + steps > 1.0, -1.0, np.where(point - steps < 0.0, 2.0, 1.0)) * steps
    batch = np.repeat(point[None], 2 * n_varied + 1, axis=0)
    axes = np.arange(n_varied)
    batch[1 + axes, axes] += first
    batch[1 + n_varied + axes, axes] += second
    values = log_density(np.clip(batch, 0.0, 1.0))
    value = float(values[0])
    with np.errstate(invalid="ignore"):
        slope_a = (values[1 : 1 + n_varied] - value) / first
        slope_b = (values[1 + n_varied :] - value) / second
        curvature = 2.0 * (slope_a - slope_b) / (first - second)
        gradient = slope_a - 0.5 * curvature * first
    finite_a, finite_b = np.isfinite(slope_a), np.isfinite(slope_b)
    one_sided = np.where(finite_a, slope_a, np.where(finite_b, slope_b, 0.0))
    both = finite_a & finite_b
    best = int(np.argmax(values))
    return Derivatives(
        value=value,
        gradient=np.where(both, gradient, one_sided),
        curvature=np.where(both, curvature, np.nan),
        best_point=np.clip(batch[best], 0.0, 1.0),
        best_value=float(values[best]),
    )


def steps_from(curvature: FloatArray, steps: FloatArray) -> FloatArray:
    """Return steps of a tenth of the width that a curvature implies; as they were where it is unknown."""
    with np.errstate(divide="ignore", invalid="ignore"):
        width = 1.0 / np.sqrt(np.abs(curvature))
    wanted = np.where(np.isfinite(width), STEP_IN_WIDTHS * width, steps)
    # A third derivative can make the curvature vanish: no step grows or shrinks a hundredfold at once.
    return np.clip(np.clip(wanted, 0.01 * steps, 100 * steps), SMALLEST_STEP, LARGEST_STEP)


def conditional_widths(
    log_density: LogDensity, peak: FloatArray, directions: FloatArray, first_widths: FloatArray
) -> FloatArray:
    """Width of the density through a peak along each of several directions.

    A step is grown or shrunk until the density falls by between 0.1 and 2 from the peak; the parabola through
    that point gives the width. The two sides are averaged; at a face of the cube the inner one counts.

    Parameters
    ----------
    log_density : callable
    peak : ndarray, shape (n_varied,)
    directions : ndarray, shape (n_directions, n_varied)
    first_widths : ndarray, shape (n_directions,)
        Where the search begins, in units of the directions' lengths.

    Returns
    -------
    ndarray, shape (n_directions,)
        In units of the directions' lengths.
    """
    at_peak = float(log_density(peak[None])[0])
    with np.errstate(divide="ignore"):
        longest = 1.0 / np.abs(directions).max(axis=1)
    widths = np.minimum(first_widths, longest * UNIFORM_WIDTH)
    step, left = widths.copy(), np.arange(len(directions))
    for _ in range(_ROUNDS):
        fall = _mean_fall(log_density, peak, at_peak, directions[left], step[left])
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            # sqrt(2 fall) is the step in widths if the density is a parabola.
            ratio = np.where(fall > 0, 1.0 / np.sqrt(2.0 * np.maximum(fall, 1e-300)), 10.0)
        widths[left] = step[left] * np.clip(ratio, 0.03, 10.0)
        at_most = widths[left] >= UNIFORM_WIDTH * longest[left]
        widths[left] = np.minimum(widths[left], UNIFORM_WIDTH * longest[left])
        found = (fall >= _LEAST_FALL) & (fall <= _MOST_FALL)
        finished = found | (at_most & (step[left] >= UNIFORM_WIDTH * longest[left]))
        step[left] = widths[left]
        left = left[~finished]
        if len(left) == 0:
            break
    return np.maximum(widths, SMALLEST_STEP * longest)


def _mean_fall(
    log_density: LogDensity, peak: FloatArray, at_peak: float, directions: FloatArray, step: FloatArray
) -> FloatArray:
    """Mean fall of both sides; of one if the other leaves the cube or the support; inf if neither is left."""
    offset = step[:, None] * directions
    batch = np.concatenate([peak + offset, peak - offset])
    inside = np.all((batch >= 0.0) & (batch <= 1.0), axis=1)
    values = np.full(len(batch), -np.inf)
    if inside.any():
        values[inside] = log_density(batch[inside])
    fall = (at_peak - values).reshape(2, -1)
    finite = np.isfinite(fall)
    total = np.where(finite, fall, 0.0).sum(axis=0)
    return np.where(finite.any(axis=0), total / np.maximum(finite.sum(axis=0), 1), np.inf)


def hessian(log_density: LogDensity, point: FloatArray, steps: FloatArray) -> FloatArray:
    """Matrix of second derivatives of ``-log_density``, from all sign combinations within cube and support.

    Parameters
    ----------
    log_density : callable
    point, steps : ndarray, shape (n_varied,)

    Returns
    -------
    ndarray, shape (n_varied, n_varied)
        Symmetric; a mixed derivative without four finite corners is averaged over those there are.
    """
    n_varied = len(point)
    at_point = derivatives(log_density, point, steps)
    curvature = np.where(np.isfinite(at_point.curvature), at_point.curvature, -1.0 / steps**2)
    result = np.diag(-curvature)
    if n_varied == 1:
        return result
    rows, columns = np.triu_indices(n_varied, 1)
    signs = np.array([(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)])
    single = np.concatenate([np.diag(steps), -np.diag(steps)])
    double = np.zeros((4, len(rows), n_varied))
    for corner, (sign_row, sign_column) in zip(double, signs, strict=True):
        corner[np.arange(len(rows)), rows] = sign_row * steps[rows]
        corner[np.arange(len(rows)), columns] = sign_column * steps[columns]
    offsets = np.concatenate([single, double.reshape(-1, n_varied)])
    batch = point + offsets
    values = np.full(len(batch), -np.inf)
    inside = np.all((batch >= 0.0) & (batch <= 1.0), axis=1)
    values[inside] = log_density(batch[inside])
    # [0]: plus, [1]: minus; the sign combinations in the order of `signs`.
    sides, corners = values[: 2 * n_varied].reshape(2, -1), values[2 * n_varied :].reshape(4, -1)
    with np.errstate(invalid="ignore"):
        mixed = np.array(
            [
                (corners[k] - sides[0 if a > 0 else 1][rows] - sides[0 if b > 0 else 1][columns] + at_point.value)
                / (a * b * steps[rows] * steps[columns])
                for k, (a, b) in enumerate(signs)
            ]
        )
    finite = np.isfinite(mixed)
    mean = np.where(finite, mixed, 0.0).sum(axis=0) / np.maximum(finite.sum(axis=0), 1)
    result[rows, columns] = result[columns, rows] = -mean
    return result


def covariance_at_peak(log_density: LogDensity, peak: FloatArray) -> FloatArray:
    """Covariance of a density from its shape about its peak.

    The Hessian gives the axes; the width along each axis is then measured on the density itself, where it has
    fallen by about half a unit. So the result is positive definite, and usable where the Hessian alone is not:
    at a face of the cube, at a kink, along a flat direction.

    Parameters
    ----------
    log_density : callable
    peak : ndarray, shape (n_varied,)

    Returns
    -------
    ndarray, shape (n_varied, n_varied)
        Positive definite; no standard deviation exceeds that of a uniform density over the cube.
    """
    n_varied = len(peak)
    widths = conditional_widths(log_density, peak, np.eye(n_varied), np.full(n_varied, 1e-2))
    matrix = hessian(log_density, peak, np.clip(3 * STEP_IN_WIDTHS * widths, SMALLEST_STEP, LARGEST_STEP))
    whitened = matrix * np.outer(widths, widths)
    values, vectors = np.linalg.eigh(0.5 * (whitened + whitened.T))
    directions = vectors.T * widths
    # The shortest conditional width is an axis of its own; a longest one is bounded by the cube.
    first = 1.0 / np.sqrt(np.clip(values, 1e-8, 1e8))
    along = conditional_widths(log_density, peak, directions, first)
    root = directions.T * along
    covariance = root @ root.T
    excess = np.minimum(1.0, UNIFORM_WIDTH / np.sqrt(np.diag(covariance)))
    return np.asarray(covariance * np.outer(excess, excess))
