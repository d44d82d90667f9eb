"""Rebinning to uniform steps in ln(wavelength): flux conserved, noise propagated, correlation stated."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from orchestrator.errors import DataError
from orchestrator.observation.log_rebinning import rebin_to_log
from orchestrator.observation.spectrum import Spectrum, spectrum_from_arrays
from orchestrator.physics.constants import FWHM_PER_SIGMA
from orchestrator.physics.wavelength import pixel_edges

LINEAR = np.arange(4000.0, 6000.0, 1.0)


def spectrum(flux, sigma=1.0, **options) -> Spectrum:
    flux = np.asarray(flux, dtype=float)
    return spectrum_from_arrays(LINEAR[: len(flux)], flux, np.full(len(flux), sigma), **options)


def weights_by_integration(edges_in, edges_out):
    """Overlap of every pair of pixels over the output pixel, by its definition."""
    low = np.maximum(edges_in[None, :-1], edges_out[:-1, None])
    high = np.minimum(edges_in[None, 1:], edges_out[1:, None])
    return np.clip(high - low, 0.0, None) / np.diff(edges_out)[:, None]


@pytest.mark.parametrize("velscale", [20.0, 69.03, 250.0])
def test_flux_and_noise_against_the_definition(velscale):
    rng = np.random.default_rng(5)
    flux, sigma = rng.normal(3.0, 1.0, 300), rng.uniform(0.5, 2.0, 300)
    given = spectrum_from_arrays(LINEAR[:300], flux, sigma)
    result = rebin_to_log(given, velscale)
    step = np.diff(np.log(result.wavelength))
    assert step == pytest.approx(velscale / 299792.458, rel=1e-9)
    half = np.exp(0.5 * step[0])
    edges = np.append(result.wavelength / half, result.wavelength[-1] * half)
    weights = weights_by_integration(pixel_edges(LINEAR[:300]), edges)
    assert result.flux == pytest.approx(weights @ flux, rel=1e-6)
    assert result.uncertainty**2 == pytest.approx(weights**2 @ sigma**2, rel=1e-6)
    covariance = (weights * sigma**2) @ weights.T
    scale = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(scale, scale)
    stated = result.meta["noise_correlation"]
    assert stated.neighbours == pytest.approx(np.mean(np.diag(correlation, 1)), rel=1e-6)
    assert stated.total == pytest.approx(np.mean(correlation.sum(axis=1)[1:-1] - 1), rel=1e-6)


@pytest.mark.parametrize("velscale", [None, 30.0, 69.0, 200.0])
def test_pure_noise_has_a_chi2_of_one_and_the_stated_correlation(velscale):
    rng = np.random.default_rng(11)
    chi2, product, smooth = [], [], []
    for _ in range(120):
        result = rebin_to_log(spectrum(rng.standard_normal(800)), velscale)
        whitened = result.flux / result.uncertainty
        chi2.append(np.mean(whitened**2))
        product.append(np.mean(whitened[1:] * whitened[:-1]))
        smooth.append(whitened.sum() / np.sqrt(len(whitened)))
    stated = result.meta["noise_correlation"]
    assert np.mean(chi2) == pytest.approx(1.0, abs=0.03)
    assert np.mean(product) == pytest.approx(stated.neighbours, abs=0.03)
    # What a fit of one smooth component would scatter by, in units of the error that it states.
    assert np.std(smooth) == pytest.approx(stated.error_factor, rel=0.2)


def test_a_bad_pixel_takes_only_the_pixels_that_it_touches():
    flux = np.ones(400)
    flux[200] = 1e6
    good = np.ones(400, dtype=bool)
    good[200] = False
    result = rebin_to_log(spectrum(flux, good_pixels=good), 100.0)
    assert result.flux[result.good_pixels] == pytest.approx(1.0, abs=1e-12)
    bad = result.wavelength[~result.good_pixels]
    assert 1 <= len(bad) <= 2
    assert np.abs(bad - LINEAR[200]).max() < 1.5


def test_pixels_that_may_not_enter_do_not():
    keep = np.abs(LINEAR[:400] - 4200.0) > 5.0
    result = rebin_to_log(spectrum(np.where(keep, 1.0, 50.0)), 60.0, keep)
    assert result.flux[result.good_pixels] == pytest.approx(1.0)


def test_weights_inflate_the_noise_once():
    weights = np.ones(400)
    weights[100:300] = 0.25
    result = rebin_to_log(spectrum(np.ones(400), weights=weights), 69.0)
    inside = np.abs(result.wavelength - 4200.0) < 80.0
    assert result.weights[inside] == pytest.approx(0.25)
    assert result.uncertainty[inside].max() <= 1.0 + 1e-12
    assert result.weights[:50] == pytest.approx(1.0)


def test_the_lsf_gains_the_width_of_the_old_pixels():
    given = spectrum(np.ones(400), lsf_fwhm=np.full(400, 3.0))
    result = rebin_to_log(given, 69.0)
    assert result.lsf_fwhm == pytest.approx(np.sqrt(9.0 + FWHM_PER_SIGMA**2 / 12.0), rel=1e-4)


def test_a_grid_that_is_already_logarithmic_stays():
    wavelength = 4000.0 * np.exp(69.0 / 299792.458 * np.arange(500))
    flux = np.random.default_rng(0).normal(size=500)
    result = rebin_to_log(spectrum_from_arrays(wavelength, flux, np.ones(500)))
    assert result.wavelength == pytest.approx(wavelength, rel=1e-9)
    assert result.flux == pytest.approx(flux, abs=1e-6)
    assert result.meta["noise_correlation"].error_factor == pytest.approx(1.0, abs=1e-5)


def test_the_log_says_what_is_left_out(caplog):
    with caplog.at_level(logging.INFO):
        rebin_to_log(spectrum(np.ones(400)), 30.0)
        rebin_to_log(spectrum(np.ones(400)), 2000.0)
    fine, coarse = caplog.records
    assert fine.levelname == "WARNING"
    assert "which the likelihood leaves out" in fine.getMessage()
    assert coarse.levelname == "INFO"


def test_impossible_grids_are_refused():
    with pytest.raises(DataError, match="expected at least 3 pixels"):
        rebin_to_log(spectrum(np.ones(10)), 1000.0)
    good = np.arange(400) % 2 == 0
    with pytest.raises(DataError, match="fit_grid = native"):
        rebin_to_log(spectrum(np.ones(400), good_pixels=good), 300.0)
