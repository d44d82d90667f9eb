"""Masses: refused or warned of where a library carries none, checked where it does."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest

from orchestrator.errors import LibraryError
from orchestrator.ssp_libraries.library import SSPLibrary
from orchestrator.ssp_libraries.load import load_library
from orchestrator.ssp_libraries.mass_scale import (
    SOLAR_VISUAL,
    check_mass_scale,
    require_mass_scale,
    visual_mass_to_light,
    warn_without_mass_scale,
)

from .conftest import load_if_fetched


@pytest.fixture
def library():
    wave = np.arange(5000.0, 6000.0, 5.0)
    return SSPLibrary(
        name="small",
        wavelength=wave,
        log10_age_yr=np.array([8.0, 10.0]),
        metallicity=np.array([0.02]),
        flux=np.array([[np.full(wave.size, SOLAR_VISUAL), np.full(wave.size, 0.2 * SOLAR_VISUAL)]]),
        lsf_fwhm=np.ones(wave.size),
        surviving_fraction=None,
        mass_normalised=True,
        citation="",
        licence="",
        checksum="0",
    )


def test_mass_to_light_of_a_sun_is_one(library):
    np.testing.assert_allclose(visual_mass_to_light(library), [[1.0, 5.0]])


def test_solar_luminosity_density():
    # M_V = 4.81 and the flux of V = 0, at 10 pc
    per_area = 3.63e-9 * 10 ** (-0.4 * 4.81)
    luminosity = per_area * 4 * np.pi * (10 * 3.0856776e18) ** 2
    assert luminosity / 3.828e33 == pytest.approx(SOLAR_VISUAL, rel=0.01)


def test_no_ratio_without_band_or_scale(library):
    red = dataclasses.replace(library, wavelength=library.wavelength + 500.0)
    assert visual_mass_to_light(red) is None
    assert visual_mass_to_light(dataclasses.replace(library, mass_normalised=False)) is None


@pytest.mark.parametrize(
    ("scale", "doubted"), [(1.0, False), (30.0, False), (3.8e33, True), (1e6, True), (1e-6, True)]
)
def test_another_unit_is_noticed(library, caplog, scale, doubted):
    check_mass_scale(dataclasses.replace(library, flux=library.flux * scale))
    assert ("not in Lsun / Angstrom / Msun" in caplog.text) == doubted


def test_a_library_without_masses_is_refused_or_warned_of(library, caplog):
    caplog.set_level(logging.WARNING)
    assert require_mass_scale(library) is library
    assert warn_without_mass_scale(library) is library
    assert caplog.text == ""
    bare = dataclasses.replace(library, mass_normalised=False)
    with pytest.raises(LibraryError, match="photometry: not meaningful with the SSP library 'small'"):
        require_mass_scale(bare, "photometry")
    assert warn_without_mass_scale(bare) is bare
    assert "stellar masses and histories: not meaningful" in caplog.text


# M/L_V per mass formed at solar metallicity: (1 Gyr, 10 Gyr), 8 %. PopStar (Chabrier) against the BC03 spectra of
# sdss-mangadap (bc03_mpajhu), 0.73 at 0.9-1 Gyr and 6.37 at 10 Gyr through the V band; BC03-MILES has Kroupa, some
# 10 % more. Salpeter's has more mass in faint stars; M11 and MIUSCAT, two codes, agree within 10 %.
_LIKE_BC03 = {"PopStar": (0.72, 6.37), "BC03-MILES": (0.80, 6.98)}
_SALPETER = {"MIUSCAT": (1.08, 7.9), "M11-MILES": (1.08, 7.9), "M11-ELODIE": (1.08, 7.9), "M11-STELIB": (1.08, 7.9)}


@pytest.mark.parametrize(("name", "expected"), (_LIKE_BC03 | _SALPETER).items())
def test_mass_to_light_of_real_libraries(name, expected):
    library = load_if_fetched(name)
    ratio = visual_mass_to_light(library)
    assert ratio is not None
    solar = np.argmin(np.abs(library.metallicity - 0.02))
    for log_age, value in zip((9.0, 10.0), expected, strict=True):
        found = np.interp(log_age, library.log10_age_yr, ratio[solar])
        assert found == pytest.approx(value, rel=0.08), f"{name} at {log_age}"


@pytest.mark.library("PopStar")
def test_popstar_is_per_solar_mass_formed():
    """The light of young stars counts the massive ones: about 1000 Lsun and 10**46.7 ionising photons per s per Msun.

    The orders of magnitude of Leitherer et al. 1999 (ApJS 123, 3) for 1e6 Msun above 1 Msun, brought to mass
    functions that go down to 0.1 Msun; BC03-MILES (Kroupa) has 10**46.73 at the same age.
    """
    library = load_library("PopStar")
    solar = library.metallicity.tolist().index(0.02)
    young = np.argmin(np.abs(library.log10_age_yr - 6.0))
    wave, flux = library.wavelength, np.asarray(library.flux[solar, young])
    assert 600.0 < np.trapezoid(flux, wave) < 1800.0
    lyman = wave < 912.0
    photons = np.trapezoid(flux[lyman] * 3.828e33 * wave[lyman] / 1.98645e-8, wave[lyman])
    assert 46.3 < np.log10(photons) < 47.0
