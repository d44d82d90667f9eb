"""The real libraries, where they have been fetched."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.ssp_libraries import load
from orchestrator.ssp_libraries.checksum import checksum_of_files
from orchestrator.ssp_libraries.load import list_libraries, load_library

from .conftest import load_if_fetched


@pytest.mark.library("MIUSCAT")
def test_miuscat():
    library = load_library("MIUSCAT")
    assert library.flux.shape == (4, 50, 6672)
    assert 10 ** (library.log10_age_yr[[0, -1]] - 9.0) == pytest.approx([0.0631, 17.7828])
    assert library.wavelength[[0, -1]] == pytest.approx([3465.89, 9471.40], abs=0.01)
    # Halpha absorption of a young solar population lies at its vacuum wavelength, not 1.8 A below
    young = library.flux[2, np.argmin(np.abs(library.log10_age_yr - 8.5))]
    near = np.abs(library.wavelength - 6564.6) < 20.0
    weights = young[near].max() - young[near]
    centroid = np.average(library.wavelength[near], weights=np.clip(weights - 0.5 * weights.max(), 0.0, None))
    assert centroid == pytest.approx(6564.6, abs=0.5)
    # The scale: a solar population of 10 Gyr of this IMF has M/L of 6 to 9 solar units near 5500 A per mass
    # formed; the Sun emits 1.86 of its 1361 W/m2 there per nm (ASTM E-490).
    old = library.flux[2, np.argmin(np.abs(library.log10_age_yr - 10.0))]
    mass_to_light = 1.86 / 1361.0 / 10.0 / old[np.argmin(np.abs(library.wavelength - 5500.0))]
    assert 5.0 < mass_to_light < 10.0


@pytest.mark.library("PopStar")
def test_popstar():
    library = load_library("PopStar")
    assert library.flux.shape == (6, 106, 1280)  # 1229 in the file, the others fill gaps of the infrared
    assert library.metallicity.tolist() == [0.0001, 0.0004, 0.004, 0.008, 0.02, 0.05]
    assert library.log10_age_yr[[0, -1]].tolist() == [5.0, 10.18]
    assert np.all(np.diff(library.wavelength) > 0.0)
    optical = (library.wavelength > 4000.0) & (library.wavelength < 9000.0)
    # never fit for kinematics: 500 to 1500 km/s per step
    step_kms = 299792.458 * library.lsf_fwhm[optical] / library.wavelength[optical]
    assert step_kms.min() > 300.0
    # bolometric luminosity falls with age
    bolometric = np.trapezoid(library.flux[4], library.wavelength, axis=-1)
    assert bolometric[np.searchsorted(library.log10_age_yr, 7.0)] > 100 * bolometric[-1]
    assert load_library("PopStar", args="nebular=True").flux[4, 10].sum() > library.flux[4, 10].sum()


@pytest.mark.library("MaStar")
def test_mastar():
    library = load_library("MaStar")
    assert library.flux.shape == (6, 9, 4562)
    assert not library.mass_normalised
    np.testing.assert_allclose(np.median(library.flux, axis=-1), 1.0, atol=0.05)


@pytest.mark.library("MIUSCAT", "PopStar")
@pytest.mark.parametrize("name", ["MIUSCAT", "PopStar"])
def test_the_second_load_parses_nothing(name, monkeypatch):
    """The parsed copy is mapped: the files of the library are not read again."""
    load_library(name)

    def read_again(library):
        raise AssertionError(library.name)

    monkeypatch.setattr(load, "_checked", read_again)
    flux = load_library(name).flux
    while isinstance(flux.base, np.ndarray):
        flux = flux.base
    assert isinstance(flux, np.memmap)


@pytest.mark.library("MIUSCAT", "PopStar")
def test_recorded_checksums():
    for listing in list_libraries():
        if listing.location is not None and listing.entry.wheel is not None:
            paths = listing.location.glob(listing.entry.file_pattern)
            assert checksum_of_files(paths) == listing.entry.wheel.content_sha256


def test_bc03_miles():
    library = load_if_fetched("BC03-MILES")
    assert library.flux.shape == (7, 220, 13216)
    assert library.metallicity.tolist() == pytest.approx([0.0001, 0.0004, 0.004, 0.008, 0.02, 0.05, 0.1])
    assert library.log10_age_yr[[0, -1]] == pytest.approx([5.0, 10.301], abs=1e-3)
    old = np.argmin(np.abs(library.log10_age_yr - 10.0))
    assert library.surviving_fraction[4, old] == pytest.approx(0.459, abs=0.001)
    # Mg II in the near UV of an old population lies at its vacuum wavelength, as Hbeta does
    near = np.abs(library.wavelength - 2796.35) < 3.0
    depth = library.flux[4, old, near].max() - library.flux[4, old, near]
    weights = np.clip(depth - 0.6 * depth.max(), 0.0, None)
    assert np.average(library.wavelength[near], weights=weights) == pytest.approx(2796.35, abs=0.3)


@pytest.mark.parametrize(
    ("name", "shape", "first"),
    [
        ("M11-MILES", (3, 25, 4367), 3501.0),
        ("M11-ELODIE", (3, 25, 14501), 3901.1),
        ("M11-STELIB", (3, 22, 9399), 3201.93),
    ],
)
def test_m11(name, shape, first):
    library = load_if_fetched(name)
    assert library.flux.shape == shape
    assert library.wavelength[0] == pytest.approx(first, abs=0.01)
    assert library.metallicity.tolist() == [0.01, 0.02, 0.04]
    # Three stellar libraries under one set of isochrones: the same light at 5000-6000 A within 3 %.
    old = np.argmin(np.abs(library.log10_age_yr - 10.0))
    visual = (library.wavelength > 5000.0) & (library.wavelength < 6000.0)
    assert library.flux[1, old, visual].mean() == pytest.approx(1.79e-5, rel=0.03)


@pytest.mark.library("MIUSCAT")
def test_single_precision_stays_single():
    assert load_library("MIUSCAT").flux.dtype == np.float32


@pytest.mark.library("PopStar")
def test_the_gaps_of_popstar_in_the_infrared_are_power_laws():
    """The file jumps from 10 to 20 micron; starlight falls by a factor of 16 there, and not along a straight line."""
    library = load_library("PopStar")
    wave = library.wavelength
    assert (wave[1:] / wave[:-1])[wave[:-1] > 2e4].max() < 1.16
    low, high = np.searchsorted(wave, [1.003e5, 1.99e5])
    old = library.flux[:, library.log10_age_yr > 9.0]
    middle = np.searchsorted(wave, np.sqrt(wave[low] * wave[high]))
    slope = np.log(old[..., high] / old[..., low]) / np.log(wave[high] / wave[low])
    expected = old[..., low] * (wave[middle] / wave[low]) ** slope
    np.testing.assert_allclose(old[..., middle], expected, rtol=0.02)
    assert slope.mean() == pytest.approx(-4.0, abs=0.4)  # the Rayleigh-Jeans end of stellar spectra
