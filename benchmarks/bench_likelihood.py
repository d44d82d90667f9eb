"""Time one likelihood evaluation of each module, beside the public peer on the same data.

Prints one JSON line per case. The peer (``besta==0.6.2``, which needs numpy < 2) runs in an environment of
its own; without ``--peer`` its column is null::

    python -m venv peer && MAKEFLAGS=e SUBDIRS=datablock peer/bin/pip install --no-binary cosmosis besta==0.6.2
    .venv/bin/python benchmarks/bench_likelihood.py --peer peer/bin/python
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine

HERE = Path(__file__).resolve().parent
FILTERS = (
    "galex-fuv", "galex-nuv", "sdss2010-u", "sdss2010-g", "sdss2010-r", "sdss2010-i", "sdss2010-z", "wise2010-W1",
)  # fmt: skip
SPECTRUM = {
    "SSPModel": "PopStar", "SSPModelArgs": "cha", "SSPDir": "None", "wlUnits": "Angstrom",
    "fluxUnits": "1e-16 erg / (s cm2 Angstrom)", "wlRange": [3500.0, 9000.0], "SFHModel": "ExponentialSFH",
    "velscale": 50.0, "ExtinctionLaw": "ccm89", "redshift": 0.05,
}  # fmt: skip
PHOTOMETRY = {
    "SSPModel": "PopStar", "SSPModelArgs": "cha", "SSPDir": "None", "SFHModel": "ExponentialSFH",
    "fluxUnits": "uJy", "redshift": 0.05,
}  # fmt: skip
POINT = {
    ("stars.sfh", "logtau"): 0.5, ("stars.sfh", "alpha_powerlaw"): 0.5, ("stars.sfh", "ism_metallicity_today"): 0.02,
    ("kinematics", "los_vel"): 20.0, ("kinematics", "los_sigma"): 150.0, ("kinematics", "los_h3"): 0.02,
    ("kinematics", "los_h4"): 0.01, ("dust.extinction", "a_v"): 0.3,
}  # fmt: skip
PEER_PHOTOMETRY = {"DustAttenuation": True, "ExtinctionLaw": "ccm89"}
OWN_PHOTOMETRY = {"ExtinctionLaw": "ccm89"}


def write_inputs(folder: Path) -> tuple[Path, Path, Path]:
    """Write a spectrum, a photometry table with filter files, and the same table with filter names."""
    from orchestrator.observation.filters import load_filter

    rng = np.random.default_rng(1)
    wavelength = np.exp(np.arange(np.log(3500 * 1.05 * 0.97), np.log(9000 * 1.05 * 1.03), 50 / 299792.458))
    flux = 1 + 0.2 * np.sin(wavelength / 300)
    noisy = flux * (1 + rng.normal(0, 1 / 30, len(flux)))
    spectrum = folder / "spectrum.dat"
    np.savetxt(spectrum, np.column_stack([wavelength, noisy, flux / 30]))
    rows, named = [], []
    for i, name in enumerate(FILTERS):
        band = load_filter(name)
        file = folder / f"{name}.txt"
        np.savetxt(file, np.column_stack([band.wavelength, band.transmission]))
        rows.append(f"{file} {100.0 + 10 * i} {5.0}")
        named.append(f"{name} {100.0 + 10 * i} {5.0}")
    files, names = folder / "photometry_files.txt", folder / "photometry_names.txt"
    files.write_text("\n".join(rows) + "\n")
    names.write_text("\n".join(named) + "\n")
    return spectrum, files, names


def best_time(function: Callable[[], Any], repeats: int = 7, least_seconds: float = 0.2) -> float:
    """Return the shortest mean CPU time of a call, milliseconds, over `repeats` rounds."""
    function()
    start = time.process_time()
    function()
    once = max(time.process_time() - start, 1e-6)
    number = max(1, int(least_seconds / once))
    rounds = []
    for _ in range(repeats):
        start = time.process_time()
        for _ in range(number):
            function()
        rounds.append((time.process_time() - start) / number)
    return 1e3 * min(rounds)


def own_cases(spectrum: Path, photometry: Path) -> dict[str, dict[str, float]]:
    """Time our modules: one evaluation as CosmoSIS calls it, and a batch of 64."""
    from cosmosis.datablock import DataBlock
    from orchestrator.modules.full_spectral_fit import FullSpectralFitModule
    from orchestrator.modules.sfh_photometry import SFHPhotometryModule
    from orchestrator.modules.sfh_spectra import SFHSpectraModule

    fixed = {"los_vel": 20.0, "los_sigma": 150.0, "a_v": 0.3}
    modules = {
        "FullSpectralFit": FullSpectralFitModule({**SPECTRUM, "inputSpectrum": str(spectrum)}),
        "SFHSpectra": SFHSpectraModule({**SPECTRUM, **fixed, "inputSpectrum": str(spectrum)}),
        "SFHPhotometry": SFHPhotometryModule(
            {**PHOTOMETRY, **OWN_PHOTOMETRY, "inputPhotometry": str(photometry)}
        ),
    }
    block = DataBlock()
    for key, value in POINT.items():
        block[key] = value
    velocities = itertools.cycle(POINT["kinematics", "los_vel"] + 0.01 * np.arange(1000))

    def one_point(module: Any) -> None:
        # points that share their kinematics would be evaluated without pixels
        block["kinematics", "los_vel"] = next(velocities)
        module.execute(block)

    rng = np.random.default_rng(2)
    batch = {key: value * (1 + 0.01 * rng.normal(size=64)) for key, value in POINT.items()}
    shared = {
        key: np.full(64, POINT[key]) if key[0] in ("kinematics", "dust.extinction") else value
        for key, value in batch.items()
    }
    results = {}
    for name, module in modules.items():
        results[name] = {
            "one_point_ms": best_time(lambda module=module: one_point(module)),
            "batch_64_ms_per_point": best_time(lambda module=module: module.log_likelihood_batch(batch)) / 64,
        }
    full = modules["FullSpectralFit"]
    results["FullSpectralFit, kinematics and dust shared"] = {
        "batch_64_ms_per_point": best_time(lambda: full.log_likelihood_batch(shared)) / 64,
    }
    return results


def cost_against_pixels(spectrum: Path) -> dict[str, dict[str, float]]:
    """Set-up without and with a cache, and one evaluation, for different numbers of pixels."""
    from orchestrator.modules.full_spectral_fit import FullSpectralFitModule

    rng = np.random.default_rng(2)
    batch = {key: value * (1 + 0.01 * rng.normal(size=64)) for key, value in POINT.items()}
    results = {}
    for upper in (4000.0, 5000.0, 9000.0):
        options = {**SPECTRUM, "inputSpectrum": str(spectrum), "wlRange": [3500.0, upper]}
        times = []
        with tempfile.TemporaryDirectory() as folder:
            os.environ["ORCHESTRATOR_CACHE"] = folder
            for _ in range(3):
                start = time.process_time()
                module = FullSpectralFitModule(options)
                times.append(1e3 * (time.process_time() - start))
            del os.environ["ORCHESTRATOR_CACHE"]
        results[f"FullSpectralFit, {len(module.model.pixels.flux)} pixels"] = {
            "set_up_cold_ms": times[0],
            "set_up_warm_ms": min(times[1:]),
            "rank": module.model.coefficients.shape[1],
            "batch_64_ms_per_point": best_time(lambda module=module: module.log_likelihood_batch(batch)) / 64,
        }
    return results


def peer_cases(python: str, spectrum: Path, photometry: Path) -> dict[str, float]:
    """Time the peer in its own environment; milliseconds per evaluation."""
    task = {
        "FullSpectralFit": {**SPECTRUM, "inputSpectrum": str(spectrum)},
        "SFHPhotometry": {**PHOTOMETRY, **PEER_PHOTOMETRY, "inputPhotometry": str(photometry)},
        "point": [[*key, value] for key, value in POINT.items()],
    }
    answer = subprocess.run(
        [python, str(HERE / "peer_likelihood.py")],
        input=json.dumps(task), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if answer.returncode:
        msg = f"the peer failed:\n{answer.stderr[-3000:]}"
        raise SystemExit(msg)
    return dict(json.loads(answer.stdout.splitlines()[-1]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one JSON line per case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter of the environment with besta==0.6.2")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        spectrum, files, names = write_inputs(Path(folder))
        own = own_cases(spectrum, names) | cost_against_pixels(spectrum)
        peer = peer_cases(options.peer, spectrum, files) if options.peer else {}
    for name, times in own.items():
        line = {"case": name, **{key: round(value, 5) for key, value in times.items()}}
        line["besta_0.6.2_ms"] = round(peer[name], 3) if name in peer else None
        line["ratio"] = round(peer[name] / times["one_point_ms"], 1) if name in peer else None
        sys.stdout.write(json.dumps({**line, **machine()}) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
