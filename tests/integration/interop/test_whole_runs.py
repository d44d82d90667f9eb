"""Runs as others have written them: the example in the form of lbg-pipelines, and ceci's own example."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import version

import pytest
import yaml
from ceci_toys import orchestrator, run_command

pytestmark = pytest.mark.timeout(300)


def test_the_example_in_the_form_of_lbg_pipelines(tmp_path, project_root):
    folder = tmp_path / "my lbg"
    ignored = shutil.ignore_patterns("results", "__pycache__")
    shutil.copytree(project_root / "examples" / "lbg", folder, ignore=ignored)
    run_file = folder / "configs" / "runs" / "fit_sample.yaml"
    plan = orchestrator("run", run_file, "--dry-run", cwd=tmp_path)
    assert [line for line in plan.splitlines() if line[:1].isalpha()] == [
        "pre_script",
        "SelectBright: it was never run here",
        "FitPositions: stage SelectBright runs before it; it was never run here",
        "Summary: stage FitPositions runs before it; it was never run here",
        "post_script",
    ]
    names = ("SelectBright", "FitPositions", "Summary")
    assert run_command(run_file) == (0, dict.fromkeys(names, "done"))
    results = folder / "results" / "fit_sample"
    summary = yaml.safe_load((results / "outputs" / "summary.yml").read_text())
    assert summary["n_fitted"] == 7
    assert summary["n_failed"] == 0
    assert abs(summary["x_1_std"] - 0.3) < 0.1
    assert "n_fitted: 7" in (results / "logs" / "post_script.out").read_text()
    assert "Summary" in orchestrator("status", results / "outputs", cwd=tmp_path)
    assert run_command(run_file) == (0, dict.fromkeys(names, "current"))


def test_the_example_of_ceci_itself(tmp_path):
    folder = _source_of_ceci(tmp_path)
    run_file = folder / "tests" / "test.yml"
    entries = yaml.safe_load(run_file.read_text())
    names = {stage["name"] for stage in entries["stages"]}
    assert run_command(run_file, "stages.WLGCSelector.nprocess=2") == (0, dict.fromkeys(names, "done"))
    log = (folder / "tests" / "logs" / "WLGCSelector.out").read_text()
    assert "mpiexec -n 2" in log.replace("'", ""), "the path of mpiexec is quoted if it has a blank"
    made = {path.name for path in (folder / "tests" / "outputs").glob("*.txt")}
    assert len(made) == len(names), "each stage makes one product"


def _source_of_ceci(tmp_path):
    """Unpack ceci's source, whose example is not in the installed package; skip where it cannot be had."""
    name = f"ceci=={version('ceci')}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "ceci", "--quiet", name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ})
    if done.returncode:
        pytest.skip(f"the source of {name} cannot be fetched: {done.stderr[-300:]}")
    with tarfile.open(next(tmp_path.glob("ceci-*.tar.gz"))) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / f"ceci-{version('ceci')}"
