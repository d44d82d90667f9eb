"""The inner solve of a kinematic fit: template weights and polynomials for templates already convolved.

The model of a spectrum is ``(1 + sum_j p_j P_j) * sum_i w_i t_i + sum_l b_l A_l`` with template weights
``w``, multiplicative coefficients ``p`` and additive coefficients ``b``. It is linear in each and bilinear in
``w`` and ``p``. Two treatments of the weights are offered:

* *non-negative* (as in pPXF; Cappellari 2017, MNRAS 466, 798, section 3): the log-likelihood is maximised
  over ``w >= 0``, ``p`` and ``b``;
* *marginalised*: all coefficients have Gaussian priors and are integrated out (exact for ``w`` and ``b``;
  Laplace's method for the bilinear ``p``).

Both iterate from a given start until chi2 is settled to about 1e-6, so that with a fixed start the result is
a smooth function of the templates, with no memory of earlier calls.

All spectra here are *whitened*: divided by the uncertainty of the data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor

from orchestrator.physics.bilinear import (
    Coefficients,
    GaussianPrior,
    WeightsProblem,
    minimise,
    normal_matrix,
    unstack,
)

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

_MAX_PRICINGS = 40
_ENTERING_PER_PRICING = 30


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
    state, converged = minimise(problem, start, tolerance, None)
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
    price_tolerance: float = 1e-5,
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
        A template enters if alone it would lower chi2 by more than the square of this. Neighbours in age are
        so alike that the exchange of one for another gains far more: 1e-3 leaves up to 0.1 in chi2, 1e-5 less
        than 1e-6.

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
        # Those at zero leave: the gradient looks at all templates anyway and brings them back if needed.
        old = solution.coefficients
        staying = old.templates > 0
        members = np.concatenate([members[staying], entering])
        templates = np.concatenate([problem.templates[staying], columns(entering)])
        problem = replace(problem, templates=templates)
        start = replace(old, templates=np.concatenate([old.templates[staying], np.zeros(len(entering))]))
    return replace(solution, converged=False), members


def solve_marginalised(
    problem: WeightsProblem,
    prior: GaussianPrior,
    *,
    start: Coefficients | None = None,
    tolerance: float = 1e-6,
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
    first = unstack(problem, prior.mean) if start is None else start
    state, converged = minimise(problem, first, tolerance, prior)
    scaled = normal_matrix(problem, state, curvature=False) * np.outer(prior.width, prior.width)
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
