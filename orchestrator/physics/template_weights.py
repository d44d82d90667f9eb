"""The inner solve of a kinematic fit: template weights and polynomials for templates already convolved.

The model of a spectrum is ``(1 + sum_j p_j P_j) * sum_i w_i t_i + sum_l b_l A_l`` with template weights
``w``, multiplicative coefficients ``p`` and additive coefficients ``b``. It is linear in each and bilinear in
``w`` and ``p``. Two treatments of the weights are offered:

* *non-negative* (as in pPXF; Cappellari 2017, MNRAS 466, 798, section 3): the log-likelihood is maximised over
  ``w >= 0``, ``p`` and ``b``;
* *marginalised*: all coefficients have Gaussian priors and are integrated out (exact for ``w`` and ``b``;
  Laplace's method for the bilinear ``p``).

Both use Gauss-Newton steps on all coefficients at once from a fixed start, and stop when chi2 is settled to
about 1e-6, so that the result is a smooth function of the templates, with no memory of earlier calls. The
normal matrix may lag behind by some steps, because the gradient is exact at each.

All spectra here are *whitened*: divided by the uncertainty of the data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from orchestrator.physics.non_negative import solve_non_negative

__all__ = [
    "Coefficients",
    "GaussianPrior",
    "WeightsProblem",
    "WeightsSolution",
    "solve_marginalised",
    "solve_weights",
    "solve_weights_by_pricing",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_MAX_STEPS = 60
_MAX_HALVINGS = 30
_MAX_PRICINGS = 40
_ENTERING_PER_PRICING = 12

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
class WeightsSolution:
    """Result of an inner solve.

    Attributes
    ----------
    coefficients : Coefficients
    chi2 : float
        Sum of the squared whitened residuals.
    residual : ndarray, shape (n_pixels,)
        Whitened data minus model.
    polynomial : ndarray, shape (n_pixels,)
        Multiplicative polynomial.
    log_evidence_ratio : float
        Logarithm of the marginal over the maximised likelihood; 0 for non-negative weights.
    converged : bool
        False if the steps ran out.
    """

    coefficients: Coefficients
    chi2: float
    residual: FloatArray
    polynomial: FloatArray
    log_evidence_ratio: float = 0.0
    converged: bool = True


@dataclass(frozen=True)
class _State:
    """A point of the iteration: coefficients, model parts and objective there."""

    coefficients: Coefficients
    polynomial: FloatArray
    starlight: FloatArray
    residual: FloatArray
    chi2: float
    penalty: float

    @property
    def objective(self) -> float:
        return self.chi2 + self.penalty


def _evaluate(problem: WeightsProblem, coefficients: Coefficients, prior: GaussianPrior | None) -> _State:
    polynomial = 1.0 + coefficients.multiplicative @ problem.multiplicative
    starlight = coefficients.templates @ problem.templates
    residual = problem.data - polynomial * starlight
    if len(problem.additive):
        residual -= coefficients.additive @ problem.additive
    penalty = 0.0
    if prior is not None:
        penalty = float(np.sum(((_stack(coefficients) - prior.mean) / prior.width) ** 2))
    return _State(coefficients, polynomial, starlight, residual, float(residual @ residual), penalty)


def _stack(coefficients: Coefficients) -> FloatArray:
    return np.concatenate([coefficients.templates, coefficients.multiplicative, coefficients.additive])


def _unstack(problem: WeightsProblem, values: FloatArray) -> Coefficients:
    first = len(problem.templates)
    second = first + len(problem.multiplicative)
    return Coefficients(values[:first], values[first:second], values[second:])


def _normal_matrix(problem: WeightsProblem, state: _State, *, curvature: bool) -> FloatArray:
    """Return half the second derivatives of chi2 with respect to all coefficients.

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


def _half_gradient(problem: WeightsProblem, state: _State, prior: GaussianPrior | None) -> FloatArray:
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
    weights = solve_non_negative(
        reduced, target[:n_templates] - cross.T @ offset, values[:n_templates]
    )
    return np.concatenate([weights, offset - response @ weights])


def _propose(
    problem: WeightsProblem, matrix: FloatArray, state: _State, prior: GaussianPrior | None
) -> FloatArray:
    """Return the minimiser of the quadratic approximation of the objective."""
    gradient = _half_gradient(problem, state, prior)
    values = _stack(state.coefficients)
    if prior is None:
        return _step_non_negative(matrix, gradient, values, len(problem.templates))
    factor = cho_factor(matrix, lower=True, check_finite=False)
    return np.asarray(values + cho_solve(factor, gradient, check_finite=False))


