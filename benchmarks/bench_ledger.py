"""Time the ledger of a production: targets in, records in, counts out, on SQLite and PostgreSQL.

Prints one JSON line per case. PostgreSQL is started by the script in a temporary folder, where it is installed::

    .venv/bin/python benchmarks/bench_ledger.py --targets 333334
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from machine import machine

from orchestrator.production.columns import Column
from orchestrator.production.ledger.ledger import Ledger, open_ledger
from orchestrator.production.records import InputFile, StagePlan, State, Target, TaskRecord
from orchestrator.production.retry import Decision
from orchestrator.production.selection import Selection

HELPERS = Path(__file__).resolve().parents[1] / "tests" / "helpers"
STAGES = ("kinematics", "history", "photometry")
BATCH = 200
COLUMNS = tuple(Column(f"parameter_{number:02d}", "float", "km/s", "a parameter") for number in range(20))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", type=int, default=333_334, help="three tasks each")
    parser.add_argument("--commits", type=int, default=20_000, help="records")
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    given = parser.parse_args(arguments)
    if "sqlite" in given.databases:
        with tempfile.TemporaryDirectory() as folder:
            measure(f"sqlite:///{folder}/ledger.sqlite", "sqlite", given)
    if "postgresql" in given.databases:
        sys.path.insert(0, str(HELPERS))
        from postgres_server import PostgresServer, why_missing

        if why_missing():
            print(why_missing(), file=sys.stderr)
        else:
            with PostgresServer(tempfile.gettempdir()) as server:
                measure(server.url, "postgresql", given)
    return 0


def say(case: str, database: str, **figures: Any) -> None:
    rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in figures.items()}
    print(json.dumps({"case": case, "database": database, **rounded, **machine()}), flush=True)


def measure(url: str, database: str, given: argparse.Namespace) -> None:
    with open_ledger(url, create=True, name="bench") as ledger:
        ledger.register_plan("plan", [(plan, plan.name) for plan in stages()])
        ledger.begin_run(argv=[], seed=1)
        start = time.perf_counter()
        ledger.add_targets(targets(given.targets))
        seconds = time.perf_counter() - start
        n_tasks = 3 * given.targets
        say("add_targets", database, targets=given.targets, tasks=n_tasks, per_second=given.targets / seconds)
        start = time.perf_counter()
        ledger.add_targets(targets(given.targets))
        seconds = time.perf_counter() - start
        say("add_targets_again", database, targets=given.targets, per_second=given.targets / seconds)
        for stage in STAGES:
            ledger.ensure_columns(stage, COLUMNS)
        measure_commits(ledger, database, given.commits)
        measure_counts(ledger, url, database)


def measure_commits(ledger: Ledger, database: str, n_records: int) -> None:
    """Hand out work and commit its records, as a driver does, in batches of 200 records."""
    seconds = {"next_work": 0.0, "mark_running": 0.0, "commit": 0.0}
    done, processor = 0, 0.0
    while done < n_records:
        start = time.perf_counter()
        works = ledger.next_work(2000, time.time())
        seconds["next_work"] += time.perf_counter() - start
        for first in range(0, len(works), BATCH // 3):
            chunk = works[first : first + BATCH // 3]
            start = time.perf_counter()
            ledger.mark_running(chunk, f"0001-{first}")
            middle = time.perf_counter()
            verdicts = [verdict(work.target_id, order.stage) for work in chunk for order in work.tasks]
            begin, cpu = time.perf_counter(), time.process_time()
            done += ledger.commit(verdicts, f"samples/0001-{done}.journal").n_done
            seconds["commit"] += time.perf_counter() - begin
            processor += time.process_time() - cpu
            seconds["mark_running"] += middle - start
            if done >= n_records:
                break
    whole = sum(seconds.values())
    say("commit", database, records=done, batch=BATCH, per_second=done / seconds["commit"], s_processor=processor)
    say("work_cycle", database, records=done, per_second=done / whole, **{f"s_{k}": v for k, v in seconds.items()})


def measure_counts(ledger: Ledger, url: str, database: str) -> None:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        with open_ledger(url, read_only=True) as reader:
            found = reader.counts()
        times.append(time.perf_counter() - start)
    n_tasks = sum(sum(states.values()) for states in found.values())
    say("counts", database, tasks=n_tasks, seconds_with_opening=min(times))
    start = time.perf_counter()
    n_selected = len(list(ledger.tasks(Selection(where="redshift < 0.0005", stages=("history",)))))
    say("tasks_where", database, tasks=n_selected, seconds=time.perf_counter() - start)
    start = time.perf_counter()
    ledger.errors()
    say("errors", database, seconds=time.perf_counter() - start)
    measure_status(url, database, n_tasks)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say("peak_memory", database, tasks=n_tasks, megabytes=peak)


def measure_status(url: str, database: str, n_tasks: int) -> None:
    """Time ``orchestrator status`` as a user calls it: a new process, its modules compiled by an earlier call."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "plan").mkdir()
        (Path(folder) / "run.yaml").write_text(f"name: bench\nledger: {url}\n", encoding="utf-8")
        environment["PYTHONPYCACHEPREFIX"] = f"{folder}/compiled"
        command = [sys.executable, "-m", "orchestrator.cli.main", "status", folder]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        times = []
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
            times.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 5
    say("status_command", database, tasks=n_tasks, seconds=statistics.median(times), s_processor=processor)


def stages() -> list[StagePlan]:
    return [StagePlan(name, needs=STAGES[:position]) for position, name in enumerate(STAGES)]


def targets(number: int) -> Iterator[Target]:
    for index in range(number):
        values = {"redshift": index / number, "spectrum": f"spectra/{index:08d}.fits", "field": index % 7}
        yield Target(f"J{index:09d}", values)


def verdict(target_id: int, stage: str) -> tuple[TaskRecord, Decision]:
    columns: dict[str, Any] = {column.name: 1.0 * target_id for column in COLUMNS}
    columns |= {"verdict": "ok", "flags": 0, "seconds": 0.1, "seed": 1, "version": "0.1"}
    record = TaskRecord(
        target_id=target_id,
        stage=stage,
        attempt=1,
        recipe=0,
        outcome="done",
        key=f"{target_id:032x}",
        started=time.time(),
        columns=columns,
        samples=f"{target_id}/{stage}",
        files=(InputFile(f"spectra/{target_id:08d}.fits", 100_000, 10**18, "0" * 16),),
        host="node001",
        process=1234,
    )
    return record, Decision(State.DONE)


if __name__ == "__main__":
    raise SystemExit(main())
