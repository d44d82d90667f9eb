"""Minimisation of chi2 for a model that is bilinear in template weights and polynomial coefficients.

Newton steps on all coefficients at once. The matrix of second derivatives may lag behind by some steps,
because the gradient is exact at each, and what counts is where they end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from orchestrator.physics.non_negative import solve_non_negative

__all__ = ["Coefficients", "GaussianPrior", "State", "WeightsProblem", "minimise", "normal_matrix", "unstack"]

FloatArray = NDArray[np.float64]

_MAX_STEPS = 60
_MAX_HALVINGS = 30

# A chord step (old normal matrix) is good enough while it shrinks the decrease of chi2 by this factor.
_CHORD_RATE = 0.05


@dataclass(frozen=True)
class Coefficients:
    """Coefficients of the model.

    Attributes
    ----------
    templates : ndarray, shape (n_templates,)
        Weights of the templates.
    multiplicative : ndarray, shape (n_multiplicative,)
        Of the multiplicative polynomials of degree 1 and up; degree 0 is 1 by definition.
    additive : ndarray, shape (n_additive,)
        Of the additive polynomials.
    """

    templates: FloatArray
    multiplicative: FloatArray
    additive: FloatArray


@dataclass(frozen=True)
class GaussianPrior:
    """Independent Gaussian priors of all coefficients, in the order templates, multiplicative, additive.

    Attributes
    ----------
    mean, width : ndarray, shape (n_templates + n_multiplicative + n_additive,)
    """

    mean: FloatArray
    width: FloatArray


@dataclass(frozen=True)
class WeightsProblem:
    """Data and basis of one inner solve, all on the same pixels.

    Attributes
    ----------
    data : ndarray, shape (n_pixels,)
        Whitened flux.
    templates : ndarray, shape (n_templates, n_pixels)
        Whitened templates: convolved, dimmed by dust, divided by the uncertainty.
    multiplicative : ndarray, shape (n_multiplicative, n_pixels)
        Multiplicative polynomials without the constant; not whitened.
    additive : ndarray, shape (n_additive, n_pixels)
        Whitened additive polynomials.
    """

    data: FloatArray
    templates: FloatArray
    multiplicative: FloatArray
    additive: FloatArray


@dataclass(frozen=True)
class State:
    """A point of the iteration.

    Attributes
    ----------
    coefficients : Coefficients
    polynomial, starlight, residual : ndarray, shape (n_pixels,)
        Multiplicative polynomial, whitened sum of the templates, whitened data minus model.
    chi2, penalty : float
        Sum of the squared residuals, and of the squared deviations from the prior.
    """

    coefficients: Coefficients
    polynomial: FloatArray
    starlight: FloatArray
    residual: FloatArray
    chi2: float
    penalty: float

    @property
    def objective(self) -> float:
        """What is minimised: chi2 and the prior's part."""
        return self.chi2 + self.penalty


def _evaluate(problem: WeightsProblem, coefficients: Coefficients, prior: GaussianPrior | None) -> State:
    polynomial = 1.0 + coefficients.multiplicative @ problem.multiplicative
    starlight = coefficients.templates @ problem.templates
    residual = problem.data - polynomial * starlight
    if len(problem.additive):
        residual -= coefficients.additive @ problem.additive
    penalty = 0.0
    if prior is not None:
        penalty = float(np.sum(((_stack(coefficients) - prior.mean) / prior.width) ** 2))
    return State(coefficients, polynomial, starlight, residual, float(residual @ residual), penalty)


def _stack(coefficients: Coefficients) -> FloatArray:
    return np.concatenate([coefficients.templates, coefficients.multiplicative, coefficients.additive])


def unstack(problem: WeightsProblem, values: FloatArray) -> Coefficients:
    """Cut an array of all coefficients into its three kinds."""
    first = len(problem.templates)
    second = first + len(problem.multiplicative)
    return Coefficients(values[:first], values[first:second], values[second:])


def normal_matrix(problem: WeightsProblem, state: State, *, curvature: bool) -> FloatArray:
    """Return half the second derivatives of chi2 with respect to all coefficients, shape (n, n).

    With `curvature` they are exact: the model is bilinear, so only the template-polynomial block has a part
    that grows with the residuals. Without it the matrix is that of Gauss and Newton, never indefinite.
    """
    n, m = len(problem.templates), len(problem.multiplicative)
    design = np.empty((n + m + len(problem.additive), len(problem.data)))
    np.multiply(problem.templates, state.polynomial, out=design[:n])
    np.multiply(problem.multiplicative, state.starlight, out=design[n : n + m])
    design[n + m :] = problem.additive
    matrix = design @ design.T
    if curvature and m:
        cross = problem.templates @ (problem.multiplicative * state.residual).T
        matrix[:n, n : n + m] -= cross
        matrix[n : n + m, :n] -= cross.T
    return matrix


