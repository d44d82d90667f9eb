"""Formats that specutils knows; files written with specutils itself."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from orchestrator.errors import DataError
from orchestrator.observation import specutils_spectrum
from orchestrator.observation.read_spectrum import read_spectrum
from orchestrator.physics.wavelength import air_to_vacuum

WAVELENGTH = np.arange(5000.0, 5400.0, 5.0)


def spectrum_on_axis(specutils, ctype="WAVE", uncertain=True):
    from astropy import units
    from astropy.nddata import StdDevUncertainty
    from astropy.wcs import WCS

    header = {"CTYPE1": ctype, "CRVAL1": 5000e-10, "CRPIX1": 1, "CDELT1": 5e-10, "CUNIT1": "m"}
    uncertainty = StdDevUncertainty(np.full(80, 0.5)) if uncertain else None
    return specutils.Spectrum(flux=np.arange(1.0, 81.0) * units.Jy, wcs=WCS(header), uncertainty=uncertainty)


@pytest.fixture
def specutils():
    return pytest.importorskip("specutils")


@pytest.fixture
def written(specutils, tmp_path):
    """A spectrum in metre and Jansky, written by specutils as an image with a wavelength solution."""
    spectrum_on_axis(specutils).write(tmp_path / "galaxy.fits", format="wcs1d-fits", hdu=0)
    return tmp_path / "galaxy.fits"


@pytest.mark.parametrize("file_format", [None, "specutils", "wcs1d-fits", "WCS1D-FITS"])
def test_a_file_of_specutils_is_read_as_it_was_written(written, file_format):
    spectrum = read_spectrum(written, file_format=file_format)
    assert spectrum.wavelength == pytest.approx(WAVELENGTH, rel=1e-9)
    per_hertz = spectrum.flux * spectrum.wavelength**2 / 2.99792458e18
    assert per_hertz == pytest.approx(np.arange(1.0, 81.0) * 1e-23, rel=1e-9)
    assert spectrum.flux / spectrum.uncertainty == pytest.approx(np.arange(1.0, 81.0) / 0.5)
    assert spectrum.meta["format"].startswith("specutils")


def test_a_table_of_specutils_with_names_that_are_ours_is_read_by_us(specutils, tmp_path):
    from astropy import units
    from astropy.nddata import StdDevUncertainty

    spectrum = specutils.Spectrum(
        spectral_axis=WAVELENGTH * units.AA,
        flux=np.ones(80) * units.Unit("1e-17 erg / (s cm2 Angstrom)"),
        uncertainty=StdDevUncertainty(np.full(80, 0.1)),
    )
    spectrum.write(tmp_path / "table.fits", format="tabular-fits")
    for file_format in (None, "tabular-fits"):
        result = read_spectrum(tmp_path / "table.fits", file_format=file_format)
        assert result.flux == pytest.approx(1e-17)
        assert result.uncertainty == pytest.approx(1e-18)


def test_frequencies_variances_masks_and_several_spectra(specutils, tmp_path, monkeypatch):
    from astropy import units
    from astropy.nddata import InverseVariance

    ivar = np.full((2, 80), 4.0)
    ivar[1, 3] = 0.0
    mask = np.zeros((2, 80), dtype=bool)
    mask[1, 5] = True
    frequency = (2.99792458e18 / WAVELENGTH) * units.Hz
    cube = specutils.Spectrum(
        spectral_axis=frequency,
        flux=np.ones((2, 80)) * units.mJy,
        uncertainty=InverseVariance(ivar),
        mask=mask,
    )
    path = tmp_path / "two.fits"
    path.write_bytes(b"SIMPLE  =")
    monkeypatch.setattr(specutils_spectrum, "_load", lambda *_: [cube])
    spectrum = read_spectrum(path, file_format="specutils", row=1)
    assert spectrum.wavelength == pytest.approx(np.sort(WAVELENGTH))
    assert np.flatnonzero(~spectrum.good_pixels).tolist() == [3, 5]
    with pytest.raises(DataError, match="holds 2 spectra, rows 0 to 1; say which"):
        read_spectrum(path, file_format="specutils")


def test_without_uncertainties_nothing_can_be_fitted(specutils, tmp_path):
    bare = spectrum_on_axis(specutils, uncertain=False)
    bare.write(tmp_path / "bare.fits", format="wcs1d-fits", hdu=0)
    with pytest.raises(DataError, match="finds no uncertainties"):
        read_spectrum(tmp_path / "bare.fits")


def test_an_axis_of_air_wavelengths_is_converted(specutils, tmp_path):
    spectrum_on_axis(specutils, "AWAV").write(tmp_path / "air.fits", format="wcs1d-fits", hdu=0)
    result = read_spectrum(tmp_path / "air.fits")
    assert result.wavelength == pytest.approx(air_to_vacuum(np.arange(5000.0, 5400.0, 5.0)), rel=1e-9)


def test_an_unknown_format_and_the_wrong_one(written):
    with pytest.raises(DataError, match="inputSpectrumFormat = 'HST/STISS'.*HST/STIS"):
        read_spectrum(written, file_format="HST/STISS")
    with pytest.raises(DataError, match="specutils cannot read .* as 'JWST x1d'"):
        read_spectrum(written, file_format="JWST x1d")


def test_where_it_is_not_installed_the_message_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "specutils", None)
    monkeypatch.setattr(specutils_spectrum, "has_specutils", lambda: False)
    path = tmp_path / "any.fits"
    path.write_bytes(b"SIMPLE  =")
    with pytest.raises(DataError, match=r"pip install 'galaxy-orchestrator\[specutils\]'"):
        read_spectrum(path, file_format="JWST x1d")
