"""The variable convolution against Gaussians."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erf

from orchestrator.physics.lsf import convolve_variable_gaussian, lsf_difference

X = np.arange(401.0)


def _variance(line: np.ndarray) -> float:
    mean = (X * line).sum() / line.sum()
    return float(((X - mean) ** 2 * line).sum() / line.sum())


@pytest.mark.parametrize("sigma", [0.05, 0.3, 0.5, 1.0, 1.49, 1.51, 3.0, 9.0])
def test_widths_add_in_quadrature_at_every_width(sigma: float) -> None:
    line = np.exp(-0.5 * ((X - 200.3) / 4.0) ** 2)
    convolved = convolve_variable_gaussian(line, np.full(401, sigma))
    # Kernels end at 6 dispersions, which costs 1e-7 of their variance.
    assert _variance(convolved) - _variance(line) == pytest.approx(sigma**2, rel=2e-6)
    assert convolved.sum() == pytest.approx(line.sum(), rel=1e-12)


@pytest.mark.parametrize("sigma", [1.0, 2.0, 5.0])
def test_a_gaussian_line_becomes_the_wider_gaussian(sigma: float) -> None:
    width = np.hypot(4.0, sigma)
    convolved = convolve_variable_gaussian(np.exp(-0.5 * ((X - 200) / 4.0) ** 2), np.full(401, sigma))
    np.testing.assert_allclose(
        convolved, 4 / width * np.exp(-0.5 * ((X - 200) / width) ** 2), rtol=0, atol=2e-5
    )


def test_an_impulse_becomes_the_integrated_gaussian() -> None:
    convolved = convolve_variable_gaussian(np.eye(1, 401, 200)[0], np.full(401, 2.0))
    narrow = np.sqrt(2.0 * (4.0 - 1 / 12))
    expected = 0.5 * (erf((X - 199.5) / narrow) - erf((X - 200.5) / narrow))
    np.testing.assert_allclose(convolved, expected, rtol=0, atol=2e-9)


def test_zero_width_leaves_pixels_untouched() -> None:
    rng = np.random.default_rng(7)
    flux = rng.normal(size=(3, 401))
    np.testing.assert_array_equal(convolve_variable_gaussian(flux, np.zeros(401)), flux)
    sigma = np.where(X < 200, 0.0, 2.0)
    mixed = convolve_variable_gaussian(flux, sigma)
    np.testing.assert_array_equal(mixed[:, :200], flux[:, :200])
    assert np.abs(mixed[:, 200:] - flux[:, 200:]).min(axis=0).max() > 0.1


def test_a_flat_spectrum_stays_flat_across_a_jump_and_at_the_ends() -> None:
    sigma = np.where(X < 150, 0.7, np.where(X < 300, 30.0, 0.0))
    np.testing.assert_allclose(convolve_variable_gaussian(np.full((2, 401), 3.0), sigma), 3.0, rtol=1e-14)


def test_width_varies_along_the_spectrum() -> None:
    sigma = 1.0 + 0.005 * X
    for centre in (60, 200, 340):
        line = np.exp(-0.5 * ((X - centre) / 3.0) ** 2)
        convolved = convolve_variable_gaussian(line, sigma)
        assert convolved.sum() == pytest.approx(line.sum(), rel=2 * 0.005**2)
        assert _variance(convolved) == pytest.approx(9 + sigma[centre] ** 2, rel=2e-3)
        np.testing.assert_array_equal(convolve_variable_gaussian(np.stack([line, line]), sigma)[1], convolved)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"-1.0 in pixel 3 and wrong in 1 of 401"):
        convolve_variable_gaussian(np.ones(401), np.where(X == 3, -1.0, 1.0))
    with pytest.raises(ValueError, match="nan in pixel 0"):
        convolve_variable_gaussian(np.ones(401), np.where(X == 0, np.nan, 1.0))
    with pytest.raises(ValueError, match="expected"):
        convolve_variable_gaussian(np.ones(400), np.ones(401))


def test_difference_in_quadrature_counts_the_coarser_templates() -> None:
    needed, n_coarser = lsf_difference([5.0, 2.5, 2.5, 2.0], [3.0, 2.5, 2.6, 20.0])
    np.testing.assert_allclose(needed, [4.0, 0.0, 0.0, 0.0])
    assert n_coarser == 2
