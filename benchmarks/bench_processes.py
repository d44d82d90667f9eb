"""Gain by several processes under MPI, for likelihoods that cost from 0.1 to 20 ms a point.

Each case runs the same ensemble on one process and on two (or ``--processes``), through ``MainPipeline`` with a
module that spends a given time of the processor per point. Prints one JSON line per case, with the advice that the
stage gives its user::

    .venv/bin/python benchmarks/bench_processes.py [--processes 2] [--milliseconds 0.1 1 5 20]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from machine import machine

MODULE = '''
import time
import numpy as np

SPENT = {seconds!r}

class Costly:
    like_name = "costly_like"

    def __init__(self, options):
        pass

    def log_likelihood_batch(self, parameters):
        a, b = parameters["costly", "a"], parameters["costly", "b"]
        end = time.process_time() + SPENT * len(a)
        while time.process_time() < end:
            pass
        return -0.5 * (a**2 + (b / 2) ** 2)

    def execute(self, block):
        point = {{("costly", name): np.array([block["costly", name]]) for name in "ab"}}
        block["likelihoods", self.like_name] = float(self.log_likelihood_batch(point)[0])
        return 0

def setup(options):
    return Costly(options)

def execute(block, module):
    return module.execute(block)

def cleanup(module):
    pass
'''


def seconds_of(folder: Path, milliseconds: float, n_processes: int, walkers: int, steps: int) -> tuple[float, str]:
    """Run one stage; return the time of its sampler's evaluations (its log's own figure) and the advice."""
    from orchestrator import MainPipeline

    folder.mkdir()
    module = folder / "costly.py"
    module.write_text(MODULE.format(seconds=1e-3 * milliseconds), encoding="utf-8")
    values = folder / "values.ini"
    values.write_text("[costly]\na = -5 0.1 5\nb = -9 0.1 9\n", encoding="utf-8")
    config: dict[str, Any] = {
        "runtime": {"sampler": "ensemble"},
        "ensemble": {"walkers": walkers, "samples": steps, "nsteps": steps, "convergence": "F"},
        "output": {"filename": str(folder / "fit")},
        "pipeline": {"modules": "costly", "values": str(values), "likelihoods": "costly"},
        "costly": {"file": str(module)},
    }
    (result,) = MainPipeline([config], n_cores_list=[n_processes]).run(plot_result=False)
    return result.run.seconds, result.chain.metadata.get("advice", "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one JSON line per case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--milliseconds", type=float, nargs="*", default=[0.1, 0.3, 1.0, 5.0, 20.0])
    parser.add_argument("--walkers", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=20.0, help="of evaluations on one process")
    options = parser.parse_args(arguments)
    os.environ["ORCHESTRATOR_WARM_STAGES"] = "0"  # both start from scratch; a run of no steps is subtracted
    with tempfile.TemporaryDirectory() as name:
        for milliseconds in options.milliseconds:
            steps = max(20, round(options.seconds / (1e-3 * milliseconds * options.walkers)))
            line: dict[str, Any] = {"case": "ensemble", "ms_per_point": milliseconds, "walkers": options.walkers}
            times = {}
            for n in (1, options.processes):
                begin = Path(name) / f"{milliseconds}_{n}"
                idle, _ = seconds_of(begin.with_name(f"{begin.name}_idle"), milliseconds, n, options.walkers, 2)
                total, advice = seconds_of(begin, milliseconds, n, options.walkers, steps + 2)
                times[n] = total - idle
            line |= {
                "steps": steps,
                "one_process_s": round(times[1], 2),
                f"{options.processes}_processes_s": round(times[options.processes], 2),
                "gain": round(times[1] / times[options.processes], 2),
                "advice": advice,
            }
            sys.stdout.write(json.dumps({**line, **machine()}) + "\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
