"""Recovery of the truth by every module: mean and scatter of (estimate - truth) / sigma over many mocks.

Each mock is a galaxy drawn from the prior, at a signal-to-noise ratio of 30 per pixel or band, fitted through
``MainPipeline`` with ``multistart ensemble``. Prints one JSON line per module::

    .venv/bin/python benchmarks/study_recovery.py [--number 100] [--processes 2] [--modules FullSpectralFit ...]
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"

import argparse
import json
import logging
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from machine import machine

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))

from recovery import CASES, Pulls, recovery  # noqa: E402 - found beside the tests, which run a small version


def _quiet() -> None:
    """Keep the flags of each fit to itself; they are counted."""
    logging.getLogger("orchestrator").setLevel(logging.ERROR)


def study(name: str, number: int, processes: int, folder: Path) -> Pulls:
    """Share the mocks of one module among processes."""
    shares = [range(start, number, processes) for start in range(processes)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_quiet) as pool:
        futures = [pool.submit(recovery, CASES[name], share, folder) for share in shares]
        parts = [future.result() for future in futures]
    return Pulls(parts[0].names, np.concatenate([p.pulls for p in parts]), sum(p.n_flagged for p in parts))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one JSON line per module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=100)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--modules", nargs="*", choices=list(CASES), default=list(CASES))
    options = parser.parse_args(arguments)
    for name in options.modules:
        begun = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            pulls = study(name, options.number, options.processes, Path(folder))
        line = {
            "case": name,
            "mocks": len(pulls.pulls),
            "flagged": pulls.n_flagged,
            "wall_s": round(time.perf_counter() - begun, 1),
            "pulls": {key: {k: round(v, 3) for k, v in row.items()} for key, row in pulls.table().items()},
        }
        sys.stdout.write(json.dumps({**line, **machine()}) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
