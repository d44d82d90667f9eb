from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from orchestrator import MainPipeline
from orchestrator.errors import StageError
from orchestrator.fit.chain import read_chain

LONG = {"emcee": {"walkers": 16, "samples": 40, "nsteps": 5}}


def children_of_launch(params):
    """Processes that run this stage, found by their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(params).encode() in command and b"orchestrator.fit.launch" in command:
                found.append(int(entry.name))
    return found


def wait_for_rows(path, n_rows, seconds=30.0):
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if (
            path.exists()
            and sum(not line.startswith("#") for line in path.read_text().splitlines()) >= n_rows
        ):
            return True
        time.sleep(0.02)
    return False


def kill_when_begun(folder, n_rows=32):
    def kill():
        if wait_for_rows(folder / "fit.txt", n_rows):
            for process in children_of_launch(folder / "fit.ini"):
                os.kill(process, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


@pytest.fixture
def killed(make_config, tmp_path):
    """A stage whose sampler was killed in the middle; the configuration that resumes it."""

    def make(sampler="emcee"):
        config = make_config(tmp_path / "fit", sampler, sections=LONG, delay=0.002)
        thread = kill_when_begun(tmp_path)
        with pytest.raises(StageError, match="signal 9"):
            MainPipeline([config]).run()
        thread.join()
        return {**config, "runtime": {**config["runtime"], "resume": "T"}}

    return make


@pytest.mark.parametrize("damage", ["none", "torn line", "torn step"])
def test_resume_continues_the_same_walkers(killed, tmp_path, damage):
    config = killed("maxlike emcee")
    path = tmp_path / "fit.txt"
    text = path.read_text()
    if damage == "torn line":
        path.write_text(text[:-9])
    elif damage == "torn step":
        path.write_text("".join(text.splitlines(keepends=True)[:-5]))
    before = read_chain(path).samples
    whole = before[: len(before) // 16 * 16]
    (result,) = MainPipeline([config]).run()
    samples = result.chain.samples
    np.testing.assert_array_equal(samples[: len(whole)], whole)
    assert len(samples) % 16 == 0
    assert result.chain.complete
    assert len(samples) >= 16 * 40
    # The next step moves by a stretch from where the walkers were: some have not moved at all.
    following = samples[len(whole) : len(whole) + 16]
    unmoved = np.all(following == whole[-16:], axis=1)
    assert 0 < np.count_nonzero(unmoved) < 16
    assert result.chain.n_infinite == 0
    assert "maxlike has finished before" in result.run.log.read_text()


def test_resume_of_a_finished_stage_reuses_it(make_config, tmp_path, caplog):
    caplog.set_level("INFO")
    config = make_config(tmp_path / "fit", "maxlike emcee", runtime={"resume": "T"})
    (first,) = MainPipeline([config]).run()
    written = (tmp_path / "fit.txt").stat().st_mtime_ns
    (again,) = MainPipeline([config]).run()
    assert again.run.reused
    assert "its result is reused" in caplog.text
    assert (tmp_path / "fit.txt").stat().st_mtime_ns == written
    assert again.best_fit == first.best_fit


def test_a_finished_chain_is_made_longer(make_config, tmp_path):
    config = make_config(tmp_path / "fit", "emcee", runtime={"resume": "T"})
    (first,) = MainPipeline([config]).run()
    config["emcee"]["samples"] = 80
    (longer,) = MainPipeline([config]).run()
    assert not longer.run.reused
    np.testing.assert_array_equal(longer.chain.samples[: first.chain.n_rows], first.chain.samples)
    assert longer.chain.n_rows == 16 * 80
    assert (tmp_path / "fit.txt").read_text().count("#complete=1") == 1


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"Toy": {"sigma": [0.5, 0.2]}}, "modules: Toy"),
        ({"values": {"toy": {"a": "-10 1 9", "b": "-10 -1 10"}}}, "values: toy--a"),
    ],
)
def test_resume_of_another_configuration_is_refused_with_what_changed(make_config, tmp_path, change, named):
    config = make_config(tmp_path / "fit", "maxlike", runtime={"resume": "T"})
    MainPipeline([config]).run()
    changed = {section: {**entries, **change.get(section, {})} for section, entries in config.items()}
    with pytest.raises(StageError, match=f"cannot be resumed .*Changed: {named}"):
        MainPipeline([changed]).run()
    assert read_chain(tmp_path / "fit.txt").complete


def test_rerun_without_resume_keeps_the_earlier_chain(make_config, tmp_path):
    config = make_config(tmp_path / "fit", "maxlike emcee")
    (first,) = MainPipeline([config]).run()
    text = (tmp_path / "fit.txt").read_text()
    MainPipeline([config]).run()
    assert (tmp_path / "previous" / "fit.1.txt").read_text() == text
    assert first.chain.n_rows == read_chain(tmp_path / "fit.txt").n_rows


@pytest.mark.parametrize("n_cores", [1, 2])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_running_when_the_parent_goes(make_config, tmp_path, n_cores, how):
    config = make_config(tmp_path / "fit", "emcee", delay=0.02)
    script = f"from orchestrator import MainPipeline; MainPipeline([{config!r}], [{n_cores}]).execute_all()"
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL) as parent:
        limit = time.monotonic() + 20
        while len(children_of_launch(tmp_path / "fit.ini")) < n_cores and time.monotonic() < limit:
            time.sleep(0.05)
        parent.send_signal(how)
        parent.wait(20)
    limit = time.monotonic() + 15
    while children_of_launch(tmp_path / "fit.ini") and time.monotonic() < limit:
        time.sleep(0.1)
    assert children_of_launch(tmp_path / "fit.ini") == []
