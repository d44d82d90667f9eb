"""The inner solve against scipy and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
from scipy.integrate import dblquad
from scipy.stats import multivariate_normal

from orchestrator.physics.convolved_templates import (
    convolve_and_project,
    convolved_products,
    prepare_template_bank,
)
from orchestrator.physics.losvd import losvd_rfft
from orchestrator.physics.non_negative import solve_non_negative
from orchestrator.physics.template_weights import (
    Coefficients,
    GaussianPrior,
    WeightsProblem,
    solve_marginalised,
    solve_weights,
    solve_weights_by_pricing,
)
from orchestrator.physics.wavelength import prepare_projection

N_PIXELS = 400


def collinear_templates(n_templates: int, rng: np.random.Generator, n_pixels: int = N_PIXELS) -> np.ndarray:
    """Positive spectra that change slowly from one to the next, as SSPs do with age."""
    age = np.linspace(0, 1, n_templates)[:, None]
    lines = rng.normal(size=(4, n_pixels))
    return (
        1
        + 0.2 * sum(np.cos((k + 1) * 1.5 * age) * lines[k] for k in range(4))
        + 0.001 * rng.normal(size=(n_templates, n_pixels))
    )


def problem_with(
    n_templates: int = 30, n_multiplicative: int = 5, n_additive: int = 0, noise: float = 1.0, seed: int = 1
) -> tuple[WeightsProblem, Coefficients]:
    """A problem of S/N 50 and the coefficients that made it."""
    rng = np.random.default_rng(seed)
    templates = 50 * collinear_templates(n_templates, rng)
    x = np.linspace(-1, 1, N_PIXELS)
    multiplicative = np.polynomial.legendre.legvander(x, n_multiplicative).T[1:]
    additive = 50 * np.polynomial.legendre.legvander(x, max(n_additive - 1, 0)).T[:n_additive]
    weights = np.zeros(n_templates)
    weights[[3, n_templates // 2, n_templates - 5]] = 0.5, 0.3, 0.2
    truth = Coefficients(weights, rng.normal(0, 0.1, n_multiplicative), rng.normal(0, 0.1, n_additive))
    model = (1 + truth.multiplicative @ multiplicative) * (weights @ templates) + truth.additive @ additive
    data = model + noise * rng.normal(size=N_PIXELS)
    return WeightsProblem(data, templates, multiplicative, additive), truth


def flat_start(problem: WeightsProblem, weight: float | None = None) -> Coefficients:
    n = len(problem.templates)
    value = 1.0 / n if weight is None else weight
    return Coefficients(
        np.full(n, value), np.zeros(len(problem.multiplicative)), np.zeros(len(problem.additive))
    )


def test_solution_equals_that_of_scipy_on_independent_columns() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 5, 40):
        design, data = rng.normal(size=(100, n)), rng.normal(size=100) + 0.3
        expected, _ = scipy.optimize.nnls(design, data)
        found = solve_non_negative(design.T @ design, design.T @ data)
        np.testing.assert_allclose(found, expected, atol=1e-11)


def test_minimum_equals_that_of_scipy_on_collinear_columns() -> None:
    rng = np.random.default_rng(3)
    for _ in range(10):
        design = 50 * collinear_templates(120, rng).T
        data = design[:, [10, 70]].sum(axis=1) + rng.normal(size=N_PIXELS)
        _, norm = scipy.optimize.nnls(design, data, maxiter=5000)
        found = solve_non_negative(design.T @ design, design.T @ data)
        assert found.min() >= 0
        assert abs(np.sum((data - design @ found) ** 2) - norm**2) < 1e-6


def test_minimum_does_not_depend_on_the_start() -> None:
    rng = np.random.default_rng(4)
    design = 50 * collinear_templates(60, rng).T
    data = design[:, [10, 40]].sum(axis=1) + rng.normal(size=N_PIXELS)
    starts = [None, np.ones(60), rng.uniform(size=60) * (rng.uniform(size=60) < 0.2)]
    chi2 = [
        np.sum((data - design @ solve_non_negative(design.T @ design, design.T @ data, start)) ** 2)
        for start in starts
    ]
    assert np.ptp(chi2) < 1e-7


def test_repeated_and_empty_columns_are_harmless() -> None:
    rng = np.random.default_rng(5)
    column = rng.uniform(1, 2, size=50)
    design = np.stack([column, column, np.zeros(50), -column], axis=1)
    found = solve_non_negative(design.T @ design, design.T @ (3 * column))
    assert found[0] + found[1] == pytest.approx(3.0, rel=1e-10)
    assert found[2] == 0
    assert found[3] == 0


def test_bad_start_is_refused() -> None:
    with pytest.raises(ValueError, match="negative entry"):
        solve_non_negative(np.eye(2), np.ones(2), np.array([1.0, -1.0]))
    with pytest.raises(ValueError, match="expected"):
        solve_non_negative(np.eye(2), np.ones(3))


def test_without_polynomials_the_solution_is_that_of_scipy() -> None:
    problem, _ = problem_with(n_multiplicative=0)
    _, norm = scipy.optimize.nnls(problem.templates.T, problem.data, maxiter=5000)
    assert solve_weights(problem, flat_start(problem)).chi2 == pytest.approx(norm**2, abs=1e-6)


def test_a_perfect_model_is_recovered() -> None:
    problem, truth = problem_with(n_additive=2, noise=0.0)
    solution = solve_weights(problem, flat_start(problem), tolerance=1e-12)
    # The constant additive term is nearly a sum of templates; what is determined is the model itself.
    assert solution.chi2 < 1e-7
    np.testing.assert_allclose(
        solution.polynomial, 1 + truth.multiplicative @ problem.multiplicative, atol=1e-3
    )


@pytest.mark.parametrize("n_additive", [0, 3])
def test_no_general_minimiser_finds_a_lower_chi2(n_additive: int) -> None:
    problem, _ = problem_with(n_additive=n_additive)
    solution = solve_weights(problem, flat_start(problem))
    n, m = len(problem.templates), len(problem.multiplicative)

    def chi2_and_gradient(values: np.ndarray) -> tuple[float, np.ndarray]:
        weights, p, b = values[:n], values[n : n + m], values[n + m :]
        polynomial, starlight = 1 + p @ problem.multiplicative, weights @ problem.templates
        residual = problem.data - polynomial * starlight - b @ problem.additive
        gradient = np.concatenate(
            [
                problem.templates @ (polynomial * residual),
                problem.multiplicative @ (starlight * residual),
                problem.additive @ residual,
            ]
        )
        return float(residual @ residual), -2 * gradient

    c = solution.coefficients
    at_solution = np.concatenate([c.templates, c.multiplicative, c.additive])
    start = at_solution + 0.01 * np.random.default_rng(0).uniform(size=len(at_solution))
    bounds = [(0, None)] * n + [(None, None)] * (m + n_additive)
    options = {"maxiter": 3000, "maxfun": 30000, "ftol": 1e-14, "gtol": 1e-8}
    other = scipy.optimize.minimize(
        chi2_and_gradient, start, jac=True, bounds=bounds, method="L-BFGS-B", options=options
    )
    assert solution.converged
    assert solution.chi2 <= other.fun + 1e-5
    assert chi2_and_gradient(at_solution)[0] == pytest.approx(solution.chi2, rel=1e-12)


def test_chi2_does_not_depend_on_the_start() -> None:
    problem, truth = problem_with()
    chi2 = [
        solve_weights(problem, start).chi2 for start in (flat_start(problem), flat_start(problem, 1.0), truth)
    ]
    assert np.ptp(chi2) < 1e-5


def test_pricing_gives_the_solution_of_all_templates_from_any_pool() -> None:
    problem, _ = problem_with(n_templates=80)
    everything = solve_weights(problem, flat_start(problem))
    for members in (np.array([0]), np.arange(0, 80, 10), np.arange(80)):
        pool = WeightsProblem(
            problem.data, problem.templates[members], problem.multiplicative, problem.additive
        )
        solution, final = solve_weights_by_pricing(
            pool,
            flat_start(pool),
            members,
            columns=lambda indices: problem.templates[indices],
            prices=lambda spectrum: problem.templates @ spectrum,
            column_norms=np.linalg.norm(problem.templates, axis=1),
        )
        assert solution.converged
        assert solution.chi2 == pytest.approx(everything.chi2, abs=1e-4)
        assert len(set(final)) == len(final) == len(solution.coefficients.templates)


def test_marginal_likelihood_of_a_linear_model_is_the_closed_form() -> None:
    problem, _ = problem_with(n_templates=8, n_multiplicative=0, n_additive=2)
    design = np.concatenate([problem.templates, problem.additive])
    rng = np.random.default_rng(2)
    prior = GaussianPrior(rng.normal(0.1, 0.1, 10), rng.uniform(0.1, 1.0, 10))
    solution = solve_marginalised(problem, prior)
    covariance = np.eye(N_PIXELS) + (design.T * prior.width**2) @ design
    expected = multivariate_normal(prior.mean @ design, covariance).logpdf(problem.data)
    found = -0.5 * solution.chi2 + solution.log_evidence_ratio - 0.5 * N_PIXELS * np.log(2 * np.pi)
    assert found == pytest.approx(expected, abs=1e-6)


def test_laplace_approximation_of_the_bilinear_model() -> None:
    problem, _ = problem_with(n_multiplicative=0)
    x = np.linspace(-1, 1, N_PIXELS)
    problem = WeightsProblem(problem.data, problem.templates[3:4], x[None, :], np.zeros((0, N_PIXELS)))
    prior = GaussianPrior(np.array([1.0, 0.0]), np.array([1.0, 1.0]))
    solution = solve_marginalised(problem, prior)
    best = solution.coefficients

    def density(p: float, w: float) -> float:
        residual = problem.data - w * problem.templates[0] * (1 + p * x)
        return float(
            np.exp(-0.5 * (residual @ residual - solution.chi2) - 0.5 * (w - 1) ** 2 - 0.5 * p**2)
            / (2 * np.pi)
        )

    w, p = best.templates[0], best.multiplicative[0]
    integral, _ = dblquad(density, w - 0.01, w + 0.01, p - 0.02, p + 0.02, epsrel=1e-5, epsabs=0.0)
    assert solution.log_evidence_ratio == pytest.approx(np.log(integral), abs=1e-3)


@pytest.mark.parametrize("shift", [0.0, 0.37])
def test_products_are_those_with_the_convolved_templates(shift: float) -> None:
    rng = np.random.default_rng(8)
    templates = rng.uniform(1, 2, size=(12, 300))
    bank = prepare_template_bank(templates)
    losvd = losvd_rfft(bank.n_fft, np.array([1.3]), np.array([2.1]), np.array([0.1]), np.array([-0.05]))[0]
    grid = np.exp(np.log(4000.0) + 2e-4 * np.arange(300))
    pixels = np.exp(np.log(4000.0) + 2e-4 * (np.arange(20, 270) + shift))[::2]
    projection = prepare_projection(grid, pixels)
    assert projection.identity == (shift == 0.0)
    spectrum = rng.normal(size=len(pixels))
    expected = convolve_and_project(bank, bank.transforms, losvd, projection) @ spectrum
    found = convolved_products(bank, spectrum, losvd, projection)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-9)


def test_bank_refuses_a_single_spectrum() -> None:
    with pytest.raises(ValueError, match="at least one template"):
        prepare_template_bank(np.ones(100))
