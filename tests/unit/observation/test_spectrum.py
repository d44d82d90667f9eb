"""The spectrum record: bad pixels can do no harm, frames are explicit."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest

from orchestrator.errors import DataError
from orchestrator.observation.spectrum import Spectrum, spectrum_from_arrays

N = 50


@pytest.fixture
def arrays():
    generator = np.random.default_rng(1)
    wavelength = np.linspace(4000.0, 4049.0, N)
    return wavelength, 1.0 + 0.1 * generator.normal(size=N), np.full(N, 0.1)


def test_arrays_are_read_only_copies(arrays):
    wavelength, flux, error = arrays
    spectrum = spectrum_from_arrays(wavelength, flux, error)
    original = spectrum.flux[3]
    flux[3] = 99.0
    assert spectrum.flux[3] == original
    for field in ("wavelength", "flux", "uncertainty", "good_pixels", "weights"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(spectrum, field)[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        spectrum.redshift = 1.0


def test_nan_flux_is_left_out_and_counted(arrays, caplog):
    """D13: a NaN flux must not become a measured zero."""
    wavelength, flux, error = arrays
    flux[[4, 5]] = np.nan
    flux[6] = np.inf
    with caplog.at_level(logging.WARNING):
        spectrum = spectrum_from_arrays(wavelength, flux, error)
    assert np.flatnonzero(~spectrum.good_pixels).tolist() == [4, 5, 6]
    assert np.all(spectrum.inverse_variance[[4, 5, 6]] == 0.0)
    assert np.all(spectrum.flux[[4, 5, 6]] == 0.0)
    assert "3 with NaN or infinite flux" in caplog.text


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (np.nan, "NaN or infinite error"),
        (np.inf, "NaN or infinite error"),
        (0.0, "zero error"),
        (-1.0, "negative"),
    ],
)
def test_unusable_errors_are_left_out_and_counted(arrays, caplog, value, reason):
    """D14: an error that says 'no data' costs its pixel, not the fit."""
    wavelength, flux, error = arrays
    error[[7, 9]] = value
    with caplog.at_level(logging.WARNING):
        spectrum = spectrum_from_arrays(wavelength, flux, error)
    assert np.flatnonzero(~spectrum.good_pixels).tolist() == [7, 9]
    assert np.all(np.isinf(spectrum.uncertainty[[7, 9]]))
    assert reason in caplog.text
    assert "2 with" in caplog.text


def test_masked_pixels_do_not_warn(arrays, caplog):
    wavelength, flux, error = arrays
    error[7] = np.nan
    flux[8] = np.nan
    weights = np.ones(N)
    weights[[7, 8]] = 0.0
    with caplog.at_level(logging.INFO):
        spectrum = spectrum_from_arrays(wavelength, flux, error, weights=weights)
    assert "2 of 50 pixels are masked" in caplog.text
    assert all(record.levelno < logging.WARNING for record in caplog.records)
    assert spectrum.good_pixels.sum() == N - 2


def test_a_masked_cosmic_ray_is_gone(arrays):
    """D15: nothing computed from the record can see a masked value."""
    wavelength, flux, error = arrays
    flux[20] *= 1000.0
    good = np.ones(N, dtype=bool)
    good[20] = False
    spectrum = spectrum_from_arrays(wavelength, flux, error, good_pixels=good)
    assert spectrum.flux.max() < 2.0


def test_weights_are_kept_as_given(arrays):
    """D12: a weight of one half stays one half and is not mixed into the inverse variance."""
    weights = np.full(N, 0.5)
    spectrum = spectrum_from_arrays(*arrays, weights=weights)
    assert np.all(spectrum.weights == 0.5)
    np.testing.assert_allclose(spectrum.inverse_variance, 100.0)


def test_rest_frame(arrays):
    """D9: the line-spread function shrinks with the wavelengths."""
    spectrum = spectrum_from_arrays(*arrays, lsf_fwhm=np.full(N, 15.0), redshift=0.5)
    np.testing.assert_allclose(spectrum.lsf_fwhm_rest, 10.0)
    np.testing.assert_allclose(spectrum.rest_wavelength * 1.5, spectrum.wavelength)
    assert spectrum_from_arrays(*arrays).lsf_fwhm_rest is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w, f, e: (w[::-1], f, e), "must increase strictly"),
        (lambda w, f, e: (np.r_[w[:1], w[:-1]], f, e), "4000.0 followed by 4000.0 at pixel 0"),
        (lambda w, f, e: (w - 4000.0, f, e), "wavelength 0.0 at pixel 0"),
        (lambda w, f, e: (np.where(w > 4040, np.nan, w), f, e), "wavelength nan"),
        (lambda w, f, e: (w[:1], f[:1], e[:1]), "at least two pixels"),
        (lambda w, f, e: (w, f[:-1], e), "flux has 49 values; expected 50"),
        (lambda w, f, e: (w, f, e[:-2]), "error has 48 values; expected 50"),
        (lambda w, f, e: (w, f, 0 * e), "none of the 50 unmasked pixels has a finite positive error"),
        (lambda w, f, e: (w, f, np.nan * e), "none of the 50 unmasked pixels has a finite positive error"),
        (lambda w, f, e: (w, np.nan * f, e), "flux of all 50 unmasked pixels is NaN"),
    ],
)
def test_unusable_arrays_are_refused(arrays, change, message):
    with pytest.raises(DataError, match=message):
        spectrum_from_arrays(*change(*arrays))


def test_everything_masked_is_one_message(arrays):
    with pytest.raises(DataError, match="all 50 pixels are masked; there is nothing to fit"):
        spectrum_from_arrays(*arrays, good_pixels=np.zeros(N, dtype=bool))


def test_no_pixel_has_both_flux_and_error(arrays):
    wavelength, flux, error = arrays
    flux[::2] = np.nan
    error[1::2] = 0.0
    with pytest.raises(DataError, match="no pixel of 50 has a finite flux and a finite positive error"):
        spectrum_from_arrays(wavelength, flux, error)


@pytest.mark.parametrize("redshift", [-1.0, np.nan, np.inf])
def test_redshift_must_make_sense(arrays, redshift):
    with pytest.raises(DataError, match="redshift"):
        spectrum_from_arrays(*arrays, redshift=redshift)


@pytest.mark.parametrize("lsf", [np.full(N, -1.0), np.full(N, np.nan), np.ones(3)])
def test_lsf_must_make_sense(arrays, lsf):
    with pytest.raises(DataError, match="line-spread function"):
        spectrum_from_arrays(*arrays, lsf_fwhm=lsf)


def test_record_refuses_shapes_that_differ(arrays):
    wavelength, flux, error = arrays
    with pytest.raises(ValueError, match="weights has shape"):
        Spectrum(wavelength, flux, error, np.ones(N, dtype=bool), np.ones(3))
    with pytest.raises(ValueError, match="weights must be finite"):
        Spectrum(wavelength, flux, error, np.ones(N, dtype=bool), np.full(N, -1.0))


def test_record_itself_drops_what_cannot_be_used(arrays):
    wavelength, flux, error = arrays
    flux[0] = np.nan
    spectrum = Spectrum(wavelength, flux, error, np.ones(N, dtype=bool), np.ones(N))
    assert not spectrum.good_pixels[0]
