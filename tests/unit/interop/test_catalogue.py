"""Tables on both sides of a stage over a catalogue, and the classes that `as_ceci` makes."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import yaml
from astropy.table import Table

from orchestrator.errors import ConfigError
from orchestrator.interop.as_ceci import as_ceci
from orchestrator.interop.catalogue_table import MISSING_NUMBER, Results, table_of_targets, write_results
from orchestrator.interop.ranks import claimed
from orchestrator.production.columns import Column

GAUSSIAN = {
    "runtime": {"sampler": "maxlike"},
    "pipeline": {"modules": "GaussianTarget"},
    "GaussianTarget": {"mean": ["{x}"], "sigma": 0.5},
    "stage": {"time_limit": 60},
}
OWN = {"identifier", "where", "seed", "max_failed", "isolation", "group"}


@pytest.mark.parametrize(("group", "name"), [("", "b"), ("sky", "bé")])
def test_a_table_in_hdf5_gets_the_numbers_of_its_rows(tmp_path, group, name):
    path = tmp_path / "t.hdf5"
    with h5py.File(path, "w") as file:
        place = file.create_group(group) if group else file
        place["mag"] = np.array([20.0, 21.0])
        place["id"] = np.array(["a", name * 2], dtype=h5py.string_dtype())
        place["image"] = np.zeros((2, 3))
    for given in {group, ""}:
        found = Table.read(table_of_targets(path, given, tmp_path))
        assert sorted(found.colnames) == ["id", "mag", "row"]
        assert list(found["id"]) == ["a", name * 2]
        assert list(found["row"]) == [0, 1]
        np.testing.assert_array_equal(found["mag"], [20.0, 21.0])


def test_a_table_in_hdf5_that_is_none(tmp_path):
    path = tmp_path / "t.hdf5"
    with h5py.File(path, "w") as file:
        file["a"], file["b"] = np.zeros(2), np.zeros(3)
    with pytest.raises(ConfigError, match=r"expected data sets of one length, found \[2, 3\]"):
        table_of_targets(path, "", tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        table_of_targets(path, "nothing", tmp_path)
    assert table_of_targets(tmp_path / "t.csv", "", tmp_path) == tmp_path / "t.csv"


def test_results_with_holes(tmp_path):
    results = Results(3)
    results.set(0, Column("name", "text"), "a")
    declared = {"mass": Column("mass", "float", "dex(solMass)", "stellar mass"), "n": Column("n", "int")}
    results.set_record(0, "s_", {"mass": 10.5, "n": 3, "flags": 1, "other": True}, declared)
    results.set_record(2, "s_", {"mass": None, "n": 4, "verdict": "ok"}, declared)
    write_results(tmp_path / "r.hdf5", results, {"creator": "test"}, ["s_n", "nothing"])
    with h5py.File(tmp_path / "r.hdf5") as file:
        assert list(file) == ["s_n", "name", "s_mass", "s_flags", "s_other", "s_verdict"]
        np.testing.assert_array_equal(file["s_mass"][:], [10.5, np.nan, np.nan])
        assert list(file["s_n"][:]) == [3, MISSING_NUMBER, 4]
        assert list(file["s_other"][:]) == [1, MISSING_NUMBER, MISSING_NUMBER]
        assert list(file["s_verdict"].asstr()[:]) == ["", "", "ok"]
        assert file["s_mass"].attrs["unit"] == "dex(solMass)"
        assert file.attrs["creator"] == "test"


def test_a_chunk_is_claimed_once(tmp_path):
    assert [claimed(tmp_path / name) for name in ("1", "2", "1")] == [True, True, False]


def test_every_option_of_a_stage_is_one_of_ceci():
    made = as_ceci(GAUSSIAN, "OneOfOurs", samples=True)
    assert made.name == "OneOfOurs"
    assert [tag for tag, _ in made.inputs_()] == ["targets"]
    assert [tag for tag, _ in made.outputs_()] == ["oneofours", "oneofours_samples"]
    options = {"runtime.sampler", "pipeline.modules", "GaussianTarget.mean", "GaussianTarget.sigma"}
    assert set(made.config_options) == options | OWN
    assert made.config_options["GaussianTarget.sigma"].default == 0.5
    after = as_ceci(GAUSSIAN, "AfterOurs", upstream=[made], product="after", targets="sky")
    assert [tag for tag, _ in after.inputs_()] == ["sky", "oneofours", "oneofours_samples"]


def test_the_command_names_the_module_and_ends_all_ranks():
    made = as_ceci(GAUSSIAN, "ByCommand")
    command = made.generate_command({"targets": "t.csv"}, "c.yml", {"bycommand": "b.hdf5"}, {}, "Again")
    assert command.split() == [
        "python3", "-m", "orchestrator.interop.ceci_stages", f"{__name__}.ByCommand", "--targets=t.csv",
        "--name=Again", "--config=c.yml", "--bycommand=b.hdf5",
    ]  # fmt: skip


def test_several_stages_and_files(tmp_path):
    content = {"first": GAUSSIAN, "second": {**GAUSSIAN, "GaussianTarget": {"file": "mine.py", "sigma": 1.0}}}
    (tmp_path / "fits.yaml").write_text(yaml.safe_dump({"pipeline": content}))
    made = as_ceci(tmp_path / "fits.yaml", "SeveralOfOurs")
    assert "second.GaussianTarget.sigma" in made.config_options
    assert made.pipeline["second"]["GaussianTarget"]["file"] == str(tmp_path / "mine.py")
    listed = as_ceci([GAUSSIAN, GAUSSIAN], "ListOfOurs")
    assert list(listed.pipeline) == ["stage_1", "stage_2"]
    with pytest.raises(ConfigError, match="keeps no samples"):
        as_ceci(GAUSSIAN, "WithoutSamples", upstream=[made])
    with pytest.raises(ConfigError, match="expected the sections of a stage"):
        as_ceci({}, "NothingOfOurs")
