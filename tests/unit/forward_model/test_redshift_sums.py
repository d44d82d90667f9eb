"""Sums over pixels at all redshifts at once against sums at one redshift, and the parts of the search."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.forward_model.redshift_continuum import spline_continuum, without_bright_lines
from orchestrator.forward_model.redshift_grid import redshift_grid
from orchestrator.forward_model.redshift_likelihood import features_likelihood
from orchestrator.forward_model.redshift_peaks import highest_peaks, lagrange_weights, refined
from orchestrator.forward_model.redshift_sums import ShiftWindow, pixel_sums, shifted_flux

RNG = np.random.default_rng(8)
LOG_PIXELS = 5000 * np.exp(70.0 / 299792.458 * np.delete(np.arange(400), [5, 6, 90]))
PIXELS = {"aligned": LOG_PIXELS, "not aligned": np.delete(np.arange(5000.0, 5450.0, 1.1), [3, 77])}


def smooth(grid, n=3):
    """Spectra that a grid of this step resolves."""
    x = np.log(grid.rest_wavelength)
    centres = RNG.uniform(x[0], x[-1], (n, 40))
    return 1 + np.exp(-0.5 * ((x - centres[:, :, None]) / (2.5 * grid.step)) ** 2).sum(axis=1)


@pytest.mark.parametrize("pixels", PIXELS)
def test_sums_at_all_shifts_are_those_at_each(pixels):
    wave = PIXELS[pixels]
    grid = redshift_grid(wave, (0.1, 0.13), None, 1.0, "test")
    assert grid.aligned == (pixels == "aligned")
    linear, quadratic = RNG.normal(size=(2, len(wave))), RNG.uniform(0, 2, (3, len(wave)))
    sums = pixel_sums(linear, quadratic, grid, grid.n_shifts)
    spectra = smooth(grid)
    whole = sums.at_shifts(spectra, ShiftWindow(0, grid.n_shifts - 1))
    assert whole.shape == (3, 5, grid.n_shifts)
    # Cubic there, through six points here: both are exact where pixels are those of the grid.
    tolerance = 1e-11 if grid.aligned else 2e-3
    for j in (0, 1, 37, grid.n_shifts - 1):
        flux = shifted_flux(spectra, np.full(3, float(j)), grid, grid.position)
        direct = sums.direct(flux)
        assert whole[:, :, j] == pytest.approx(direct, rel=tolerance, abs=tolerance * np.abs(direct).max())
    part = sums.at_shifts(spectra, ShiftWindow(20, 45))
    assert part == pytest.approx(whole[:, :, 20:46], rel=1e-10, abs=1e-9)
    mixing = RNG.normal(size=(3, 2)), RNG.normal(size=(3, 3))
    mixed = sums.at_shifts(spectra, ShiftWindow(20, 45), mixing)
    assert mixed[:, 0] == pytest.approx(np.einsum("pl,plz->pz", mixing[0], part[:, :2]), rel=1e-9, abs=1e-8)
    assert mixed[:, 1] == pytest.approx(np.einsum("pl,plz->pz", mixing[1], part[:, 2:]), rel=1e-9, abs=1e-8)


@pytest.mark.parametrize("pixels", PIXELS)
def test_a_shift_is_a_redshift(pixels):
    """A spectrum given as a function of rest wavelength is found at wavelength / (1 + z), dimmed likewise."""
    wave = PIXELS[pixels]
    grid = redshift_grid(wave, (0.1, 0.13), None, 1.0, "test")

    def line(x):
        return 2 + np.sin(x / 9.0) * np.cos(x / 40.0)

    curve = (grid.rest_wavelength / 5000) ** -1.3
    for redshift in (0.1, 0.10007, 0.1213, 0.13):
        shift = grid.shift_of(np.array([redshift]))
        found = shifted_flux(line(grid.rest_wavelength)[None], shift, grid, grid.position, curve, np.array([-0.3]))
        rest = wave / (1 + redshift)
        assert found[0] == pytest.approx(line(rest) * np.exp(-0.3 * (rest / 5000) ** -1.3), abs=2e-4)


def test_grid_of_trial_redshifts():
    grid = redshift_grid(LOG_PIXELS, (0.1, 0.13), None, 1.0, "test")
    trial = grid.trial_redshift
    assert (trial[0], trial[-1]) == (pytest.approx(0.1), 0.13)
    assert np.all(np.diff(np.log1p(trial))[:-1] == pytest.approx(grid.step))
    assert grid.step * 299792.458 == pytest.approx(70.0, rel=1e-6)
    # At every trial redshift, every pixel with its stencil is on the grid, at the wavelength that it should be.
    for j in (0, grid.n_shifts - 1):
        index = grid.position.astype(int) + grid.n_shifts - 1 - j
        assert index.min() >= 2
        assert index.max() <= len(grid.rest_wavelength) - 3
        rest = LOG_PIXELS / (1 + grid.redshift_at(np.array(float(j))))
        assert grid.rest_wavelength[index] == pytest.approx(rest, rel=1e-9)
    narrow = redshift_grid(LOG_PIXELS, (0.1, 0.1001), None, 1.0, "test")
    assert narrow.trial_redshift.max() == 0.1001
    assert narrow.n_shifts >= 8


def test_continuum_operator_is_the_weighted_spline_fit():
    from scipy.interpolate import make_lsq_spline

    wave = np.arange(5000.0, 6000.0, 1.0)
    ivar = RNG.uniform(0.5, 2, 1000)
    flux = 3 + np.sin(wave / 200) + RNG.normal(0, ivar**-0.5)
    continuum = spline_continuum(wave, flux, ivar, 200.0, 50.0)
    assert continuum.shaping.all()
    knots = np.concatenate([[5000.0] * 3, np.linspace(5000, 5999, 6), [5999.0] * 3])
    expected = make_lsq_spline(wave, flux, knots, 3, w=np.sqrt(ivar))(wave)
    assert continuum.of(flux) == pytest.approx(expected, abs=1e-8)
    # A strong line does not pull a clipped continuum.
    lined = flux + 40 * np.exp(-0.5 * ((wave - 5500) / 4) ** 2)
    clipped = spline_continuum(wave, lined, ivar, 200.0, 3.0)
    assert not clipped.shaping[np.abs(wave - 5500) < 6].any()
    assert np.abs(clipped.of(lined) - expected).max() < 0.3
    assert np.abs(spline_continuum(wave, lined, ivar, 200.0, 50.0).of(lined) - expected).max() > 1.0


def test_sums_of_features_are_those_of_what_the_continuum_leaves():
    wave = np.arange(5000.0, 6000.0, 1.0)
    ivar, model = RNG.uniform(0.5, 2, 1000), 2 + RNG.normal(size=1000)
    flux = 3 * model + RNG.normal(size=1000)
    continuum = spline_continuum(wave, flux, ivar, 150.0, 1.5)
    assert 300 < continuum.shaping.sum() < 1000
    likelihood = features_likelihood(flux, ivar, continuum, amplitude_mode="profiled", sampled_noise=False)
    sums = np.concatenate([likelihood.linear @ model, likelihood.quadratic @ model**2])[None]
    parabola = likelihood.parabola(sums, {("a", "b"): np.ones(1)}, np.array([2.0]))
    left, data = model - continuum.of(model), flux - continuum.of(flux)
    norm = 0.5 * np.log(ivar / (2 * np.pi)).sum()
    for mass in (0.0, 1.5, 4.0):
        expected = norm - 0.5 * (ivar * (data - mass * 2 * left) ** 2).sum()
        assert parabola.at(np.array([mass]))[0] == pytest.approx(expected, rel=1e-9)


def test_bright_lines_stand_out_and_noise_does_not():
    wave = np.arange(5000.0, 7000.0, 1.0)
    ivar = np.full(2000, 4.0)
    noise = 10 + np.random.default_rng(3).normal(0, 0.5, 2000)
    assert without_bright_lines(wave, noise, ivar, 5.0, 500.0).all()
    lined = noise + 8 * np.exp(-0.5 * ((wave - 6000) / 3) ** 2)
    kept = without_bright_lines(wave, lined, ivar, 5.0, 500.0)
    assert not kept[np.abs(wave - 6000) < 10].any()
    assert kept[np.abs(wave - 6000) > 25].all()
    assert without_bright_lines(wave, np.where(lined > 14, 2.0, noise), ivar, 5.0, 500.0).all()  # absorption stays


def test_highest_peaks():
    profile = np.array([[5.0, 1, 2, 9, 3, 3, 7], [1.0, 2, 3, 4, 5, 6, 7], [-np.inf] * 7])
    peaks = highest_peaks(profile, 3)
    assert peaks.index[0].tolist() == [3, 6, 0]
    assert peaks.exists.tolist() == [[True] * 3, [True, False, False], [True, False, False]]
    assert peaks.index[1, 0] == 6


def test_interpolation_and_refinement_are_exact_for_polynomials():
    place = np.array([[0.3, 2.5, 4.9]])
    assert lagrange_weights(place, 6) @ np.arange(6.0) ** 5 == pytest.approx(place**5, rel=1e-10)
    start = np.array([3.2, 0.1, 5.0])

    def value(x):
        return -2.0 * (x - np.array([[3.0], [-1.0], [9.0]])) ** 2 + 7

    found, curvature, height = refined(value, start, np.array([2.0, 0.0, 4.0]), np.array([4.0, 1.0, 5.5]), 0.3)
    assert found == pytest.approx([3.0, 0.0, 5.5], abs=1e-9)
    assert curvature == pytest.approx([4.0] * 3)
    assert height == pytest.approx(value(found[:, None])[:, 0])