def _minimise(
    problem: WeightsProblem, start: Coefficients, tolerance: float, prior: GaussianPrior | None
) -> tuple[_State, bool]:
    """Iterate from `start` until the objective falls by less than `tolerance`."""
    state = _evaluate(problem, start, prior)
    matrix, is_current, curvature, decrease = None, False, True, np.inf
    for _ in range(_MAX_STEPS):
        if matrix is None:
            matrix, is_current = _normal_matrix(problem, state, curvature=curvature), True
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
            # An old matrix is made again; a new one that leads nowhere is replaced by that of Gauss and Newton.
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
    problem: WeightsProblem, state: _State, proposal: FloatArray, prior: GaussianPrior | None, only_full: bool
) -> _State:
    """Return the first point on the way back from `proposal` at which the objective is not above that of `state`.

    Part of the way is always allowed: the weights stay non-negative between two such points.
    """
    values = _stack(state.coefficients)
    for halving in range(1 if only_full else _MAX_HALVINGS):
        trial = values + 0.5**halving * (proposal - values)
        new = _evaluate(problem, _unstack(problem, trial), prior)
        if new.objective <= state.objective:
            break
    return new


def solve_weights(
    problem: WeightsProblem, start: Coefficients, *, tolerance: float = 1e-6
) -> WeightsSolution:
    """Maximise the likelihood over non-negative template weights and both polynomials.

    Parameters
    ----------
    problem : WeightsProblem
    start : Coefficients
        A feasible start.
    tolerance : float
        Steps stop when chi2 falls by less than this.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the polynomials are linearly dependent on the fitted pixels.
    """
    state, converged = _minimise(problem, start, tolerance, None)
    return WeightsSolution(
        state.coefficients, state.chi2, state.residual, state.polynomial, converged=converged
    )


def solve_weights_by_pricing(
    problem: WeightsProblem,
    start: Coefficients,
    members: IntArray,
    *,
    columns: Callable[[IntArray], FloatArray],
    prices: Callable[[FloatArray], FloatArray],
    column_norms: FloatArray,
    tolerance: float = 1e-6,
    price_tolerance: float = 1e-3,
) -> tuple[WeightsSolution, IntArray]:
    """Solve for all templates while only some of them are at hand (column generation).

    Few templates have a weight above zero. The problem is solved with a pool of them; the gradient with
    respect to *all* weights then shows whether any other would lower chi2; those enter and the solution is
    repeated. The result is that of all templates, up to `price_tolerance`, whatever the first pool.

    Parameters
    ----------
    problem : WeightsProblem
        With the templates of the first pool.
    start : Coefficients
        For the first pool.
    members : ndarray of int, shape (n_pool,)
        Indices of the pool among all templates.
    columns : callable
        From indices, shape (n,), to whitened templates, shape (n, n_pixels).
    prices : callable
        From a whitened spectrum, shape (n_pixels,), to its product with every template, shape (n_all,).
    column_norms : ndarray, shape (n_all,)
        Approximate norms of the whitened templates, the scale of the prices.
    price_tolerance : float
        A template enters if alone it would lower chi2 by more than the square of this.

    Returns
    -------
    solution : WeightsSolution
        Its template weights are those of the final pool.
    members : ndarray of int, shape (n_pool_final,)
    """
    for _ in range(_MAX_PRICINGS):
        solution = solve_weights(problem, start, tolerance=tolerance)
        gain = prices(solution.polynomial * solution.residual) / column_norms
        gain[members] = 0.0
        entering = np.flatnonzero(gain > price_tolerance)
        if len(entering) == 0:
            return solution, members
        entering = entering[np.argsort(gain[entering])[::-1][:_ENTERING_PER_PRICING]]
        members = np.concatenate([members, entering])
        problem = replace(problem, templates=np.concatenate([problem.templates, columns(entering)]))
        old = solution.coefficients
        start = replace(old, templates=np.concatenate([old.templates, np.zeros(len(entering))]))
    return replace(solution, converged=False), members


def solve_marginalised(
    problem: WeightsProblem, prior: GaussianPrior, *, start: Coefficients | None = None, tolerance: float = 1e-6
) -> WeightsSolution:
    r"""Integrate the likelihood over all coefficients with Gaussian priors.

    For a linear model this is exact: with :math:`\hat x` the maximum of likelihood times prior, ``H`` the
    normal matrix and :math:`\Lambda` the inverse prior variances,
    :math:`\ln Z = \ln L(\hat x) - (\hat x-\mu)^T\Lambda(\hat x-\mu)/2 - \ln\det(1 + \Lambda^{-1/2} H
    \Lambda^{-1/2})/2`. With multiplicative coefficients it is Laplace's approximation.

    Parameters
    ----------
    problem : WeightsProblem
    prior : GaussianPrior
    start : Coefficients, optional
        The prior mean if left out.

    Returns
    -------
    WeightsSolution
        At the maximum; ``log_evidence_ratio`` is what has to be added to the log-likelihood there.
    """
    first = _unstack(problem, prior.mean) if start is None else start
    state, converged = _minimise(problem, first, tolerance, prior)
    scaled = _normal_matrix(problem, state, curvature=False) * np.outer(prior.width, prior.width)
    scaled[np.diag_indices_from(scaled)] += 1.0
    factor, _ = cho_factor(scaled, lower=True, check_finite=False)
    log_determinant = 2.0 * float(np.log(np.diagonal(factor)).sum())
    return WeightsSolution(
        state.coefficients,
        state.chi2,
        state.residual,
        state.polynomial,
        log_evidence_ratio=-0.5 * (state.penalty + log_determinant),
        converged=converged,
    )
