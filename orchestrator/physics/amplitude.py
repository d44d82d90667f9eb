"""The amplitude of a model (its stellar mass), sampled, profiled or marginalised.

For Gaussian noise the log-likelihood is a parabola in the amplitude ``m`` of the model::

    ln L(m) = constant + slope * m - curvature * m**2 / 2

so its maximum and its integral over ``m >= 0`` are closed forms. Data sets that share one amplitude add
their slopes and curvatures. CosmoSIS adds up one log-likelihood per module; each module therefore
contributes the *increment* of the joint result over the modules before it, and the sum is the joint one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

__all__ = [
    "AMPLITUDE_MODES",
    "AmplitudeSolution",
    "Limits",
    "Parabola",
    "best_amplitude",
    "eliminate_linear_terms",
    "no_parabola",
    "solve_amplitude",
]

FloatArray = NDArray[np.float64]

AMPLITUDE_MODES = ("profiled", "sampled", "marginalised")

_NEWTON_STEPS = 60
_QUADRATURE_POINTS = 96


@dataclass(frozen=True)
class Parabola:
    """Log-likelihood as a function of the amplitude, for `n_points` models.

    Attributes
    ----------
    constant, slope, curvature : ndarray, shape (n_points,)
        Coefficients of ``constant + slope * m - curvature * m**2 / 2``.
    """

    constant: FloatArray
    slope: FloatArray
    curvature: FloatArray

    def at(self, amplitude: FloatArray) -> FloatArray:
        """Return the log-likelihood at `amplitude`, shape (n_points,)."""
        return self.constant + amplitude * (self.slope - 0.5 * self.curvature * amplitude)


@dataclass(frozen=True)
class Limits:
    """Measured limits, whose likelihood is a normal distribution function of the amplitude.

    Attributes
    ----------
    model : ndarray, shape (n_points, n_limits)
        Model flux at unit amplitude.
    value : ndarray, shape (n_limits,)
        The limit, in the unit of `model`.
    uncertainty : ndarray, shape (n_limits,) or (n_points, n_limits)
        The width of its edge.
    sign : ndarray, shape (n_limits,)
        +1 for an upper limit, -1 for a lower limit.
    """

    model: FloatArray
    value: FloatArray
    uncertainty: FloatArray
    sign: FloatArray

    def _arguments(self, amplitude: FloatArray) -> FloatArray:
        return self.sign * (self.value - amplitude[:, None] * self.model) / self.uncertainty

    def at(self, amplitude: FloatArray) -> FloatArray:
        """Return the log-likelihood of the limits at `amplitude`, shape (n_points,)."""
        return np.asarray(log_ndtr(self._arguments(amplitude)).sum(axis=1))

    def derivatives(self, amplitude: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return first and second derivative of :meth:`at`, each of shape (n_points,)."""
        argument = self._arguments(amplitude)
        rate = -self.sign * self.model / self.uncertainty
        hazard = np.exp(-0.5 * argument**2 - 0.5 * np.log(2 * np.pi) - log_ndtr(argument))
        first = (rate * hazard).sum(axis=1)
        second = -(rate**2 * hazard * (argument + hazard)).sum(axis=1)
        return first, second


@dataclass(frozen=True)
class AmplitudeSolution:
    """What the amplitude contributes.

    Attributes
    ----------
    log_likelihood : ndarray, shape (n_points,)
        This data set's increment of the joint log-likelihood.
    amplitude : ndarray, shape (n_points,)
        Amplitude of the joint maximum (the sampled value in mode ``sampled``).
    uncertainty : ndarray, shape (n_points,)
        Its Gaussian uncertainty at fixed shape of the model (0 in mode ``sampled``).
    joint : Parabola
        Sum over the data sets so far, to hand to the next module.
    """

    log_likelihood: FloatArray
    amplitude: FloatArray
    uncertainty: FloatArray
    joint: Parabola


def no_parabola(n_points: int) -> Parabola:
    """Return the parabola of no data, for the first module of a pipeline."""
    zero = np.zeros(n_points)
    return Parabola(zero, zero, zero)


def eliminate_linear_terms(
    matrix: FloatArray, vector: FloatArray, constant: FloatArray
) -> tuple[Parabola, FloatArray, FloatArray]:
    r"""Maximise over all linear coefficients but the first, the amplitude.

    The log-likelihood is ``constant + vector.b - b.matrix.b / 2`` for coefficients ``b``.

    Parameters
    ----------
    matrix : ndarray, shape (n_points, n, n)
        Normal matrices; the first row and column belong to the amplitude.
    vector : ndarray, shape (n_points, n)
        Right-hand sides.
    constant : ndarray, shape (n_points,)
        Log-likelihood at zero coefficients.

    Returns
    -------
    parabola : Parabola
        In the amplitude, the other coefficients being at their maximum for each amplitude.
    offset, response : ndarray, shape (n_points, n - 1)
        The other coefficients are ``offset - response * amplitude``.
    """
    if matrix.shape[1] == 1:
        empty = np.zeros((len(vector), 0))
        return Parabola(constant, vector[:, 0], matrix[:, 0, 0]), empty, empty
    # A model of no light (a point outside the support) has no normal matrix to solve; it must not spoil a batch.
    dark = ~(matrix[:, 0, 0] > 0)
    if dark.any():
        matrix = np.where(dark[:, None, None], np.eye(matrix.shape[1]), matrix)
        vector = np.where(dark[:, None], 0.0, vector)
    cross = matrix[:, 1:, 0]
    both = np.stack([vector[:, 1:], cross], axis=2)
    solved = np.linalg.solve(matrix[:, 1:, 1:], both)
    offset, response = np.asarray(solved[:, :, 0]), np.asarray(solved[:, :, 1])
    parabola = Parabola(
        constant=constant + 0.5 * np.einsum("ij,ij->i", vector[:, 1:], offset),
        slope=vector[:, 0] - np.einsum("ij,ij->i", cross, offset),
        curvature=matrix[:, 0, 0] - np.einsum("ij,ij->i", cross, response),
    )
    return parabola, offset, response


