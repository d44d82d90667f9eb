"""Effective samples per CPU second of the samplers, all with our likelihood, burn-in and optimiser counted.

FullSpectralFit with 8 parameters on a mock of about 4000 pixels at S/N 50. Prints one JSON line per case::

    .venv/bin/python benchmarks/bench_samplers.py [--library MIUSCAT] [--seconds 120]

``emcee`` is CosmoSIS's own sampler with its own start (a ball of 1e-3 of the range about the values file's start,
or about the peak of its own ``maxlike``) and runs for a given time; its effective samples are those after the
burn-in, and count as none if its mean is further than one posterior width from that of the converged ensemble.
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine

HERE = Path(__file__).resolve().parent
TRUTH = {
    ("stars.sfh", "logtau"): 0.4, ("stars.sfh", "ism_metallicity_today"): 0.02, ("stars.sfh", "alpha_powerlaw"): 0.6,
    ("kinematics", "los_vel"): 40.0, ("kinematics", "los_sigma"): 150.0, ("kinematics", "los_h3"): 0.02,
    ("kinematics", "los_h4"): 0.01, ("dust.extinction", "a_v"): 0.3,
}  # fmt: skip
VALUES = {
    "stars.sfh": {"logtau": "-1 0.5 1.7", "ism_metallicity_today": "0.005 0.01 0.08", "alpha_powerlaw": "0 0.5 3"},
    "kinematics": {
        "los_vel": "-500 0 500", "los_sigma": "30 150 500", "los_h3": "-0.3 0 0.3", "los_h4": "-0.3 0 0.3",
    },
    "dust.extinction": {"a_v": "0 0.2 2"},
}  # fmt: skip
RANGES = {"PopStar": "3600 7000", "MIUSCAT": "3600 9000"}
ENSEMBLE = {"nsteps": "100", "max_samples": "20000"}
CASES: dict[str, tuple[str, dict[str, dict[str, str]]]] = {
    "multistart ensemble": ("multistart ensemble", {"ensemble": ENSEMBLE}),
    "multistart ensemble, 64 walkers": ("multistart ensemble", {"ensemble": {**ENSEMBLE, "walkers": "64"}}),
    "multistart ensemble, 256 walkers, gaussian": (
        "multistart ensemble", {"ensemble": {**ENSEMBLE, "walkers": "256", "moves": "gaussian"}},
    ),
    "multistart ensemble, de": ("multistart ensemble", {"ensemble": {**ENSEMBLE, "moves": "de:0.8 snooker:0.2"}}),
    "multistart ensemble, kde": ("multistart ensemble", {"ensemble": {**ENSEMBLE, "moves": "kde"}}),
    "multistart ensemble, stretch": ("multistart ensemble", {"ensemble": {**ENSEMBLE, "moves": "stretch"}}),
    "stock emcee": ("emcee", {"emcee": {"walkers": "32", "nsteps": "50"}}),
    "stock maxlike emcee": (
        "maxlike emcee", {"maxlike": {"tolerance": "1e-3"}, "emcee": {"walkers": "32", "nsteps": "50"}},
    ),
}  # fmt: skip


def write_mock(folder: Path, library: str) -> dict[str, str]:
    """Write a mock spectrum at S/N 50; return the options of the module."""
    from orchestrator.modules.full_spectral_fit import FullSpectralFitModule

    low, high = (float(x) for x in RANGES[library].split())
    n_pixels = 4000
    velscale = 299792.458 * np.log(high / low) / n_pixels
    options = {
        "SSPModel": library, "SFHModel": "ExponentialSFH", "ExtinctionLaw": "ccm89", "redshift": "0.05",
        "inputSpectrum": str(folder / "spectrum.dat"), "wlRange": RANGES[library], "velscale": f"{velscale:.4f}",
        "fluxUnits": "1e-16 erg/s/cm2/Angstrom", **({"SSPModelArgs": "cha"} if library == "PopStar" else {}),
    }  # fmt: skip
    wavelength = 1.05 * low * np.exp(np.arange(n_pixels) * velscale / 299792.458)
    np.savetxt(folder / "spectrum.dat", np.column_stack([wavelength, wavelength * 0 + 1, wavelength * 0 + 0.1]))
    module = FullSpectralFitModule(options)
    truth = {key: np.array([value]) for key, value in TRUTH.items()}
    flux = 1e16 * module.model.model_spectrum(truth, np.array([1e10]))[0][0]
    covered = 1.05 * module.fit.covered_wavelength
    noise = np.random.default_rng(4).normal(0, flux / 50)
    np.savetxt(folder / "spectrum.dat", np.column_stack([covered, flux + noise, flux / 50]))
    return options


def make_ini(options: dict[str, str], folder: Path, sampler: str, sections: dict[str, dict[str, str]]) -> Any:
    from cosmosis.runtime.config import Inifile

    from orchestrator.paths import module_file

    return Inifile(
        {
            "runtime": {"sampler": sampler, "verbosity": "muted"},
            "output": {"filename": str(folder / "fit.txt")},
            "pipeline": {"modules": "FullSpectralFit", "extra_output": "extra/stellar_mass",
                         "likelihoods": "FullSpectralFit"},
            "FullSpectralFit": {"file": str(module_file("full_spectral_fit")), **options},
            **sections,
        }
    )  # fmt: skip


def run_case(options: dict[str, str], sampler: str, sections: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Run the samplers of one case on a warm pipeline; stock emcee is given a number of steps for the time."""
    from cosmosis.main import run_cosmosis
    from cosmosis.runtime import logs
    from cosmosis.runtime.config import Inifile
    from cosmosis.runtime.pipeline import LikelihoodPipeline

    from orchestrator.fit.chain import read_chain
    from orchestrator.fit.convergence import convergence

    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()):
        folder = Path(name)
        logs.set_verbosity("muted")
        values = Inifile(VALUES)
        sections = {key: dict(entries) for key, entries in sections.items()}
        pipeline = LikelihoodPipeline(make_ini(options, folder, sampler, sections), values=values, priors=[])
        start = pipeline.start_vector()
        pipeline.run_results(start)
        if "emcee" in sections:
            begun = time.process_time()
            for _ in range(100):
                pipeline.run_results(start)
            per_point = (time.process_time() - begun) / 100
            steps = int(seconds / per_point / int(sections["emcee"]["walkers"]))
            sections["emcee"]["samples"] = str(max(50, steps // 50 * 50))
        np.random.seed(1)  # noqa: NPY002 - what the samplers draw from
        pipeline.run_count = 0
        begun = time.process_time()
        run_cosmosis(make_ini(options, folder, sampler, sections), pipeline=pipeline, values=values, priors=[])
        cpu = time.process_time() - begun
        chain = read_chain(folder / "fit.txt")
        n_evaluations = pipeline.run_count
        pipeline.cleanup()
    state = convergence(chain)
    kept = chain.samples[state.burn_in * chain.n_walkers :]
    return {
        "cpu_seconds": cpu,
        "evaluations": n_evaluations,
        "ms_per_evaluation": 1e3 * cpu / n_evaluations,
        "steps": state.n_steps,
        "walkers": chain.n_walkers,
        "autocorrelation_time": float(np.nanmax(state.autocorrelation_time)),
        "acceptance": state.acceptance,
        "converged": state.converged,
        "effective_samples": state.effective_samples,
        "per_cpu_second": state.effective_samples / cpu,
        "per_evaluation": state.effective_samples / n_evaluations,
        "mean": kept.mean(axis=0),
        "width": kept.std(axis=0),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one JSON line per case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", default="MIUSCAT", choices=sorted(RANGES))
    parser.add_argument("--seconds", type=float, default=120.0, help="CPU time that stock emcee is given")
    parser.add_argument("--cases", nargs="*", choices=list(CASES), default=list(CASES))
    chosen = parser.parse_args(arguments)
    from orchestrator.fit.samplers import plugin

    assert plugin.EnsembleSampler.name == "ensemble"
    reference: dict[str, Any] | None = None
    with tempfile.TemporaryDirectory() as folder:
        options = write_mock(Path(folder), chosen.library)
        for name in chosen.cases:
            result = run_case(options, *CASES[name], chosen.seconds)
            mean, width = result.pop("mean"), result.pop("width")
            if reference is None:
                reference = {"mean": mean, "width": width}
            offset = np.abs((mean - reference["mean"]) / reference["width"])
            line = {
                "case": name,
                "library": chosen.library,
                **{key: round(x, 6) if isinstance(x, float) else x for key, x in result.items()},
                "largest_offset_of_a_mean": round(float(offset.max()), 3),
                "widths_over_first_case": np.round(width / reference["width"], 2).tolist(),
            }
            sys.stdout.write(json.dumps({**line, **machine()}) + "\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
