from __future__ import annotations

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from small_production import TABLE, write_production

from orchestrator.errors import ConfigError
from orchestrator.production import target_tables
from orchestrator.production.run_file import read_run_file
from orchestrator.production.run_model import TargetEntries
from orchestrator.production.target_tables import open_table
from orchestrator.production.targets import folder_name, read_targets

TYPED = Table(
    {
        "name": ["001", "002", "c"],
        "redshift": [0.05, np.nan, 0.07],
        "n_good": MaskedColumn([1, 2, 3], mask=[False, True, False]),
        "remark": ["", "x", "y"],
        "flux": np.zeros((3, 4)),
    }
)


def write_table(path, table=TYPED):
    if path.suffix == ".parquet":
        from pyarrow import parquet
        from pyarrow import table as arrow_table

        columns = {name: np.ma.filled(table[name], 0).tolist() for name in table.colnames}
        columns["n_good"] = [1, None, 3]
        parquet.write_table(arrow_table(columns), path)
    elif path.suffix == ".csv":
        table[[name for name in table.colnames if table[name].ndim == 1]].write(path)
    else:
        table.write(path)
    return path


def targets_of(tmp_path, *settings, table=TABLE):
    return list(read_targets(read_run_file(write_production(tmp_path, table=table), settings)))


@pytest.mark.parametrize("ending", ["fits", "fits.gz", "ecsv", "csv", "parquet"])
def test_all_formats_give_the_same_plain_values(tmp_path, ending):
    table = open_table(write_table(tmp_path / f"table.{ending}"))
    assert table.columns == ("name", "redshift", "n_good", "remark")
    rows = list(table.rows(table.columns, ["name"]))
    assert rows == [
        {"name": "001", "redshift": 0.05, "n_good": 1, "remark": None},
        {"name": "002", "redshift": None, "n_good": None, "remark": "x"},
        {"name": "c", "redshift": 0.07, "n_good": 3, "remark": "y"},
    ]
    assert {type(row["n_good"]) for row in rows} == {int, type(None)}
    assert type(rows[0]["redshift"]) is float


def test_the_table_of_an_extension(tmp_path):
    from astropy.io import fits

    hdus = [fits.PrimaryHDU(), fits.ImageHDU(np.zeros((2, 2)), name="IMAGE"), fits.table_to_hdu(TYPED)]
    hdus.append(fits.table_to_hdu(Table({"id": [5]})))
    hdus[3].name = "OTHER"
    fits.HDUList(hdus).writeto(tmp_path / "t.fits")
    assert open_table(tmp_path / "t.fits").columns[0] == "name"
    assert open_table(tmp_path / "t.fits", "OTHER").columns == ("id",)
    with pytest.raises(ConfigError, match="no table"):
        open_table(tmp_path / "t.fits", "IMAGE")
    with pytest.raises(ConfigError, match="has the extensions 0 PRIMARY, 1 IMAGE"):
        open_table(tmp_path / "t.fits", "NONE")


@pytest.mark.parametrize(
    ("name", "content"),
    [("t.fits", b"garbage"), ("t.ecsv", b"# %ECSV 1.0\n# ---\n# datatype: [\nx\n1\n"), ("t.parquet", b"abc"),
     ("t.csv", b"a,b\n1,2,3\n"), ("t.txt", b"a\n")],
)  # fmt: skip
def test_files_that_are_no_table(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=name):
        list(open_table(tmp_path / name).rows(["a"]))


def test_rows_become_targets(tmp_path):
    first, second, third = targets_of(tmp_path)
    assert first.name == "a"
    assert first.values == {"name": "a", "spectrum": "spectra/a.txt", "redshift": 0.05, "n_good": 3}
    assert third.values["redshift"] is None
    assert first.overrides == {}


def test_where_and_columns(tmp_path):
    found = targets_of(tmp_path, "targets.where=n_good > 0 and redshift < 1", "targets.columns=[spectrum, redshift]")
    assert [target.name for target in found] == ["a"]
    assert set(found[0].values) == {"spectrum", "redshift"}


