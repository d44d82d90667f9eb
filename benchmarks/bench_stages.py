"""Time whole stages, their sampler process started from scratch or forked from the server of warm stages.

Prints one JSON line per case: the wall seconds from the call to the result, and the CPU seconds of everything
that the stage started. ``first`` includes the start of the server, ``warm`` is the median of the later stages;
``cold`` starts every sampler process from scratch, side by side in the same run. The cases are a module whose
likelihood costs nothing, evaluated once, and the set-up of `SFHSpectra` on a MaNGA spectrum::

    .venv/bin/python benchmarks/bench_stages.py --repeats 5

Each case runs in processes of its own, so that ``first`` is the first.
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from machine import machine

from orchestrator.config.check import build_stages, stage_values
from orchestrator.fit import warm
from orchestrator.fit.runner import run_stage

HERE = Path(__file__).resolve().parent
CASES = ("nothing", "SFHSpectra")
NOTHING = """
def setup(options):
    return 0

def execute(block, data):
    block["likelihoods", "nothing_like"] = -0.5 * block["toy", "a"] ** 2
    return 0
"""
SPECTRUM = {
    "inputSpectrum": str(HERE.parent / "examples" / "data" / "manga_spectra.fits.gz"),
    "inputSpectrumRow": 1, "redshift": 0.050231, "wlRange": [3700.0, 8900.0], "mask_emission_lines": "T",
    "SSPModel": "MIUSCAT", "SFHModel": "FixedMassFracSFH", "SFHArgs": [0.2, 0.5, 0.8, 0.95],
    "legendre_deg": 10, "los_vel": 0.0, "los_sigma": 120.0,
}  # fmt: skip


def configuration(case: str, folder: Path, number: int) -> dict[str, Any]:
    """Return a stage that evaluates one point."""
    common = {
        "runtime": {"sampler": "test", "seed": 1},
        "test": {"fatal_errors": "T"},
        "output": {"filename": str(folder / f"stage{number}")},
    }
    if case == "SFHSpectra":
        return {**common, "pipeline": {"modules": case, "likelihoods": case}, case: SPECTRUM}
    file = folder / "module_of_nothing.py"
    file.write_text(NOTHING)
    pipeline = {"modules": "Nothing", "likelihoods": "nothing"}
    return {**common, "pipeline": pipeline, "Nothing": {"file": str(file)}, "values": {"toy": {"a": "-1 0 1"}}}


def cpu_seconds_of(process: int) -> float:
    """Return the CPU seconds of a process and of its children that have ended."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def cpu_seconds() -> float:
    """Return the CPU seconds of this process, its ended children, and the server with its own."""
    times = os.times()
    server = warm.server_process()
    return sum(times[:4]) + (cpu_seconds_of(server) if server else 0.0)


def time_stages(case: str, repeats: int) -> list[dict[str, float]]:
    """Run a stage several times in this process."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(repeats):
            (stage,) = build_stages([configuration(case, Path(folder), number)])
            values = stage_values(stage)
            wall, cpu = time.perf_counter(), cpu_seconds()
            run_stage(stage, values)
            results.append({"wall_s": time.perf_counter() - wall, "cpu_s": cpu_seconds() - cpu})
    return results


def measure(case: str, repeats: int, environment: Mapping[str, str]) -> list[dict[str, float]]:
    """Run `time_stages` in a process of its own."""
    command = [sys.executable, __file__, "--only", case, "--repeats", str(repeats)]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if done.returncode:
        msg = f"{case} failed:\n{done.stderr[-3000:]}"
        raise SystemExit(msg)
    return list(json.loads(done.stdout))


def median(results: Sequence[Mapping[str, float]], key: str) -> float:
    """Return the median of one of the figures."""
    return statistics.median(result[key] for result in results)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one JSON line per case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="stages of each kind, at least 2")
    parser.add_argument("--only", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.only:
        sys.stdout.write(json.dumps(time_stages(options.only, options.repeats)))
        return 0
    for case in CASES:
        measure(case, 1, {warm.SWITCH: "0"})  # fills the caches on disk
        cold = measure(case, options.repeats, {warm.SWITCH: "0"})
        first, *later = measure(case, max(2, options.repeats), {warm.SWITCH: "1"})
        line: dict[str, Any] = {"case": case}
        for key in ("wall_s", "cpu_s"):
            figures = {"cold": median(cold, key), "first": first[key], "warm": median(later, key)}
            line |= {f"{name}_{key}": round(value, 3) for name, value in figures.items()}
            line[f"ratio_{key}"] = round(figures["cold"] / figures["warm"], 1)
        sys.stdout.write(json.dumps({**line, **machine()}) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
