from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from orchestrator import MainPipeline
from orchestrator.errors import StageError
from orchestrator.fit import mpi


def test_two_ranks_give_the_posterior(make_config, tmp_path):
    (result,) = MainPipeline([make_config(tmp_path / "fit", "maxlike emcee")], n_cores_list=[2]).run()
    words = shlex.split(result.run.command)
    assert Path(words[0]).name == "mpiexec"
    assert words[1:3] == ["-n", "2"]
    assert "MPI with 2 processes" in result.run.log.read_text()
    assert result.summary["b"].std == pytest.approx(0.1, rel=0.4)


@pytest.mark.parametrize(
    ("trap", "reason"), [("setup_rank_1", "cannot be set up"), ("exit_rank_1", "SystemExit: 7")]
)
def test_a_rank_that_fails_ends_all_within_seconds(make_config, tmp_path, trap, reason):
    begun = time.monotonic()
    with pytest.raises(StageError, match=reason):
        MainPipeline([make_config(tmp_path / "fit", "emcee", trap=trap)], n_cores_list=[2]).run()
    assert time.monotonic() - begun < 20


def test_a_rank_whose_evaluations_fail_is_flagged(make_config, tmp_path, caplog):
    """CosmoSIS takes an exception for a likelihood of zero."""
    (result,) = MainPipeline(
        [make_config(tmp_path / "fit", "emcee", trap="execute_rank_1")], n_cores_list=[2]
    ).run()
    assert any(flag.startswith("failed_points") for flag in result.flags)
    assert "the toy fails on purpose" in caplog.text


def test_processes_that_do_not_see_each_other_are_an_error(make_config, tmp_path):
    MainPipeline([make_config(tmp_path / "fit", "maxlike")]).run()
    command = [sys.executable, "-m", "orchestrator.fit.launch", str(tmp_path / "fit.ini"), "--mpi", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "asked for 2 processes, but this process sees 1" in done.stderr


def test_without_mpiexec_a_local_pool_serves_and_says_so(make_config, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "python").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert mpi.mpiexec_candidates() == []
    monkeypatch.undo()
    monkeypatch.setattr(mpi, "mpiexec_candidates", list)
    (result,) = MainPipeline([make_config(tmp_path / "fit", "maxlike emcee")], n_cores_list=[2]).run()
    assert "no working mpiexec was found" in caplog.text
    assert "running on a local pool of 2 processes" in result.run.log.read_text()
    (serial,) = MainPipeline([make_config(tmp_path / "fit", "maxlike emcee")]).run()
    np.testing.assert_array_equal(result.chain.samples, serial.chain.samples)


def test_a_local_worker_that_dies_does_not_hang(make_config, tmp_path, monkeypatch):
    monkeypatch.setattr(mpi, "mpiexec_candidates", list)
    begun = time.monotonic()
    with pytest.raises(StageError, match="BrokenProcessPool"):
        MainPipeline(
            [make_config(tmp_path / "fit", "apriori", trap="die", sections={"apriori": {"nsample": 60}})], [2]
        ).run()
    assert time.monotonic() - begun < 20


def test_metropolis_runs_one_chain_per_rank(make_config, tmp_path):
    settings = {"metropolis": {"samples": 50, "nsteps": 25}}
    (result,) = MainPipeline(
        [make_config(tmp_path / "fit", "metropolis", sections=settings)], n_cores_list=[2]
    ).run()
    assert sorted(f.name for f in tmp_path.glob("fit_?.txt")) == ["fit_1.txt", "fit_2.txt"]
    assert result.chain.n_rows >= 100


def test_processes_that_pay_gain_and_those_that_do_not_are_named(make_config, tmp_path, caplog):
    """The pool measures itself: 5 ms a point pay, microseconds do not."""
    settings = {"ensemble": {"walkers": 32, "samples": 12, "nsteps": 12, "convergence": "F"}}
    (slow,) = MainPipeline(
        [make_config(tmp_path / "slow", "ensemble", sections=settings, delay=0.005)], n_cores_list=[2]
    ).run()
    assert "advice" not in slow.chain.metadata
    gain = float(re.search(r"2 processes are ([\d.]+) times as fast", slow.run.log.read_text())[1])
    assert gain > 1.6
    settings["ensemble"] |= {"samples": 4000, "nsteps": 4000}
    cheap = tmp_path / "cheap.py"
    cheap.write_text(CHEAP)
    config = make_config(tmp_path / "fast", "ensemble", sections=settings)
    config["Toy"]["file"] = str(cheap)
    config["pipeline"]["extra_output"] = ""
    (fast,) = MainPipeline([config], n_cores_list=[2]).run()
    assert "2 processes do not pay here" in fast.chain.metadata["advice"]
    assert "set n_cores = 1" in caplog.text


CHEAP = """
class Cheap:
    like_name = "gaussian_like"

    def log_likelihood_batch(self, parameters):
        return -0.5 * (parameters["toy", "a"] ** 2 + parameters["toy", "b"] ** 2)

def setup(options):
    return Cheap()

def execute(block, module):
    block["likelihoods", "gaussian_like"] = -0.5 * (block["toy", "a"] ** 2 + block["toy", "b"] ** 2)
    return 0

def cleanup(module):
    pass
"""