def _half_gradient(problem: WeightsProblem, state: State, prior: GaussianPrior | None) -> FloatArray:
    """Return minus half the derivative of the objective with respect to all coefficients."""
    gradient = np.concatenate(
        [
            problem.templates @ (state.polynomial * state.residual),
            problem.multiplicative @ (state.starlight * state.residual),
            problem.additive @ state.residual,
        ]
    )
    if prior is not None:
        gradient -= (_stack(state.coefficients) - prior.mean) / prior.width**2
    return gradient


def _step_non_negative(
    matrix: FloatArray, gradient: FloatArray, values: FloatArray, n_templates: int
) -> FloatArray:
    """Return the minimiser of the quadratic approximation with non-negative template weights."""
    target = gradient + matrix @ values
    if matrix.shape[0] == n_templates:
        return solve_non_negative(matrix, target, values)
    # The coefficients without a sign are eliminated first (Schur complement).
    cross = matrix[n_templates:, :n_templates]
    factor = cho_factor(matrix[n_templates:, n_templates:], lower=True, check_finite=False)
    response = cho_solve(factor, cross, check_finite=False)
    offset = cho_solve(factor, target[n_templates:], check_finite=False)
    reduced = matrix[:n_templates, :n_templates] - cross.T @ response
    weights = solve_non_negative(reduced, target[:n_templates] - cross.T @ offset, values[:n_templates])
    return np.concatenate([weights, offset - response @ weights])


def _propose(
    problem: WeightsProblem, matrix: FloatArray, state: State, prior: GaussianPrior | None
) -> FloatArray:
    """Return the minimiser of the quadratic approximation of the objective."""
    gradient = _half_gradient(problem, state, prior)
    values = _stack(state.coefficients)
    if prior is None:
        return _step_non_negative(matrix, gradient, values, len(problem.templates))
    factor = cho_factor(matrix, lower=True, check_finite=False)
    return np.asarray(values + cho_solve(factor, gradient, check_finite=False))


def minimise(
    problem: WeightsProblem, start: Coefficients, tolerance: float, prior: GaussianPrior | None
) -> tuple[State, bool]:
    """Iterate from `start` until the objective falls by less than `tolerance`.

    Parameters
    ----------
    problem : WeightsProblem
    start : Coefficients
        Feasible.
    tolerance : float
    prior : GaussianPrior or None
        None for non-negative template weights and no prior; with a prior the weights have no sign.

    Returns
    -------
    state : State
    converged : bool

    Raises
    ------
    numpy.linalg.LinAlgError
        If the polynomials are linearly dependent on the fitted pixels.
    """
    state = _evaluate(problem, start, prior)
    matrix, is_current, curvature, decrease = None, False, True, np.inf
    for _ in range(_MAX_STEPS):
        if matrix is None:
            matrix, is_current = normal_matrix(problem, state, curvature=curvature), True
            if prior is not None:
                matrix[np.diag_indices_from(matrix)] += 1.0 / prior.width**2
        try:
            new = _line_search(problem, state, _propose(problem, matrix, state, prior), prior, not is_current)
        except np.linalg.LinAlgError:
            if not curvature:
                raise
            new = None
        fall = -np.inf if new is None else state.objective - new.objective
        if new is None or fall < 0:
            if is_current and not curvature:
                return state, True
            # An old matrix is made again; a new one that leads nowhere gives way to that of Gauss and Newton.
            curvature, matrix = curvature and not is_current, None
            continue
        state = new
        if fall < tolerance:
            return state, True
        if fall > _CHORD_RATE * decrease:
            matrix = None
        is_current, decrease = False, fall
    return state, False


def _line_search(
    problem: WeightsProblem, state: State, proposal: FloatArray, prior: GaussianPrior | None, only_full: bool
) -> State:
    """Return the first point on the way back from `proposal` at which the objective has not grown.

    Part of the way is always allowed: the weights stay non-negative between two such points.
    """
    values = _stack(state.coefficients)
    for halving in range(1 if only_full else _MAX_HALVINGS):
        trial = values + 0.5**halving * (proposal - values)
        new = _evaluate(problem, unstack(problem, trial), prior)
        if new.objective <= state.objective:
            break
    return new
