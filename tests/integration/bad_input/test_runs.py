"""Runs that go wrong: a clean failure with evidence, and nothing finished is lost."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from quick_stages import full_fit, one_fault, own_module, refusal, write_spectrum

from orchestrator import MainPipeline, load_run
from orchestrator.errors import DataError, StageError
from orchestrator.fit import mpi

# --- runs that fail


def test_a_failing_second_stage_loses_nothing(config, tmp_path, caplog):
    pipeline = MainPipeline([config, own_module(tmp_path, "second", "execute")])
    assert pipeline.execute_all() == 1
    text = caplog.text
    assert "The module [Mine] raised RuntimeError at the start point" in text
    assert "the lamp went out" in text
    assert "end of the log" in text
    assert re.search(r"repeat it with:\n\s+.*python", text)
    assert "1 of 2 stages finished: fit" in text
    assert [result.name for result in pipeline.results] == ["fit"]
    assert load_run("fit.txt").run.complete
    assert Path("fit_best_fit.json").is_file()
    assert not Path("second.txt").exists()
    command = text[text.index("repeat it with:") :].splitlines()[1].strip()
    again = subprocess.run(command, shell=True, capture_output=True, text=True, cwd="/", timeout=60)
    assert again.returncode != 0
    assert "the lamp went out" in again.stdout + again.stderr


def test_module_file_that_raises_when_it_is_loaded(config, tmp_path, caplog):
    stage = own_module(tmp_path, "fit", "never")
    (tmp_path / "mine.py").write_text("raise ImportError('no such instrument')\n")
    assert MainPipeline([stage]).execute_all() == 1
    first_line = next(r.getMessage() for r in caplog.records if r.levelname == "ERROR").partition("\n")[0]
    assert "Stage 'fit' failed" in first_line
    assert "mine.py" in first_line
    assert "no such instrument" in first_line, "the reason comes first"
    assert not Path("fit.txt").exists()


def test_no_mpiexec(config, library, monkeypatch, caplog):
    monkeypatch.setattr(mpi, "mpiexec_candidates", list)
    caplog.set_level(logging.INFO)
    config = full_fit("fit", library, "emcee")
    assert MainPipeline([config], n_cores_list=[2]).execute_all() == 0
    assert "no working mpiexec was found" in caplog.text
    assert "runs on 2 local processes" in caplog.text
    assert "local pool of 2 processes" in Path("fit.log").read_text()
    assert load_run("fit.txt").chain.n_rows == 16 * 4


# --- folders


@pytest.mark.parametrize("n_cores", [1, 2])
def test_folder_with_blanks_and_quotes(config, library, tmp_path, monkeypatch, n_cores):
    folder = tmp_path / """it's "a b" $(touch hit)"""
    folder.mkdir()
    monkeypatch.chdir(folder)
    write_spectrum("my galaxy's \"data\".dat")
    (folder / "my lib").mkdir()
    copy = folder / "my lib" / "tiny.npz"
    copy.write_bytes(library.read_bytes())
    config = full_fit("out put/the fit", "./my lib/tiny.npz", "maxlike emcee")
    config["FullSpectralFit"]["inputSpectrum"] = "my galaxy's \"data\".dat"
    config["pipeline"]["values"] = "the start's.ini"
    (result,) = MainPipeline([config], n_cores_list=[n_cores]).run(plot_result=True)
    assert (folder / "out put" / "the fit.txt").is_file()
    assert (folder / "the start's.ini").is_file()
    assert result.figures["FullSpectralFit"].is_file()
    assert not list(tmp_path.rglob("hit"))
    done = subprocess.run(
        [sys.executable, "-m", "cosmosis.main", "the fit.ini"],
        cwd=folder / "out put",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_folder_with_a_per_cent_sign(config, library, tmp_path, monkeypatch):
    folder = tmp_path / "50%x %(here)s"
    folder.mkdir()
    monkeypatch.chdir(folder)
    write_spectrum("galaxy%.dat")
    config["FullSpectralFit"]["inputSpectrum"] = "galaxy%.dat"
    config["output"]["filename"] = "fit"
    (result,) = MainPipeline([config]).run(plot_result=True)
    assert result.figures["FullSpectralFit"].is_file()
    assert (folder / "fit.txt").is_file()


def test_output_folder_is_created(config):
    config["output"]["filename"] = "a/b/c/fit"
    assert MainPipeline([config]).execute_all() == 0
    assert Path("a/b/c/fit.txt").is_file()


def test_output_parent_that_is_a_file(config):
    Path("taken").write_text("precious")
    config["output"]["filename"] = "taken/fit"
    message = one_fault(config)
    assert message.startswith("stage 1: [output] filename = ")
    assert f"{str(Path.cwd() / 'taken')!r} is a file, not a folder" in message
    assert Path("taken").read_text() == "precious"


def test_two_runs_started_in_one_folder(config, library):
    slow = full_fit("fit", library, "emcee")
    slow["emcee"] = {"walkers": 16, "samples": 2000, "nsteps": 100}
    script = f"import sys; from orchestrator import MainPipeline; sys.exit(MainPipeline([{slow!r}]).execute_all())"
    with subprocess.Popen(
        [sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as first:
        try:
            end = time.monotonic() + 60
            while not (Path("fit.txt").exists() and Path("fit.txt").stat().st_size > 20000):
                assert first.poll() is None, first.stderr.read()
                assert time.monotonic() < end
                time.sleep(0.05)
            with pytest.raises(StageError) as caught:
                MainPipeline([slow]).run()
            assert first.poll() is None, "the first run goes on"
            message = str(caught.value)
            assert f"Another run is writing {str(Path.cwd() / 'fit.txt')!r}" in message
            assert f"process {first.pid} on" in message
            assert "another output.filename" in message
            size = Path("fit.txt").stat().st_size
            assert size > 20000, "the first run's chain is untouched"
            while Path("fit.txt").stat().st_size == size:
                assert first.poll() is None
                assert time.monotonic() < end
                time.sleep(0.05)
        finally:
            if first.poll() is None:
                os.killpg(first.pid, signal.SIGTERM)
            first.wait(30)


def test_several_faults_are_told_at_once(config, library):
    config["runtime"]["sampler"] = "maxlke"
    config["FullSpectralFit"].update(inputSpectrum="nowhere.dat", SFHModel="Exponental")
    second = full_fit("other", library, velscale=-3, redshift="far")
    second["pipeline"]["likelihods"] = "x"
    message = refusal([config, second])
    assert re.match(r"\d faults in the configuration:\n", message)
    for expected in (
        "stage 1: [runtime] unknown sampler 'maxlke'; did you mean 'maxlike'?",
        "stage 1: [FullSpectralFit] inputSpectrum = 'nowhere.dat': there is no file",
        "'Exponental' is not a star-formation history; did you mean 'ExponentialSFH'?",
        "stage 2: [FullSpectralFit] velscale = -3",
        "stage 2: [FullSpectralFit] redshift = 'far'",
        "unknown option 'likelihods'; did you mean 'likelihoods'?",
    ):
        assert expected in message


def test_an_unknown_option_does_not_hide_the_other_faults_of_its_section(config):
    config["FullSpectralFit"].update(velscal=3, inputSpectrum="nowhere.dat", SFHModel="Exponental")
    message = refusal(config)
    for expected in ("unknown option 'velscal'", "there is no file", "did you mean 'ExponentialSFH'?"):
        assert expected in message


def test_unreadable_spectrum_and_missing_library_are_told_at_once(config, monkeypatch, tmp_path, library):
    monkeypatch.setenv("ORCHESTRATOR_DATA", str(tmp_path / "empty"))
    write_spectrum("galaxy.dat", error=np.zeros(600))
    config["FullSpectralFit"]["SSPModel"] = "MaStar"
    second = full_fit("other", library, fluxUnits="furlong")
    message = refusal([config, second])
    assert "orchestrator ssp fetch MaStar" in message
    assert "none of the 600 unmasked pixels has a finite positive error" in message
    assert "stage 2: [FullSpectralFit]" in message
    assert "furlong" in message


def test_data_errors_are_typed():
    from orchestrator.observation.read_spectrum import read_spectrum

    with pytest.raises(DataError, match="nowhere.dat"):
        read_spectrum("nowhere.dat")
