"""Whatever dies, the same command finishes the work: same final table, nothing that was committed done twice."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from small_productions import (
    N_TARGETS,
    check,
    disturbed_run,
    executions,
    expected_states,
    final_table,
    finish,
    is_fitter,
    is_worker,
    kill,
    kill_tree,
    log_of,
    n_done,
    start,
    tree,
    wait_gone,
    wait_until,
    write_production,
)

SEEDS = range(20)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_random_moments(tmp_path, undisturbed, seed):
    chance = random.Random(seed)
    run_file = write_production(tmp_path / "with blank")
    n_losses = sum(disturbed_run(run_file, chance) for _ in range(3))
    check(run_file, undisturbed, n_losses)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("of", [is_fitter, is_worker], ids=["fitter", "worker"])
def test_a_killed_process_costs_the_target_it_was_at(tmp_path, undisturbed, of):
    run_file = write_production(tmp_path)
    process = start(run_file)
    wait_until(lambda: n_done(run_file) > 5)
    victims = [one for one in tree(process.pid) if of(one)]
    assert victims
    kill(victims[:1])
    assert process.wait(90) == 1
    assert final_table(run_file) == undisturbed
    check(run_file, undisturbed, 1)


@pytest.mark.timeout(120)
def test_a_fitter_that_is_killed_while_it_starts_costs_no_run(tmp_path, undisturbed):
    run_file = write_production(tmp_path)
    process = start(run_file)
    wait_until(lambda: any(map(is_fitter, tree(process.pid))))
    kill(list(filter(is_fitter, tree(process.pid))))
    assert process.wait(90) == 1
    assert "did not start" in log_of(run_file)
    assert final_table(run_file) == undisturbed
    assert len(executions(run_file)) == 2 * N_TARGETS - 5


@pytest.mark.timeout(120)
def test_a_stage_that_kills_its_process_leaves_the_other_stages_alone(tmp_path):
    """Stages that do not need it are done in the same run, for targets too that it has failed for."""
    stages = {
        name: {"stage": {"needs": []}, "function": {"call": f"small_productions:{name}", "seconds": 0.0}}
        for name in ("end_process", "square")
    }
    run_file = write_production(tmp_path, n_targets=3, pipeline=stages)
    assert finish(run_file) == 1
    states, _ = final_table(run_file)
    assert {(state, error) for _, stage, state, error in states if stage == "end_process"} == {("failed", "crash")}
    assert {(state, error) for _, stage, state, error in states if stage == "square"} == {("done", "")}
    assert set(executions(run_file).values()) == {1, 2}, "the first is tried once more, the second done once"


@pytest.mark.timeout(120)
def test_a_killed_driver_leaves_no_process_and_the_next_one_goes_on(tmp_path, undisturbed):
    run_file = write_production(tmp_path)
    process = start(run_file)
    wait_until(lambda: n_done(run_file) > 5)
    below = tree(process.pid)[1:]
    assert any(map(is_fitter, below))
    process.kill()
    process.wait()
    wait_gone(below)
    before = executions(run_file)
    check(run_file, undisturbed, 1)
    assert sum(before.values()) > 5


@pytest.mark.timeout(120)
def test_what_the_spool_holds_is_not_done_again(tmp_path, undisturbed):
    """A driver that dies between journal and commit loses nothing."""
    run_file = write_production(tmp_path)
    spool = tmp_path / "production" / "spool"
    process = start(run_file)
    wait_until(lambda: spool.is_dir() and any(spool.glob("*.journal")))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    held = list(spool.glob("*"))
    known = n_done(run_file)
    assert finish(run_file) == 1
    assert held
    assert known < 2 * N_TARGETS
    check(run_file, undisturbed, 1)


@pytest.mark.timeout(120)
def test_a_torn_journal_gives_what_was_whole(tmp_path, undisturbed):
    run_file = write_production(tmp_path)
    process = start(run_file)
    spool = tmp_path / "production" / "spool"
    wait_until(lambda: n_done(run_file) > 5 and any(path.stat().st_size > 600 for path in spool.glob("*.open")))
    kill_tree(process.pid)
    process.wait()
    journals = [path for path in spool.iterdir() if path.stat().st_size > 100]
    assert journals
    for path in journals:
        with path.open("r+b") as stream:
            stream.truncate(path.stat().st_size - 37)
    check(run_file, undisturbed, 1 + len(journals))


@pytest.mark.timeout(120)
def test_a_second_driver_is_refused_and_the_first_goes_on(tmp_path):
    slow = {name: {"function": {"call": f"small_productions:{name}", "seconds": 0.2}} for name in ("square", "root")}
    run_file = write_production(tmp_path, pipeline=slow)
    first = start(run_file)
    wait_until(lambda: n_done(run_file) > 0)
    assert finish(run_file) == 1
    assert f"process {first.pid}" in log_of(run_file)
    assert first.wait(90) == 1
    assert final_table(run_file)[0] == expected_states()
    assert max(count for (name, stage), count in executions(run_file).items() if stage == "root") == 1


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_between_two_targets(tmp_path, undisturbed, number):
    run_file = write_production(tmp_path)
    process = start(run_file)
    wait_until(lambda: n_done(run_file) > 5)
    below = tree(process.pid)[1:]
    os.kill(process.pid, number)
    assert process.wait(30) == 1
    wait_gone(below)
    done = n_done(run_file)
    assert 5 < done < 2 * N_TARGETS
    states, _ = final_table(run_file)
    assert "running" not in {state for _, _, state, _ in states}
    check(run_file, undisturbed, 0)  # nothing was done twice


@pytest.mark.timeout(180)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_full_disk(tmp_path, undisturbed):
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this system does not let a file system be mounted")
    try:
        outside = write_production(tmp_path / "run", output=str(small / "production"))
        assert finish(outside) == 1
        assert "full" in log_of(outside) or "No space left" in log_of(outside)
        assert "Traceback" not in log_of(outside)
        subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
        assert finish(outside) == 1
        assert final_table(outside) == undisturbed
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)


@pytest.mark.timeout(60)
def test_a_moved_production_goes_on(tmp_path, undisturbed):
    run_file = write_production(tmp_path / "first")
    process = start(run_file)
    wait_until(lambda: n_done(run_file) > 5)
    os.kill(process.pid, signal.SIGTERM)
    process.wait(30)
    done = n_done(run_file)
    shutil.move(tmp_path / "first", tmp_path / "second")
    moved = tmp_path / "second" / "run.yaml"
    before = executions(moved)
    assert done > 5
    assert finish(moved) == 1
    assert final_table(moved) == undisturbed
    again = executions(moved) - before
    assert not any(before[task] and task[1] == "root" for task in again), "what was done is not done again"


def test_the_helpers_see_a_process_tree():
    assert psutil.Process().pid == tree(os.getpid())[0].pid
    assert Path("/proc").is_dir()
