"""Time the example of the README (the peer's manual), from the start of Python to the figure.

Prints one JSON line per case: with an empty cache of prepared templates, with a warm one, and the peer on the same
spectrum with ``--peer`` (its evaluations are few, as it would need many minutes; its time is scaled to the example's
evaluations and said to be so). Memory is the largest resident set of any process of the run::

    .venv/bin/python benchmarks/bench_manual_example.py [--peer peer/bin/python]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from machine import machine

ROOT = Path(__file__).resolve().parents[1]
PEER_SAMPLES = 2
_MEASURE = """
import resource, subprocess, sys, time
begun = time.perf_counter()
code = subprocess.run([sys.executable, sys.argv[1]], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
seconds = time.perf_counter() - begun
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(code.returncode, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
sys.stderr.write(code.stderr[-2000:])
"""


def example() -> str:
    """Return the Python block of the README."""
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return block


def write_spectrum(folder: Path) -> None:
    """Write a mock galaxy of S/N 30 made with our model."""
    from orchestrator.modules.full_spectral_fit import FullSpectralFitModule

    wavelength = np.arange(3400.0, 9200.0, 1.0)
    flat = folder / "flat.dat"
    np.savetxt(flat, np.column_stack([wavelength, np.ones_like(wavelength), np.full_like(wavelength, 0.1)]))
    options = {
        "inputSpectrum": str(flat), "SSPModel": "PopStar", "SFHModel": "ExponentialSFH", "velscale": 50.0,
        "fluxUnits": "1e-16 erg / (s cm2 Angstrom)", "ExtinctionLaw": "ccm89",
    }  # fmt: skip
    module = FullSpectralFitModule(options)
    truth = {
        ("stars.sfh", "logtau"): 0.7, ("stars.sfh", "ism_metallicity_today"): 0.013,
        ("stars.sfh", "alpha_powerlaw"): 0.6, ("kinematics", "los_vel"): 40.0, ("kinematics", "los_sigma"): 180.0,
        ("kinematics", "los_h3"): 0.0, ("kinematics", "los_h4"): 0.0, ("dust.extinction", "a_v"): 0.3,
    }  # fmt: skip
    flux = module.make_observable(truth)
    flux = flux / np.median(flux)
    covered = module.fit.covered_wavelength
    noise = flux / 30
    data = flux + noise * np.random.default_rng(1).normal(size=len(flux))
    np.savetxt(folder / "my_spectrum.dat", np.column_stack([covered, data, noise]))


def run(python: str, code: str, folder: Path, cache: Path) -> dict[str, float]:
    """Run a script in a folder; return wall seconds, CPU seconds and the peak memory in MB."""
    script = folder / "script.py"
    script.write_text(code, encoding="utf-8")
    environment = {**os.environ, "ORCHESTRATOR_CACHE": str(cache), "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    environment["PATH"] = f"{Path(python).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        [python, "-c", _MEASURE, str(script)], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    code_text, seconds, cpu, memory = done.stdout.split()
    if code_text != "0":
        msg = f"the example failed:\n{done.stderr}"
        raise SystemExit(msg)
    return {"wall_s": round(float(seconds), 2), "cpu_s": round(float(cpu), 2), "peak_mb": round(float(memory))}


def peer_code() -> str:
    """Return the example as the peer wants it, with few evaluations."""
    code = example().replace("from orchestrator import", "from besta.pipeline import")
    code = code.replace("from orchestrator.modules.", "from besta.pipeline_modules.")
    # With the documented flux unit the peer's figure fails after the run, so it draws none.
    code = code.replace("plot_result=True", "plot_result=False")
    few = f'"samples": {PEER_SAMPLES}, "nsteps": {PEER_SAMPLES}'
    return code.replace('"samples": 100, "nsteps": 100', few).replace('"maxiter": 3000', '"maxiter": 3')


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one JSON line per case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter of the environment with besta==0.6.2")
    options = parser.parse_args(arguments)
    cases: dict[str, dict[str, float | str]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder, cache = Path(name), Path(name) / "cache"
        write_spectrum(folder)
        cases["cold cache"] = dict(run(sys.executable, example(), folder, cache))
        cases["warm cache"] = dict(run(sys.executable, example(), folder, cache))
        if options.peer:

            note = f"{PEER_SAMPLES} of 100 samples and 3 iterations of the optimiser"
            cases["besta 0.6.2"] = {**run(options.peer, peer_code(), folder, cache), "note": note}
    for case, figures in cases.items():
        sys.stdout.write(json.dumps({"case": f"manual's example, {case}", **figures, **machine()}) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
