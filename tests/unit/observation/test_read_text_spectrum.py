"""Spectra in text and ECSV: columns, units, medium, masks, line-spread functions, and every refusal."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from orchestrator.errors import DataError
from orchestrator.observation.read_spectrum import read_spectrum, read_two_columns

PIXELS = 40
UNIT = "1e-17 erg / (s cm2 Angstrom)"


@pytest.fixture
def columns():
    generator = np.random.default_rng(2)
    return np.array(
        [np.linspace(5000.0, 5039.0, PIXELS), generator.uniform(1, 2, PIXELS), np.full(PIXELS, 0.1)]
    )


@pytest.fixture
def write(tmp_path):
    def save(columns, name="spectrum.txt", **options):
        path = tmp_path / name
        np.savetxt(path, np.asarray(columns).T, **options)
        return path

    return save


def text(tmp_path, content, name="spectrum.txt"):
    path = tmp_path / name
    path.write_text(content)
    return path


def test_plain_columns_as_besta_reads_them(write, columns, caplog):
    with caplog.at_level(logging.WARNING):
        spectrum = read_spectrum(write(columns))
    np.testing.assert_allclose(spectrum.wavelength, columns[0], rtol=1e-12)
    np.testing.assert_allclose(spectrum.flux, 1e-16 * columns[1], rtol=1e-12)
    np.testing.assert_allclose(spectrum.uncertainty, 1e-17, rtol=1e-12)
    assert "taken as 1e-16 erg / (s cm2 Angstrom)" in caplog.text


def test_documented_unit_spelling(write, columns, caplog):
    """P6: BESTA's documented spelling of its unit."""
    with caplog.at_level(logging.WARNING):
        spectrum = read_spectrum(
            write(columns), flux_units="1e-16 erg / (s cm2 Angstrom)", wl_units="Angstrom"
        )
    np.testing.assert_allclose(spectrum.flux, 1e-16 * columns[1], rtol=1e-12)
    assert caplog.text == ""


def test_units_are_converted(write, columns):
    columns[0] /= 10.0
    spectrum = read_spectrum(write(columns), wl_units="nm", flux_units="W / (m2 um)")
    np.testing.assert_allclose(spectrum.wavelength[0], 5000.0)
    # 1 W/m2/um = 1e7 erg/s / 1e4 cm2 / 1e4 A
    np.testing.assert_allclose(spectrum.flux, 0.1 * columns[1], rtol=1e-12)


def test_flux_per_frequency_is_converted(write, columns):
    spectrum = read_spectrum(write(columns), flux_units="uJy")
    expected = columns[1] * 1e-29 * 2.99792458e18 / columns[0] ** 2
    np.testing.assert_allclose(spectrum.flux, expected, rtol=1e-9)


def test_commas_names_and_comments(tmp_path, columns):
    rows = "\n".join(f"{e},{f},{w}  # note" for w, f, e in columns.T)
    spectrum = read_spectrum(
        text(tmp_path, f"# a comment\nerror, flux, wavelength\n{rows}\n"), flux_units=UNIT
    )
    np.testing.assert_allclose(spectrum.flux, 1e-17 * columns[1])
    np.testing.assert_allclose(spectrum.wavelength, columns[0])


def test_inverse_variance_column_by_name(tmp_path, columns):
    columns[2] = 4.0
    columns[2, 5] = 0.0
    rows = "\n".join(" ".join(map(str, row)) for row in columns.T)
    spectrum = read_spectrum(text(tmp_path, f"wave flux ivar\n{rows}\n"), flux_units=UNIT)
    assert not spectrum.good_pixels[5]
    np.testing.assert_allclose(np.delete(spectrum.uncertainty, 5), 0.5e-17)


def test_columns_with_other_names_are_taken_in_order(tmp_path, columns):
    rows = "\n".join(" ".join(map(str, row)) for row in columns.T)
    spectrum = read_spectrum(text(tmp_path, f"lambda_obs f_obs sd\n{rows}\n"), flux_units=UNIT)
    np.testing.assert_allclose(spectrum.flux, 1e-17 * columns[1])


def test_air_is_converted(write, columns):
    """D17: air and vacuum differ by 83 km/s; the [O III] line tells."""
    columns[0] += 5006.843 - columns[0, 10]
    spectrum = read_spectrum(write(columns), flux_units=UNIT, medium="air")
    assert abs(spectrum.wavelength[10] - 5008.240) < 2e-3
    assert read_spectrum(write(columns), flux_units=UNIT).wavelength[10] == pytest.approx(5006.843)