def test_columns_with_a_dot_are_overrides(tmp_path):
    table = "name,spectrum,redshift,KinDust.velscale,kinematics.KinDust.mask\na,s,1,80,m.txt\nb,s,1,,\n"
    first, second = targets_of(tmp_path, table=table)
    assert first.overrides == {"KinDust.velscale": 80, "kinematics.KinDust.mask": "m.txt"}
    assert second.overrides == {}
    assert set(first.values) == {"name", "spectrum", "redshift"}


def test_an_override_that_no_stage_has(tmp_path):
    with pytest.raises(ConfigError, match="column 'KinDusty.x'.*did you mean 'KinDust'"):
        targets_of(tmp_path, table="name,spectrum,redshift,KinDusty.x\na,s,1,80\n")


def test_axes_multiply_targets(tmp_path):
    found = targets_of(tmp_path, "targets.cross={seed: [1, 2], sfh: {tau: {KinDust.velscale: 3}, bins: {}}}")
    assert len(found) == 12
    assert [target.name for target in found[:4]] == [
        "a/seed=1/sfh=tau", "a/seed=1/sfh=bins", "a/seed=2/sfh=tau", "a/seed=2/sfh=bins",
    ]  # fmt: skip
    assert found[0].values["seed"] == 1
    assert found[0].values["sfh"] == "tau"
    assert found[0].overrides == {}


@pytest.mark.parametrize(
    ("table", "part"),
    [
        ("name,spectrum,redshift\na,s,1\nb,s,1\na,s,1\n", "name = 'a' occurs in rows 1, 3"),
        ("name,spectrum,redshift\na,s,1\n,s,1\n", "row 2: name = None: expected a name"),
        ('name,spectrum,redshift\n"a\tb",s,1\n', "invisible characters"),
        (f"name,spectrum,redshift\n{'x' * 300},s,1\n", "at most 200 characters"),
        ("name,spectrum,redshift\n", "there is no target"),
    ],
)
def test_names_that_are_refused(tmp_path, table, part):
    with pytest.raises(ConfigError, match=part):
        targets_of(tmp_path, table=table)


def test_repeated_names_count_among_the_chosen_rows_only(tmp_path):
    table = "name,spectrum,redshift\na,s,1\nb,s,1\na,s,2\n"
    assert len(targets_of(tmp_path, "targets.where=redshift < 2", table=table)) == 2
    with pytest.raises(ConfigError, match="no target .* for which 'redshift > 5'"):
        targets_of(tmp_path, "targets.where=redshift > 5", table=table)


def test_numbers_are_names_and_keep_their_zeros_in_csv(tmp_path):
    assert [target.name for target in targets_of(tmp_path, table="name,spectrum,redshift\n007,s,1\n8,s,1\n")] == [
        "007", "8",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("NGC 1", "NGC 1"),
        ("a/seed=1", "a/seed=1"),
        ("..", "%2E%2E"),
        ("a/../b", "a/%2E%2E/b"),
        ("/etc", "%00/etc"),
        ("a:b*?", "a%3Ab%2A%3F"),
        ("J1.2+3", "J1.2+3"),
        ("é", "%C3%A9"),
    ],
)
def test_folder_names(name, folder):
    assert folder_name(name) == folder


def test_memory_does_not_grow_with_a_fits_table(tmp_path, monkeypatch):
    monkeypatch.setattr(target_tables, "ROWS", 300)
    rows = 6000
    Table({"name": np.arange(rows), "x": np.zeros(rows)}).write(tmp_path / "large.fits")
    entries = TargetEntries.model_validate({"table": "large.fits", "identifier": "name"})
    run_file = SimpleNamespace(targets=entries, table=tmp_path / "large.fits", stages=())
    next(read_targets(run_file))  # imports
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_targets(run_file))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == rows
    assert peak < 1.2e6  # all rows at once take 3 MB
