"""Noise models against scipy's distributions, dense covariances and numerical maxima."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from orchestrator.physics.amplitude import Limits, Parabola, no_parabola, solve_amplitude
from orchestrator.physics.correlated_noise import Kernel
from orchestrator.physics.noise_models import LinearModel, NoiseModel, gaussian_parabola, smooth_level
from orchestrator.physics.student_amplitude import solve_student_amplitude

N = 60
RNG = np.random.default_rng(5)
SIGMA = RNG.uniform(0.5, 2.0, N) * 1e-17
LEVEL = np.full(N, 3e-16)
POSITION = np.sort(RNG.uniform(4000.0, 4400.0, N))
RESIDUAL = RNG.standard_normal((2, N)) * 3e-17
UNIT = np.median(SIGMA)
SHO = Kernel("SHO", 3.0)
DAMPED = Kernel("SHO", 0.2)
MATERN = Kernel("Matern32")


def noise(**choices):
    return NoiseModel(inverse_variance=SIGMA**-2.0, level=LEVEL, **choices)


def values(**given):
    return {name: np.broadcast_to(np.asarray(value, dtype=float), (2,)).copy() for name, value in given.items()}


def covariance(kernel, sigma, scale, distance):
    """Closed forms: Rasmussen & Williams 2006, eq. 4.17; Foreman-Mackey et al. 2017, eq. 21."""
    if kernel.name == "Matern32":
        x = np.sqrt(3.0) * distance / scale
        return sigma**2 * (1 + x) * np.exp(-x)
    x = 2 * np.pi * distance / scale
    rate = 1 / (2 * kernel.quality)
    eta = np.sqrt(abs(1 - rate**2))
    if rate < 1:
        return sigma**2 * np.exp(-rate * x) * (np.cos(eta * x) + rate / eta * np.sin(eta * x))
    slow, fast = np.exp(-(rate - eta) * x), np.exp(-(rate + eta) * x)
    return 0.5 * sigma**2 * ((1 + rate / eta) * slow + (1 - rate / eta) * fast)


# ---- densities ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("choices", "given", "variance"),
    [
        ({}, {}, SIGMA**2),
        ({"beta": True}, {"beta": 0.4}, SIGMA**2 / 0.4),
        ({"jitter": True}, {"log10_jitter": 0.3}, SIGMA**2 + (10**0.3 * UNIT) ** 2),
        ({"fractional": True}, {"fractional": 0.05}, SIGMA**2 + (0.05 * LEVEL) ** 2),
        (
            {"beta": True, "jitter": True, "fractional": True},
            {"beta": 2.0, "log10_jitter": -0.5, "fractional": 0.1},
            SIGMA**2 / 2 + (10**-0.5 * UNIT) ** 2 + (0.1 * LEVEL) ** 2,
        ),
    ],
)
def test_density_of_independent_gaussian_noise(choices, given, variance):
    found = noise(**choices).log_density(RESIDUAL, values(**given))
    np.testing.assert_allclose(found, stats.norm.logpdf(RESIDUAL, 0.0, np.sqrt(variance)).sum(axis=1), rtol=1e-12)
    chi2 = noise(**choices).chi2(RESIDUAL, values(**given))
    np.testing.assert_allclose(chi2, (RESIDUAL**2 / variance).sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("nu", [1.0, 4.5, 40.0])
def test_density_of_student_noise(fixed, nu):
    model = noise(student=True, nu=nu if fixed else None, beta=True)
    assert model.parameters == (("beta",) if fixed else ("beta", "nu"))
    found = model.log_density(RESIDUAL, values(beta=0.7, **({} if fixed else {"nu": nu})))
    expected = stats.t.logpdf(RESIDUAL, nu, 0.0, SIGMA / np.sqrt(0.7)).sum(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def dense(kernel, log10_sigma, log10_scale, variance):
    distance = np.abs(POSITION[:, None] - POSITION)
    return covariance(kernel, 10**log10_sigma * UNIT, 10**log10_scale, distance) + np.diag(variance)


@pytest.mark.parametrize("kernel", [MATERN, SHO, DAMPED])
@pytest.mark.parametrize(("log10_sigma", "log10_scale"), [(-1.0, 0.5), (0.5, 1.5), (1.5, 3.0)])
def test_correlated_noise_against_the_dense_covariance(kernel, log10_sigma, log10_scale):
    model = noise(kernel=kernel, position=POSITION, beta=True)
    given = values(beta=0.8, log10_gp_sigma=log10_sigma, log10_gp_scale=log10_scale)
    full = dense(kernel, log10_sigma, log10_scale, SIGMA**2 / 0.8) / UNIT**2
    scaled = RESIDUAL / UNIT
    expected = stats.multivariate_normal.logpdf(scaled, np.zeros(N), full) - N * np.log(UNIT)
    np.testing.assert_allclose(model.log_density(RESIDUAL, given), expected, rtol=1e-8)
    chi2 = np.einsum("ij,ij->i", scaled @ np.linalg.inv(full), scaled)
    np.testing.assert_allclose(model.chi2(RESIDUAL, given), chi2, rtol=1e-6)


def test_damped_oscillator_at_critical_damping_is_matern():
    distance = np.linspace(0, 500, 40)
    near = covariance(Kernel("SHO", 0.5 + 1e-7), 2.0, 2 * np.pi * 70 / np.sqrt(3), distance)
    np.testing.assert_allclose(near, covariance(MATERN, 2.0, 70.0, distance), atol=1e-5)


def test_white_limit_of_the_process():
    """Without amplitude the process is independent noise."""
    model = noise(kernel=MATERN, position=POSITION)
    found = model.log_density(RESIDUAL, values(log10_gp_sigma=-12.0, log10_gp_scale=1.0))
    np.testing.assert_allclose(found, stats.norm.logpdf(RESIDUAL, 0, SIGMA).sum(axis=1), rtol=1e-10)


def test_total_variance_counts_the_process():
    model = noise(kernel=MATERN, position=POSITION, jitter=True)
    total = model.total_variance(values(log10_gp_sigma=0.3, log10_gp_scale=2.0, log10_jitter=0.0), 2)
    np.testing.assert_allclose(total[0], SIGMA**2 + UNIT**2 + (10**0.3 * UNIT) ** 2, rtol=1e-12)


def test_impossible_values():
    model = noise(beta=True, jitter=True, fractional=True, student=True)
    good = {"beta": 1.0, "log10_jitter": 0.0, "fractional": 0.0, "nu": 3.0}
    assert model.valid(values(**good), 2).all()
    for name, value in [("beta", 0.0), ("log10_jitter", np.nan), ("fractional", -0.1), ("nu", np.inf), ("nu", -1.0)]:
        assert not model.valid(values(**{**good, name: value}), 2).any(), name


def test_level_is_not_pulled_by_one_pixel():
    flux = np.ones(300)
    flux[100] = 50.0
    np.testing.assert_array_equal(smooth_level(-flux), 1.0)
    assert smooth_level(np.arange(5.0)).shape == (5,)


# ---- linear coefficients -------------------------------------------------------------------------------------
X = np.linspace(-1, 1, N)
POLYNOMIALS = np.stack([np.ones(N), X, 1.5 * X**2 - 0.5])
PRODUCTS = np.stack([X**k for k in range(5)])
TABLE = np.zeros((3, 3, 5))
_POWERS = np.array([[1, 0, 0], [0, 1, 0], [-0.5, 0, 1.5]])
for _i in range(3):
    for _j in range(3):
        TABLE[_i, _j] = np.convolve(_POWERS[_i], _POWERS[_j])
FLUX = 2e-27 * (1 + 0.3 * np.stack([np.sin(5 * X), np.cos(3 * X)]))
DATA = 1e10 * FLUX[0] * (1 + 0.1 * X) + 2e-17 * np.random.default_rng(8).standard_normal(N)
GAUSSIANS = {
    "jitter": ({"jitter": True, "beta": True}, {"log10_jitter": 0.2, "beta": 0.9}),
    "process": ({"kernel": MATERN, "position": POSITION}, {"log10_gp_sigma": 0.4, "log10_gp_scale": 1.7}),
}


@pytest.mark.parametrize("family", GAUSSIANS)
@pytest.mark.parametrize("degree", [0, 2])
def test_parabola_is_the_density_maximised_over_the_polynomials(family, degree):
    choices, given = GAUSSIANS[family]
    model, given = noise(**choices), values(**given)
    linear = LinearModel(FLUX, POLYNOMIALS, PRODUCTS, TABLE) if degree else LinearModel.without_polynomials(FLUX)
    parabola, offset, response = gaussian_parabola(model, given, linear, DATA)
    mass = np.array([1.1e10, 0.7e10])
    rest = offset - response * mass[:, None]
    coefficients = np.column_stack([mass, rest])
    at = model.log_density(DATA - linear.at(coefficients), given)
    np.testing.assert_allclose(parabola.at(mass), at, rtol=1e-8)
    for k in range(1, degree + 1):
        for step in (-1e7, 1e7):
            moved = coefficients.copy()
            moved[:, k] += step
            assert (model.log_density(DATA - linear.at(moved), given) < at).all()


def test_two_data_sets_of_different_noise_share_one_mass():
    """Increments of the joint profile likelihood sum to the maximum of the summed likelihoods."""
    linear = LinearModel.without_polynomials(FLUX)
    pairs = [(noise(**choices), values(**given)) for choices, given in GAUSSIANS.values()]
    before, total = no_parabola(2), np.zeros(2)
    for model, given in pairs:
        solution = solve_amplitude("profiled", gaussian_parabola(model, given, linear, DATA)[0], before)
        before, total = solution.joint, total + solution.log_likelihood

    def minus(mass, point):
        flux = 10**mass * FLUX
        return -sum(float(model.log_density(DATA - flux, given)[point]) for model, given in pairs)

    for point in (0, 1):
        best = optimize.minimize_scalar(minus, (9.5, 10.0, 10.5), args=(point,), options={"xtol": 1e-10})
        assert total[point] == pytest.approx(-best.fun, rel=1e-9)
        assert solution.amplitude[point] == pytest.approx(10**best.x, rel=1e-5)


# ---- Student's t -----------------------------------------------------------------------------------------------
def student(linear, before=None, limits=None, amplitude=None, nu=(2.5, 6.0)):
    scale = np.broadcast_to(SIGMA**2, (2, N))
    before = no_parabola(2) if before is None else before
    return solve_student_amplitude(
        linear, DATA, scale, np.array(nu), before, limits=limits, amplitude=amplitude
    )


def test_student_profile_is_the_maximum():
    linear = LinearModel.without_polynomials(FLUX)
    found = student(linear)
    for point, nu in enumerate((2.5, 6.0)):

        def minus(mass, point=point, nu=nu):
            return -stats.t.logpdf(DATA - 10**mass * FLUX[point], nu, 0, SIGMA).sum()

        best = optimize.minimize_scalar(minus, bounds=(9.5, 10.3), method="bounded", options={"xatol": 1e-10})
        assert found.log_likelihood[point] == pytest.approx(-best.fun, rel=1e-9)
        assert found.amplitude[point] == pytest.approx(10**best.x, rel=1e-5)


def test_student_profile_with_polynomials():
    linear = LinearModel(FLUX, POLYNOMIALS, PRODUCTS, TABLE)
    found = student(linear)
    best = optimize.minimize(
        lambda b: -stats.t.logpdf(DATA - FLUX[0] * (1e10 * b @ POLYNOMIALS), 2.5, 0, SIGMA).sum(),
        [1.0, 0.0, 0.0],
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-10, "maxiter": 4000},
    )
    assert found.log_likelihood[0] == pytest.approx(-best.fun, rel=1e-8)
    np.testing.assert_allclose(found.coefficients[0], 1e10 * best.x, rtol=1e-3, atol=1e6)
    given = student(linear, amplitude=found.amplitude)
    np.testing.assert_allclose(given.log_likelihood, found.log_likelihood, rtol=1e-9)
    worse = student(linear, amplitude=found.amplitude * 1.05)
    assert (worse.log_likelihood < found.log_likelihood).all()


def test_student_after_another_module_and_with_a_limit():
    linear = LinearModel.without_polynomials(FLUX)
    curvature = np.full(2, (0.01e10) ** -2.0)
    before = Parabola(np.array([3.0, 4.0]), 0.9e10 * curvature, curvature)
    limits = Limits(np.full((2, 1), 1e-26), np.array([8e-17]), np.array([[1e-17], [2e-17]]), np.array([1.0]))
    found = student(linear, before, limits)
    for point, nu in enumerate((2.5, 6.0)):

        def minus(mass, point=point, nu=nu):
            amplitude = np.full(2, 10**mass)
            own = stats.t.logpdf(DATA - 10**mass * FLUX[point], nu, 0, SIGMA).sum()
            return -(own + limits.at(amplitude)[point] + before.at(amplitude)[point])

        best = optimize.minimize_scalar(minus, bounds=(9.5, 10.3), method="bounded", options={"xatol": 1e-10})
        earlier = before.at(np.full(2, 0.9e10))[point]
        assert found.log_likelihood[point] == pytest.approx(-best.fun - earlier, rel=1e-9)


def test_many_degrees_of_freedom_are_a_gaussian():
    linear = LinearModel.without_polynomials(FLUX)
    gauss = solve_amplitude("profiled", gaussian_parabola(noise(), {}, linear, DATA)[0], no_parabola(2))
    found = student(linear, nu=(1e9, 1e9))
    np.testing.assert_allclose(found.log_likelihood, gauss.log_likelihood, rtol=1e-5)
    np.testing.assert_allclose(found.amplitude, gauss.amplitude, rtol=1e-5)


def test_a_dark_model_spoils_no_batch():
    flux = FLUX.copy()
    flux[0] = 0.0
    found = student(LinearModel(flux, POLYNOMIALS, PRODUCTS, TABLE))
    lit = student(LinearModel(FLUX, POLYNOMIALS, PRODUCTS, TABLE))
    assert found.log_likelihood[1] == pytest.approx(lit.log_likelihood[1], rel=1e-9)
    assert np.isfinite(found.log_likelihood).all()


# ---- what the families are for ---------------------------------------------------------------------------------
def test_injected_jitter_is_recovered_within_its_error():
    """50 seeds: (estimate - truth) / error has mean 0 and scatter 1; the errors as stated alone do not fit."""
    truth, grid = 0.2, np.linspace(-1.0, 1.0, 401)
    flux = np.full((1, 400), 2.0)
    linear = LinearModel.without_polynomials(np.repeat(flux, len(grid), axis=0))
    pulls = []
    for seed in range(50):
        rng = np.random.default_rng(seed)
        model = NoiseModel(inverse_variance=np.ones(400), level=np.ones(400), jitter=True)
        data = 10 * flux[0] + rng.standard_normal(400) * np.hypot(1.0, 10**truth)
        own, _, _ = gaussian_parabola(model, {"log10_jitter": grid}, linear, data)
        log_like = solve_amplitude("marginalised", own, no_parabola(len(grid))).log_likelihood
        density = np.exp(log_like - log_like.max())
        density /= density.sum()
        mean = (density * grid).sum()
        pulls.append((mean - truth) / np.sqrt((density * (grid - mean) ** 2).sum()))
    assert abs(np.mean(pulls)) < 3 / np.sqrt(50)
    assert 0.75 < np.std(pulls) < 1.25


def test_student_is_unbiased_where_outliers_bias_a_gaussian():
    """5 % of the data lie 30 sigma high: the Gaussian mass is off by many errors, Student's by none."""
    n = 500
    scale, flux = np.ones((1, n)), np.full((1, n), 2.0)
    linear = LinearModel.without_polynomials(flux)
    found = {"gauss": [], "student": []}
    for seed in range(50):
        rng = np.random.default_rng(seed)
        data = 10 * flux[0] + rng.standard_normal(n)
        data[rng.random(n) < 0.05] += 30.0
        model = NoiseModel(inverse_variance=np.ones(n), level=np.ones(n))
        found["gauss"].append(gaussian_parabola(model, {}, linear, data)[0])
        solved = solve_student_amplitude(linear, data, scale, np.array([2.0]), no_parabola(1))
        found["student"].append(solved.amplitude[0])
    error = 1 / np.sqrt(n * 4.0)
    gauss = np.array([float(p.slope[0] / p.curvature[0]) for p in found["gauss"]])
    assert (gauss.mean() - 10) / error > 20
    robust = np.array(found["student"])
    assert abs(robust.mean() - 10) < 4 * robust.std() / np.sqrt(50) + 0.5 * error
    assert robust.std() < 2 * error
