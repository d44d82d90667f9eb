"""Check and plan of a pipeline over many targets: processor time from the run file to tasks that are ready.

Prints one JSON line: seconds of the processor for reading the run file (table looked at, functions imported, stages
wired), for the check of everything, for the plan, and for the new ledger with a task per stage and target::

    .venv/bin/python benchmarks/bench_plan.py [--targets 10000]

ceci 2.7 needs 210 s for 800 stages of one target each (it has no targets), growing with the power 2.3.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from machine import machine

STEPS = """
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from orchestrator.production.stage_types import Column, InputFile, Output, Table, Target

@dataclass(frozen=True)
class Size:
    size: Annotated[float, Column("kpc", "size")]

def measure(target: Target, *, image: InputFile, scale: float = 1.0,
            cutout: Annotated[Path, Output("cutout.txt")]) -> Size: ...
def fit(target: Target, *, clean: InputFile) -> Size: ...
def collect(*, fit: Table) -> Size: ...
"""
RUN = """
targets: {table: table.csv, identifier: name}
pipeline:
  measure: {function: {call: "plan_steps:measure", scale: 2.0}}
  clean: {command: {words: [cp, "{input:cutout}", "{output:clean}"]}}
  fit: {function: "plan_steps:fit"}
  collect: {function: "plan_steps:collect", stage: {over: all}}
"""


def measure(n_targets: int, folder: Path) -> dict[str, float]:
    """Return processor seconds of each step."""
    from orchestrator.production.check import check_run_file
    from orchestrator.production.plan import plan_of, to_json
    from orchestrator.production.production import Production
    from orchestrator.production.run_file import read_run_file

    (folder / "plan_steps.py").write_text(STEPS)
    (folder / "run.yaml").write_text(RUN)
    rows = "".join(f"t{number},t{number}.txt,{number % 7}.5\n" for number in range(n_targets))
    (folder / "table.csv").write_text(f"name,image,redshift\n{rows}")
    times = {}
    clock = time.process_time()

    def lap(name: str) -> None:
        nonlocal clock
        now = time.process_time()
        times[name], clock = round(now - clock, 3), now

    run_file = read_run_file(folder / "run.yaml")
    lap("read")
    check_run_file(run_file)
    lap("check")
    to_json(plan_of(run_file))
    lap("plan")
    Production(run_file).update()
    lap("ledger")
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", type=int, default=10_000)
    given = parser.parse_args()
    import orchestrator.production.production  # noqa: F401 - what every command needs

    with tempfile.TemporaryDirectory() as folder:
        times = measure(given.targets, Path(folder))
    checked = round(times["read"] + times["check"] + times["plan"], 3)
    line = {"benchmark": "plan", "targets": given.targets, "cpu_seconds": times, "check_and_plan": checked,
            "imports": round(time.process_time() - sum(times.values()), 3), "machine": machine()}  # fmt: skip
    sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
