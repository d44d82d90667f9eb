"""DESI coadds: arms, resolution matrices and photometry; the real galaxy and made-up matrices."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.errors import DataError
from orchestrator.observation.desi import EXTINCTION_PER_EBV, lsf_fwhm_pixels, photometry_from_desi
from orchestrator.observation.read_spectrum import read_spectrum


@pytest.fixture
def galaxy(example_data):
    return example_data / "desi_galaxy.fits.gz"


def resolution_matrix(sigma, n_diagonals=11, shift=0.0):
    offset = np.arange(n_diagonals)[:, None] - n_diagonals // 2
    profile = np.exp(-0.5 * ((offset - shift) / sigma) ** 2)
    return profile / profile.sum(axis=0)


def coadd(path, arms):
    """Write a coadd with arms given as name -> (wavelength, flux, ivar, mask, resolution)."""
    from astropy.io import fits

    units = [fits.PrimaryHDU()]
    for arm, arrays in arms.items():
        for name, array in zip(("WAVELENGTH", "FLUX", "IVAR", "MASK", "RESOLUTION"), arrays, strict=True):
            units.append(fits.ImageHDU(array if name == "WAVELENGTH" else array[None], name=f"{arm}_{name}"))
    fits.HDUList(units).writeto(path)
    return path


def arm(start, n, flux=1.0, ivar=4.0, sigma=1.0):
    wavelength = start + 0.8 * np.arange(n)
    mask = np.zeros(n, dtype=np.int32)
    return [wavelength, np.full(n, flux), np.full(n, ivar), mask, resolution_matrix(np.full(n, sigma))]


def test_second_moment_of_a_gaussian():
    sigma = np.linspace(0.8, 1.3, 20)
    expected = 2.0 * np.sqrt(2.0 * np.log(2.0)) * sigma
    np.testing.assert_allclose(lsf_fwhm_pixels(resolution_matrix(sigma)), expected, rtol=2e-3)
    # a shifted profile is not a wider one, nor does the normalisation matter
    np.testing.assert_allclose(lsf_fwhm_pixels(3 * resolution_matrix(sigma, shift=0.3)), expected, rtol=5e-3)


def test_orientation_of_the_matrix():
    """Column j is the image of a line in pixel j, in the order of diagonals of DESI's files."""
    from scipy.sparse import dia_matrix

    diagonals = resolution_matrix(np.linspace(0.8, 1.3, 40), shift=0.5)
    matrix = dia_matrix((diagonals, np.arange(5, -6, -1)), shape=(40, 40)).toarray()
    # scipy counts offsets to the right: row d holds what pixel j sends to pixel j - offset
    pixel = np.arange(40)
    column = matrix[:, 20]
    mean = column @ pixel / column.sum()
    variance = column @ (pixel - mean) ** 2 / column.sum()
    assert mean > 20.2
    assert lsf_fwhm_pixels(diagonals)[20] == pytest.approx(2.35482 * np.sqrt(variance), rel=1e-6)


def test_unusable_columns_are_interpolated():
    values = resolution_matrix(np.ones(9))
    expected = lsf_fwhm_pixels(values)[0]
    values[:, 4] = 0.0
    np.testing.assert_allclose(lsf_fwhm_pixels(values), expected)
    assert np.all(np.isnan(lsf_fwhm_pixels(np.zeros((11, 5)))))


def test_arms_are_combined_by_inverse_variance(tmp_path):
    blue, red = (
        arm(4000.0, 20, flux=1.0, ivar=4.0, sigma=1.0),
        arm(4008.0, 20, flux=2.0, ivar=12.0, sigma=1.2),
    )
    red[3][2] = 1  # masked: pixel 12 of the combined spectrum is the blue one alone
    blue[1][13] = np.nan
    red[2][19] = 0.0
    spectrum = read_spectrum(coadd(tmp_path / "coadd.fits", {"B": blue, "R": red}))
    assert spectrum.wavelength.size == 30
    assert spectrum.flux[10] == pytest.approx((4 * 1 + 12 * 2) / 16 * 1e-17)
    assert spectrum.uncertainty[10] == pytest.approx(0.25e-17)
    assert spectrum.flux[12] == pytest.approx(1e-17)
    assert spectrum.flux[13] == pytest.approx(2e-17)
    assert np.flatnonzero(~spectrum.good_pixels).tolist() == [29]
    fwhm = 2.35482 * 0.8 * np.array([1.0, np.sqrt((4 * 1.0 + 12 * 1.44) / 16), 1.2])
    np.testing.assert_allclose(spectrum.lsf_fwhm[[5, 10, 25]], fwhm, rtol=2e-3)


