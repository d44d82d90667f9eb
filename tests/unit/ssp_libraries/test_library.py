"""The record of a library and its checks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from orchestrator.errors import LibraryError
from orchestrator.ssp_libraries.library import SSPLibrary, check_library, separate_repeated_wavelengths


@pytest.fixture
def library():
    return SSPLibrary(
        name="small",
        wavelength=np.array([4000.0, 5000.0, 6000.0]),
        log10_age_yr=np.array([8.0, 9.0]),
        metallicity=np.array([0.01, 0.02]),
        flux=np.ones((2, 2, 3)),
        lsf_fwhm=np.ones(3),
        surviving_fraction=np.full((2, 2), 0.7),
        mass_normalised=True,
        citation="",
        licence="",
        checksum="0",
    )


def test_a_good_library_passes_unchanged(library):
    assert check_library(library) is library


def test_arrays_are_read_only_and_double_but_for_a_flux_of_single_precision(library):
    single, integers = np.ones((2, 2, 3), dtype=np.float32), np.ones((2, 2, 3), dtype=int)
    changed = dataclasses.replace(library, flux=single, lsf_fwhm=np.ones(3, dtype=np.float32))
    assert changed.flux.dtype == np.float32
    assert np.shares_memory(changed.flux, single)
    assert changed.lsf_fwhm.dtype == np.float64
    assert dataclasses.replace(library, flux=integers).flux.dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        changed.flux[0, 0, 0] = 2.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        library.name = "other"


def test_repeated_wavelengths_are_moved_apart():
    found = separate_repeated_wavelengths(np.array([900.0, 912.0, 912.0, 912.0, 950.0]))
    assert np.all(np.diff(found) > 0.0)
    np.testing.assert_allclose(found, [900.0, 912.0, 912.0, 912.0, 950.0], rtol=3e-6)
    assert found[1] == 912.0


def negative(amount):
    flux = np.ones((2, 2, 3))
    flux[1, 0, 1] = amount
    return flux


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"medium": "water"}, "medium is 'water'; expected 'vacuum' or 'air'"),
        ({"wavelength": np.array([])}, "wavelength has shape"),
        ({"wavelength": np.array([5000.0, 5000.0, 6000.0])}, "5000.0 followed by 5000.0 at index 0"),
        ({"wavelength": np.array([0.0, 5000.0, 6000.0])}, "not above 0"),
        (
            {"log10_age_yr": np.array([9.0, 8.0])},
            "log10_age_yr must increase strictly; found 9.0 followed by 8.0",
        ),
        ({"log10_age_yr": np.array([8.0, np.nan])}, "log10_age_yr holds values that are not finite"),
        ({"metallicity": np.array([-0.01, 0.02])}, "metallicity holds values"),
        ({"metallicity": np.array([[0.01, 0.02]])}, r"metallicity has shape \(1, 2\)"),
        ({"flux": np.ones((2, 3, 3))}, r"flux has shape \(2, 3, 3\); expected \(2, 2, 3\)"),
        ({"flux": negative(np.nan)}, "1 flux values are NaN or infinite"),
        ({"flux": negative(-0.01)}, "flux is negative down to -0.01"),
        ({"flux": np.zeros((2, 2, 3))}, "has no positive flux"),
        ({"lsf_fwhm": np.ones(2)}, "lsf_fwhm has shape"),
        ({"lsf_fwhm": np.array([1.0, -1.0, 1.0])}, "lsf_fwhm must be finite"),
        ({"surviving_fraction": np.ones(2)}, "surviving_fraction has shape"),
        ({"surviving_fraction": np.full((2, 2), 1.2)}, "must lie within 0..1"),
    ],
)
def test_faults_are_found(library, changes, message):
    with pytest.raises(LibraryError, match=message):
        check_library(dataclasses.replace(library, **changes))


def test_ringing_below_zero_is_tolerated(library):
    changed = dataclasses.replace(library, flux=negative(-1e-4))
    assert check_library(changed) is changed
