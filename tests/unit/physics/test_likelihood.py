"""Log-likelihoods against scipy's distributions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from orchestrator.physics.likelihood import (
    chi2,
    gaussian_log_likelihood,
    limit_log_likelihood,
    log_normalisation,
)


def _residuals(n_points: int = 3, n: int = 500) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(11)
    uncertainty = rng.uniform(0.1, 3.0, n) * 1e-17
    return rng.normal(0, uncertainty, (n_points, n)), uncertainty


def test_log_likelihood_is_the_sum_of_normal_log_densities() -> None:
    residual, uncertainty = _residuals()
    expected = norm.logpdf(residual, 0.0, uncertainty).sum(axis=1)
    computed = gaussian_log_likelihood(residual, uncertainty**-2)
    np.testing.assert_allclose(computed, expected, rtol=1e-13)
    known = gaussian_log_likelihood(residual, uncertainty**-2, log_normalisation(uncertainty**-2))
    np.testing.assert_array_equal(computed, known)


def test_log_likelihood_grows_with_the_number_of_data() -> None:
    # A mean over the data would be the same for the data twice; a sum doubles.
    residual, uncertainty = _residuals()
    once = gaussian_log_likelihood(residual, uncertainty**-2)
    twice = gaussian_log_likelihood(np.tile(residual, 2), np.tile(uncertainty, 2) ** -2)
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-13)


def test_width_of_the_likelihood_is_that_of_the_weighted_mean() -> None:
    _, uncertainty = _residuals()
    width = (uncertainty**-2).sum() ** -0.5
    level = np.array([0.0, width, 2 * width])[:, None] * np.ones(500)
    drop = gaussian_log_likelihood(level, uncertainty**-2)
    np.testing.assert_allclose(drop[0] - drop, [0.0, 0.5, 2.0], rtol=1e-9)


def test_chi2_of_pure_noise_is_the_number_of_data() -> None:
    rng = np.random.default_rng(12)
    uncertainty = rng.uniform(0.5, 2, 1000)
    values = chi2(rng.normal(0, uncertainty, (400, 1000)), uncertainty**-2)
    assert values.mean() == pytest.approx(1000, abs=5 * np.sqrt(2000 / 400))
    assert values.std() == pytest.approx(np.sqrt(2000), rel=0.15)


def test_data_without_weight_do_not_enter_even_as_nan() -> None:
    residual, uncertainty = _residuals()
    weights = uncertainty**-2
    weights[::3] = 0.0
    spoilt = residual.copy()
    spoilt[:, 0], spoilt[:, 3] = np.nan, np.inf
    kept = weights > 0
    expected = norm.logpdf(residual[:, kept], 0.0, uncertainty[kept]).sum(axis=1)
    np.testing.assert_allclose(gaussian_log_likelihood(spoilt, weights), expected, rtol=1e-13)
    beta = np.array([0.5, 1.0, 2.0])
    scaled = norm.logpdf(residual[:, kept], 0.0, uncertainty[kept] / np.sqrt(beta)[:, None]).sum(axis=1)
    np.testing.assert_allclose(gaussian_log_likelihood(spoilt, weights, noise_scale=beta), scaled, rtol=1e-13)
    spoilt[:, 1] = np.nan
    assert np.isnan(chi2(spoilt, weights)).all()


def test_noise_scale_multiplies_the_inverse_variance() -> None:
    residual, uncertainty = _residuals()
    beta = np.array([0.3, 1.0, 4.0])
    expected = norm.logpdf(residual, 0.0, uncertainty / np.sqrt(beta)[:, None]).sum(axis=1)
    computed = gaussian_log_likelihood(residual, uncertainty**-2, noise_scale=beta)
    np.testing.assert_allclose(computed, expected, rtol=1e-13)


def test_noise_scale_is_found_where_chi2_per_datum_is_one() -> None:
    residual, uncertainty = _residuals(1, 2000)
    beta = np.linspace(0.02, 0.5, 4801)
    repeated = np.repeat(5 * residual, len(beta), axis=0)
    best = beta[np.argmax(gaussian_log_likelihood(repeated, uncertainty**-2, noise_scale=beta))]
    assert best * chi2(5 * residual, uncertainty**-2)[0] == pytest.approx(2000, rel=2e-3)


def test_outside_its_support_the_noise_scale_is_impossible() -> None:
    residual, uncertainty = _residuals()
    computed = gaussian_log_likelihood(residual, uncertainty**-2, noise_scale=[0.0, -1.0, 1.0])
    np.testing.assert_array_equal(np.isneginf(computed), [True, True, False])


def test_limits_are_normal_distribution_functions() -> None:
    model = np.array([[1.0, 2.0, 3.0], [3.0, 1.0, 2.5]])
    limit, uncertainty = np.array([2.0, 1.5, 2.0]), np.array([0.5, 0.2, 1.0])
    computed = limit_log_likelihood(model, limit, uncertainty, [True, False, True])
    argument = (limit - model) / uncertainty * [1, -1, 1]
    np.testing.assert_allclose(computed, norm.logcdf(argument).sum(axis=1), rtol=1e-13)


def test_limits_are_stable_at_thirty_sigma() -> None:
    far = limit_log_likelihood([[31.0], [-29.0]], [1.0], [1.0], [True])
    # Asymptotic series of Mills' ratio at x = 30, good to 1e-9 here.
    series = 1 - 30.0**-2 + 3 * 30.0**-4 - 15 * 30.0**-6
    assert far[0] == pytest.approx(-450.0 - 0.5 * np.log(2 * np.pi) - np.log(30.0) + np.log(series), abs=1e-8)
    assert far[1] == pytest.approx(0.0, abs=1e-100)
    lower = limit_log_likelihood([[-29.0]], [1.0], [1.0], [False])
    assert lower[0] == pytest.approx(far[0], rel=1e-14)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="contains nan"):
        chi2(np.ones((1, 2)), [1.0, np.nan])
    with pytest.raises(ValueError, match=r"contains -2\.0"):
        gaussian_log_likelihood(np.ones((1, 2)), [1.0, -2.0])
    with pytest.raises(ValueError, match="expected \\(n_points, n\\)"):
        chi2(np.ones(2), [1.0, 1.0])
    with pytest.raises(ValueError, match=r"uncertainty contains 0\.0"):
        limit_log_likelihood([[1.0]], [1.0], [0.0], [True])
