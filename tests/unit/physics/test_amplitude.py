"""The amplitude against closed forms, brute force and joint fits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from orchestrator.physics.amplitude import (
    Limits,
    Parabola,
    eliminate_linear_terms,
    no_parabola,
    solve_amplitude,
)


def _data(seed: int, n: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    model = rng.uniform(0.5, 2.0, n)
    uncertainty = rng.uniform(0.1, 0.5, n)
    return 3.0 * model + rng.normal(0, uncertainty), model, uncertainty


def _parabola(data: np.ndarray, model: np.ndarray, uncertainty: np.ndarray) -> Parabola:
    weight = uncertainty**-2
    return Parabola(
        constant=np.atleast_1d(norm.logpdf(data, 0.0, uncertainty).sum()),
        slope=np.atleast_1d((weight * data * model).sum()),
        curvature=np.atleast_1d((weight * model**2).sum()),
    )


def test_profiled_amplitude_is_the_maximum_of_the_sum_of_gaussians() -> None:
    data, model, uncertainty = _data(1)
    solution = solve_amplitude("profiled", _parabola(data, model, uncertainty), no_parabola(1))
    best = minimize_scalar(lambda m: -norm.logpdf(data, m * model, uncertainty).sum(), (1, 5))
    assert solution.amplitude[0] == pytest.approx(best.x, rel=1e-7)
    assert solution.log_likelihood[0] == pytest.approx(-best.fun, rel=1e-12)


def test_marginalised_amplitude_is_the_integral() -> None:
    data, model, uncertainty = _data(2, n=5)
    solution = solve_amplitude("marginalised", _parabola(data, model, uncertainty), no_parabola(1))
    integral, _ = quad(
        lambda m: np.exp(norm.logpdf(data, m * model, uncertainty).sum()), 0, 10, points=[3], epsabs=0
    )
    assert solution.log_likelihood[0] == pytest.approx(np.log(integral), abs=1e-8)


def test_an_inverted_spectrum_gets_no_negative_mass() -> None:
    data, model, uncertainty = _data(3)
    solution = solve_amplitude("profiled", _parabola(-data, model, uncertainty), no_parabola(1))
    assert solution.amplitude[0] == 0.0
    assert solution.log_likelihood[0] == pytest.approx(norm.logpdf(-data, 0, uncertainty).sum())


@pytest.mark.parametrize("mode", ["profiled", "marginalised"])
def test_two_data_sets_with_one_mass_equal_one_concatenated_data_set(mode: str) -> None:
    data, model, uncertainty = _data(4)
    first = _parabola(data[:13], model[:13], uncertainty[:13])
    second = _parabola(data[13:], model[13:], uncertainty[13:])
    one = solve_amplitude(mode, first, no_parabola(1))
    two = solve_amplitude(mode, second, one.joint)
    together = solve_amplitude(mode, _parabola(data, model, uncertainty), no_parabola(1))
    assert (one.log_likelihood + two.log_likelihood)[0] == pytest.approx(together.log_likelihood[0])
    assert two.amplitude[0] == pytest.approx(together.amplitude[0])


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("limit", [0.5, 3.0, 30.0])
def test_limits_move_the_maximum_as_brute_force_says(sign: float, limit: float) -> None:
    data, model, uncertainty = _data(5, n=3)
    parabola = _parabola(data, model, uncertainty)
    limits = Limits(np.array([[1.3]]), np.array([limit]), np.array([0.4]), np.array([sign]))

    def log_likelihood(m: float) -> float:
        edge = norm.logcdf(sign * (limit - 1.3 * m) / 0.4)
        return float(norm.logpdf(data, m * model, uncertainty).sum() + edge)

    best = minimize_scalar(lambda m: -log_likelihood(m), bounds=(0, 60), method="bounded", options={"xatol": 1e-9})
    solution = solve_amplitude("profiled", parabola, no_parabola(1), limits=limits)
    assert solution.log_likelihood[0] == pytest.approx(-best.fun, abs=1e-7)
    integral, _ = quad(
        lambda m: np.exp(log_likelihood(m) + best.fun), 0, 40, points=[best.x], limit=400, epsabs=0
    )
    marginal = solve_amplitude("marginalised", parabola, no_parabola(1), limits=limits)
    assert marginal.log_likelihood[0] == pytest.approx(np.log(integral) - best.fun, abs=1e-6)


def test_one_faint_upper_limit_far_away_changes_nothing() -> None:
    data, model, uncertainty = _data(6)
    parabola = _parabola(data, model, uncertainty)
    limits = Limits(np.array([[1.0]]), np.array([1e3]), np.array([1.0]), np.array([1.0]))
    with_limit = solve_amplitude("profiled", parabola, no_parabola(1), limits=limits)
    without = solve_amplitude("profiled", parabola, no_parabola(1))
    assert with_limit.amplitude[0] == pytest.approx(without.amplitude[0], rel=1e-10)


def test_elimination_equals_least_squares_over_all_coefficients() -> None:
    rng = np.random.default_rng(7)
    design = rng.normal(size=(30, 4))
    data = design @ np.array([2.0, 0.3, -0.2, 0.1]) + 0.1 * rng.normal(size=30)
    weight = rng.uniform(50, 200, 30)
    matrix = np.einsum("ki,k,kj->ij", design, weight, design)[None]
    vector = (design.T @ (weight * data))[None]
    constant = np.atleast_1d(-0.5 * (weight * data**2).sum())
    parabola, offset, response = eliminate_linear_terms(matrix, vector, constant)
    solution = solve_amplitude("profiled", parabola, no_parabola(1))
    root = np.sqrt(weight)
    expected = np.linalg.lstsq(design * root[:, None], data * root, rcond=None)[0]
    assert solution.amplitude[0] == pytest.approx(expected[0])
    assert offset[0] - response[0] * solution.amplitude[0] == pytest.approx(expected[1:])
    chi2 = (weight * (data - design @ expected) ** 2).sum()
    assert solution.log_likelihood[0] == pytest.approx(-0.5 * chi2)


def test_a_model_of_no_light_does_not_spoil_its_batch() -> None:
    matrix = np.stack([np.diag([2.0, 4.0]), np.zeros((2, 2))])
    vector = np.array([[1.0, 2.0], [0.0, 0.0]])
    parabola, offset, _ = eliminate_linear_terms(matrix, vector, np.zeros(2))
    assert parabola.constant[0] == pytest.approx(0.5)
    assert offset[0, 0] == pytest.approx(0.5)
    assert parabola.constant[1] == 0.0
    assert np.isfinite(parabola.slope).all()


def test_sampled_amplitude_is_used_as_given() -> None:
    data, model, uncertainty = _data(8)
    solution = solve_amplitude(
        "sampled", _parabola(data, model, uncertainty), no_parabola(1), sampled=np.array([2.5])
    )
    assert solution.log_likelihood[0] == pytest.approx(norm.logpdf(data, 2.5 * model, uncertainty).sum())
    with pytest.raises(ValueError, match="sampled"):
        solve_amplitude("sampled", _parabola(data, model, uncertainty), no_parabola(1))
