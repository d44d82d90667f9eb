"""Overhead of the engines: time to the first result, chunks that do nothing per second, time to end.

Prints one JSON line per engine. ``slurm`` is Parsl on a real Slurm of two nodes that is started for it on this
machine, with two workers; it is left out where Slurm is missing::

    .venv/bin/python benchmarks/bench_engine.py [--chunks 2000] [--engines serial local slurm]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from machine import machine

HELPERS = Path(__file__).resolve().parents[1] / "tests" / "helpers"
sys.path.insert(0, str(HELPERS))

from engine_chunks import no_op  # noqa: E402
from slurm_cluster import SlurmCluster, missing_programs  # noqa: E402

from orchestrator.production.engine.executors import open_executor  # noqa: E402
from orchestrator.production.engine.outcomes import outcomes  # noqa: E402
from orchestrator.production.site import Site  # noqa: E402

SITES = {
    "serial": Site(executor="serial"),
    "local": Site(executor="local", workers=2),
    "slurm": Site(executor="slurm", workers_per_node=2, strategy_seconds=0.5),
}


@contextmanager
def surroundings(engine: str, folder: Path) -> Iterator[None]:
    """Start what an engine needs."""
    os.environ["PYTHONPATH"] = str(HELPERS)
    if engine != "slurm":
        yield
        return
    with SlurmCluster(folder / "cluster") as cluster:
        os.environ.update(cluster.variables)
        yield


def measure(engine: str, n_chunks: int, folder: Path) -> dict[str, float]:
    """Return the times of one engine."""
    site = SITES[engine]
    begun = time.perf_counter()
    with open_executor(site, production=folder) as executor:
        window = 4 * site.n_slots
        list(outcomes(executor, no_op, range(1), window=lambda: window))
        first = time.perf_counter()
        results = [outcome for _, outcome in outcomes(executor, no_op, range(n_chunks), window=lambda: window)]
        last = time.perf_counter()
    assert sorted(results) == list(range(n_chunks))
    return {
        "first_result_seconds": round(first - begun, 3),
        "chunks_per_second": round(n_chunks / (last - first), 1),
        "milliseconds_per_chunk": round(1e3 * (last - first) / n_chunks, 3),
        "end_seconds": round(time.perf_counter() - last, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=2000)
    parser.add_argument("--engines", nargs="+", choices=SITES, default=list(SITES))
    arguments = parser.parse_args()
    for engine in arguments.engines:
        if engine == "slurm" and missing_programs():
            print(json.dumps({"engine": engine, "left_out": missing_programs()}))
            continue
        with tempfile.TemporaryDirectory() as name, surroundings(engine, Path(name)):
            times = measure(engine, arguments.chunks, Path(name))
        print(json.dumps({"engine": engine, "workers": SITES[engine].n_slots, "chunks": arguments.chunks, **times,
                          "load": round(os.getloadavg()[0], 1), **machine()}), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
