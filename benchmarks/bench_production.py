"""A production of mock galaxies: how much of the wall time is spent outside the fits.

Each mock has a spectrum of 500 pixels and photometry in five bands, and three stages: a first fit of the spectrum,
the star-formation history from it, and the photometry with what the spectrum says as a prior. One JSON line is
printed: time in the stages, wall time, and the fraction of the workers' time that was neither::

    .venv/bin/python benchmarks/bench_production.py [--number 1000] [--workers 2] [--ledger URL] [--trivial]

``--trivial`` runs function stages that do nothing in their place: tasks per second through ledger and engine. On a
busy machine the processor time of the driver says more than the wall time. ``--ledger postgresql`` starts a server of
its own in a temporary folder.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import numpy as np
import yaml
from astropy.table import Table

BANDS = ("BASS-g", "BASS-r", "MzLS-z", "wise2010-W1", "wise2010-W2")
COLOURS = np.array([3.77, 6.59, 8.83, 7.07, 6.47])


def nothing(target: dict, options: dict, upstream: dict) -> dict:
    """Return a number: a stage that costs nothing."""
    del options, upstream
    return {"value": float(target["redshift"])}


def make_mocks(folder: Path, number: int) -> None:
    """Write spectra, photometry and the table of targets."""
    rng = np.random.default_rng(20261126)
    wavelength = np.linspace(4300.0, 5500.0, 500)
    names, redshifts = [], rng.uniform(0.02, 0.06, number)
    for index, redshift in enumerate(redshifts):
        rest = wavelength / (1.0 + redshift)
        shape = (rest / 4700.0) ** rng.uniform(-0.5, 0.5)
        for line, depth in ((4341.7, 0.15), (4862.7, 0.2), (5176.0, 0.15), (5270.0, 0.1)):
            shape *= 1.0 - depth * rng.uniform(0.5, 1.5) * np.exp(-0.5 * ((rest - line) / 6.0) ** 2)
        flux = shape + 0.03 * rng.standard_normal(wavelength.size)
        np.savetxt(folder / f"g{index}.dat", np.column_stack([wavelength, flux, np.full(wavelength.size, 0.03)]))
        bands = COLOURS * rng.uniform(0.5, 2.0) * (1.0 + 0.05 * rng.standard_normal(5))
        lines = [f"{band} {value:.5f} {0.05 * value:.5f}" for band, value in zip(BANDS, bands, strict=True)]
        (folder / f"g{index}.phot").write_text("\n".join(lines) + "\n")
        names.append(f"g{index}")
    table = Table({"name": names, "redshift": redshifts})
    table["spectrum"] = [f"{name}.dat" for name in names]
    table["photometry"] = [f"{name}.phot" for name in names]
    table.write(folder / "mocks.ecsv")


def pipeline() -> dict:
    """Three quick stages."""
    spectrum = {
        "inputSpectrum": "{spectrum}", "redshift": "{redshift}", "fluxUnits": "1e-16 erg / (s cm2 Angstrom)",
        "SSPModel": "PopStar", "SFHModel": "ExponentialSFH", "legendre_deg": 4, "los_vel": 0.0, "los_sigma": 200.0,
    }  # fmt: skip
    sampling = {
        "runtime": {"sampler": "maxlike ensemble"},
        "ensemble": {"walkers": 16, "nsteps": 40, "max_samples": 80},
    }
    bands = {
        "inputPhotometry": "{photometry}", "fluxUnits": "nanomaggy", "redshift": "{redshift}", "SSPModel": "PopStar",
        "SFHModel": "ExponentialSFH", "ExtinctionLaw": "calzetti00",
    }  # fmt: skip
    return {
        "first": {"runtime": {"sampler": "maxlike"}, "pipeline": {"modules": "SFHSpectra"}, "SFHSpectra": spectrum},
        "history": {**sampling, "pipeline": {"modules": "SFHSpectra"}, "SFHSpectra": spectrum},
        "photometry": {
            **sampling, "pipeline": {"modules": "SFHPhotometry"}, "SFHPhotometry": bands,
            "handover": {"stars.sfh": "prior"},
        },
    }  # fmt: skip


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--ledger", default="sqlite")
    parser.add_argument("--executor", default="local")
    parser.add_argument("--trivial", action="store_true")
    parser.add_argument("--keep", type=Path, help="folder to work in and to keep")
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="bench-production-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with ledger_url(options.ledger) as url:
            print(json.dumps(measure(options, folder, url)))
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def ledger_url(entry: str) -> Iterator[str]:
    """Give what the run file says of the ledger; the word ``postgresql`` is a new server."""
    if entry != "postgresql":
        yield entry
        return
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))
    from postgres_server import PostgresServer

    with PostgresServer(tempfile.gettempdir()) as server:
        yield server.url


def measure(options: argparse.Namespace, folder: Path, ledger: str) -> dict:
    """Run one production and return what it took."""
    from orchestrator.production.production import Production

    if options.trivial:
        rows = {"name": np.arange(options.number).astype(str), "redshift": np.linspace(0.0, 1.0, options.number)}
        Table(rows).write(folder / "mocks.fits")
        stages = {"nothing": {"function": {"call": "bench_production:nothing"}}}
    else:
        make_mocks(folder, options.number)
        stages = pipeline()
    table = "mocks.fits" if options.trivial else "mocks.ecsv"
    run = {
        "output": "production", "ledger": ledger, "targets": {"table": table, "identifier": "name"},
        "pipeline": stages, "site": {"executor": options.executor, "workers": options.workers},
    }  # fmt: skip
    (folder / "run.yaml").write_text(yaml.safe_dump(run, sort_keys=False))
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    begun, spent = time.monotonic(), time.process_time()
    production = Production(folder / "run.yaml")
    outcome = production.run()
    wall, spent = time.monotonic() - begun, time.process_time() - spent
    begun = time.monotonic()
    Production(folder / "run.yaml").run()
    again = time.monotonic() - begun
    in_stages = 0.0
    with production.reading() as reader:
        for stage in stages:
            in_stages += float(reader.select_sql(f'SELECT sum(seconds) FROM "result_{stage}"').rows[0][0])
    n_tasks = options.number * len(stages)
    return {
        "case": "trivial tasks" if options.trivial else "mock galaxies",
        "ledger": options.ledger.split(":")[0], "executor": options.executor, "workers": options.workers,
        "tasks": n_tasks, "done": sum(sum(by.values()) for by in outcome.counts.values()) - outcome.n_failed,
        "wall_seconds": round(wall, 2), "tasks_per_second": round(n_tasks / wall, 1),
        "driver_processor_seconds": round(spent, 2), "load": [round(load, 1) for load in os.getloadavg()],
        "continue_seconds": round(again, 2), "continue_tasks_per_second": round(n_tasks / again, 1),
        "seconds_per_stage": round(in_stages / n_tasks, 4),
        "outside_the_fits": round(1.0 - in_stages / (wall * options.workers), 4),
        "outside_the_fits_in_chunks": round(1.0 - in_stages / outcome.driven.seconds_in_chunks, 4),
        "driver_memory_MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0),
        "production_bytes_per_target": round(
            sum(p.stat().st_size for p in (folder / "production").rglob("*") if p.is_file()) / options.number
        ),
        "machine": platform.processor() or platform.machine(), "cores": os.cpu_count(),
    }  # fmt: skip


if __name__ == "__main__":
    main()
