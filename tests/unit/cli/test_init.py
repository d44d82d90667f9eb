from __future__ import annotations

import pytest
from astropy.table import Table

from orchestrator.cli import beginning
from orchestrator.production.run_file import read_run_file


def test_the_example_is_a_sound_run_file(command):
    assert "orchestrator check" in command("init", "new survey")
    run_file = read_run_file(command.folder / "new survey" / "survey.yaml")
    assert [stage.name for stage in run_file.stages] == ["kinematics", "history"]


@pytest.mark.library("MIUSCAT")
def test_the_example_can_be_fitted(command):
    command("init", "new")
    assert "8 targets" in command("check", "new/survey.yaml", "--limit", "1")


def test_without_the_source_it_needs_no_data(command, monkeypatch, tmp_path):
    monkeypatch.setattr(beginning, "_EXAMPLE_DATA", tmp_path / "none")
    command("init", "new")
    assert "3 targets, stages first" in command("check", "new/survey.yaml")


def test_with_a_table_of_your_own(command, tmp_path):
    Table({"PLATEIFU": ["a"], "path": ["x.fits"], "z": [0.1]}).write(tmp_path / "own.fits")
    command("init", "new", "--table", "own.fits")
    run_file = read_run_file(tmp_path / "new" / "survey.yaml")
    assert run_file.targets.identifier == "PLATEIFU"
    assert run_file.stages[0].sections["KinDust"]["inputSpectrum"] == "{path}"
    assert run_file.stages[0].sections["KinDust"]["redshift"] == "{z}"


def test_what_init_refuses(command, tmp_path):
    command("init", "new")
    assert "is there already" in command("init", "new", code=1)
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    assert "looks like a name" in command("init", "other", "--table", "t.csv", code=2)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("site", ["laptop", "cluster"])
def test_both_sites_are_sound(command, site):
    command("init", "new")
    assert read_run_file(command.folder / "new" / "survey.yaml", site=site).site.name == site