def solve_amplitude(
    mode: str,
    own: Parabola,
    before: Parabola,
    *,
    limits: Limits | None = None,
    sampled: FloatArray | None = None,
) -> AmplitudeSolution:
    """Treat the amplitude in the chosen way.

    Parameters
    ----------
    mode : {'profiled', 'sampled', 'marginalised'}
        Maximum over ``m >= 0``, a given value, or the integral over ``m >= 0`` with a flat prior density
        of one per unit amplitude.
    own : Parabola
        This data set.
    before : Parabola
        Sum over the modules that ran before this one (see :func:`no_parabola`).
    limits : Limits, optional
        Limits in this data set. They are not a parabola, so a module with limits has to be the last.
    sampled : ndarray, shape (n_points,)
        The amplitude, in mode ``sampled``.

    Raises
    ------
    ValueError
        For an unknown mode, or mode ``sampled`` without an amplitude.
    """
    joint = Parabola(
        before.constant + own.constant, before.slope + own.slope, before.curvature + own.curvature
    )
    if mode == "sampled":
        if sampled is None:
            msg = "mode 'sampled' needs the sampled amplitude"
            raise ValueError(msg)
        log_likelihood = own.at(sampled) + (limits.at(sampled) if limits is not None else 0.0)
        return AmplitudeSolution(log_likelihood, sampled, np.zeros_like(sampled), joint)
    if mode not in AMPLITUDE_MODES:
        msg = f"amplitude mode {mode!r} is not one of {AMPLITUDE_MODES}"
        raise ValueError(msg)
    amplitude, curvature = best_amplitude(joint, limits)
    result = joint.at(amplitude) + (limits.at(amplitude) if limits is not None else 0.0)
    earlier_amplitude, earlier_curvature = best_amplitude(before, None)
    earlier = before.at(earlier_amplitude)
    if mode == "marginalised":
        if limits is None:
            result = result + _log_integral(joint)
        else:
            result = _log_quadrature(joint, limits, amplitude, curvature)
        earlier = earlier + np.where(earlier_curvature > 0, _log_integral(before), 0.0)
    with np.errstate(divide="ignore"):
        uncertainty = 1.0 / np.sqrt(curvature)
    return AmplitudeSolution(result - earlier, amplitude, uncertainty, joint)


def best_amplitude(parabola: Parabola, limits: Limits | None) -> tuple[FloatArray, FloatArray]:
    """Return the non-negative amplitude of the maximum and the curvature there, each of shape (n_points,)."""
    has_data = parabola.curvature > 0
    safe = np.where(has_data, parabola.curvature, 1.0)
    amplitude = np.where(has_data, np.maximum(parabola.slope / safe, 0.0), 0.0)
    if limits is None:
        return amplitude, parabola.curvature
    # The sum is concave, so Newton steps on the slope, halved into the bracket, cannot get lost.
    scale = np.max(np.abs(limits.value + 5 * limits.uncertainty) / np.abs(limits.model), axis=1)
    low, high = np.zeros_like(amplitude), 2 * np.maximum(amplitude, scale)
    point = np.clip(amplitude, 1e-3 * high, high)
    for _ in range(_NEWTON_STEPS):
        first, second = limits.derivatives(point)
        gradient = parabola.slope - parabola.curvature * point + first
        curvature = parabola.curvature - second
        low = np.where(gradient > 0, point, low)
        high = np.where(gradient > 0, high, point)
        step = point + gradient / np.where(curvature > 0, curvature, 1.0)
        inside = (step > low) & (step < high) & (curvature > 0)
        new = np.where(inside, step, 0.5 * (low + high))
        if np.all(np.abs(new - point) <= 1e-13 * np.maximum(new, point)):
            break
        point = new
    return point, parabola.curvature - limits.derivatives(point)[1]


def _log_integral(parabola: Parabola) -> FloatArray:
    """Return ln of the integral of the parabola's exponential over m >= 0, relative to its maximum there."""
    curvature = np.where(parabola.curvature > 0, parabola.curvature, 1.0)
    significance = parabola.slope / np.sqrt(curvature)
    above = 0.5 * np.maximum(-significance, 0.0) ** 2
    return np.asarray(0.5 * np.log(2 * np.pi / curvature) + log_ndtr(significance) + above)


def _log_quadrature(
    parabola: Parabola, limits: Limits, centre: FloatArray, curvature: FloatArray
) -> FloatArray:
    """Return ln of the integral of parabola and limits over m >= 0, by Gauss-Legendre within 9 sigma."""
    width = 9.0 / np.sqrt(curvature)
    low, high = np.maximum(centre - width, 0.0), centre + width
    nodes, weights = np.polynomial.legendre.leggauss(_QUADRATURE_POINTS)
    terms = np.empty((_QUADRATURE_POINTS, len(centre)))
    for i, node in enumerate(nodes):
        amplitude = low + 0.5 * (node + 1) * (high - low)
        terms[i] = parabola.at(amplitude) + limits.at(amplitude)
    peak = terms.max(axis=0)
    integral = (weights[:, None] * np.exp(terms - peak)).sum(axis=0) * 0.5 * (high - low)
    return np.asarray(peak + np.log(integral))
