"""One set of chunks through every engine: the same results, each chunk executed once."""

from __future__ import annotations

import json
import sys
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import engine_driver
import pytest
from engine_chunks import Chunk, executions, finish
from slurm_cluster import SlurmCluster, wait_until

from orchestrator.production.engine.executors import open_executor
from orchestrator.production.site import Site

pytestmark = pytest.mark.timeout(90)

N_CHUNKS = 40
EXPECTED = {number: number**2 for number in range(N_CHUNKS)}


def chunks(folder: Path) -> list[Chunk]:
    return [Chunk(str(folder), number) for number in range(N_CHUNKS)]


def threads(n_threads: int = 2) -> Executor:
    """What a user's module may offer as an engine."""
    return ThreadPoolExecutor(n_threads)


@contextmanager
def processes():
    with ProcessPoolExecutor(2) as executor:
        yield executor


@pytest.mark.parametrize(
    "options",
    [
        {"executor": "serial"},
        {"executor": "local", "workers": 2},
        {"executor": "user_engine:threads", "factory_options": {"n_threads": 3}},
        {"executor": "user_engine:processes"},
    ],
    ids=lambda options: options["executor"],
)
def test_on_this_machine(production, monkeypatch, options):
    monkeypatch.setitem(sys.modules, "user_engine", sys.modules[__name__])
    with open_executor(Site(**options), production=production) as executor:
        assert finish(executor, chunks(production)) == EXPECTED
    assert sorted(executions(production)) == list(range(N_CHUNKS))


def test_in_pilot_jobs(production, slurm, pilot_site):
    submitted = slurm.n_submitted()
    with open_executor(pilot_site(), production=production) as executor:
        assert finish(executor, chunks(production)) == EXPECTED
    assert sorted(executions(production)) == list(range(N_CHUNKS))
    assert slurm.n_submitted() - submitted <= pilot_site().max_blocks
    wait_until(lambda: not slurm.queue(), 10, "an empty queue")


def test_in_one_allocation_of_two_nodes(production, slurm: SlurmCluster):
    site = json.dumps({"executor": "allocation", "workers_per_node": 2, "strategy_seconds": 0.5})
    words = [sys.executable, engine_driver.__file__, str(production), site, str(N_CHUNKS), "0"]
    script = production / "job.sh"
    script.write_text("#!/bin/bash\nexec " + " ".join(f"'{word}'" for word in words) + "\n")
    log = production / "job.log"
    slurm.command("sbatch", "--nodes=2", "--exclusive", "--time=5", f"--output={log}", str(script))
    wait_until(lambda: not slurm.queue(), 60, "the end of the job")
    lines = (production / "results.txt").read_text().split("\n") if (production / "results.txt").exists() else []
    found = {int(line.split()[0]): int(line.split()[1]) for line in lines if line}
    assert found == EXPECTED, log.read_text()
    assert sorted(executions(production)) == list(range(N_CHUNKS))
