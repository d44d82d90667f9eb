"""Exported files say what they hold, and hold what the ledger has."""

from __future__ import annotations

import csv
import os
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.io import fits
from astropy.table import Table
from ledger_records import done, failed, galaxy, register

from orchestrator.errors import ConfigError, ProductionError
from orchestrator.production.columns import FLAGS, Column
from orchestrator.production.export import FORMATS, export_results, results_table
from orchestrator.production.ledger.ledger import open_ledger
from orchestrator.production.selection import EVERYTHING, Selection

LONG = "velocity of the stars along the line of sight, median of the posterior, relative to the redshift given"
COLUMNS = (
    Column("log_mass", "float", "dex(Msun)", "stellar mass", "Mass"),
    Column("los_vel", "float", "km/s", LONG, "Kinematics"),
    Column("n_pixels", "int", "", "pixels that were fitted", "Kinematics"),
    Column("good_fit", "bool", "", "whether it fits", "Kinematics"),
    Column("note", "text", "", "remark σ", "Kinematics"),
    Column("flux", "float", "1e-17 erg / (s cm2 Angstrom)", "median flux"),
)


@pytest.fixture
def results(filled):
    filled.ensure_columns("kinematics", COLUMNS)
    values = [
        {"log_mass": 10.5, "los_vel": -3.25, "n_pixels": 2**40, "good_fit": True, "note": 'a, "b"', "flux": 1.0},
        {"log_mass": float("nan"), "n_pixels": None, "good_fit": None, "note": None},
        {"log_mass": 9.0, "los_vel": 1e-7, "n_pixels": 0, "good_fit": False, "note": "x"},
    ]
    filled.commit([done(number, columns=row, samples=f"s.h5#{number}") for number, row in enumerate(values, 1)])
    filled.commit([failed(4), done(1, "Stellar_history"), done(5, "Stellar_history")])
    return filled


def test_fits_is_read_by_plain_astropy(results, tmp_path):
    path = tmp_path / "kinematics.fits"
    exported = export_results(results, "kinematics", EVERYTHING, path)
    assert (exported.n_rows, exported.path) == (3, path)
    with fits.open(path, checksum=True, logical_as_bytes=True) as hdus:
        hdus.verify("exception")
        header, data = hdus["KINEMATICS"].header, hdus["KINEMATICS"].data
        number = {column.name: index for index, column in enumerate(hdus[1].columns, 1)}
        assert header[f"TUNIT{number['log_mass']}"] == "dex(solMass)"
        assert units.Unit(header[f"TUNIT{number['log_mass']}"]) == units.Unit("dex(Msun)")
        assert header[f"TCOMM{number['los_vel']}"] == LONG
        assert header.comments[f"TTYPE{number['n_pixels']}"] == "pixels that were fitted"
        assert header.comments[f"TTYPE{number['los_vel']}"].endswith("...")
        assert data["n_pixels"].tolist() == [2**40, header[f"TNULL{number['n_pixels']}"], 0]
        assert [bytes(value) for value in data["good_fit"]] == [b"T", b"", b"F"]
        np.testing.assert_array_equal(data["log_mass"], [10.5, np.nan, 9.0])
        assert data["samples"].tolist() == ["s.h5#1", "s.h5#2", "s.h5#3"]
        keywords = [card.keyword for card in header.cards]
        heading = keywords.index(f"TTYPE{number['los_vel']}") - 1
        assert header.cards[heading].value == "--- Kinematics ---"
        primary = hdus[0].header
        assert (primary["PRODUCT"], primary["PLAN"], primary["SEED"]) == ("test", "plan", 7)
        assert (primary["DEPNAM00"], primary["DEPVER00"], primary["GITHASH"]) == ("cosmosis", "3.26", "abc")
        assert {row["name"]: row["value"] for row in hdus["FLAGS"].data} == {flag.name: flag.value for flag in FLAGS}


@pytest.mark.filterwarnings("ignore:.*NULL .undefined. values")
def test_an_astropy_table_has_units_and_descriptions(results, tmp_path):
    path = tmp_path / "kinematics.fits"
    export_results(results, "kinematics", EVERYTHING, path)
    table = Table.read(path, hdu=1, unit_parse_strict="silent")
    assert table["los_vel"].description == LONG
    assert table["log_mass"].description == "stellar mass"
    assert table["los_vel"].unit == "km/s"
    assert table["flux"].unit == units.Unit("1e-17 erg / (s cm2 Angstrom)")
    assert str(table["log_mass"].unit) == "dex(solMass)"
    assert table["n_pixels"].mask.tolist() == [False, True, False]
    assert table["log_mass"].mask.tolist() == [False, True, False]


