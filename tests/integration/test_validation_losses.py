"""A validation whose processes die: every mock is counted, nothing is left behind, the same command goes on."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from gaussian_stages import gaussian_stage
from small_productions import tree, wait_gone, wait_until

from orchestrator.validation.config_file import validation_config
from orchestrator.validation.records import read_records
from orchestrator.validation.study import RECORDS, run_mocks

pytestmark = pytest.mark.timeout(180)

DEADLY = """
import os, pathlib, signal
def setup(options):
    marker = pathlib.Path(options["mine", "marker"])
    if {condition}:
        marker.touch()
        os.kill(os.getpid(), signal.SIGSEGV)
    return 1.0
def execute(block, data):
    return 0
"""


def config_of(folder, condition):
    """A known posterior, beside a module that ends its process while a condition holds."""
    (folder / "mine.py").write_text(DEADLY.format(condition=condition))
    mine = {"file": str(folder / "mine.py"), "marker": str(folder / "has_died")}
    stage = gaussian_stage(pipeline={"modules": "GaussianTarget Mine"}, Mine=mine)
    return validation_config({"pipeline": [stage], "truth": [gaussian_stage()]}, folder)


def mocks_of(config, folder, number):
    return run_mocks(config, folder, number=number, seed=3, processes=2)


def test_a_process_that_dies_costs_no_mock(tmp_path):
    config = config_of(tmp_path, "not marker.exists()")
    disturbed = mocks_of(config, tmp_path / "disturbed", 3)
    assert (tmp_path / "has_died").exists()
    quiet = mocks_of(config, tmp_path / "quiet", 3)
    for one, other in zip(disturbed, quiet, strict=True):
        assert one.truth == other.truth
        assert one.stages[0].draws == other.stages[0].draws
        assert one.stages[0].failure == ""


def test_a_mock_that_takes_its_process_along_has_failed(tmp_path):
    mocks = mocks_of(config_of(tmp_path, "True"), tmp_path / "out", 2)
    assert [mock.index for mock in mocks] == [0, 1]
    for mock in mocks:
        assert mock.stages[0].verdict == "failed"
        assert "the process that fitted it died" in mock.stages[0].failure
    assert read_records(tmp_path / "out" / RECORDS) == dict(enumerate(mocks))


def test_a_killed_validation_leaves_no_process_and_goes_on(tmp_path):
    (tmp_path / "fit.json").write_text(json.dumps([gaussian_stage()]))
    command = [sys.executable, "-m", "orchestrator.cli.main", "validate", str(tmp_path / "fit.json"), "-j", "2"]
    records = tmp_path / "fit_validation" / RECORDS
    with subprocess.Popen([*command, "-n", "500"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: records.is_file() and len(records.read_text().splitlines()) >= 3)
        below = tree(process.pid)[1:]
        process.kill()
    assert len(below) >= 2
    wait_gone(below)
    n_done = len(read_records(records))
    done = subprocess.run(
        [*command, "-n", str(n_done + 2), "--no-figures"], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert len(read_records(records)) == n_done + 2
    assert f"{n_done + 2} mocks" in done.stdout
