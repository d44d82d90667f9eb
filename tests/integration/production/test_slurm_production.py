"""Productions on a real Slurm, by the real command line: whatever of them dies, the final table is the same."""

from __future__ import annotations

import os
import re
import signal
import time

import pytest
import yaml
from slurm_cluster import wait_until
from small_productions import (
    N_TARGETS,
    check,
    executions,
    final_table,
    finish,
    folder_of,
    kill,
    log_of,
    n_done,
    processes_of,
    start,
    write_production,
)

from orchestrator.production.production import Production

SHORT = {"heartbeat_seconds": 2, "strategy_seconds": 0.5, "poll_seconds": 2, "stop_patience": 20}
PILOTS = {"executor": "slurm", "workers_per_node": 1, "max_blocks": 2, "walltime": "00:10:00", **SHORT}
SECONDS = 0.06
"""Per stage, where the run goes on: long enough that something can be killed meanwhile."""
SLOW = 0.3
"""Where it ends with what is killed."""


@pytest.fixture
def cluster(slurm, tmp_path):
    """The cluster, with an empty queue; nothing of a test that has failed stays for the next one."""
    wait_until(lambda: not slurm.queue(), 15, "an empty queue at the start")
    yield slurm
    kill(processes_of(tmp_path / "run.yaml"))
    if slurm.queue():
        slurm.command("scancel", *slurm.queue())


def wait_done(run_file, number):
    """Wait until more than a number of tasks are done."""
    wait_until(lambda: n_done(run_file) > number, 60, f"{number} tasks done, see {log_of(run_file)}")


def wait_nothing_left(run_file, cluster):
    """Wait until no process and no job of a production is there."""
    wait_until(lambda: not processes_of(run_file), 20, "no process left")
    wait_until(lambda: not cluster.queue(), 10, "no job left")


def all_jobs(cluster):
    """What Slurm knows of jobs that have ended too."""
    return cluster.command("squeue", "--states=all", "--format", "%i %j %T %r begun %S ended %e")


def interchanges(run_file):
    """The processes of a production that hand out its work."""
    return [
        process
        for process in processes_of(run_file)
        if any("interchange" in word for word in process.cmdline())
    ]


@pytest.mark.timeout(120)
def test_a_stage_over_all_targets_is_done_in_a_block(tmp_path, cluster):
    run_file = write_production(tmp_path, site=PILOTS)
    content = yaml.safe_load(run_file.read_text())
    content["pipeline"]["total"] = {
        "function": "small_productions:total", "stage": {"over": "all", "max_failed": 0.2, "needs": ["root"]}
    }  # fmt: skip
    run_file.write_text(yaml.safe_dump(content, sort_keys=False))
    assert finish(run_file, seconds=0) == 1, "five targets cannot be squared"
    done = [number for number in range(N_TARGETS) if number % 11 != 7]
    (row,) = Production(run_file).results("total")
    assert (row["target"], row["n_targets"], row["total"]) == ("@all", len(done), sum(done)), log_of(run_file)
    wait_nothing_left(run_file, cluster)


@pytest.mark.timeout(180)
def test_a_cancelled_block_in_the_middle(tmp_path, cluster, undisturbed):
    run_file = write_production(tmp_path, site=PILOTS)
    submitted = cluster.n_submitted()
    process = start(run_file, seconds=SECONDS)
    wait_done(run_file, 5)
    cluster.command("scancel", min(cluster.queue()))
    assert process.wait(120) == 1
    assert final_table(run_file) == undisturbed
    assert cluster.n_submitted() - submitted <= PILOTS["max_blocks"] + 1, all_jobs(cluster)
    wait_nothing_left(run_file, cluster)
    # Nothing is left to do: the same command asks Slurm for nothing.
    submitted = cluster.n_submitted()
    check(run_file, undisturbed, 1)
    assert cluster.n_submitted() == submitted


