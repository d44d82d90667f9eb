"""Worker processes on this machine that die, and a driver that does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait

import engine_driver
import psutil
import pytest
from engine_chunks import (
    Chunk,
    always_kill_worker,
    begin,
    execute,
    executions,
    finish,
    kill_worker_once,
    marked_processes,
)
from slurm_cluster import wait_until

from orchestrator.fit.local_pool import open_local_pool
from orchestrator.production.engine.executors import open_executor
from orchestrator.production.engine.lost import EngineLost, is_lost
from orchestrator.production.engine.outcomes import outcomes
from orchestrator.production.site import Site

pytestmark = pytest.mark.timeout(60)

TWO_WORKERS = Site(executor="local", workers=2)


def test_a_killed_worker_costs_only_what_was_in_flight(production):
    window = 4
    with open_executor(TWO_WORKERS, production=production) as executor:
        found = finish(executor, [Chunk(str(production), n) for n in range(40)], kill_worker_once, window)
    assert found == {number: number**2 for number in range(40)}
    times = Counter(executions(production))
    assert times[3] == 2
    assert sum(times.values()) - 40 <= window


def test_a_death_is_noticed_while_the_neighbours_are_busy(production):
    with open_executor(TWO_WORKERS, production=production) as executor, ThreadPoolExecutor(1) as helper:
        chunks = [Chunk(str(production), 1, 60), Chunk(str(production), 2, 60)]
        running = helper.submit(lambda: list(outcomes(executor, execute, chunks, window=lambda: 2)))
        wait_until(lambda: len(executions(production)) == 2, 20, "both chunks begun")
        psutil.Process(_last_worker(production)).kill()
        found = running.result(timeout=10)
        assert [is_lost(outcome) for _, outcome in found] == [True, True]
        assert executor.submit(execute, Chunk(str(production), 5)).result(timeout=20) == 25


def test_a_death_is_noticed_after_calls_were_taken_back(production):
    with open_executor(TWO_WORKERS, production=production) as executor:
        futures = [executor.submit(execute, Chunk(str(production), n, 60)) for n in range(8)]
        wait_until(lambda: len(executions(production)) == 2, 20, "two chunks begun")
        for future in futures:
            future.cancel()
        psutil.Process(_last_worker(production)).kill()
        done, unfinished = wait(futures, timeout=10)
    assert not unfinished
    assert all(future.cancelled() or is_lost(future.exception()) for future in done)


class _FatalToOthers:
    """Argument of a worker: a worker that is there is killed while the next one is started, sooner or later."""

    def __init__(self, later: bool):
        self.later = later

    def __reduce__(self):
        others = [one for one in psutil.Process().children() if "spawn_main" in " ".join(one.cmdline())]
        timers = [threading.Timer(0.03 if self.later else 0.0, other.kill) for other in others]
        for timer in timers:
            timer.start()
        if others and not self.later:
            time.sleep(0.5)
        return str, ()


@pytest.mark.parametrize("later", [False, True])
def test_a_death_while_another_worker_is_started_leaves_nothing_to_wait_for(later):
    load = bytes(20_000_000)  # it is written to the new process once that reads, which is later still
    with open_local_pool(2, begin=begin, arguments=(load, _FatalToOthers(later))) as pool:
        first = pool.submit(time.sleep, 60)
        wait_until(psutil.Process().children, 20, "a worker is there")
        second = pool.submit(os.getpid)
        done, unfinished = wait([first, second], timeout=20)
        assert not unfinished
        assert is_lost(first.exception())
        assert second.exception() is None or is_lost(second.exception())
        left = time.monotonic()
    assert time.monotonic() - left < 10


def test_an_error_of_the_work_is_neither_lost_nor_tried_again(production):
    with open_executor(TWO_WORKERS, production=production) as executor:
        ((_, outcome),) = outcomes(executor, execute, [Chunk(str(production), -1)], window=lambda: 1)
    assert isinstance(outcome, ValueError)
    assert not is_lost(outcome)
    assert executions(production) == [-1]


def test_workers_that_always_die_end_the_engine_with_advice(production):
    with open_executor(TWO_WORKERS, production=production) as executor:  # noqa: SIM117
        with pytest.raises(EngineLost, match='if __name__ == "__main__"'):
            finish(executor, [Chunk(str(production), 1)], always_kill_worker)


def test_leaving_does_not_wait_for_what_runs(production):
    with open_executor(TWO_WORKERS, production=production) as executor:
        for number in range(8):  # more than the workers take at a time
            executor.submit(execute, Chunk(str(production), number, 300))
        wait_until(lambda: len(executions(production)) == 2, 20, "two chunks begun")
        left = time.monotonic()
    assert time.monotonic() - left < 5
    assert len(executions(production)) == 2


def test_workers_end_with_a_killed_driver_and_a_rerun_completes(production):
    site = json.dumps({"executor": "local", "workers": 2})
    command = [sys.executable, engine_driver.__file__, str(production), site, "12", "0.3"]
    results = production / "results.txt"
    with subprocess.Popen(command) as driver:
        wait_until(lambda: results.exists() and results.read_text().count("\n") >= 2, 20, "the first results")
        driver.kill()
    wait_until(lambda: not marked_processes(str(production)), 5, "no worker left")
    subprocess.run(command, check=True, timeout=40)
    lines = results.read_text().splitlines()
    assert sorted(int(line.split()[0]) for line in lines) == list(range(12))


def _last_worker(production) -> int:
    return int((production / "executions.txt").read_text().split()[-1])