def test_ecsv_units_are_taken_from_the_file(tmp_path, columns):
    from astropy import units
    from astropy.table import QTable

    table = QTable(
        {
            "wavelength": columns[0] / 10 * units.nm,
            "flux": columns[1] * units.Unit(UNIT),
            "uncertainty": columns[2] * units.Unit(UNIT),
        }
    )
    table.write(tmp_path / "spectrum.ecsv")
    spectrum = read_spectrum(tmp_path / "spectrum.ecsv", wl_units="Angstrom")
    np.testing.assert_allclose(spectrum.wavelength, columns[0])
    np.testing.assert_allclose(spectrum.flux, 1e-17 * columns[1])


def test_ecsv_masked_values_are_bad_pixels(tmp_path, columns):
    from astropy.table import MaskedColumn, Table

    masked = MaskedColumn(columns[1], mask=np.arange(PIXELS) == 3)
    Table({"loglam": np.log10(columns[0]), "flux": masked, "err": columns[2]}).write(tmp_path / "s.ecsv")
    spectrum = read_spectrum(tmp_path / "s.ecsv", flux_units=UNIT)
    assert np.flatnonzero(~spectrum.good_pixels).tolist() == [3]
    np.testing.assert_allclose(spectrum.wavelength, columns[0])


def test_mask_of_weights(write, columns):
    """D12 and D15: weights are used once; zero removes the pixel, cosmic ray and all."""
    weights = np.ones(PIXELS)
    weights[:4] = [0.5, 0.25, 0.0, 0.0]
    columns[1, 2] = 1e6
    columns[2, 3] = np.nan
    spectrum = read_spectrum(write(columns), flux_units=UNIT, mask=write([weights], "mask.txt"))
    assert spectrum.weights[:4].tolist() == [0.5, 0.25, 0.0, 0.0]
    assert np.flatnonzero(~spectrum.good_pixels).tolist() == [2, 3]
    assert spectrum.flux.max() < 3e-17


def test_mask_with_wavelengths(write, columns):
    weights = np.where(np.arange(PIXELS) == 7, 0.0, 1.0)
    mask = write([columns[0], weights], "mask.txt")
    assert not read_spectrum(write(columns), flux_units=UNIT, mask=mask).good_pixels[7]
    # also where the file has other units
    columns[0] /= 10
    spectrum = read_spectrum(write(columns), flux_units=UNIT, wl_units="nm", mask=mask)
    assert np.flatnonzero(~spectrum.good_pixels).tolist() == [7]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ([np.ones(PIXELS - 1)], "has 39 rows of 1 columns; expected 40 weights"),
        ([np.linspace(6000, 6100, PIXELS), np.ones(PIXELS)], "its wavelengths are not those of"),
        ([np.full(PIXELS, 2.0)], r"weight 2.0; expected 0 \(masked\) to 1"),
        ([np.full(PIXELS, -1.0)], "weight -1.0"),
        ([np.full(PIXELS, np.nan)], "weight nan"),
        ([np.zeros(PIXELS)], "all 40 pixels are masked"),
        ([np.ones(PIXELS)] * 3, "has 40 rows of 3 columns"),
    ],
)
def test_bad_masks_are_refused(write, columns, mask, message):
    with pytest.raises(DataError, match=message):
        read_spectrum(write(columns), flux_units=UNIT, mask=write(mask, "mask.txt"))


def test_lsf_file_is_in_the_observed_frame(write, columns, caplog):
    lsf = write([[4000.0, 6000.0], [2.0, 4.0]], "lsf.txt")
    spectrum = read_spectrum(write(columns), flux_units=UNIT, lsf=lsf, redshift=0.1)
    np.testing.assert_allclose(spectrum.lsf_fwhm, 2.0 + (columns[0] - 4000.0) / 1000.0)
    np.testing.assert_allclose(spectrum.lsf_fwhm_rest * 1.1, spectrum.lsf_fwhm)
    with caplog.at_level(logging.WARNING):
        read_spectrum(write(columns), flux_units=UNIT, lsf=write([[5010.0, 6000.0], [2.0, 4.0]], "lsf.txt"))
    assert "its end values are used beyond" in caplog.text


@pytest.mark.parametrize(
    ("lsf", "message"),
    [
        ([[4000.0, 6000.0], [2.0, -4.0]], "FWHM -4.0"),
        ([[6000.0, 4000.0], [2.0, 4.0]], "must be positive and increase strictly"),
        ([[4000.0, 6000.0], [2.0, np.nan]], "NaN or infinite"),
        ([[4000.0, 6000.0]], "has 1 columns; expected at least 2"),
    ],
)
def test_bad_lsf_is_refused(write, columns, lsf, message):
    with pytest.raises(DataError, match=message):
        read_spectrum(write(columns), flux_units=UNIT, lsf=write(lsf, "lsf.txt"))