def test_parquet_has_units_in_its_fields(results, tmp_path):
    path = tmp_path / "out" / "kinematics.parquet"
    export_results(results, "kinematics", EVERYTHING, path)
    table = pq.read_table(path)
    field = table.schema.field("log_mass")
    assert field.metadata[b"unit"] == b"dex(Msun)"
    assert field.metadata[b"description"] == b"stellar mass"
    assert table.schema.metadata[b"production"] == b"test"
    assert table["n_pixels"].to_pylist() == [2**40, None, 0]
    assert table["good_fit"].to_pylist() == [True, None, False]
    assert table["log_mass"].to_pylist() == [10.5, None, 9.0]


def test_ecsv_round_trip(results, tmp_path):
    path = tmp_path / "kinematics.ecsv"
    export_results(results, "kinematics", EVERYTHING, path)
    table = Table.read(path)
    assert table["log_mass"].unit == units.Unit("dex(Msun)")
    assert table["log_mass"].description == "stellar mass"
    assert table["note"].tolist() == ['a, "b"', None, "x"]
    assert table["good_fit"].tolist() == [True, None, False]
    assert table["los_vel"].tolist() == [-3.25, None, 1e-7]
    assert table.meta["production"] == "test"
    direct = results_table(results, "kinematics")
    assert direct.colnames == table.colnames
    assert direct["los_vel"].unit == table["los_vel"].unit


def test_csv_has_names_and_values(results, tmp_path):
    path = tmp_path / "kinematics.csv"
    export_results(results, "kinematics", EVERYTHING, path, columns=["target", "note", "log_mass", "n_pixels"])
    with path.open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows == [
        ["target", "note", "log_mass", "n_pixels"],
        ["NGC1", 'a, "b"', "10.5", str(2**40)],
        ["NGC2", "", "", ""],
        ["NGC3", "x", "9.0", "0"],
    ]


def test_all_stages_stand_side_by_side(results, tmp_path):
    path = tmp_path / "all.parquet"
    names = ["target", "kinematics_log_mass", "Stellar_history_seconds", "colours_verdict"]
    export_results(results, None, EVERYTHING, path, columns=names)
    rows = [tuple(row.values()) for row in pq.read_table(path).to_pylist()]
    assert rows == [
        ("NGC1", 10.5, 0.5, None),
        ("NGC2", None, None, None),
        ("NGC3", 9.0, None, None),
        ("NGC5", None, 0.5, None),
    ]


@pytest.mark.parametrize("ending", FORMATS)
def test_a_selection_of_nothing_is_an_empty_table(results, tmp_path, ending):
    path = tmp_path / f"nothing{ending}"
    for stage in ("kinematics", None):
        exported = export_results(results, stage, Selection(("nobody",)), path, overwrite=True)
        assert exported.n_rows == 0
    if ending == ".fits":
        with fits.open(path, checksum=True) as hdus:
            hdus.verify("exception")
            assert len(hdus[1].data) == 0
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_file()] == [path.name]


def test_what_cannot_be_exported_is_told(results, tmp_path):
    path = tmp_path / "a.csv"
    export_results(results, "kinematics", EVERYTHING, path)
    before = path.read_text()
    with pytest.raises(ProductionError, match="is there already"):
        export_results(results, "kinematics", EVERYTHING, path)
    with pytest.raises(ProductionError, match="endings of an export"):
        export_results(results, "kinematics", EVERYTHING, tmp_path / "a.txt")
    with pytest.raises(ProductionError, match="did you mean 'log_mass'"):
        export_results(results, "kinematics", EVERYTHING, path, columns=["logmass"], overwrite=True)
    with pytest.raises(ConfigError, match="did you mean 'kinematics'"):
        export_results(results, "kinematic", EVERYTHING, path, overwrite=True)
    assert path.read_text() == before
    assert os.listdir(tmp_path).count("a.csv") == 1


MEASURE = """
import resource, sys
from orchestrator.production.export import export_results
from orchestrator.production.ledger.ledger import open_ledger
from orchestrator.production.selection import Selection
with open_ledger(sys.argv[1], read_only=True) as ledger:
    export_results(ledger, "kinematics", Selection(limit=1500), sys.argv[2], overwrite=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert export_results(ledger, "kinematics", Selection(), sys.argv[2], overwrite=True).n_rows == 10000
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Address of a ledger with 20 MB of text in its results."""
    url = f"sqlite:///{tmp_path_factory.mktemp('large')}/ledger.sqlite"
    with open_ledger(url, create=True) as ledger:
        register(ledger)
        ledger.add_targets(galaxy(number) for number in range(1, 10001))
        text = {"remarks": "x" * 2000}
        ledger.commit([done(number, columns=text) for number in range(1, 10001)])
    return url


@pytest.mark.timeout(120)
@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_memory_does_not_grow_with_the_table(large, tmp_path, ending):
    command = [sys.executable, "-c", MEASURE, large, str(tmp_path / f"all{ending}")]
    grown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(grown.stdout) < 10_000  # kB
