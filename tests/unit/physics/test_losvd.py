"""The LOSVD against direct integration, its own moments, and an independent code."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft
from scipy.special import eval_hermite, factorial

from orchestrator.physics.losvd import (
    convolve_batch,
    convolve_templates,
    gauss_hermite_losvd,
    good_fft_size,
    losvd_rfft,
    pad_edges,
    rfft_templates,
)

N_PIX = 600


def _lines(position: np.ndarray) -> np.ndarray:
    """Return a spectrum of lines 3 to 6 pixels wide: its Nyquist component is below 1e-19."""
    depth = np.array([0.8, -0.5, 0.6, 0.3])
    centre = np.array([230.3, 280.0, 320.7, 366.1])
    width = np.array([3.0, 4.0, 5.0, 6.0])
    return 1 - (depth * np.exp(-0.5 * ((position[..., None] - centre) / width) ** 2)).sum(axis=-1)


def _direct(velocity: float, sigma: float, h3: float, h4: float) -> np.ndarray:
    """Integrate numerically: the profile as defined by Hermite polynomials, on a fine grid."""
    y = np.linspace(-12, 12, 4001)
    series = 1 + sum(h * eval_hermite(m, y) / np.sqrt(2.0**m * factorial(m)) for m, h in ((3, h3), (4, h4)))
    profile = np.exp(-0.5 * y**2) / np.sqrt(2 * np.pi) * series
    shifted = np.arange(N_PIX)[:, None] - (velocity + sigma * y)
    return np.trapezoid(_lines(shifted) * profile, y, axis=1)


def _convolved(velocity: float, sigma: float, h3: float, h4: float, unit_area: bool = True) -> np.ndarray:
    transform, n_fft = rfft_templates(_lines(np.arange(N_PIX))[None])
    kernel = losvd_rfft(n_fft, [velocity], [sigma], [h3], [h4], unit_area=unit_area)
    return convolve_batch(transform, kernel, n_fft, N_PIX)[0]


@pytest.mark.parametrize(
    ("velocity", "sigma", "h3", "h4"),
    [
        (0.0, 2.0, 0.0, 0.0),
        (3.37, 0.4, 0.1, -0.1),
        (-5.2, 2.5, 0.12, 0.0),
        (1.0, 4.0, 0.0, 0.15),
        (12.3, 6.0, -0.2, 0.1),
    ],
)
def test_convolution_equals_direct_integration(velocity: float, sigma: float, h3: float, h4: float) -> None:
    np.testing.assert_allclose(
        _convolved(velocity, sigma, h3, h4, unit_area=False),
        _direct(velocity, sigma, h3, h4),
        rtol=0,
        atol=1e-9,
    )


def test_direct_integration_tells_a_wrong_normalisation_of_h3_and_h4() -> None:
    # Hermite polynomials without their normalisation are larger by sqrt(2^m m!) = 6.928 and 19.596.
    assert np.sqrt(2.0**3 * 6) == pytest.approx(6.928, abs=1e-3)
    assert np.sqrt(2.0**4 * 24) == pytest.approx(19.596, abs=1e-3)
    expected = _direct(0.0, 3.0, 0.02, 0.02)
    for h3, h4 in ((0.02 * 6.928, 0.02), (0.02, 0.02 * 19.596), (-0.02, 0.02)):
        assert np.abs(_convolved(0.0, 3.0, h3, h4, unit_area=False) - expected).max() > 5e-3


@pytest.mark.parametrize("n_fft", [64, 255, 8192])
def test_transform_equals_the_closed_form_at_every_frequency(n_fft: int) -> None:
    velocity, sigma, h3, h4 = 2.7, 1.3, 0.1, -0.05
    omega = 2 * np.pi * np.arange(n_fft // 2 + 1) / n_fft
    u = sigma * omega
    series = 1 + 1j * h3 * eval_hermite(3, u) / np.sqrt(48) + h4 * eval_hermite(4, u) / np.sqrt(384)
    expected = np.exp(-1j * omega * velocity - 0.5 * u**2) * series
    computed = losvd_rfft(n_fft, velocity, sigma, h3, h4, unit_area=False)
    assert computed.shape == (1, n_fft // 2 + 1)
    np.testing.assert_allclose(computed[0], expected, rtol=0, atol=2e-14)


def test_transform_is_accurate_for_wide_kernels_and_large_velocities() -> None:
    omega = 2 * np.pi * np.arange(4097) / 8192
    expected = np.exp(-1j * omega * 300.0 - 0.5 * (40.0 * omega) ** 2)
    np.testing.assert_allclose(losvd_rfft(8192, 300.0, 40.0)[0], expected, rtol=0, atol=2e-13)


def test_batch_rows_are_the_single_points() -> None:
    rng = np.random.default_rng(5)
    parameters = rng.uniform([-5, 0.5, -0.1, -0.1], [5, 5, 0.1, 0.1], (7, 4)).T
    batch = losvd_rfft(500, *parameters)
    spectra = fft.rfft(rng.normal(size=(7, 500)))
    convolved = convolve_batch(spectra, batch, 500, 480)
    for i in range(7):
        single = losvd_rfft(500, *parameters[:, i])
        np.testing.assert_array_equal(batch[i], single[0])
        np.testing.assert_allclose(
            convolved[i], convolve_templates(spectra[i : i + 1], single[0], 500, 480)[0], rtol=0, atol=1e-14
        )


def test_templates_share_one_losvd() -> None:
    templates = np.stack([_lines(np.arange(N_PIX)), 2 * _lines(np.arange(N_PIX) - 4.5)])
    transform, n_fft = rfft_templates(templates)
    convolved = convolve_templates(transform, losvd_rfft(n_fft, 2.0, 3.0, 0.05, 0.05)[0], n_fft, N_PIX)
    assert convolved.shape == templates.shape
    np.testing.assert_allclose(convolved[0], _convolved(2.0, 3.0, 0.05, 0.05), rtol=0, atol=1e-13)
    np.testing.assert_allclose(convolved[1], 2 * _convolved(6.5, 3.0, 0.05, 0.05), rtol=0, atol=1e-9)


def test_zero_dispersion_is_a_pure_shift_to_longer_wavelengths() -> None:
    np.testing.assert_allclose(_convolved(0, 0, 0, 0), _lines(np.arange(N_PIX)), rtol=0, atol=1e-14)
    np.testing.assert_allclose(_convolved(7, 0, 0, 0), _lines(np.arange(N_PIX) - 7.0), rtol=0, atol=1e-13)
    np.testing.assert_allclose(
        _convolved(2.25, 1e-9, 0, 0), _lines(np.arange(N_PIX) - 2.25), rtol=0, atol=1e-12
    )
    line = 1 - _convolved(30, 0, 0, 0)
    assert (line * np.arange(N_PIX)).sum() / line.sum() > 2 + np.average(
        np.arange(N_PIX), weights=1 - _lines(np.arange(N_PIX))
    )


def test_positive_h3_is_a_tail_to_longer_wavelengths() -> None:
    impulse = np.zeros((1, 256))
    impulse[0, 128] = 1.0
    profile = convolve_batch(fft.rfft(impulse), losvd_rfft(256, 0.0, 8.0, 0.1, 0.0), 256, 256)[0]
    x = np.arange(256) - 128.0
    # <y^3 H_3> = (2 <y^6> - 3 <y^4>) / sqrt(3) = 21 / sqrt(3) for the Gaussian.
    assert (x**3 * profile).sum() / 8.0**3 == pytest.approx(0.1 * 21 / np.sqrt(3), rel=1e-9)
    np.testing.assert_allclose(profile, gauss_hermite_losvd(x, 0.0, 8.0, 0.1, 0.0), rtol=0, atol=1e-14)


@pytest.mark.parametrize("h4", [-0.2, 0.0, 0.2])
def test_flux_is_conserved_whatever_h4_is(h4: float) -> None:
    assert losvd_rfft(512, 3.0, 2.0, 0.1, h4)[0, 0] == pytest.approx(1.0, abs=1e-15)
    velocity = np.linspace(-3000, 3000, 6001)
    profile = gauss_hermite_losvd(velocity, 50.0, 200.0, 0.1, h4)
    assert np.trapezoid(profile, velocity) == pytest.approx(1.0, abs=1e-12)
    raw = gauss_hermite_losvd(velocity, 50.0, 200.0, 0.1, h4, unit_area=False)
    assert np.trapezoid(raw, velocity) == pytest.approx(1 + h4 * np.sqrt(6) / 4, abs=1e-12)


def test_gauss_hermite_coefficients_are_recovered_by_projection() -> None:
    # The definition of van der Marel & Franx (1993), eq. 7: projection onto the orthogonal functions.
    y = np.linspace(-15, 15, 6001)
    profile = gauss_hermite_losvd(y, 0.0, 1.0, 0.07, -0.04, unit_area=False)
    weight = np.exp(-0.5 * y**2) / np.sqrt(2 * np.pi)
    for m, expected in ((0, 1.0), (1, 0.0), (2, 0.0), (3, 0.07), (4, -0.04)):
        function = eval_hermite(m, y) / np.sqrt(2.0**m * factorial(m))
        measured = np.trapezoid(profile * weight * function, y) * 2 * np.sqrt(np.pi)
        assert measured == pytest.approx(expected, abs=1e-12)


def test_transform_agrees_with_ppxf() -> None:
    ppxf = pytest.importorskip("ppxf.ppxf")
    velocity, sigma, h3, h4 = 1.7, 2.3, 0.1, -0.08
    pars = np.array([velocity, sigma, h3, h4])
    theirs = ppxf.losvd_rfft(pars, 1, np.array([4]), 513, 1, 0.0, 1, 0.0)[:, 0, 0]
    ours = losvd_rfft(1024, velocity, sigma, h3, h4, unit_area=False)[0]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-13)


def test_bridge_is_straight_and_keeps_the_template() -> None:
    padded = pad_edges([[1.0, 5.0, 4.0], [0.0, 0.0, 8.0]], 6)
    np.testing.assert_allclose(padded, [[1, 5, 4, 3.25, 2.5, 1.75], [0, 0, 8, 6, 4, 2]])
    assert good_fft_size(1000, 24) >= 1024
    with pytest.raises(ValueError, match="n_fft is 2"):
        pad_edges([[1.0, 5.0, 4.0]], 2)


@pytest.mark.parametrize(("sigma", "allowed"), [(0.6, 2e-5), (1.5, 1e-6), (3.0, 1e-6), (8.0, 1e-6)])
def test_interior_pixels_do_not_know_what_lies_beyond_the_ends(sigma: float, allowed: float) -> None:
    rng = np.random.default_rng(6)
    position = np.arange(-400, N_PIX + 400)
    # A steep slope and random structure, smoothed to the resolution of real templates.
    noise = np.convolve(rng.normal(size=2000), np.exp(-0.5 * (np.arange(-20, 21) / 2.0) ** 2), "same")
    long = 1 + 3 * (position + 400) / 1400 + 0.1 * noise[300 : 300 + len(position)]
    results = []
    for template, start in ((long, 400), (long[400:-400], 0)):
        transform, n_fft = rfft_templates(template[None], 128)
        kernel = losvd_rfft(n_fft, 4.3, sigma, 0.1, 0.1)
        convolved = convolve_batch(transform, kernel, n_fft, len(template))[0]
        results.append(convolved[start : start + N_PIX])
    reach = 5 + int(8 * sigma) + 16
    np.testing.assert_allclose(results[1][reach:-reach], results[0][reach:-reach], rtol=0, atol=allowed)
    assert np.abs(results[1] - results[0])[:3].max() > 1e-3


def test_impossible_parameters_and_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="-1.0; a velocity dispersion"):
        losvd_rfft(64, [0.0, 0.0], [1.0, -1.0])
    with pytest.raises(ValueError, match="no positive area"):
        losvd_rfft(64, 0.0, 1.0, 0.0, -1.7)
    with pytest.raises(ValueError, match="los_sigma is 0"):
        gauss_hermite_losvd([0.0], 0.0, 0.0)
    with pytest.raises(ValueError, match="expected"):
        convolve_batch(np.ones((3, 33), complex), np.ones((2, 33), complex), 64, 60)
    with pytest.raises(ValueError, match="one LOSVD"):
        convolve_templates(np.ones((3, 33), complex), np.ones((3, 33), complex), 64, 60)