def test_zero_errors(write, columns, caplog):
    columns[2, 4] = 0.0
    with caplog.at_level(logging.WARNING):
        spectrum = read_spectrum(write(columns), flux_units=UNIT)
    assert not spectrum.good_pixels[4]
    assert "1 with zero error" in caplog.text
    columns[2] = 0.0
    with pytest.raises(DataError, match="none of the 40 unmasked pixels has a finite positive error"):
        read_spectrum(write(columns), flux_units=UNIT)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("# only a comment\n", "holds no numbers; expected 3 columns"),
        ("5000 1\n5001 1\n", "has 2 columns; expected at least 3"),
        ("5000 1 1\n5001 1\n", "line 2 has 2 columns; the lines before have 3"),
        ("5000 1 1\n5001 x 1\n", "line 2 holds '5001 x 1'; expected numbers only"),
        ("5001 1 1\n5000 1 1\n", "must increase strictly; found 5001.0 followed by 5000.0"),
        ("-5 1 1\n5000 1 1\n", "wavelength -5.0"),
        ("wave flux\n1 2 3\n4 5 6\n", None),
        ("wave flux snr\n1 2 3\n4 5 6\n", "expected 'wavelength'"),
    ],
)
def test_malformed_files_are_refused(tmp_path, content, message):
    path = text(tmp_path, content)
    if message is None:
        assert read_spectrum(path, flux_units=UNIT).wavelength.tolist() == [1.0, 4.0]
        return
    with pytest.raises(DataError, match=message):
        read_spectrum(path, flux_units=UNIT)


def test_missing_file_folder_and_binary(tmp_path):
    with pytest.raises(DataError, match="inputSpectrum: file .*absent.txt' does not exist"):
        read_spectrum(tmp_path / "absent.txt")
    with pytest.raises(DataError, match="is a folder; expected a file"):
        read_spectrum(tmp_path)
    (tmp_path / "binary.dat").write_bytes(b"\x80\x81\xff\xfe" * 20)
    with pytest.raises(DataError, match="neither text nor a FITS file"):
        read_spectrum(tmp_path / "binary.dat")
    with pytest.raises(DataError, match="mask: file .* does not exist"):
        read_spectrum(text(tmp_path, "5000 1 1\n5001 1 1\n"), flux_units=UNIT, mask=tmp_path / "no.txt")


def test_broken_ecsv(tmp_path):
    with pytest.raises(DataError, match="cannot be read as ECSV"):
        read_spectrum(text(tmp_path, "# %ECSV 1.0\n# ---\n# nonsense: [\nwavelength flux\n1 2\n"))


def test_environment_variables_and_blanks_in_paths(tmp_path, columns, monkeypatch):
    folder = tmp_path / "my 'data'"
    folder.mkdir()
    np.savetxt(folder / "a spectrum.txt", columns.T)
    monkeypatch.setenv("SPECTRA", str(folder))
    assert read_spectrum("$SPECTRA/a spectrum.txt", flux_units=UNIT).flux.size == PIXELS


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flux_units": "erg / s"}, "is not a flux density; expected a flux density such as"),
        ({"flux_units": "1e-17 ergs/bogus"}, "is not a unit that astropy knows"),
        ({"wl_units": "km / s"}, "wlUnits = 'km / s' is not a unit of wavelength"),
        ({"wl_units": "Angstroem"}, "wlUnits = 'Angstroem' is not a unit that astropy knows"),
        ({"medium": "vacum"}, "medium 'vacum' of the wavelengths is not known; did you mean 'vacuum'"),
        ({"row": 2}, "inputSpectrumRow = 2: .* is a text file"),
        ({"redshift": -2.0}, "redshift -2.0"),
        ({"redshift": None}, "states no redshift"),
    ],
)
def test_wrong_options_are_refused(write, columns, options, message):
    with pytest.raises(DataError, match=message):
        read_spectrum(write(columns), **{"flux_units": UNIT, **options})


def test_two_columns(tmp_path):
    wavelength, values = read_two_columns(text(tmp_path, "# lsf\n4000 2\n5000 3\n"))
    assert wavelength.tolist() == [4000.0, 5000.0]
    assert values.tolist() == [2.0, 3.0]
