"""Blocks, interchange and driver that die, on a real Slurm."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import engine_driver
import psutil
import pytest
from engine_chunks import Chunk, execute, executions, finish, kill_worker_once, marked_processes
from slurm_cluster import wait_until

from orchestrator.production.engine.executors import open_executor
from orchestrator.production.engine.lost import EngineLost, is_lost
from orchestrator.production.engine.outcomes import outcomes

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def cluster(slurm):
    """The cluster, whose queue has to be empty in the end."""
    wait_until(lambda: not slurm.queue(), 15, "an empty queue at the start")
    yield slurm
    wait_until(lambda: not slurm.queue(), 15, "an empty queue at the end")


def chunks(production, number: int, seconds: float) -> list[Chunk]:
    return [Chunk(str(production), n, seconds) for n in range(number)]


def interchanges(production) -> list[psutil.Process]:
    lines = {process: " ".join(process.cmdline()) for process in marked_processes(str(production))}
    return [
        process
        for process, line in lines.items()
        if line.startswith("parsl: HTEX interchange") or "-m parsl.executors.high_throughput.interchange" in line
    ]


def workers_of(production) -> set[str]:
    file = production / "executions.txt"
    return {line.split()[1] for line in file.read_text().splitlines()} if file.exists() else set()


def test_a_cancelled_block_is_replaced(production, cluster, pilot_site):
    submitted = cluster.n_submitted()
    with open_executor(pilot_site(), production=production) as executor, ThreadPoolExecutor(1) as helper:
        running = helper.submit(finish, executor, chunks(production, 40, 0.3))
        wait_until(lambda: len(executions(production)) > 4, 60, "work begun")
        victim = min(cluster.queue())
        cluster.command("scancel", victim)
        assert running.result(timeout=80) == {n: n**2 for n in range(40)}
    assert cluster.n_submitted() - submitted <= pilot_site().max_blocks + 1
    assert len(executions(production)) <= 40 + pilot_site().workers_per_node


def test_a_killed_worker_takes_no_neighbour_along(production, cluster, pilot_site):
    submitted = cluster.n_submitted()
    with open_executor(pilot_site(max_blocks=1, workers_per_node=2), production=production) as executor:
        found = finish(executor, chunks(production, 20, 0.05), kill_worker_once)
        assert found == {n: n**2 for n in range(20)}
        assert len(executions(production)) == 21
        # An error of the work itself is neither lost nor tried again.
        ((_, outcome),) = outcomes(executor, execute, [Chunk(str(production), -1)], window=lambda: 1)
        assert isinstance(outcome, ValueError)
        assert not is_lost(outcome)
        assert executions(production).count(-1) == 1
    assert cluster.n_submitted() - submitted == 1


def test_blocks_scale_to_zero_and_back(production, cluster, pilot_site):
    submitted = cluster.n_submitted()
    with open_executor(pilot_site(max_idle_seconds=2, workers_per_node=2), production=production) as executor:
        # One chunk, more slots: the case in which Parsl cancels what it has just asked for, again and again.
        assert finish(executor, chunks(production, 1, 0.5)) == {0: 0}
        wait_until(lambda: not cluster.queue(), 20, "no block left")
        assert cluster.n_submitted() - submitted == 1
        assert finish(executor, chunks(production, 8, 0.2)) == {n: n**2 for n in range(8)}
        wait_until(lambda: not cluster.queue(), 20, "no block left")
    assert cluster.n_submitted() - submitted <= 1 + pilot_site().max_blocks


def test_a_block_that_is_starting_is_not_taken_back(production, cluster, pilot_site):
    submitted = cluster.n_submitted()
    slow_second = f"mkdir {production}/first || sleep 12"
    with open_executor(pilot_site(worker_init=slow_second), production=production) as executor:
        assert finish(executor, chunks(production, 2, 0.5)) == {0: 0, 1: 1}
        assert (production / "first").is_dir()
        # Fewer calls than slots for a while, before the workers of the second block have reported; then more again.
        assert finish(executor, chunks(production, 1, 3)) == {0: 0}
        assert finish(executor, chunks(production, 8, 0.5)) == {n: n**2 for n in range(8)}
    assert cluster.n_submitted() - submitted == 2


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_wall_time_of_a_block_cuts_no_chunk_short(production, cluster, pilot_site):
    # A block of one minute takes no more work after 20 seconds.
    site = pilot_site(max_blocks=1, walltime="00:01:00", stop_before_end=40)

    def until_a_second_block_works():
        for chunk in chunks(production, 1000, 0.5):
            yield chunk
            if len(workers_of(production)) > site.workers_per_node:
                return

    with open_executor(site, production=production) as executor:
        found = list(outcomes(executor, execute, until_a_second_block_works(), window=lambda: 4))
    assert all(outcome == chunk.number**2 for chunk, outcome in found)
    assert len(executions(production)) == len(found)


def test_a_killed_interchange_is_noticed_and_nothing_stays(production, cluster, pilot_site):
    with open_executor(pilot_site(), production=production) as executor:
        flow = outcomes(executor, execute, chunks(production, 40, 0.5), window=lambda: 8)
        next(flow)
        (interchange,) = interchanges(production)
        interchange.kill()
        killed = time.monotonic()
        with pytest.raises(EngineLost, match="interchange") as caught:
            list(flow)
        assert time.monotonic() - killed < 10
        assert caught.value.orders
        closing = time.monotonic()
    assert time.monotonic() - closing < 10
    wait_until(lambda: not marked_processes(str(production)), 15, "no process left")


def test_leaving_while_a_call_waits_to_be_sent(production, cluster, pilot_site):
    """A socket that one thread closes while another one sends aborts the driver."""
    with open_executor(pilot_site(), production=production) as executor:
        (interchange,) = interchanges(production)
        interchange.kill()
        wait_until(executor.fault, 5, "the interchange missed")
        futures = [executor.submit(execute, chunk) for chunk in chunks(production, 4, 0.1)]
        time.sleep(0.5)
        assert not any(future.done() for future in futures), "the fault of the engine is no outcome of its calls"
        closing = time.monotonic()
    assert time.monotonic() - closing < 10
    assert all(is_lost(future.exception(timeout=1)) for future in futures)


def test_all_ends_with_a_killed_driver_and_a_rerun_completes(production, cluster, pilot_site):
    site = pilot_site().model_dump_json()
    command = [sys.executable, engine_driver.__file__, str(production), site, "24", "0.4"]
    results = production / "results.txt"
    with subprocess.Popen(command) as driver:
        wait_until(lambda: results.exists() and results.read_text().count("\n") >= 2, 60, "the first results")
        assert interchanges(production)
        driver.kill()
    wait_until(lambda: not interchanges(production), 2, "the interchange gone")
    wait_until(lambda: not marked_processes(str(production)), 20, "workers and blocks gone")
    wait_until(lambda: not cluster.queue(), 5, "the queue empty without a scancel")
    again = json.dumps({"executor": "local", "workers": 2})
    subprocess.run([*command[:3], again, *command[4:]], check=True, timeout=60)
    numbers = [int(line.split()[0]) for line in results.read_text().splitlines()]
    assert sorted(numbers) == list(range(24))


def test_blocks_of_a_dead_driver_are_cancelled_by_the_next_one(production, cluster, pilot_site, tmp_path):
    from orchestrator.production.engine.own_jobs import label_of

    name = f"parsl.{label_of(production)}.block-0.17"
    foreign = f"parsl.{label_of(tmp_path / 'other')}.block-0.17"
    for job in (name, foreign):
        cluster.command("sbatch", f"--job-name={job}", "--output=/dev/null", "--wrap", "sleep 300")
    (theirs,) = cluster.command("squeue", "--noheader", "--format", "%i", "--name", foreign).split()
    with open_executor(pilot_site(), production=production):
        assert list(cluster.queue()) == [theirs]
    cluster.command("scancel", theirs)


def test_a_block_that_slurm_refuses_ends_the_engine_with_its_words(production, cluster, pilot_site):
    with open_executor(pilot_site(partition="nosuch"), production=production) as executor:  # noqa: SIM117
        with pytest.raises(EngineLost, match="invalid partition"):
            finish(executor, chunks(production, 2, 0))


def test_workers_that_cannot_start_end_the_engine_with_their_words(production, cluster, pilot_site):
    site = pilot_site(worker_init="echo no such module >&2; exit 3", max_blocks=1)
    submitted = cluster.n_submitted()
    with open_executor(site, production=production) as executor:  # noqa: SIM117
        with pytest.raises(EngineLost, match="no such module"):
            finish(executor, chunks(production, 2, 0))
    assert cluster.n_submitted() - submitted <= 4


def test_a_stop_leaves_what_runs_time_to_finish(production, cluster, pilot_site):
    with open_executor(pilot_site(max_blocks=1), production=production) as executor:
        flow = outcomes(
            executor, execute, chunks(production, 40, 0.5), window=lambda: 2, patience=20,
            stop=lambda: len(executions(production)) >= 4,
        )  # fmt: skip
        found = list(flow)
    assert all(outcome == chunk.number**2 for chunk, outcome in found)
    assert len(found) == len(executions(production)) < 10
