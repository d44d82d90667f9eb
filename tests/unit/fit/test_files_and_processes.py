from __future__ import annotations

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.config.priors import PriorsFile
from orchestrator.config.values import parse_values
from orchestrator.errors import StageError
from orchestrator.fit import mpi
from orchestrator.fit.identity import changed_parts, identity_hash, identity_parts
from orchestrator.fit.lock import hold_lock
from orchestrator.fit.prepare import prepare_stage, write_missing_values
from orchestrator.fit.previous import set_aside
from orchestrator.fit.process import TimedOut, run_logged
from orchestrator.stage import ModuleSection, Stage, StagePaths

VALUES = parse_values("[toy]\na = -5 0 5\n")


@pytest.fixture
def stage(tmp_path):
    module = ModuleSection("Toy", None, Path("toy.py"), {"order": 3, "spectrum": str(tmp_path / "data.txt")})
    sections = {"emcee": {"walkers": 8, "samples": 100}, "pipeline": {"likelihoods": "toy"}}
    return Stage("fit", StagePaths(tmp_path / "fit.txt"), ("maxlike", "emcee"), (module,), sections, seed=1)


def parts(stage, values=VALUES):
    return identity_parts(stage, values, PriorsFile())


def test_identity_ignores_starts_and_lengths_and_sees_the_rest(stage, tmp_path):
    before = parts(stage)
    moved = parts(stage, parse_values("[toy]\na = -5 1 5\n"))
    longer = parts(replace(stage, sections={**stage.sections, "emcee": {"walkers": 8, "samples": 900}}))
    assert identity_hash(before) == identity_hash(moved) == identity_hash(longer)
    assert changed_parts(before, parts(stage, parse_values("[toy]\na = -6 0 5\n"))) == ["values: toy--a"]
    more = parts(replace(stage, sections={**stage.sections, "emcee": {"walkers": 10}}))
    assert changed_parts(before, more) == ["samplers: options"]
    (tmp_path / "data.txt").write_text("1 2 3\n")
    with_data = parts(stage)
    (tmp_path / "data.txt").write_text("1 2 4\n")
    assert changed_parts(with_data, parts(stage)) == [f"input files: {tmp_path / 'data.txt'}"]


def test_results_are_set_aside_under_free_numbers(stage):
    for number in (1, 2):
        stage.paths.chain.write_text(f"chain {number}\n")
        stage.paths.best_fit.write_text(f"{number}")
        assert set_aside(stage).name == f"fit.{number}.txt"
    folder = stage.paths.directory / "previous"
    assert (folder / "fit.1.txt").read_text() == "chain 1\n"
    assert (folder / "fit.2.txt").read_text() == "chain 2\n"
    assert (folder / "fit.2_best_fit.json").read_text() == "2"
    assert not stage.paths.chain.exists()
    assert set_aside(stage) is None


def test_lock_refuses_a_second_holder_and_names_the_first(stage):
    refused = pytest.raises(StageError, match=f"Another run is writing .*process {os.getpid()} on")
    with hold_lock(stage.paths), refused, hold_lock(stage.paths):
        pass
    with hold_lock(stage.paths):
        pass


def test_lock_makes_the_folder_and_refuses_one_that_cannot_be_made(stage, tmp_path):
    deep = StagePaths(tmp_path / "x y" / "z'q" / "fit.txt")
    with hold_lock(deep):
        assert deep.directory.is_dir()
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StageError, match="cannot be written"),
        hold_lock(StagePaths(tmp_path / "file" / "fit.txt")),
    ):
        pass


def test_the_users_files_are_never_written(stage):
    stage.paths.values.write_text("[toy]\na = -5 0 5\n")
    with pytest.raises(StageError, match="would overwrite your file"):
        prepare_stage(replace(stage, values_file=stage.paths.values), VALUES)


def test_missing_values_file_is_written_once(stage, tmp_path):
    target = tmp_path / "mine.ini"
    write_missing_values(replace(stage, values_file=target), VALUES)
    assert "a = -5.0 0.0 5.0" in target.read_text()
    target.write_text("[toy]\na = 1 2 3\n")
    write_missing_values(replace(stage, values_file=target), VALUES)
    assert target.read_text() == "[toy]\na = 1 2 3\n"


def test_output_and_exit_code_of_a_command(tmp_path):
    log = tmp_path / "log"
    code = (
        "import os, sys; print('out', os.environ['OMP_NUM_THREADS']); print('err', "
        "file=sys.stderr); sys.exit(4)"
    )
    assert run_logged([sys.executable, "-c", code], log) == 4
    assert sorted(log.read_text().split("\n")) == ["", "err", "out 1"]


SPAWNER = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def is_alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition, seconds=10.0):
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_timeout_ends_the_whole_group(tmp_path):
    log = tmp_path / "log"
    with pytest.raises(TimedOut, match=r"stopped after 1\.5 s"):
        run_logged([sys.executable, "-c", SPAWNER], log, timeout=1.5)
    grandchild = int(log.read_text().split()[0])
    assert wait_for(lambda: not is_alive(grandchild))


def test_termination_of_this_process_ends_the_group(tmp_path):
    log = tmp_path / "log"

    def terminate():
        wait_for(lambda: log.exists() and log.read_text().strip())
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=terminate).start()
    with pytest.raises(SystemExit):
        run_logged([sys.executable, "-c", SPAWNER], log, timeout=20)
    assert wait_for(lambda: not is_alive(int(log.read_text().split()[0])))


def test_mpiexec_beside_python_comes_first():
    candidates = mpi.mpiexec_candidates()
    assert candidates[0] == str(Path(sys.executable).parent / "mpiexec")
    assert mpi.find_mpiexec() == candidates[0]


def test_mpiexec_that_starts_singletons_is_refused(tmp_path, monkeypatch, caplog):
    """As an mpiexec of another MPI library does."""
    fake = tmp_path / "mpiexec"
    fake.write_text('#!/bin/sh\nshift 2\n"$@"\n"$@"\n')
    fake.chmod(0o755)
    monkeypatch.setattr(mpi, "mpiexec_candidates", lambda: [str(fake)])
    assert mpi.find_mpiexec() is None
    assert "does not work with mpi4py" in caplog.text
