from __future__ import annotations

import pytest
from small_library import write_library
from small_production import write_production

from orchestrator.errors import ConfigError
from orchestrator.production.check import check_run_file
from orchestrator.production.run_file import read_run_file

RUN_FILE = """
targets: {table: tables/galaxies.csv, identifier: name}
pipeline:
  history:
    runtime: {sampler: maxlike}
    pipeline: {modules: FullSpectralFit}
    FullSpectralFit:
      inputSpectrum: "{spectrum}"
      redshift: "{redshift}"
      velscale: 80.0
      SSPModel: library.npz
      SFHModel: ExponentialSFH
      fluxUnits: "1e-16 erg / (s cm2 Angstrom)"
    stage: {recipes: [{runtime: {sampler: maxlike emcee}, emcee: {walkers: 16}}]}
  again:
    function: {call: "math:hypot"}
"""
TABLE = "name,spectrum,redshift\na,../galaxy.dat,0.01\nb,../galaxy.dat,0.012\nc,none.dat,0.01\n"


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    from quick_stages import write_spectrum

    write_spectrum(tmp_path / "galaxy.dat")
    write_library(tmp_path / "library.npz")
    return write_production(tmp_path, RUN_FILE, TABLE)


def faults_of(path, *settings, n_targets=1):
    with pytest.raises(ConfigError) as caught:
        check_run_file(read_run_file(path, settings), n_targets)
    return caught.value.faults


def test_a_sound_run_file(path):
    report = check_run_file(read_run_file(path), 3)
    assert (report.stages, report.n_targets, report.checked) == (("history", "again"), 3, ("a", "b"))
    (note,) = report.notes
    assert "1 of the first 3 targets" in note
    assert "none.dat" in note


def test_faults_have_stage_and_target_and_are_told_once(path):
    words = ["FullSpectralFit.velscal=70", "history.runtime.sampler=maxlik", "again.function.call=math:hypo"]
    faults = faults_of(path, *words, n_targets=2)
    assert len(faults) == 3
    assert "stage 'again': the function 'math:hypo' cannot be imported" in faults[0]
    text = "\n".join(faults)
    assert "stage 'history', target 'a': [runtime] unknown sampler 'maxlik'; did you mean 'maxlike'?" in text
    assert "unknown option 'velscal'; did you mean 'velscale'?" in text
    assert "target 'b'" not in text


def test_inputs_of_the_first_targets_are_read(path, tmp_path):
    (tmp_path / "tables" / "none.dat").write_text("4000 nan 1\n4010 nan 1\n4020 nan 1\n")
    (fault,) = faults_of(path, n_targets=3)
    assert fault.startswith("stage 'history', target 'c': ")
    assert "none.dat" in fault


def test_a_table_without_any_input_is_a_fault(path, tmp_path):
    (tmp_path / "galaxy.dat").unlink()
    fault = faults_of(path, n_targets=1)[0]
    assert "target 'a'" in fault
    assert "there is no file" in fault
    assert "galaxy.dat" in fault


def test_every_variant_is_checked(path):
    cross = "{sfh: {fine: {}, wrong: {FullSpectralFit.SFHModel: NoSuchSFH}}}"
    faults = faults_of(path, f"targets.cross={cross}")
    assert len(faults) == 1
    assert "target 'a/sfh=wrong'" in faults[0]
    assert "NoSuchSFH" in faults[0]


def test_recipes_are_checked(path):
    (fault,) = faults_of(path, "history.stage.recipes=[{}, {maxlike: {toleranc: 1}}]")
    assert "stage 'history', recipe 2, target 'a'" in fault
    assert "did you mean 'tolerance'" in fault


def test_nothing_is_written(path, tmp_path):
    before = sorted(file.name for file in tmp_path.iterdir() if file.name != "cache")
    check_run_file(read_run_file(path), 1)
    assert sorted(file.name for file in tmp_path.iterdir() if file.name != "cache") == before
