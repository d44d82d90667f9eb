"""Spectra in FITS files: the real excerpts, and small files in each layout."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from orchestrator.errors import DataError
from orchestrator.observation.read_spectrum import read_spectrum

PIXELS = 30


@pytest.fixture
def manga(example_data):
    return example_data / "manga_spectra.fits.gz"


def hdus(*units):
    from astropy.io import fits

    return fits.HDUList([fits.PrimaryHDU(), *units])


def table_hdu(columns, name=None, units=None):
    from astropy.io import fits

    units = units or {}
    return fits.BinTableHDU.from_columns(
        [
            fits.Column(name=key, format="D", array=value, unit=units.get(key))
            for key, value in columns.items()
        ],
        name=name,
    )


def stack(wavelength, **images):
    from astropy.io import fits

    return hdus(*(fits.ImageHDU(data, name=name) for name, data in {"WAVE": wavelength, **images}.items()))


def test_manga_row(manga):
    spectrum = read_spectrum(manga, row=1, redshift=None)
    assert spectrum.redshift == pytest.approx(0.050231)
    assert spectrum.wavelength.size == 4563
    # Steps of 1e-4 dex, in vacuum: the wavelengths are not touched.
    np.testing.assert_allclose(np.diff(np.log10(spectrum.wavelength)), 1e-4, rtol=1e-6)
    good = spectrum.good_pixels
    signal_to_noise = np.median(spectrum.flux[good] / spectrum.uncertainty[good])
    assert signal_to_noise == pytest.approx(67, abs=1)
    assert 1e-17 < np.median(spectrum.flux[good]) < 1e-15
    # R of about 2000 in MaNGA
    assert 1200 < np.median(spectrum.wavelength / spectrum.lsf_fwhm) < 2600


def test_manga_row_of_masked_pixels_only(manga):
    with pytest.raises(DataError, match="row 5: all 4563 pixels are masked; there is nothing to fit"):
        read_spectrum(manga, row=5, redshift=0.0171611)


@pytest.mark.parametrize("row", [8, -1])
def test_row_that_is_not_there(manga, row):
    with pytest.raises(DataError, match=f"inputSpectrumRow = {row}: .* holds 8 spectra, rows 0 to 7"):
        read_spectrum(manga, row=row)


def test_row_left_out(manga):
    with pytest.raises(DataError, match="holds 8 spectra, rows 0 to 7; say which one with inputSpectrumRow"):
        read_spectrum(manga)


def test_redshift_zero_is_questioned(manga, caplog):
    read_spectrum(manga, row=0, redshift=0.0)
    assert "fitted at redshift 0, while the file states 0.0495282" in caplog.text


def test_surveys_are_in_vacuum(manga):
    with pytest.raises(DataError, match="files of this format are in vacuum; leave wlMedium out"):
        read_spectrum(manga, row=0, redshift=0.05, medium="air")


def test_stack_masks_and_resolution(tmp_path):
    wavelength = np.linspace(5000.0, 5100.0, PIXELS)
    flux, ivar, mask = np.ones((2, PIXELS)), np.full((2, PIXELS), 4.0), np.zeros((2, PIXELS), dtype=np.int32)
    mask[1, 3], ivar[1, 4], flux[1, 5] = 1026, 0.0, np.nan
    resolution = np.full((2, PIXELS), 2000.0)
    resolution[1, 10] = 0.0
    stack(wavelength, FLUX=flux, IVAR=ivar, MASK=mask, SRES=resolution).writeto(tmp_path / "stack.fits")
    spectrum = read_spectrum(tmp_path / "stack.fits", row=1, flux_units="1e-16 erg / (s cm2 Angstrom)")
    assert np.flatnonzero(~spectrum.good_pixels).tolist() == [3, 4, 5]
    np.testing.assert_allclose(spectrum.lsf_fwhm, wavelength / 2000.0, rtol=1e-12)
    np.testing.assert_allclose(spectrum.uncertainty[0], 0.5e-16)


def test_stack_without_resolution(tmp_path):
    wavelength = np.linspace(5000.0, 5100.0, PIXELS)
    images = {"FLUX": np.ones(PIXELS), "IVAR": np.ones(PIXELS), "SRES": np.zeros(PIXELS)}
    stack(wavelength, **images).writeto(tmp_path / "one.fits")
    assert read_spectrum(tmp_path / "one.fits").lsf_fwhm is None


def test_table_with_units(tmp_path):
    columns = {"Wave": np.linspace(0.5, 0.51, PIXELS), "FLUX": np.ones(PIXELS), "ERR": np.full(PIXELS, 0.1)}
    units = {"Wave": "um", "FLUX": "1e-15 erg / (s cm2 Angstrom)", "ERR": "1e-15 erg / (s cm2 Angstrom)"}
    hdus(table_hdu(columns, units=units)).writeto(tmp_path / "table.fits")
    spectrum = read_spectrum(tmp_path / "table.fits")
    assert spectrum.wavelength[[0, -1]] == pytest.approx([5000.0, 5100.0])
    np.testing.assert_allclose(spectrum.flux, 1e-15)
    with pytest.raises(DataError, match="inputSpectrumRow = 3: .* holds 1 spectra"):
        read_spectrum(tmp_path / "table.fits", row=3)


def test_table_without_units_is_questioned(tmp_path, caplog):
    columns = {
        "wavelength": np.linspace(5000, 5010, PIXELS),
        "flux": np.ones(PIXELS),
        "ivar": np.ones(PIXELS),
    }
    hdus(table_hdu(columns)).writeto(tmp_path / "table.fits")
    assert read_spectrum(tmp_path / "table.fits").flux[0] == pytest.approx(1e-16)
    assert "states no flux unit" in caplog.text


def test_sdss(tmp_path):
    """SDSS: log10 wavelengths in vacuum, 1e-17, and a dispersion in pixels of 69 km/s."""
    loglam = 3.6 + 1e-4 * np.arange(PIXELS)
    mask, ivar = np.zeros(PIXELS), np.full(PIXELS, 25.0)
    mask[2], ivar[3] = 16.0, 0.0
    columns = {"flux": np.full(PIXELS, 7.0), "loglam": loglam, "ivar": ivar, "and_mask": mask}
    columns["wdisp"] = np.full(PIXELS, 1.2)
    hdus(table_hdu(columns, "COADD"), table_hdu({"Z": np.array([0.0432])}, "SPECOBJ")).writeto(
        tmp_path / "s.fits"
    )
    spectrum = read_spectrum(tmp_path / "s.fits", redshift=None)
    assert spectrum.redshift == pytest.approx(0.0432)
    assert np.flatnonzero(~spectrum.good_pixels).tolist() == [2, 3]
    assert spectrum.flux[0] == pytest.approx(7e-17)
    assert spectrum.uncertainty[0] == pytest.approx(0.2e-17)
    np.testing.assert_allclose(spectrum.wavelength, 10**loglam)
    sigma_kms = spectrum.lsf_fwhm / 2.3548200450309493 / spectrum.wavelength * 299792.458
    np.testing.assert_allclose(sigma_kms, 1.2 * 69.0297, rtol=1e-4)


def test_spectra_as_rows_of_a_table(tmp_path):
    from astropy.io import fits

    wave = np.tile(np.linspace(5000.0, 5010.0, 5), (3, 1))
    flux = np.arange(15.0).reshape(3, 5) + 1.0
    columns = [
        fits.Column(name=name, format="5D", array=array)
        for name, array in {"wave": wave, "flux": flux, "error": 0 * wave + 1.0}.items()
    ]
    hdus(fits.BinTableHDU.from_columns(columns)).writeto(tmp_path / "rows.fits")
    spectrum = read_spectrum(tmp_path / "rows.fits", row=2, flux_units="erg / (s cm2 Angstrom)")
    assert spectrum.flux.tolist() == [11.0, 12.0, 13.0, 14.0, 15.0]


def test_unknown_layouts_are_refused(tmp_path):
    from astropy.io import fits

    hdus(fits.ImageHDU(np.ones(5), name="MYDATA")).writeto(tmp_path / "image.fits")
    with pytest.raises(DataError, match="has the extensions PRIMARY, MYDATA; expected a table"):
        read_spectrum(tmp_path / "image.fits")
    hdus(table_hdu({"wavelength": np.ones(3), "counts": np.ones(3)})).writeto(tmp_path / "table.fits")
    with pytest.raises(DataError, match="has the columns wavelength, counts; expected 'wavelength'"):
        read_spectrum(tmp_path / "table.fits")


def test_damaged_files_are_refused(tmp_path, manga):
    whole = manga.read_bytes()
    (tmp_path / "short.fits.gz").write_bytes(whole[: len(whole) // 3])
    with pytest.raises(DataError, match="has the extensions PRIMARY, WAVE; .*cut short"):
        read_spectrum(tmp_path / "short.fits.gz", row=0)
    with gzip.open(tmp_path / "text.fits.gz", "wt") as file:
        file.write("no fits at all")
    with pytest.raises(DataError, match="cannot be read as FITS"):
        read_spectrum(tmp_path / "text.fits.gz")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("SPECRES",), "resolution"),
        (("SPECRES", "LSFPOST"), "after"),
        (("SPECRES", "LSFPOST", "LSFPRE"), "before"),
        (("DISP", "PREDISP"), "before"),
    ],
)
def test_line_spread_function_of_row_stacked_spectra(tmp_path, names, expected):
    """MaNGA's LOGRSS: dispersions in Angstrom per row, before the pixels where there is a choice; one SPECRES."""
    wavelength = np.linspace(5000.0, 5100.0, PIXELS)
    sigma = {"before": 0.9, "after": 1.1}
    values = {"SPECRES": np.full(PIXELS, 2000.0)}
    for name, key in (("LSFPRE", "before"), ("PREDISP", "before"), ("LSFPOST", "after"), ("DISP", "after")):
        values[name] = np.stack([np.full(PIXELS, 5.0), np.full(PIXELS, sigma[key])])
    images = {"FLUX": np.ones((2, PIXELS)), "IVAR": np.ones((2, PIXELS))}
    images |= {name: values[name] for name in names}
    stack(wavelength, **images).writeto(tmp_path / "rss.fits")
    fwhm = read_spectrum(tmp_path / "rss.fits", row=1).lsf_fwhm
    wanted = wavelength / 2000.0 if expected == "resolution" else 2.0 * np.sqrt(2.0 * np.log(2.0)) * sigma[expected]
    np.testing.assert_allclose(fwhm, wanted, rtol=1e-12)
