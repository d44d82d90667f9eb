"""Photometry: units, limits, and every refusal."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.errors import DataError
from orchestrator.observation.photometry import Photometry
from orchestrator.observation.read_photometry import read_photometry

TABLE = """# filter flux error
sdss2010-g 10.0 1.0
SLOAN/SDSS.r 20 2
'my filter.txt' 30 3  upper
wise2010-W1 40 4 Lower
"""


@pytest.fixture
def table(tmp_path):
    def write(content, name="photometry.txt"):
        path = tmp_path / name
        path.write_text(content)
        return path

    return write


def test_text(table):
    photometry = read_photometry(table(TABLE), redshift=0.1)
    assert photometry.filter_names == ("sdss2010-g", "SLOAN/SDSS.r", "my filter.txt", "wise2010-W1")
    np.testing.assert_allclose(photometry.flux, np.array([10, 20, 30, 40]) * 1e-29)
    np.testing.assert_allclose(photometry.uncertainty, np.array([1, 2, 3, 4]) * 1e-29)
    assert photometry.is_upper_limit.tolist() == [False, False, True, False]
    assert photometry.is_lower_limit.tolist() == [False, False, False, True]
    assert photometry.redshift == 0.1
    with pytest.raises(ValueError, match="read-only"):
        photometry.flux[0] = 1.0


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("uJy", 1e-29),
        (None, 1e-29),
        ("nJy", 1e-32),
        ("mJy", 1e-26),
        ("Jy", 1e-23),
        ("nanomaggy", 3.6308e-29),
        ("nanomaggies", 3.6308e-29),
        ("nmgy", 3.6308e-29),
        ("maggies", 3.6308e-20),
        ("1e-28 erg / (s cm2 Hz)", 1e-28),
    ],
)
def test_units(table, unit, factor):
    photometry = read_photometry(table("sdss2010-g 2 0.5\n"), flux_units=unit)
    assert photometry.flux[0] == pytest.approx(2 * factor, rel=1e-4)
    assert photometry.uncertainty[0] == pytest.approx(0.5 * factor, rel=1e-4)


def test_ab_magnitudes(table):
    photometry = read_photometry(table("sdss2010-g 20.0 0.01\n"), flux_units="ABmag")
    assert photometry.flux[0] == pytest.approx(10 ** (-0.4 * 68.6))
    assert photometry.uncertainty[0] / photometry.flux[0] == pytest.approx(0.01 * 0.4 * np.log(10))


def test_commas_and_header(table):
    photometry = read_photometry(
        table("filter,flux,error,limit\nsdss2010-g,1,0.1,\nsdss2010-r,2,0.1,upper\n")
    )
    assert photometry.is_upper_limit.tolist() == [False, True]


def test_ecsv(tmp_path):
    from astropy.table import Table

    rows = Table(
        {
            "filter": ["sdss2010-g", "sdss2010-r"],
            "flux": [1.0, 2.0],
            "err": [0.1, 0.2],
            "limit": ["", "upper"],
        }
    )
    rows["flux"].unit = rows["err"].unit = "mJy"
    rows.write(tmp_path / "p.ecsv")
    photometry = read_photometry(tmp_path / "p.ecsv")
    np.testing.assert_allclose(photometry.flux, [1e-26, 2e-26])
    assert photometry.is_upper_limit.tolist() == [False, True]


def test_ecsv_faults(tmp_path):
    from astropy.table import Table

    Table({"filter": ["a"], "flux": [1.0]}).write(tmp_path / "a.ecsv")
    with pytest.raises(DataError, match="has the columns filter, flux; expected filter, flux, error"):
        read_photometry(tmp_path / "a.ecsv")
    (tmp_path / "b.ecsv").write_text("# %ECSV 1.0\n# ---\n# nonsense: [\na b\n1 2\n")
    with pytest.raises(DataError, match="cannot be read as ECSV"):
        read_photometry(tmp_path / "b.ecsv")


def test_bands_that_are_not_finite_are_left_out(table, caplog):
    content = "sdss2010-g nan 1\nsdss2010-r 2 1\nsdss2010-i 3 nan\nsdss2010-z 3 inf\n"
    photometry = read_photometry(table(content))
    assert photometry.filter_names == ("sdss2010-r",)
    assert "3 of 4 bands" in caplog.text
    assert "sdss2010-g, sdss2010-i, sdss2010-z" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("# nothing\n", "holds no band"),
        ("sdss2010-g nan 1\n", "holds no band with a finite flux and error"),
        (
            "sdss2010-g 1 0\nsdss2010-r 1 1\nsdss2010-i 1 -2\n",
            r"sdss2010-g \(line 1: 0.0\), sdss2010-i \(line 3: -2.0\)",
        ),
        ("sdss2010-g 1\n", "line 1' has 2 words|line 1 has 2 words"),
        ("sdss2010-g 1 1 upper more\n", "has 5 words"),
        ("sdss2010-g one 1\n", "flux 'one' is not a number"),
        ("sdss2010-g 1 some\n", "error 'some' is not a number"),
        (
            "sdss2010-g 1 1 uper\n",
            r"'uper' after the error is not known; did you mean 'upper'\? \(upper, lower\)",
        ),
        ("'sdss2010-g 1 1\n", "cannot be split into words"),
    ],
)
def test_malformed_tables_are_refused(table, content, message):
    with pytest.raises(DataError, match=message):
        read_photometry(table(content))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flux_units": "erg / (s cm2 Angstrom)"}, "is not a flux density per frequency; expected 'uJy'"),
        ({"flux_units": "microjanski"}, "is not a unit that astropy knows"),
        ({"redshift": -3.0}, "redshift -3.0"),
    ],
)
def test_wrong_options_are_refused(table, options, message):
    with pytest.raises(DataError, match=message):
        read_photometry(table("sdss2010-g 1 1\n"), **options)


def test_missing_folder_and_binary(tmp_path):
    with pytest.raises(DataError, match="inputPhotometry: file .* does not exist"):
        read_photometry(tmp_path / "absent.txt")
    with pytest.raises(DataError, match="is a folder"):
        read_photometry(tmp_path)
    (tmp_path / "binary").write_bytes(b"\x80\x81\xff\xfe")
    with pytest.raises(DataError, match="is not text"):
        read_photometry(tmp_path / "binary")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flux": [1.0, 2.0]}, "flux has shape"),
        ({"uncertainty": [0.0]}, "the uncertainty positive"),
        ({"is_upper_limit": [True], "is_lower_limit": [True]}, "at once"),
    ],
)
def test_record_refuses_nonsense(changes, message):
    values = {
        "flux": [1.0],
        "uncertainty": [1.0],
        "is_upper_limit": [False],
        "is_lower_limit": [False],
    } | changes
    with pytest.raises(ValueError, match=message):
        Photometry(("a",), **values)
