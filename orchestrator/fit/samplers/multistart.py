"""Search for the peak of a log-density in the unit cube, from several starts, in batches of points."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from orchestrator.fit.samplers.finite_differences import (
    LARGEST_STEP,
    LogDensity,
    conditional_widths,
    derivatives,
    hessian,
    steps_from,
)

__all__ = ["Peak", "choose_starts", "climb", "polish"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

FIRST_STEP = 1e-3
_WALL = 1e3
"""How far below the lowest value seen a point without a posterior counts, for a line search to turn back."""
_LINE_SEARCH = np.array([2.0, 1.0, 0.6, 0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4])
_NEWTON_STEPS = 12
_LONGEST_STEP = 30.0
"""In widths; along a strong correlation the peak may be that far off."""
_RELATIVE_GAIN = 1e-7
_SIMPLEX_EVALUATIONS = 60


@dataclass(frozen=True)
class Peak:
    """A point of the unit cube, shape (n_varied,), and the log-density there."""

    point: FloatArray
    value: float


def choose_starts(candidates: FloatArray, values: FloatArray, n_starts: int) -> FloatArray:
    """Choose the best candidates that keep a distance from each other.

    Parameters
    ----------
    candidates : ndarray, shape (n_candidates, n_varied)
        In the unit cube.
    values : ndarray, shape (n_candidates,)
    n_starts : int

    Returns
    -------
    ndarray, shape (at most n_starts, n_varied)
        Of finite value, best first.
    """
    order = [int(index) for index in np.argsort(-values) if np.isfinite(values[index])]
    apart = 0.1 * np.sqrt(candidates.shape[1])
    chosen: list[int] = []
    for index in order:
        if len(chosen) >= n_starts:
            break
        if not chosen or np.linalg.norm(candidates[chosen] - candidates[index], axis=1).min() > apart:
            chosen.append(index)
    chosen += [index for index in order if index not in chosen]
    return candidates[chosen[:n_starts]]


class _Objective:
    """The negative log-density and its gradient for scipy, in coordinates scaled to the function's widths."""

    def __init__(self, log_density: LogDensity, start: FloatArray) -> None:
        self.log_density = log_density
        self.steps = np.full(len(start), FIRST_STEP)
        for _ in range(3):
            first = derivatives(log_density, start, self.steps)
            self.steps = steps_from(first.curvature, self.steps)
        self.scales = self.steps / LARGEST_STEP
        self.offset = first.value
        self.lowest = first.value
        self.best = Peak(first.best_point, first.best_value)

    def __call__(self, scaled: FloatArray) -> tuple[float, FloatArray]:
        point = np.clip(scaled * self.scales, 0.0, 1.0)
        found = derivatives(self.log_density, point, self.steps)
        if found.best_value > self.best.value:
            self.best = Peak(found.best_point, found.best_value)
        if not np.isfinite(found.value):
            return self.offset - self.lowest + _WALL, np.zeros(len(point))
        self.lowest = min(self.lowest, found.value)
        self.steps = steps_from(found.curvature, self.steps)
        return self.offset - found.value, -found.gradient * self.scales


def climb(log_density: LogDensity, start: FloatArray, *, max_iterations: int, restarts: int = 2) -> Peak:
    """Climb from one start with L-BFGS-B, each gradient a batch; begin anew with better scales while it gains.

    Parameters
    ----------
    log_density : callable
    start : ndarray, shape (n_varied,)
        In the unit cube, of finite value.
    max_iterations : int
        Of each climb.
    restarts : int
        At most.
    """
    best = Peak(start, float(log_density(start[None])[0]))
    for _ in range(1 + restarts):
        before = best.value
        objective = _Objective(log_density, best.point)
        minimize(
            objective,
            best.point / objective.scales,
            jac=True,
            method="L-BFGS-B",
            bounds=[(0.0, 1.0 / scale) for scale in objective.scales],
            options={"maxiter": max_iterations, "ftol": _RELATIVE_GAIN, "gtol": 1e-6},
        )
        if objective.best.value > best.value:
            best = objective.best
        if best.value - before < 1.0:
            break
    return best


def polish(log_density: LogDensity, peak: Peak, *, tolerance: float) -> Peak:
    """Improve a peak by Newton steps within the cube, and by Nelder-Mead where those fail (at a kink).

    Each step's length is searched with one batch.

    Parameters
    ----------
    log_density : callable
    peak : Peak
    tolerance : float
        Gain in the log-density that is not worth another step.
    """
    n_varied = len(peak.point)
    widths = np.full(n_varied, 1e-2)
    for _ in range(_NEWTON_STEPS):
        widths = conditional_widths(log_density, peak.point, np.eye(n_varied), widths)
        steps = np.clip(0.1 * widths, 1e-9, LARGEST_STEP)
        found = derivatives(log_density, peak.point, steps)
        if found.best_value > peak.value + tolerance:
            peak = Peak(found.best_point, found.best_value)
            continue
        step = _newton_step(found.gradient, hessian(log_density, peak.point, steps), peak.point, widths)
        promised = float(found.gradient @ step)
        if promised < tolerance:
            return peak
        trials = np.clip(peak.point + _LINE_SEARCH[:, None] * step, 0.0, 1.0)
        values = log_density(trials)
        best = int(np.argmax(values))
        gain = float(values[best]) - peak.value
        if gain > 0:
            peak = Peak(trials[best], float(values[best]))
        if gain < tolerance:
            if promised > 10 * tolerance:
                break
            return peak
    return _simplex(log_density, peak, widths, tolerance)


def _newton_step(gradient: FloatArray, matrix: FloatArray, point: FloatArray, widths: FloatArray) -> FloatArray:
    """Uphill step; coordinates at a face of the cube that point out of it stay there."""
    blocked = ((point <= 1e-12) & (gradient < 0)) | ((point >= 1 - 1e-12) & (gradient > 0))
    free = np.flatnonzero(~blocked)
    step = np.zeros_like(point)
    if len(free) == 0:
        return step
    scales = widths[free]
    values, vectors = np.linalg.eigh(matrix[np.ix_(free, free)] * np.outer(scales, scales))
    # Negative curvature is walked along like positive of the same size.
    values = np.maximum(np.abs(values), 1e-6)
    in_widths = vectors @ ((vectors.T @ (scales * gradient[free])) / values)
    step[free] = scales * in_widths * min(1.0, _LONGEST_STEP / max(float(np.abs(in_widths).max()), 1e-300))
    return step


def _simplex(log_density: LogDensity, peak: Peak, widths: FloatArray, tolerance: float) -> Peak:
    n_varied = len(peak.point)
    directions = np.where(peak.point + widths > 1.0, -widths, widths)
    simplex = np.clip(np.concatenate([peak.point[None], peak.point + np.diag(directions)]), 0.0, 1.0)

    def negative(point: FloatArray) -> float:
        value = float(log_density(np.clip(point, 0.0, 1.0)[None])[0])
        return peak.value - value if np.isfinite(value) else _WALL

    found = minimize(
        negative,
        peak.point,
        method="Nelder-Mead",
        bounds=[(0.0, 1.0)] * n_varied,
        options={
            "initial_simplex": simplex,
            "maxfev": _SIMPLEX_EVALUATIONS * n_varied,
            "fatol": tolerance,
            "xatol": 1e-8,
        },
    )
    gain = -float(found.fun)
    logger.debug("Nelder-Mead gained %.3g after %d evaluations", gain, found.nfev)
    return Peak(np.clip(found.x, 0.0, 1.0), peak.value + gain) if gain > 0 else peak