@pytest.mark.timeout(240)
def test_a_killed_driver_and_a_killed_interchange(tmp_path, cluster, undisturbed):
    run_file = write_production(tmp_path, site=PILOTS)
    first = cluster.n_submitted()
    process = start(run_file, seconds=SLOW)
    wait_done(run_file, 5)
    process.kill()
    process.wait()
    wait_nothing_left(run_file, cluster)
    second = cluster.n_submitted()
    assert second - first <= PILOTS["max_blocks"]

    before = sum(executions(run_file).values())
    process = start(run_file, seconds=SLOW)
    wait_until(lambda: sum(executions(run_file).values()) > before + 5, 60, "work in the second run")
    (interchange,) = interchanges(run_file)
    interchange.kill()
    killed = time.monotonic()
    assert process.wait(60) == 1
    assert time.monotonic() - killed < 30
    assert "error: Parsl's interchange, which hands out the work, ended" in log_of(run_file)
    assert "the same command continues" in log_of(run_file)
    assert "Traceback" not in log_of(run_file)
    assert n_done(run_file) < 2 * N_TARGETS - 10
    wait_nothing_left(run_file, cluster)
    third = cluster.n_submitted()
    assert third - second <= PILOTS["max_blocks"]

    check(run_file, undisturbed, 2)
    wait_nothing_left(run_file, cluster)
    assert cluster.n_submitted() - third <= PILOTS["max_blocks"]


def submit(run_file, *words, seconds):
    """Submit a production; return the number of its job and the file of its log."""
    assert finish(run_file, *words, command="submit", seconds=seconds) == 0
    job = re.findall(r"submitted as job (\d+)", log_of(run_file))[-1]
    return job, folder_of(run_file) / "logs" / f"slurm-{job}.log"


def check_stopped(run_file, log):
    """A job that has ended gracefully: part of the work is done, nothing is marked as running."""
    assert "stopped: " in log.read_text()
    assert "Traceback" not in log.read_text()
    assert 5 < n_done(run_file) < 2 * N_TARGETS - 10
    assert "running" not in {state for _, _, state, _ in final_table(run_file)[0]}


@pytest.mark.timeout(240)
def test_a_submitted_job_stops_on_a_signal_and_the_next_one_completes(tmp_path, cluster, undisturbed):
    run_file = write_production(tmp_path, site={"workers_per_node": 1, "nodes_per_block": 2, **SHORT})
    submitted = cluster.n_submitted()
    job, log = submit(run_file, seconds=SLOW)
    wait_until(lambda: n_done(run_file) > 5, 60, f"work in the job, see {log}")
    hosts = {line.split()[0] for line in cluster.command("squeue", "--noheader", "--format", "%D").splitlines()}
    assert hosts == {"2"}
    cluster.command("scancel", "--batch", "--signal=TERM", job)
    wait_until(lambda: not cluster.queue(), 40, "the end of the job")
    check_stopped(run_file, log)
    wait_nothing_left(run_file, cluster)

    _, log = submit(run_file, seconds=0)
    wait_until(lambda: not cluster.queue(), 90, f"the end of the job, see {log}")
    assert "nothing has changed" in log.read_text()
    assert final_table(run_file) == undisturbed
    check(run_file, undisturbed, 0, "site.executor=serial")  # a stop costs nothing
    assert cluster.n_submitted() - submitted == 2
    wait_nothing_left(run_file, cluster)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_job_stops_before_its_wall_time(tmp_path, cluster, undisturbed):
    # Slurm sends its signal 65 s before the end, and up to half a minute earlier.
    run_file = write_production(
        tmp_path, site={"workers_per_node": 1, "walltime": "00:03:00", "stop_before_end": 5, **SHORT}
    )
    begun = time.monotonic()
    _, log = submit(run_file, seconds=1.5)
    wait_until(lambda: not cluster.queue(), 170, f"the end of the job, see {log}")
    assert time.monotonic() - begun < 150
    assert "the signal SIGTERM" in log.read_text()
    check_stopped(run_file, log)
    check(run_file, undisturbed, 0, "site.executor=local")
    wait_nothing_left(run_file, cluster)


@pytest.mark.timeout(120)
def test_a_signal_ends_the_driver_and_its_blocks(tmp_path, cluster, undisturbed):
    run_file = write_production(tmp_path, site=PILOTS)
    process = start(run_file, seconds=SLOW)
    wait_done(run_file, 5)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(40) == 1
    wait_nothing_left(run_file, cluster)
    assert n_done(run_file) < 2 * N_TARGETS - 10
    before = sum(executions(run_file).values())
    check(run_file, undisturbed, 0, "site.executor=local")
    assert before > 5
