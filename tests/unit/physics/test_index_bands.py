"""Weights of pixels, masks, smoothing and errors of measured indices."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.observation.line_indices import line_indices
from orchestrator.physics.index_bands import band_weights, measure_indices
from orchestrator.physics.line_indices import LineIndex
from orchestrator.physics.lsf import convolve_variable_gaussian

NAMES = ("Hbeta", "Mg2", "Mgb", "Fe5270", "Fe5335")
INDICES = [line_indices()[name] for name in NAMES]
EDGES = np.exp(np.arange(np.log(4700.0), np.log(5500.0), 2.3e-4))
CENTRES = 0.5 * (EDGES[1:] + EDGES[:-1])


def spectrum():
    flux = 1.0 + 2e-4 * (CENTRES - 5000)
    for centre, depth, width in ((4862.7, 0.3, 5.0), (5175.0, 0.35, 9.0), (5270.0, 0.2, 5.0), (5330.0, 0.2, 6.0)):
        flux = flux * (1 - depth * np.exp(-0.5 * ((CENTRES - centre) / width) ** 2))
    return flux


def measure(flux=None, variance=1e-4, good=None, smoothing=None, indices=INDICES):
    flux = spectrum() if flux is None else flux
    good = np.ones(len(flux), dtype=bool) if good is None else good
    return measure_indices(indices, EDGES, flux, np.full(len(flux), variance), good, smoothing)


def test_partial_pixels_count_exactly():
    rng = np.random.default_rng(4)
    edges = np.sort(rng.uniform(4800, 4920, 90))
    edges[0], edges[-1] = 4800.0, 4920.0
    weights = band_weights(INDICES[0], edges)
    np.testing.assert_allclose(weights[:3].sum(axis=1), 1.0, atol=1e-12)
    assert weights[3].sum() == pytest.approx(0.0, abs=1e-12)  # mean of T_1
    assert weights[4].sum() == pytest.approx(-1 / 3, abs=1e-12)  # mean of T_2
    low, high = INDICES[0].blue
    overlap = np.clip(edges[1:], low, high) - np.clip(edges[:-1], low, high)
    np.testing.assert_allclose(weights[0], overlap / (high - low), atol=1e-13)


@pytest.mark.parametrize("smoothed", [False, True])
def test_errors_and_covariances_against_monte_carlo(smoothed):
    rng = np.random.default_rng(5)
    smoothing = np.full(len(CENTRES), 3.0) if smoothed else None
    noise = 0.02 * (1 + (CENTRES > 5180))
    truth = measure_indices(INDICES, EDGES, spectrum(), noise**2, np.ones(len(CENTRES), dtype=bool), smoothing)
    noisy = spectrum() + noise * rng.standard_normal((400 if smoothed else 1500, len(noise)))
    draws = np.array([measure(flux, smoothing=smoothing).values for flux in noisy])
    expected = truth.covariance / np.outer(truth.errors, truth.errors)
    scatter = len(draws) ** -0.5  # of a mean in sigma, and of a correlation
    np.testing.assert_allclose(draws.std(axis=0) / truth.errors, 1.0, atol=3 * scatter)
    np.testing.assert_allclose(np.corrcoef(draws.T), expected, atol=3.5 * scatter)
    np.testing.assert_allclose((draws.mean(axis=0) - truth.values) / truth.errors, 0.0, atol=3.5 * scatter)
    assert expected[1, 2] > 0.2  # Mg2 and Mgb share pixels
    assert abs(expected[0, 4]) < 1e-12  # Hbeta and Fe5335 share none


def test_smoothing_is_that_of_the_spectrum():
    smoothing = np.linspace(2.0, 4.0, len(CENTRES))
    smoothed = measure(convolve_variable_gaussian(spectrum(), smoothing))
    np.testing.assert_allclose(measure(smoothing=smoothing).values, smoothed.values, atol=1e-7)
    assert smoothed.values[0] < measure().values[0]  # a shallower line
    assert measure(smoothing=smoothing).errors[0] != pytest.approx(smoothed.errors[0], rel=0.01)


def test_masked_pixel_takes_out_only_the_indices_that_need_it():
    good = np.ones(len(CENTRES), dtype=bool)
    good[np.argmin(abs(CENTRES - 5180))] = False
    flux = np.where(good, spectrum(), np.nan)
    found = measure(flux, good=good)
    assert found.measured.tolist() == [True, False, False, True, True]
    assert found.reasons[2].startswith("1 of its ")
    np.testing.assert_allclose(found.values[found.measured], measure().values[found.measured], rtol=1e-14)
    assert np.isnan(found.covariance[1]).all()
    assert np.isfinite(found.covariance[np.ix_([0, 3, 4], [0, 3, 4])]).all()
    between = np.ones(len(CENTRES), dtype=bool)
    between[np.argmin(abs(CENTRES - 5137))] = False  # within Mg2's limits, in none of its bands
    assert measure(good=between).measured[1]


def test_smoothing_spreads_a_masked_pixel():
    good = np.ones(len(CENTRES), dtype=bool)
    good[np.argmin(abs(CENTRES - (line_indices()["Hbeta"].red[1] + 2.5)))] = False
    assert measure(good=good).measured[0]
    assert not measure(good=good, smoothing=np.full(len(CENTRES), 3.0)).measured[0]


def test_what_the_spectrum_does_not_cover_is_not_measured():
    outside = [line_indices()["HdeltaA"], LineIndex("end", "mag", (4702, 4712), (4722, 4732), (4712, 4722), 10.0)]
    found = measure(indices=outside)
    assert found.reasons[0] == "the spectrum covers 4700-5499 A only"
    assert found.measured[1]
    assert not measure(indices=outside, smoothing=np.full(len(CENTRES), 3.0)).measured[1]
    assert "not positive" in measure(-spectrum()).reasons[0]
