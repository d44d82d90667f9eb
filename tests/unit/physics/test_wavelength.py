"""Wavelengths against published values, closed forms and simulated noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erf

from orchestrator.physics.wavelength import (
    SPEED_OF_LIGHT_KMS,
    air_to_vacuum,
    apply_projection,
    log_wavelength_grid,
    pixel_edges,
    prepare_projection,
    rebin_flux_density,
    rebin_variance,
    vacuum_to_air,
)

# Lines of the NIST Atomic Spectra Database: air and vacuum wavelength.
KNOWN_LINES = [(4861.35, 4862.71), (5006.843, 5008.240), (6562.819, 6564.632), (8542.09, 8544.44)]


@pytest.mark.parametrize(("air", "vacuum"), KNOWN_LINES)
def test_air_and_vacuum_agree_with_tabulated_lines(air: float, vacuum: float) -> None:
    assert air_to_vacuum(air) == pytest.approx(vacuum, abs=0.015)
    assert vacuum_to_air(vacuum) == pytest.approx(air, abs=0.015)


def test_conversion_agrees_with_the_dispersion_formula_of_morton() -> None:
    # Morton (1991, ApJS 77, 119), eq. 3 (Edlen 1966): an independent fit to the refractivity of air.
    vacuum = np.linspace(3000.0, 11000.0, 50)
    wave_number = 1e4 / vacuum
    refractivity = 6.4328e-5 + 2.94981e-2 / (146 - wave_number**2) + 2.5540e-4 / (41 - wave_number**2)
    np.testing.assert_allclose(vacuum_to_air(vacuum), vacuum / (1 + refractivity), rtol=0, atol=1e-3)


def test_conversion_round_trip_and_short_wavelengths() -> None:
    air = np.concatenate([np.linspace(2000.0, 30000.0, 500), [91.0, 1999.0]])
    np.testing.assert_allclose(vacuum_to_air(air_to_vacuum(air)), air, rtol=0, atol=1e-9)
    assert air_to_vacuum(1999.0) == 1999.0


def test_log_grid_has_exactly_the_asked_velocity_step() -> None:
    grid = log_wavelength_grid(3600.0, 9000.0, 69.0)
    np.testing.assert_allclose(np.diff(np.log(grid)) * SPEED_OF_LIGHT_KMS, 69.0, rtol=1e-10)
    assert grid[0] == pytest.approx(3600.0, rel=1e-15)
    assert 9000.0 * np.exp(-69.0 / SPEED_OF_LIGHT_KMS) < grid[-1] <= 9000.0
    with pytest.raises(ValueError, match=r"-1\.0"):
        log_wavelength_grid(3600.0, 9000.0, -1.0)


def test_edges_are_midway_in_the_logarithm() -> None:
    np.testing.assert_allclose(pixel_edges([1.0, 4.0, 16.0]), [0.5, 2.0, 8.0, 32.0])
    # On a linear grid the difference from the arithmetic middle is step^2 / (8 lambda).
    assert pixel_edges([5000.0, 5001.0])[1] == pytest.approx(5000.5, abs=3e-5)
    grid = log_wavelength_grid(4000.0, 5000.0, 50.0)
    np.testing.assert_allclose(pixel_edges(grid)[:-1], grid * np.exp(-25.0 / SPEED_OF_LIGHT_KMS), rtol=1e-12)


def test_rebinning_is_exact_for_a_line_on_irregular_pixels() -> None:
    rng = np.random.default_rng(1)
    wave = np.sort(rng.uniform(4000, 5000, 300))
    edges = np.sort(rng.uniform(4050, 4950, 40))
    rebinned = rebin_flux_density(wave, np.stack([2 + 0.3 * wave, 5 - wave]), edges)
    middle = 0.5 * (edges[1:] + edges[:-1])
    np.testing.assert_allclose(rebinned, np.stack([2 + 0.3 * middle, 5 - middle]), rtol=1e-11)


@pytest.mark.parametrize("step_out", [0.13, 1.0, 7.3])
def test_rebinning_conserves_the_integral_of_the_interpolant(step_out: float) -> None:
    rng = np.random.default_rng(2)
    wave = np.arange(4000.0, 4100.0)
    flux = rng.normal(size=(2, 3, 100))
    edges = np.arange(4010.0, 4090.0, step_out)
    fine = np.linspace(edges[0], edges[-1], 200_001)
    rebinned = rebin_flux_density(wave, flux, edges)
    assert rebinned.shape == (2, 3, len(edges) - 1)
    expected = np.trapezoid(np.interp(fine, wave, flux[1, 2]), fine)
    assert (rebinned[1, 2] * np.diff(edges)).sum() == pytest.approx(expected, abs=1e-6)


def test_rebinning_is_not_swamped_by_bright_flux_elsewhere() -> None:
    wave = np.arange(1000.0, 2000.0)
    flux = np.where(wave < 1500, 1e16, 1.0)
    np.testing.assert_allclose(rebin_flux_density(wave, flux, [1700.2, 1701.1, 1704.0]), 1.0, rtol=1e-14)


def test_pixels_outside_the_input_are_nan_and_none_else() -> None:
    wave = np.arange(4000.0, 4011.0)
    rebinned = rebin_flux_density(wave, np.ones(11), [3999.5, 4000.0, 4005.0, 4010.0, 4010.1])
    np.testing.assert_allclose(rebinned, [np.nan, 1, 1, np.nan], rtol=1e-14)


def test_a_nan_reaches_only_the_pixels_it_belongs_to() -> None:
    flux = np.ones(11)
    flux[5] = np.nan
    rebinned = rebin_flux_density(np.arange(11.0), flux, [0.0, 2.0, 4.0, 6.0, 8.0, 10.0])
    np.testing.assert_array_equal(np.isnan(rebinned), [False, False, True, False, False])


def test_rebinned_variance_and_correlation_are_those_of_simulated_noise() -> None:
    rng = np.random.default_rng(3)
    wave = np.arange(4000.0, 4040.0)
    variance = rng.uniform(0.5, 2.0, 40)
    edges = np.linspace(4003.3, 4035.1, 18)
    noise = rng.normal(0, np.sqrt(variance), (40_000, 40))
    rebinned = rebin_flux_density(wave, noise, edges)
    predicted, correlation = rebin_variance(wave, variance, edges)
    np.testing.assert_allclose(rebinned.var(axis=0), predicted, rtol=0.04)
    measured = np.corrcoef(rebinned.T).diagonal(offset=1)
    np.testing.assert_allclose(measured, correlation, atol=0.025)
    assert correlation.min() > 0.05
    # What a rebinning of the variance as if it were a flux would claim is off by a factor.
    assert np.all(rebin_flux_density(wave, variance, edges) > 1.3 * predicted)


def test_rebinned_variance_of_many_pixels_falls_as_their_number() -> None:
    wave = np.arange(0.0, 1001.0)
    variance, correlation = rebin_variance(wave, np.full(1001, 4.0), np.arange(0.0, 1001.0, 100.0))
    # Trapezoid of 101 nodes: 99 full weights and two halves; neighbours share one node.
    np.testing.assert_allclose(variance, 4.0 * 99.5 / 100**2)
    np.testing.assert_allclose(correlation, 0.25 / 99.5)


def test_projection_onto_grid_pixels_copies_exactly() -> None:
    grid = log_wavelength_grid(4000.0, 8000.0, 50.0)
    spectra = np.random.default_rng(4).normal(size=(3, len(grid)))
    kept = np.r_[2:50, 300, 700 : len(grid) - 2]
    projection = prepare_projection(grid, grid[kept].astype(np.float32))
    assert projection.identity
    np.testing.assert_array_equal(apply_projection(projection, spectra), spectra[:, kept])


def test_projection_of_a_well_sampled_spectrum_is_good_to_1e6() -> None:
    grid = log_wavelength_grid(4000.0, 8000.0, 50.0)
    wanted = np.linspace(4010.0, 7980.0, 3000)

    def spectrum(wavelength: np.ndarray) -> np.ndarray:
        velocity = np.log(wavelength / 6000.0) * SPEED_OF_LIGHT_KMS
        return 1 - 0.5 * np.exp(-0.5 * ((velocity - 120.0) / 900.0) ** 2) + 1e-6 * velocity

    projection = prepare_projection(grid, wanted)
    assert not projection.identity
    projected = apply_projection(projection, np.stack([spectrum(grid), 2 * spectrum(grid)]))
    np.testing.assert_allclose(projected[0], spectrum(wanted), rtol=0, atol=1e-6)
    np.testing.assert_allclose(projected[1], 2 * projected[0], rtol=1e-14)


@pytest.mark.parametrize("dispersion", [2.0, 3.0, 5.0, 10.0])
def test_projection_error_of_a_line_is_within_the_stated_bound(dispersion: float) -> None:
    step = 50.0 / SPEED_OF_LIGHT_KMS
    grid = log_wavelength_grid(5000.0, 5200.0, 50.0)
    position = 100 + np.linspace(-20, 20, 801)
    wanted = grid[0] * np.exp(step * position)
    line = np.exp(-0.5 * ((np.arange(len(grid)) - 100) / dispersion) ** 2)
    projected = apply_projection(prepare_projection(grid, wanted), line[None])[0]
    error = np.abs(projected - np.exp(-0.5 * ((position - 100) / dispersion) ** 2)).max()
    assert 0.03 / dispersion**4 < error < 0.071 / dispersion**4


@pytest.mark.parametrize("offset", [-500.0, 1.5, -1.5])
def test_projection_refuses_wavelengths_that_the_grid_does_not_serve(offset: float) -> None:
    grid = log_wavelength_grid(4000.0, 8000.0, 50.0)
    end = grid[0] if offset > 0 else grid[-1]
    wanted = 9000.0 if offset < -100 else end * np.exp(offset * 50.0 / SPEED_OF_LIGHT_KMS)
    with pytest.raises(ValueError, match=rf"1 of 2 .*{grid[2]:.3f}-{grid[-3]:.3f}"):
        prepare_projection(grid, [5000.0, wanted])


def test_projection_accepts_two_pixels_from_the_end_and_refuses_linear_grids() -> None:
    grid = log_wavelength_grid(4000.0, 8000.0, 50.0)
    step = 50.0 / SPEED_OF_LIGHT_KMS
    projection = prepare_projection(grid, [grid[0] * np.exp(2 * step), 5000.01, grid[-1] * np.exp(-2 * step)])
    assert apply_projection(projection, np.ones((1, len(grid)))) == pytest.approx(np.ones((1, 3)), rel=1e-14)
    with pytest.raises(ValueError, match="off uniform steps in ln"):
        prepare_projection(np.linspace(4000, 8000, 100), [5000.0])
    with pytest.raises(ValueError, match="expected \\(n_points"):
        apply_projection(projection, np.ones((1, 7)))


def test_rebinning_and_projection_of_a_line_agree_with_its_closed_form() -> None:
    wave = np.arange(4900.0, 5100.0, 0.02)
    grid = log_wavelength_grid(4920.0, 5080.0, 30.0)
    edges = pixel_edges(grid)
    flux = np.exp(-0.5 * ((wave - 5000.0) / 4.0) ** 2)
    integral = 4.0 * np.sqrt(np.pi / 2) * erf((edges - 5000.0) / (4.0 * np.sqrt(2)))
    expected = np.diff(integral) / np.diff(edges)
    np.testing.assert_allclose(rebin_flux_density(wave, flux, edges), expected, rtol=0, atol=3e-6)
