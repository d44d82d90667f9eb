"""Productions with their ledger in a real PostgreSQL, which dies too: the same command finishes, same final table."""

from __future__ import annotations

import os
import random
import shutil
import threading

import pytest
from postgres_server import PostgresServer, why_missing
from small_productions import (
    N_TARGETS,
    check,
    disturbed_run,
    executions,
    final_table,
    finish,
    folder_of,
    kill,
    kill_tree,
    log_of,
    n_done,
    processes_of,
    start,
    wait_until,
    write_production,
)

AWAY_SECONDS = 1.5
SLOW = 0.1


@pytest.fixture(scope="module")
def server():
    """A server to be killed."""
    reason = why_missing()
    if reason and os.environ.get("ORCHESTRATOR_REQUIRE_SERVICES"):
        pytest.fail(f"ORCHESTRATOR_REQUIRE_SERVICES is set, but {reason}")
    if reason:
        pytest.skip(reason)
    with PostgresServer() as started:
        yield started


@pytest.fixture
def run_file(server, tmp_path):
    """A production in a schema of its own; nothing of a test that has failed stays for the next one."""
    path = write_production(tmp_path / "first", ledger=server.new_schema())
    yield path
    for folder in tmp_path.iterdir():
        kill(processes_of(folder / "run.yaml"))


def done_tasks(run_file):
    """The tasks that are done, and how often they were carried out."""
    counted = executions(run_file)
    return {
        (target, stage): counted[target, stage]
        for target, stage, state, _ in final_table(run_file)[0]
        if state == "done"
    }


def restart_later(server):
    """Start the server after a while."""
    later = threading.Timer(AWAY_SECONDS, server.start)
    later.start()
    return later


@pytest.mark.timeout(120)
def test_a_killed_server_is_waited_for(run_file, server, undisturbed):
    process = start(run_file, seconds=0.05)
    wait_until(lambda: n_done(run_file) > 5)
    server.kill()
    later = restart_later(server)
    assert process.wait(90) == 1
    later.join()
    assert "is away, trying again" in log_of(run_file)
    assert final_table(run_file) == undisturbed
    check(run_file, undisturbed, 0)  # nothing was done twice


@pytest.mark.timeout(120)
def test_a_server_that_stays_away(run_file, server, undisturbed):
    process = start(run_file, "site.ledger_patience=1", seconds=SLOW)
    wait_until(lambda: n_done(run_file) > 5)
    server.kill()
    try:
        assert process.wait(60) == 1
        wait_until(lambda: not processes_of(run_file), 15)
        assert "has not answered for 1 s" in log_of(run_file)
        assert finish(run_file) == 1  # nothing to wait for: it was not there at the start
        assert "has not answered (" in log_of(run_file)
        assert log_of(run_file).count("Bring the database back. Finished work is in the spool; the same command") == 2
        assert "Traceback" not in log_of(run_file)
    finally:
        server.start()
    done = done_tasks(run_file)
    assert 5 < len(done) < 2 * N_TARGETS - 10
    check(run_file, undisturbed, 1)
    after = executions(run_file)
    assert {task: after[task] for task in done} == done, "what was committed is not done again"


@pytest.mark.timeout(120)
def test_a_second_driver_from_a_copied_folder_is_refused(run_file, server, undisturbed):
    process = start(run_file, seconds=SLOW)
    wait_until(lambda: n_done(run_file) > 5)
    copy = run_file.parent.with_name("second") / "production"
    shutil.copytree(folder_of(run_file), copy)
    (copy / "driver.lock").unlink()
    second = copy / "run.yaml"
    assert finish(second) == 1
    assert f"process {process.pid}" in log_of(second)
    assert "Another driver writes the ledger" in log_of(second)
    assert "Traceback" not in log_of(second)
    assert not executions(second)
    assert process.poll() is None
    assert process.wait(90) == 1
    check(run_file, undisturbed, 0)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", [101, 107, 108])  # of those that kill the server first, and something else then
def test_killed_at_random_moments(run_file, server, undisturbed, seed):
    chance = random.Random(seed)
    waiting = []

    def kill_server(process):
        server.kill()
        waiting.append(restart_later(server))

    def cut_power(process):
        kill_tree(process.pid)
        kill_server(process)

    n_losses = 0
    for _ in range(3):
        n_losses += disturbed_run(run_file, chance, ("worker", "driver"), server=kill_server, power=cut_power)
        for later in waiting:
            later.join()
        waiting.clear()
    check(run_file, undisturbed, n_losses)