def test_arms_on_different_grids_are_refused(tmp_path):
    path = coadd(tmp_path / "coadd.fits", {"B": arm(4000.0, 20), "R": arm(4008.3, 20)})
    with pytest.raises(DataError, match="do not share one grid of 0.8 A"):
        read_spectrum(path)


def test_real_galaxy(galaxy):
    spectrum = read_spectrum(galaxy, redshift=0.36874)
    assert spectrum.wavelength[[0, -1]] == pytest.approx([3600.0, 9824.0])
    np.testing.assert_allclose(np.diff(spectrum.wavelength), 0.8, atol=1e-6)
    assert spectrum.good_pixels.all()
    resolving_power = spectrum.wavelength / spectrum.lsf_fwhm
    assert 2000 < resolving_power[10] < 3200
    assert 4500 < resolving_power[-10] < 6000
    # [O II] 3728 stands where the redshift says: brighter than its surroundings
    rest = spectrum.rest_wavelength
    on_line = np.abs(rest - 3728.5) < 3.0
    beside = (np.abs(rest - 3728.5) > 10.0) & (np.abs(rest - 3728.5) < 40.0)
    assert spectrum.flux[on_line].mean() > 1.5 * spectrum.flux[beside].mean()


def test_photometry_of_the_real_galaxy(galaxy):
    photometry = photometry_from_desi(galaxy, redshift=0.36874)
    assert photometry.filter_names == ("BASS-g", "BASS-r", "MzLS-z", "wise2010-W1", "wise2010-W2")
    raw = photometry_from_desi(galaxy, 0, False)
    nanomaggy = 3.631e-29
    assert raw.flux[1] == pytest.approx(5.947273 * nanomaggy, rel=1e-4)
    assert raw.uncertainty[1] == pytest.approx(177.3541**-0.5 * nanomaggy, rel=1e-4)
    corrections = 10 ** (0.4 * 0.0514118 * np.array(list(EXTINCTION_PER_EBV.values())))
    np.testing.assert_allclose(photometry.flux / raw.flux, corrections, rtol=1e-5)
    np.testing.assert_allclose(photometry.uncertainty / raw.uncertainty, corrections, rtol=1e-5)
    # spectrum (fibre) and photometry (total) of one galaxy agree within a factor of two in r
    spectrum = read_spectrum(galaxy)
    near = np.abs(spectrum.wavelength - 6400) < 300
    f_nu = np.mean(spectrum.flux[near]) * 6400.0**2 / 2.99792458e18
    assert 0.5 < f_nu / raw.flux[1] < 2.0


def fibermap(path, **changes):
    from astropy.io import fits

    columns = {f"FLUX_{band}": 1.0 for band in EXTINCTION_PER_EBV}
    columns |= {f"FLUX_IVAR_{band}": 4.0 for band in EXTINCTION_PER_EBV} | {"EBV": 0.1} | changes
    table = [fits.Column(name=k, format="D", array=[v]) for k, v in columns.items() if v is not None]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(table, name="FIBERMAP")]).writeto(path)
    return path


def test_bands_without_measurement_are_left_out(tmp_path, caplog):
    photometry = photometry_from_desi(fibermap(tmp_path / "f.fits", FLUX_IVAR_W2=0.0))
    assert photometry.filter_names == ("decam2014-g", "decam2014-r", "decam2014-z", "wise2010-W1")
    assert "1 bands without measurement" in caplog.text


def test_unusable_fibermaps_are_refused(tmp_path, galaxy):
    with pytest.raises(DataError, match="lacks FLUX_G"):
        photometry_from_desi(fibermap(tmp_path / "a.fits", FLUX_G=None))
    nothing = {f"FLUX_IVAR_{band}": 0.0 for band in EXTINCTION_PER_EBV}
    with pytest.raises(DataError, match="no band of row 0"):
        photometry_from_desi(fibermap(tmp_path / "b.fits", **nothing))
    with pytest.raises(DataError, match="inputSpectrumRow = 4"):
        photometry_from_desi(galaxy, 4)
    with pytest.raises(DataError, match="has no extension FIBERMAP"):
        photometry_from_desi(coadd(tmp_path / "c.fits", {"B": arm(4000.0, 20)}))
    (tmp_path / "d.fits").write_text("nothing of the kind")
    with pytest.raises(DataError, match="cannot be read as FITS"):
        photometry_from_desi(tmp_path / "d.fits")
