"""Stages of ceci that take no time, runs of them, and the commands that run them.

The stages wait, fail or leave processes behind when an option says so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import yaml
from ceci import PipelineStage
from ceci.file_types import TextFile

BEHAVIOUR = {"wait": 0.0, "fail": False, "leave_child": False, "fail_on_rank": -1, "word": "plain"}
MARK = "CECI_TOYS_RUN"
"""Variable that every process of a run has, so that none is overlooked."""
LEFT_BEHIND = "import time; time.sleep(300)"
"""Code of the child that a stage leaves behind in a session of its own."""


class Toy(PipelineStage):
    """Base of the stages: writes what it has read, its name and a word."""

    def run(self):
        if self.config["leave_child"]:
            subprocess.Popen([sys.executable, "-c", LEFT_BEHIND], start_new_session=True)
        if self.rank == self.config["fail_on_rank"]:
            msg = "this rank has failed"
            raise RuntimeError(msg)
        if self.comm is not None:
            self.comm.Barrier()
        time.sleep(self.config["wait"])
        if self.config["fail"]:
            msg = "this stage has failed"
            raise RuntimeError(msg)
        texts = [Path(self.get_input(tag)).read_text() for tag, _ in self.inputs]
        for tag, _ in self.outputs if self.rank == 0 else ():
            Path(self.get_output(tag)).write_text(f"{''.join(texts)}{self.instance_name} {self.config['word']}\n")


class Begin(Toy):
    name = "Begin"
    inputs = [("raw", TextFile)]
    outputs = [("begun", TextFile)]
    config_options = dict(BEHAVIOUR)


class Left(Toy):
    name = "Left"
    inputs = [("begun", TextFile)]
    outputs = [("left", TextFile)]
    config_options = dict(BEHAVIOUR)


class Right(Toy):
    name = "Right"
    inputs = [("begun", TextFile)]
    outputs = [("right", TextFile)]
    config_options = {**BEHAVIOUR, "needed": int}


class Join(Toy):
    name = "Join"
    inputs = [("left", TextFile), ("right", TextFile)]
    outputs = [("joined", TextFile)]
    config_options = dict(BEHAVIOUR)


def write_run(folder, *, copy=False, **entries):
    """Write a run of the four stages, in a folder whose name has a blank; return the run file.

    With `copy`, the stages are those of a copy of this file, ``my_toys``, whose code can be changed.
    """
    folder = folder / "a run"
    folder.mkdir(parents=True, exist_ok=True)
    if copy:
        (folder / "my_toys.py").write_text(Path(__file__).read_text())
    (folder / "raw.txt").write_text("raw\n")
    options = {"global": {"word": "first"}, "Right": {"needed": 1}}
    (folder / "config.yaml").write_text(yaml.safe_dump(options))
    content = {
        "modules": "my_toys" if copy else "ceci_toys",
        "python_paths": ["." if copy else str(Path(__file__).parent)],
        "site": {"name": "local", "max_threads": 2},
        "stages": [{"name": name} for name in ("Join", "Right", "Left", "Begin")],
        "inputs": {"raw": "raw.txt"},
        "config": "config.yaml",
        "output_dir": "out",
        "log_dir": "logs",
        **entries,
    }
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


def environment(run_file):
    """What the commands run with: a mark, and the environment's programs first on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, MARK: str(run_file.parent)}


def start(run_file, *words):
    """Start ``orchestrator run``."""
    command = [sys.executable, "-m", "orchestrator.cli.main", "run", str(run_file), *words]
    log = (run_file.parent / "run.log").open("ab")
    with log:
        return subprocess.Popen(
            command, env=environment(run_file), stdout=log, stderr=log, cwd=run_file.parent, start_new_session=True
        )


def run(run_file, *words, begin=(), end=(), only=()):
    """Run a file in this process; return the exit code and the state of each stage."""
    from orchestrator.interop.lbg_driver import run_lbg
    from orchestrator.interop.lbg_run import read_lbg_run

    os.environ[MARK] = str(run_file.parent)  # for the processes of the stages; it does not mark this one
    try:
        outcome = run_lbg(read_lbg_run(run_file, words, begin=begin, end=end, only=only))
    finally:
        del os.environ[MARK]
    return outcome.exit_code, outcome.states


def run_command(run_file, *words, timeout=100):
    """Run ``orchestrator run --json``; return the exit code and the state of each stage."""
    command = [sys.executable, "-m", "orchestrator.cli.main", "run", str(run_file), "--json", *words]
    done = subprocess.run(
        command, env=environment(run_file), capture_output=True, text=True, cwd=run_file.parent, timeout=timeout,
        check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)["states"]


def orchestrator(*words, cwd, code=0):
    """Run a command; return what it prints."""
    command = [sys.executable, "-m", "orchestrator.cli.main", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=100, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def processes_of(run_file):
    """Every process that a run has started and that lives."""
    found = []
    for process in psutil.process_iter():
        try:
            is_dead = process.status() == psutil.STATUS_ZOMBIE
            if not is_dead and process.environ().get(MARK) == str(run_file.parent):
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_until(condition, seconds=60.0):
    """Wait until a condition holds; return what it gave."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
    return found


def product(run_file, tag):
    """Text of a product."""
    return (run_file.parent / "out" / f"{tag}.txt").read_text()


if __name__ == "__main__":
    PipelineStage.main()
