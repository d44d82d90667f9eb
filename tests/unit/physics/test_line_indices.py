"""Indices from band integrals: closed forms, direct integration, derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr

from orchestrator.physics.index_bands import band_weights, line_in_pixels
from orchestrator.physics.line_indices import (
    N_INTEGRALS,
    IndexSet,
    LineIndex,
    index_derivatives,
    index_values,
)

WIDE = LineIndex("wide", "Angstrom", (4900.0, 4960.0), (5300.0, 5370.0), (5070.0, 5130.0), 60.0)
CLOSE = LineIndex("close", "Angstrom", (4827.0, 4848.0), (4877.0, 4892.0), (4848.0, 4877.0), 29.0)
DIMMING = LineIndex("dimming", "mag", WIDE.blue, WIDE.red, WIDE.feature, 60.0)
BREAK = LineIndex("break", "ratio", (3850.0, 3950.0), (4000.0, 4100.0), None, 0.0)


def value(index, edges, flux):
    return float(index_values(IndexSet.of([index]), (band_weights(index, edges) @ flux)[None, None])[0, 0])


def gaussian_line(edges, centre, sigma):
    return np.diff(ndtr((edges - centre) / sigma)) / np.diff(edges)


@pytest.mark.parametrize("step", [0.3, 1.1, 1.7])
def test_line_on_a_flat_continuum_has_its_equivalent_width_exactly(step):
    edges = np.arange(4800.3, 4920.0, step)
    flux = 3.0 * (1.0 - 2.4 * gaussian_line(edges, 4862.0, 1.8))
    assert value(CLOSE, edges, flux) == pytest.approx(2.4, abs=1e-9)
    emission = 3.0 * (1.0 + 2.4 * line_in_pixels(edges, 4862.0, 1.8))
    assert value(CLOSE, edges, emission) == pytest.approx(-2.4, abs=1e-9)


def test_line_on_a_sloping_continuum():
    edges = np.linspace(4890.0, 5380.0, 49001)
    centres = 0.5 * (edges[1:] + edges[:-1])

    def continuum(wave):
        return 2.0 + 0.004 * (wave - 5100.0)

    flux = continuum(centres) - 5.0 * gaussian_line(edges, 5111.0, 3.0)
    expected = quad(
        lambda w: 5.0 * np.exp(-0.5 * ((w - 5111.0) / 3.0) ** 2) / (3.0 * np.sqrt(2 * np.pi)) / continuum(w),
        5080, 5130, points=[5111.0],
    )[0]  # fmt: skip
    assert value(WIDE, edges, flux) == pytest.approx(expected, abs=2e-7)
    ratio = 1.0 - expected / 60.0
    assert value(DIMMING, edges, flux) == pytest.approx(-2.5 * np.log10(ratio), abs=1e-8)


@pytest.mark.parametrize(("slope", "tolerance"), [(0.05, 1e-9), (0.1, 1e-9), (0.3, 1e-6), (0.5, 2e-4)])
def test_series_for_the_continuum_converges_as_stated(slope, tolerance):
    index_set = IndexSet.of([CLOSE])
    step = slope / index_set.reach[0]
    blue = 1.0 - step * index_set.position[0]
    edges = np.linspace(4820.0, 4900.0, 160001)
    x = (0.5 * (edges[1:] + edges[:-1]) - 4862.5) / 14.5
    flux = 1.0 - 0.5 * np.exp(-0.5 * ((x - 0.3) / 0.2) ** 2) + 0.1 * np.sin(9 * x)
    integrals = band_weights(CLOSE, edges) @ flux
    integrals[:2] = blue, blue + step
    found = float(index_values(index_set, integrals[None, None])[0, 0])
    inside = np.abs(x) < 1
    expected = 29.0 * (1.0 - np.mean(flux[inside] / (1.0 + slope * x[inside])))
    assert found == pytest.approx(expected, abs=29.0 * tolerance + 2e-5)


def test_break_compares_fluxes_per_frequency():
    edges = np.arange(3800.2, 4200.0, 1.1)
    wave = 0.5 * (edges[1:] + edges[:-1])
    mean = (edges[1:] * edges[:-1]) ** -1.0  # of lambda^-2 over a pixel
    assert value(BREAK, edges, mean) == pytest.approx(1.0, abs=1e-6)
    assert value(BREAK, edges, mean * np.where(wave > 3975, 1.8, 1.0)) == pytest.approx(1.8, abs=2e-6)


def test_scale_of_the_flux_does_not_matter():
    rng = np.random.default_rng(1)
    integrals = rng.uniform(1.0, 1.2, (5, 3, N_INTEGRALS)) * 1e-17
    index_set = IndexSet.of([WIDE, DIMMING, BREAK])
    plain = index_values(index_set, integrals)
    np.testing.assert_allclose(index_values(index_set, integrals * 1e40), plain, rtol=1e-11)


def test_derivatives_against_finite_differences():
    rng = np.random.default_rng(2)
    indices = IndexSet.of([WIDE, CLOSE, DIMMING, BREAK])
    integrals = 1.0 + 0.3 * rng.standard_normal((6, 4, N_INTEGRALS)).clip(-2, 2)
    integrals[..., 3:] *= 0.2
    integrals[0, :, 1] = integrals[0, :, 0]  # no slope
    found = index_derivatives(indices, integrals)
    for k in range(N_INTEGRALS):
        change = np.zeros(N_INTEGRALS)
        change[k] = 1e-6
        numeric = (index_values(indices, integrals + change) - index_values(indices, integrals - change)) / 2e-6
        np.testing.assert_allclose(found[..., k], numeric, rtol=1e-5, atol=2e-6)


def test_continuum_that_is_not_positive_gives_no_index():
    integrals = np.ones((2, 2, N_INTEGRALS))
    integrals[0, :, 0] = -0.1
    indices = IndexSet.of([WIDE, BREAK])
    values = index_values(indices, integrals)
    assert np.isnan(values[0]).all()
    assert np.isfinite(values[1]).all()
    assert np.isnan(index_derivatives(indices, integrals)[0]).all()
