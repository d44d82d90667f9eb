"""Time what a worker of a production spends around the fits of a target, and how many trivial targets it does.

Prints two JSON lines: for targets of three quick stages (a spectrum and twice photometry of the DESI galaxy of the
examples) the seconds in fits, the seconds outside, and the fraction outside; and trivial function targets per
second. Both through the watched process that a production uses by default, and without its start::

    .venv/bin/python benchmarks/bench_target.py --targets 10
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from machine import machine

from orchestrator.production.plan import Plan, to_json
from orchestrator.production.records import ChunkOrder, StagePlan, Target, TaskOrder, Work
from orchestrator.production.shards import pack
from orchestrator.production.work.chunk import run_chunk, stop_fitters
from orchestrator.production.work.journal import RecordFrame, read_journal

DATA = Path(__file__).resolve().parents[1] / "examples" / "data"
POPULATION = {"SSPModel": "PopStar", "SFHModel": "DelayedTauSFH"}
SPECTRUM = {
    "inputSpectrum": str(DATA / "desi_galaxy.fits.gz"), "redshift": 0.36874, "wlRange": [3700.0, 6750.0],
    "mask_emission_lines": "T", "legendre_deg": 10, "los_sigma": 200.0, "los_vel": 0.0,
}  # fmt: skip
PHOTOMETRY = {
    "inputPhotometry": str(DATA / "desi_photometry.txt"), "fluxUnits": "nanomaggy", "redshift": 0.36874,
    "ExtinctionLaw": "calzetti00",
}  # fmt: skip


def trivial(target: Mapping[str, Any], options: Mapping[str, Any], upstream: Mapping[str, Any]) -> dict[str, Any]:
    """Return two columns."""
    del options, upstream
    return {"twice": 2 * target["number"], "name_length": len(target["target"])}


def fit(name: str, module: str, options: Mapping[str, Any], needs: tuple[str, ...] = ()) -> StagePlan:
    """Return a stage of the optimiser and a short ensemble."""
    sections = {
        "runtime": {"sampler": "maxlike ensemble"},
        "ensemble": {"walkers": 16, "nsteps": 40, "max_samples": 80},
        "pipeline": {"modules": module},
        module: options,
        **({"handover": {"stars.sfh": "prior"}} if needs else {}),
    }
    return StagePlan(name, "fit", sections, needs=needs)


def production(folder: Path, stages: Sequence[StagePlan]) -> Plan:
    """Write the plan of a production."""
    plan = Plan("benchmark", tuple(stages), folder=str(folder))
    (folder / plan.file).parent.mkdir(parents=True, exist_ok=True)
    (folder / plan.file).write_text(to_json(plan))
    return plan


def run(folder: Path, plan: Plan, chunk: str, numbers: range) -> tuple[float, list[dict[str, Any]]]:
    """Run a chunk; return its wall time and the rows of its results."""
    tasks = tuple(TaskOrder(stage.name) for stage in plan.stages)
    works = tuple(Work(number, Target(f"g{number}", {"number": number}), tasks) for number in numbers)
    begun = time.perf_counter()
    report = run_chunk(ChunkOrder(chunk, str(folder), plan.file, works))
    seconds = time.perf_counter() - begun
    frames = [frame for frame in read_journal(folder / report.journal) if isinstance(frame, RecordFrame)]
    failed = [frame.record.message for frame in frames if frame.record.outcome != "done"]
    if failed:
        raise SystemExit(failed[0])
    return seconds, [dict(frame.record.columns) for frame in frames]


def overhead(folder: Path, n_targets: int) -> dict[str, Any]:
    """Measure the time around three quick fits."""
    plan = production(
        folder,
        [
            fit("spectrum", "SFHSpectra", {**SPECTRUM, **POPULATION}),
            fit("photometry", "SFHPhotometry", {**PHOTOMETRY, **POPULATION}, ("spectrum",)),
            fit("other", "SFHPhotometry", {**PHOTOMETRY, **POPULATION, "SFHModel": "ExponentialSFH"}),
        ],
    )
    run(folder, plan, "warm", range(2))
    seconds, rows = run(folder, plan, "timed", range(2, 2 + n_targets))
    inside = sum(row["seconds"] for row in rows)
    packed = pack(folder, ["spool/timed.journal"], "samples/shard-1.h5")
    return {
        "case": "three fits",
        "targets": n_targets,
        "wall_s": round(seconds, 3),
        "fits_s": round(inside, 3),
        "outside_s": round(seconds - inside, 3),
        "outside_fraction": round((seconds - inside) / seconds, 4),
        "fit_s_mean": round(inside / len(rows), 4),
        "journal_bytes_per_fit": round(packed.n_bytes_before / len(packed.references)),
        "shard_bytes_per_fit": round(packed.bytes_per_fit),
        "shard_bytes_by_part": {k: round(v / len(packed.references)) for k, v in packed.bytes_by_part.items()},
    }


def throughput(folder: Path, n_targets: int) -> dict[str, Any]:
    """Measure trivial function targets per second."""
    plan = production(folder, [StagePlan("first", "function", {"function": {"call": "bench_target:trivial"}})])
    run(folder, plan, "warm2", range(200))
    seconds, rows = run(folder, plan, "timed2", range(n_targets))
    return {"case": "trivial functions", "targets": n_targets, "wall_s": round(seconds, 3),
            "targets_per_s": round(len(rows) / seconds)}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one JSON line per case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", type=int, default=10, help="of three fits each")
    parser.add_argument("--trivial", type=int, default=5000, help="targets of the other case")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        try:
            for case, n_targets in ((overhead, options.targets), (throughput, options.trivial)):
                sys.stdout.write(json.dumps({**case(Path(folder), n_targets), **machine()}) + "\n")
                sys.stdout.flush()
        finally:
            stop_fitters()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
