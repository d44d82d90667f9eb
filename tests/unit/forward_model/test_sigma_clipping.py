"""Cosmic rays injected into real spectra, and real features that must stay."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from orchestrator.forward_model.sigma_clipping import clip_cosmic_rays, cosmic_ray_pixels
from orchestrator.observation.masks import keep_emission_lines, keep_sky_lines
from orchestrator.observation.read_spectrum import read_spectrum
from orchestrator.observation.spectrum import spectrum_from_arrays

C = 299792.458
WAVELENGTH = np.exp(np.arange(np.log(4000.0), np.log(7000.0), 69.03 / C))


def flat(flux, signal_to_noise=50.0, seed=0, **options):
    noise = np.random.default_rng(seed).standard_normal(len(WAVELENGTH)) / signal_to_noise
    sigma = np.full(len(WAVELENGTH), 1.0 / signal_to_noise)
    given = {"lsf_fwhm": 2.3 * np.gradient(WAVELENGTH)} | options
    return spectrum_from_arrays(WAVELENGTH, flux + noise, sigma, **given)


@pytest.fixture(scope="module")
def manga(example_data_path):
    return [read_spectrum(example_data_path, row=row, redshift=None) for row in (0, 3, 7)]


@pytest.fixture(scope="module")
def example_data_path(request):
    from pathlib import Path

    return Path(request.config.rootpath) / "examples" / "data" / "manga_spectra.fits.gz"


def test_injected_cosmic_rays_are_found_in_real_spectra(manga):
    rng = np.random.default_rng(3)
    found = {1: [], 2: []}
    false = 0
    for spectrum in manga:
        before = cosmic_ray_pixels(spectrum, 6.0)
        for width in (1, 2):
            position = rng.choice(np.flatnonzero(spectrum.good_pixels[30:-30]) + 30, 30, replace=False)
            around = position[:, None] + np.arange(-3, width + 3)
            position = position[spectrum.good_pixels[around].all(axis=1)]
            flux, hit = spectrum.flux.copy(), np.zeros(len(spectrum.flux), dtype=bool)
            for k in range(width):
                flux[position + k] += 40.0 * spectrum.uncertainty[position + k] * (1.0, 0.7)[k]
                hit[position + k] = True
            clipped = cosmic_ray_pixels(replace(spectrum, flux=flux), 6.0)
            found[width].append(clipped[position].mean())
            false += int((clipped & ~before & ~np.convolve(hit, np.ones(5), "same").astype(bool)).sum())
    assert np.mean(found[1]) > 0.95
    assert np.mean(found[2]) > 0.75
    assert false <= 2  # of 6 x 4500 pixels


def test_real_spectra_keep_their_features(manga):
    """What is clipped where nothing was injected lies at a line of the night sky, never at one of the galaxy."""
    for spectrum in manga:
        clipped = cosmic_ray_pixels(spectrum, 6.0)
        gas = ~keep_emission_lines(spectrum.wavelength, redshift=spectrum.redshift, half_width_kms=500.0)
        sky = ~keep_sky_lines(spectrum.wavelength, pad=15.0)
        assert not (clipped & gas & ~sky).any()
        assert clipped.sum() < 10


@pytest.mark.parametrize("amplitude", [0.5, 5.0, 50.0, -0.8])
@pytest.mark.parametrize("dispersion", [0.98, 1.5, 3.0, 8.0])
def test_lines_as_narrow_as_the_instrument_allows_stay(amplitude, dispersion):
    """Lines of 25 to 2500 standard deviations, at every position between pixels; 0.98 pixels is the LSF."""
    index = np.arange(len(WAVELENGTH))
    flux = np.ones(len(WAVELENGTH))
    for number, centre in enumerate(range(60, len(WAVELENGTH) - 60, 60)):
        flux += amplitude * np.exp(-0.5 * ((index - centre - 0.05 * (number % 20)) / dispersion) ** 2)
    assert cosmic_ray_pixels(flat(flux), 6.0).sum() <= 1


def test_pure_noise_is_hardly_ever_clipped():
    clipped = sum(cosmic_ray_pixels(flat(np.ones(len(WAVELENGTH)), seed=seed), 5.0).sum() for seed in range(10))
    assert clipped <= 2  # of 24 000 pixels


def test_errors_that_are_too_small_do_not_clip_the_spectrum():
    rng = np.random.default_rng(4)
    spectrum = spectrum_from_arrays(
        WAVELENGTH, 1.0 + 0.1 * rng.standard_normal(len(WAVELENGTH)), np.full(len(WAVELENGTH), 0.02)
    )
    assert cosmic_ray_pixels(spectrum, 6.0).mean() < 1e-3


def test_the_whole_of_a_ray_goes_and_the_log_counts_it(caplog):
    flux = np.ones(len(WAVELENGTH))
    flux[500:503] += [0.5, 8.0, 0.4]
    with caplog.at_level(logging.INFO):
        result = clip_cosmic_rays(flat(flux), 6.0)
    assert np.flatnonzero(~result.good_pixels).tolist() == [500, 501, 502]
    assert result.meta["n_clipped"] == 3
    assert "3 of" in caplog.text
    assert "clipped as cosmic rays (sigma_clip = 6)" in caplog.text


def test_bad_pixels_are_not_looked_at():
    flux = np.ones(len(WAVELENGTH))
    good = np.ones(len(WAVELENGTH), dtype=bool)
    flux[700], good[700] = 1e6, False
    assert not cosmic_ray_pixels(flat(flux, good_pixels=good), 6.0).any()


@pytest.mark.parametrize(("threshold", "window"), [(0.0, 15), (6.0, 16), (6.0, 9)])
def test_impossible_choices_are_refused(threshold, window):
    with pytest.raises(ValueError, match="threshold"):
        cosmic_ray_pixels(flat(np.ones(len(WAVELENGTH))), threshold, window)
