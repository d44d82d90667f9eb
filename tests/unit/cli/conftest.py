from __future__ import annotations

import json
import shutil
import sys

import pytest
from typer.testing import CliRunner

from orchestrator.cli.main import app

RUN_FILE = """
targets: {table: galaxies.csv, identifier: name}
pipeline:
  colour:
    function: {call: "small_steps_of_cli:colour", offset: 0.5}
    stage: {retries: {unknown: 0}}
  class:
    function: {call: "small_steps_of_cli:kind"}
    stage: {needs: colour}
site: serial
sites: {cluster: {executor: slurm, account: science, walltime: "00:30:00"}}
"""
STEPS = """
def colour(target, options, upstream):
    if target["g"] > 90:
        raise RuntimeError("the lamp went out")
    return {"g_r": target["g"] - target["r"] + options["offset"]}

def kind(target, options, upstream):
    return {"is_red": upstream["colour"]["g_r"] > 1.0}
"""
TABLE = "name,g,r\nNGC 1,18.0,17.5\nNGC 2,18.0,17.0\nIC 3,99.0,17.0\n"


class Command:
    """The command ``orchestrator``, called in this process."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, *words, code=0):
        result = CliRunner().invoke(app, [str(word) for word in words])
        shown = f"{result.output}\n{result.exception!r}"
        assert result.exit_code == code, shown
        assert result.exception is None or isinstance(result.exception, SystemExit), shown
        return result.stdout + (result.stderr if code else "")

    def json(self, *words, code=0):
        return json.loads(self(*words, "--json", code=code))


def write_inputs(folder):
    for name, text in (("survey.yaml", RUN_FILE), ("small_steps_of_cli.py", STEPS), ("galaxies.csv", TABLE)):
        (folder / name).write_text(text)


def forget_steps():
    from orchestrator.production.work.function_stage import load_function

    sys.modules.pop("small_steps_of_cli", None)
    load_function.cache_clear()


@pytest.fixture
def command(tmp_path, monkeypatch):
    """The command, in a folder with a run file, a table and its functions."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    write_inputs(tmp_path)
    yield Command(tmp_path)
    forget_steps()


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A production that has been run; to be copied, not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    write_inputs(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        Command(folder)("run", folder / "survey.yaml", code=1)
    forget_steps()
    return folder / "production"


@pytest.fixture
def production(command, tmp_path, finished):
    """The folder of a production that has been run; one of its three targets has failed."""
    shutil.copytree(finished, tmp_path / "production")
    return tmp_path / "production"
