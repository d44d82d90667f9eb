"""Band fluxes against closed forms, speclite and numerical quadrature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad

from orchestrator.errors import DataError
from orchestrator.physics.attenuation import attenuation_curve
from orchestrator.physics.cosmology import luminosity_distance_cm
from orchestrator.physics.photometry import (
    SOLAR_LUMINOSITY,
    BandTable,
    band_flux_weights,
    band_fluxes,
    ssp_band_table,
)

LIGHT_SPEED = 2.99792458e18
AB_ZERO = 3.631e-20


@dataclass(frozen=True)
class Band:
    name: str
    wavelength: NDArray[np.float64]
    transmission: NDArray[np.float64]


def bump(name: str, centre: float, width: float) -> Band:
    x = np.linspace(centre - width, centre + width, 41)
    return Band(name, x, np.cos(0.5 * np.pi * (x - centre) / width) ** 2 + 1e-3 * np.sin(x) ** 2)


BANDS = [
    bump("fuv", 1530.0, 200.0),
    bump("u", 3550.0, 300.0),
    bump("r", 6200.0, 700.0),
    bump("W1", 34000.0, 5000.0),
]


def random_spectra(n_ssp: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    wavelength = np.geomspace(91.0, 1e6, 1200)
    slope = rng.uniform(-3.0, 1.0, (n_ssp, 1))
    return wavelength, 1e-4 * (wavelength / 5500.0) ** slope * rng.uniform(0.3, 1.0, (n_ssp, wavelength.size))


def table_of(n_ssp: int, redshift: float = 0.1, **options: float) -> BandTable:
    wavelength, flux = random_spectra(n_ssp, seed=3)
    curve = attenuation_curve("ccm89", wavelength)
    return ssp_band_table(wavelength, flux, redshift, BANDS, curve, **options)


def test_flat_spectrum_has_the_same_ab_magnitude_in_every_band() -> None:
    wavelength = np.geomspace(900.0, 60000.0, 120_000)
    flux = AB_ZERO * LIGHT_SPEED / wavelength**2
    for band in BANDS:
        f_nu = band_flux_weights(wavelength, band.wavelength, band.transmission) @ flux
        assert f_nu == pytest.approx(AB_ZERO, rel=1e-8)


def test_weights_are_the_quadrature_of_two_piecewise_linear_curves() -> None:
    rng = np.random.default_rng(1)
    wavelength = np.sort(rng.uniform(3000.0, 9000.0, 25))
    flux = rng.uniform(0.5, 2.0, 25)
    x, t = np.sort(rng.uniform(wavelength[0], wavelength[-1], 9)), rng.uniform(0.1, 1.0, 9)
    points = np.unique(np.concatenate([x, wavelength[(wavelength > x[0]) & (wavelength < x[-1])]]))

    def integral(function: object) -> float:
        return sum(
            quad(function, a, b, epsabs=0.0, epsrel=1e-12)[0]
            for a, b in zip(points[:-1], points[1:], strict=True)
        )

    photons = integral(lambda w: np.interp(w, wavelength, flux) * w * np.interp(w, x, t))
    expected = photons / (LIGHT_SPEED * integral(lambda w: np.interp(w, x, t) / w))
    assert band_flux_weights(wavelength, x, t) @ flux == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", ["sdss2010-u", "sdss2010-r", "decam2014-z", "wise2010-W1"])
def test_agrees_with_speclite_on_a_smooth_spectrum(name: str) -> None:
    filters = pytest.importorskip("speclite.filters")
    curve = filters.load_filter(name)
    wavelength = np.arange(2500.0, 60000.0, 2.0)
    flux = 1e-17 * (wavelength / 5500.0) ** -1.3 * (1.0 + 0.2 * np.sin(wavelength / 900.0))
    f_nu = band_flux_weights(wavelength, curve.wavelength, curve.response, name) @ flux
    assert f_nu / AB_ZERO == pytest.approx(curve.get_ab_maggies(flux, wavelength), rel=1e-4)


@pytest.mark.parametrize("law", ["ccm89", "calzetti00", "fitzpatrick99"])
def test_table_reproduces_direct_photometry_of_dimmed_spectra(law: str) -> None:
    wavelength, flux = random_spectra(12, seed=2)
    curve = attenuation_curve(law, wavelength)
    redshift = 0.4
    factor = SOLAR_LUMINOSITY / (
        4.0 * np.pi * float(luminosity_distance_cm(redshift)) ** 2 * (1.0 + redshift)
    )
    table = ssp_band_table(wavelength, flux, redshift, BANDS, curve, factor)
    assert table.max_relative_error <= 1e-6
    rng = np.random.default_rng(4)
    weights, a_v = rng.uniform(0.0, 1e10, (50, 12)), rng.uniform(0.0, 5.0, 50)
    observed = (weights @ flux) * 10.0 ** (-0.4 * a_v[:, None] * curve) * factor
    expected = np.stack(
        [observed @ band_flux_weights(wavelength * 1.4, b.wavelength, b.transmission) for b in BANDS], axis=1
    )
    assert band_fluxes(table, weights, a_v) == pytest.approx(expected, rel=2e-6, abs=0.0)


def test_units_of_a_spectrum_flat_in_frequency() -> None:
    wavelength = np.geomspace(500.0, 1e5, 60_000)
    luminosity = 1e5 / wavelength**2
    distance, redshift = 3.0e27, 0.5
    factor = SOLAR_LUMINOSITY / (4.0 * np.pi * distance**2 * (1.0 + redshift))
    table = ssp_band_table(wavelength, luminosity[None], redshift, BANDS, np.zeros_like(wavelength), factor)
    # L_nu = 1e5 Lsun / c, and f_nu = (1 + z) L_nu / (4 pi d_L^2)
    expected = (1.0 + redshift) * SOLAR_LUMINOSITY * 1e5 / LIGHT_SPEED / (4.0 * np.pi * distance**2)
    assert band_fluxes(table, [[1.0]], [0.0])[0] == pytest.approx(expected, rel=1e-7)


def test_beyond_the_range_of_the_table_the_flux_is_exact() -> None:
    table = table_of(10, a_v_max=1.0)
    wide = table_of(10, a_v_max=8.0)
    weights = np.random.default_rng(5).uniform(0.0, 1.0, (4, 10))
    a_v = np.array([0.5, 1.5, 7.0, 1.0])
    assert band_fluxes(table, weights, a_v) == pytest.approx(
        band_fluxes(wide, weights, a_v), rel=3e-6, abs=0.0
    )
    brighter = band_fluxes(table, weights[:1], [-0.3])
    assert np.all(brighter > band_fluxes(table, weights[:1], [0.0]))


def test_stated_error_bounds_the_true_one() -> None:
    table = table_of(20, tolerance=1e-3)
    finer = table_of(20, tolerance=1e-11)
    weights = np.eye(20).repeat(60, axis=0)
    a_v = np.tile(np.linspace(0.0, 5.0, 60), 20)
    exact = band_fluxes(finer, weights, a_v)
    error = np.abs(band_fluxes(table, weights, a_v) / exact - 1.0).max()
    assert 0.0 < error <= 1.1 * table.max_relative_error
    assert table.coefficients.shape[2] < finer.coefficients.shape[2]


def test_batch_equals_single_points() -> None:
    table = table_of(30)
    rng = np.random.default_rng(6)
    weights, a_v = rng.dirichlet(np.ones(30), 8), rng.uniform(-0.5, 6.0, 8)
    batch = band_fluxes(table, weights, a_v)
    for i in range(8):
        assert band_fluxes(table, weights[i : i + 1], a_v[i : i + 1])[0] == pytest.approx(
            batch[i], rel=1e-13, abs=0.0
        )


def test_dark_ssps_and_no_dust() -> None:
    wavelength, flux = random_spectra(3, seed=7)
    flux[0, wavelength < 2500.0] = 0.0
    table = ssp_band_table(wavelength, flux, 0.0, BANDS, attenuation_curve("ccm89", wavelength))
    fluxes = band_fluxes(table, np.eye(3), np.full(3, 1.0))
    assert fluxes[0, 0] == 0.0
    assert np.all(fluxes[1:] > 0.0)
    plain = ssp_band_table(wavelength, flux, 0.0, BANDS, np.zeros_like(wavelength))
    assert plain.coefficients.shape[2] == 1
    assert np.array_equal(
        band_fluxes(plain, np.eye(3), np.zeros(3)), band_fluxes(plain, np.eye(3), np.ones(3))
    )


def test_band_outside_the_spectrum_is_named_with_its_coverage() -> None:
    wavelength, flux = random_spectra(2, seed=8)
    short = wavelength < 34000.0
    with pytest.raises(DataError, match=r"'W1' spans 29000 to 39000.*covers [45]\d\.\d%.*99\.9%"):
        ssp_band_table(wavelength[short], flux[:, short], 0.0, BANDS, np.zeros(short.sum()))
    with pytest.raises(DataError, match=r"'W1'.*covers 0\.0%"):
        band_flux_weights(np.array([3000.0, 4000.0]), BANDS[3].wavelength, BANDS[3].transmission, "W1")


def test_missing_tail_of_a_filter_is_tolerated() -> None:
    x = np.linspace(5000.0, 7000.0, 201)
    t = np.exp(-0.5 * ((x - 6000.0) / 200.0) ** 2)
    wavelength = np.linspace(4000.0, 6800.0, 1000)
    flux = AB_ZERO * LIGHT_SPEED / wavelength**2
    assert band_flux_weights(wavelength, x, t, "r") @ flux == pytest.approx(AB_ZERO, rel=1e-5)


def test_shapes_and_range_are_checked() -> None:
    table = table_of(5)
    with pytest.raises(ValueError, match="weights"):
        band_fluxes(table, np.ones((2, 4)), np.zeros(2))
    with pytest.raises(ValueError, match="a_v_max"):
        table_of(5, a_v_max=0.0)
