"""The amplitude of a model under Student's t noise: no parabola, so it is found by re-weighting.

Each datum gets the weight ``(nu + 1) / (nu + r^2 / s^2) / s^2`` and the weighted least-squares problem is solved
again (the EM algorithm of Lange, Little & Taylor 1989, JASA 84, 881), with leaps along two such steps where they gain
(Varadhan & Roland 2008, Scand. J. Stat. 35, 335). Nothing lowers the likelihood, so the number of steps is bounded.
The likelihood may have several maxima; two fixed starts are followed and the better is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from orchestrator.physics.amplitude import Limits, Parabola, best_amplitude, eliminate_linear_terms
from orchestrator.physics.noise_models import LinearModel, student_log_density

__all__ = ["StudentSolution", "solve_student_amplitude"]

FloatArray = NDArray[np.float64]

_STEPS = 100
_SETTLED = 1e-9
_LONGEST = 1e3


@dataclass(frozen=True)
class StudentSolution:
    """What a data set with Student's t noise contributes.

    Attributes
    ----------
    log_likelihood : ndarray, shape (n_points,)
        Increment of the joint log-likelihood over the modules before.
    amplitude : ndarray, shape (n_points,)
        Of the joint maximum, or as given.
    coefficients : ndarray, shape (n_points, p)
        All linear coefficients; the first is the amplitude.
    """

    log_likelihood: FloatArray
    amplitude: FloatArray
    coefficients: FloatArray


@dataclass(frozen=True)
class _Problem:
    linear: LinearModel
    data: FloatArray
    scale_squared: FloatArray
    nu: FloatArray
    before: Parabola
    limits: Limits | None
    amplitude: FloatArray | None

    def value(self, coefficients: FloatArray) -> FloatArray:
        """Return the log-likelihood of these data at coefficients, shape (n_points,)."""
        residual = self.data - self.linear.at(coefficients)
        own = student_log_density(residual, self.scale_squared, self.nu)
        return own if self.limits is None else own + self.limits.at(coefficients[:, 0])

    def joint(self, coefficients: FloatArray) -> FloatArray:
        """Return the quantity that a step never lowers."""
        own = self.value(coefficients)
        return own if self.amplitude is not None else own + self.before.at(coefficients[:, 0])

    def solved(self, weights: FloatArray) -> FloatArray:
        """Return the best coefficients for weights of the data, shape (n_points, p)."""
        zero = np.zeros(len(weights))
        own, offset, response = eliminate_linear_terms(*self.linear.normal_equations(self.data, weights), zero)
        amplitude = self.amplitude
        if amplitude is None:
            joint = Parabola(zero, own.slope + self.before.slope, own.curvature + self.before.curvature)
            amplitude = best_amplitude(joint, self.limits)[0]
        return np.column_stack([amplitude, offset - response * amplitude[:, None]])

    def reweighted(self, coefficients: FloatArray) -> FloatArray:
        residual = self.data - self.linear.at(coefficients)
        nu = self.nu[:, None]
        return np.asarray((nu + 1) / (nu * self.scale_squared + residual**2))

    def step(self, coefficients: FloatArray) -> FloatArray:
        """Return the coefficients after one step that never lowers :meth:`joint`."""
        return self.solved(self.reweighted(coefficients))

    def leap(self, start: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return coefficients after two steps, or a leap along them where that is better, and the likelihood."""
        first = self.step(start)
        second = self.step(first)
        change, bend = first - start, second - 2 * first + start
        size, curve = np.linalg.norm(change, axis=1), np.linalg.norm(bend, axis=1)
        length = np.clip(size / np.where(curve > 0, curve, 1.0), 1.0, _LONGEST)[:, None]
        ahead = start + 2 * length * change + length**2 * bend
        ahead[:, 0] = np.maximum(ahead[:, 0], 0.0) if self.amplitude is None else self.amplitude
        ahead = self.step(ahead)
        value, value_ahead = self.joint(second), self.joint(ahead)
        better = value_ahead > value
        return np.where(better[:, None], ahead, second), np.where(better, value_ahead, value)

    def of_points(self, chosen: NDArray[np.bool_]) -> _Problem:
        """Return the problem of some of the points."""
        linear = replace(self.linear, flux=self.linear.flux[chosen])
        before = Parabola(self.before.constant[chosen], self.before.slope[chosen], self.before.curvature[chosen])
        amplitude = None if self.amplitude is None else self.amplitude[chosen]
        limits = self.limits
        if limits is not None:
            width = limits.uncertainty if limits.uncertainty.ndim == 1 else limits.uncertainty[chosen]
            limits = replace(limits, model=limits.model[chosen], uncertainty=width)
        return _Problem(linear, self.data, self.scale_squared[chosen], self.nu[chosen], before, limits, amplitude)

    def climbed(self, start: FloatArray) -> FloatArray:
        """Follow the steps from a start until no point gains; a point that has settled is left alone."""
        result, value = start.copy(), self.joint(start)
        moving, problem = np.ones(len(start), dtype=bool), self
        for _ in range(_STEPS):
            result[moving], reached = problem.leap(result[moving])
            gains = reached - value[moving] > _SETTLED  # NaN of an impossible point is no gain
            value[moving] = reached
            if not gains.any():
                break
            moving[moving] = gains
            if not gains.all():
                problem = problem.of_points(gains)
        return result


def solve_student_amplitude(
    linear: LinearModel,
    data: FloatArray,
    scale_squared: FloatArray,
    nu: FloatArray,
    before: Parabola,
    *,
    limits: Limits | None = None,
    amplitude: FloatArray | None = None,
) -> StudentSolution:
    """Maximise over the amplitude and the coefficients of polynomials.

    Parameters
    ----------
    linear : LinearModel
    data : ndarray, shape (n,)
    scale_squared : ndarray, shape (n_points, n)
    nu : ndarray, shape (n_points,)
    before : Parabola
        What earlier modules say about the amplitude.
    limits : Limits, optional
        Further data whose likelihood is a normal distribution function; a limit has no outliers.
    amplitude : ndarray, shape (n_points,), optional
        Given (sampled) amplitude; only the other coefficients are then solved for.
    """
    problem = _Problem(linear, data, scale_squared, nu, before, limits, amplitude)
    best = problem.climbed(problem.solved(1.0 / scale_squared))
    if len(linear.polynomials) > 1 or amplitude is None:
        other = problem.climbed(_robust_start(problem))
        better = problem.joint(other) > problem.joint(best)
        best = np.where(better[:, None], other, best)
    value = problem.joint(best)
    if amplitude is None:
        value = value - before.at(best_amplitude(before, None)[0])
    return StudentSolution(value, best[:, 0], best)


def _robust_start(problem: _Problem) -> FloatArray:
    """Return the median of data over model as amplitude, and no polynomial."""
    flux = problem.linear.flux
    start = np.zeros((len(flux), len(problem.linear.polynomials)))
    if problem.amplitude is not None:
        start[:, 0] = problem.amplitude
        return start
    lit = flux > 0
    ratio = np.where(lit, problem.data / np.where(lit, flux, 1.0), 0.0)
    start[:, 0] = np.maximum(np.median(ratio, axis=1), 0.0)
    return start
