"""Simulation-based calibration of the shipped pipelines: docs/calibration.md, from the same code as
``orchestrator validate``.

Each case is one made-up galaxy (data file, errors) and one pipeline. Mocks are drawn from the prior, so nothing is
tuned to them; seeds and sizes are below and were fixed before looking. Interrupted, it goes on where it stopped::

    nice .venv/bin/python benchmarks/study_calibration.py exponential photometry [--number 300] [--processes 2]
    .venv/bin/python benchmarks/study_calibration.py report           # tables of all that is there
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import argparse
import copy
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SEED = 2026
NUMBER = 300
REDSHIFT = 0.05
BANDS = ("sdss2010-u", "sdss2010-g", "sdss2010-r", "sdss2010-i", "sdss2010-z", "twomass-J", "twomass-H", "twomass-Ks")

HISTORY = {"logtau": "-0.5 0.5 1.5", "ism_metallicity_today": "0.005 0.015 0.03", "alpha_powerlaw": "0.0 0.5 2.0"}
TIMES = {
    "t_at_frac_0.4000": "0.05 3.0 13.0", "t_at_frac_0.8000": "0.05 6.0 13.0",
    "ism_metallicity_today": "0.005 0.015 0.03", "alpha_powerlaw": "0.0 0.5 2.0",
}  # fmt: skip
KINEMATICS = {"los_vel": "-200 0 200", "los_sigma": "80 150 300", "los_h3": "-0.3 0.0 0.3", "los_h4": "-0.3 0.0 0.3"}
DUST = {"a_v": "0.0 0.5 2.0"}
SPECTRUM = {
    "inputSpectrum": "spectrum.dat", "redshift": REDSHIFT, "fluxUnits": "1e-16 erg / (s cm2 Angstrom)",
    "SSPModel": "MIUSCAT",
}  # fmt: skip
ROUND = {"los_vel": "-200 0 200", "los_sigma": "80 150 300", "los_h3": 0.0, "los_h4": 0.0}
SAMPLER = {
    "runtime": {"sampler": "multistart ensemble"},
    "ensemble": {"walkers": 48, "nsteps": 25, "max_samples": 5000, "max_rhat": 1.03},
}  # fmt: skip
"""Some 1600 effective samples; moves, thinning and the length of 50 autocorrelation times are the shipped ones."""


def stage(modules: dict[str, Any], values: dict[str, Any], name: str = "fit", **sections: Any) -> dict[str, Any]:
    """One stage of a pipeline."""
    return {
        **copy.deepcopy(SAMPLER), "output": {"filename": name}, "pipeline": {"modules": " ".join(modules)},
        **modules, "values": values, **sections,
    }  # fmt: skip


def full(history: str = "ExponentialSFH", **options: Any) -> dict[str, Any]:
    """Options of FullSpectralFit."""
    arguments = {"SFHArgs": [0.4, 0.8]} if history == "FixedMassFracSFH" else {}
    return {**SPECTRUM, "SFHModel": history, "ExtinctionLaw": "ccm89", **arguments, **options}


PHOTOMETRY = {
    "inputPhotometry": "photometry.dat", "redshift": REDSHIFT, "fluxUnits": "uJy", "SSPModel": "PopStar",
    "SFHModel": "ExponentialSFH", "ExtinctionLaw": "ccm89",
}  # fmt: skip
ALL = {"stars.sfh": HISTORY, "kinematics": KINEMATICS, "dust.extinction": DUST}
SIMPLE = {"stars.sfh": HISTORY, "kinematics": ROUND, "dust.extinction": DUST}
KINDUST = {**SPECTRUM, "moments": 2, "legendre_deg": 4}
KINEMATICS_STAGE = {
    "runtime": {"sampler": "multistart ensemble"},
    "multistart": {"starts": 1, "screen": 16},  # an evaluation solves 200 template weights
    "ensemble": {"walkers": 16, "nsteps": 25, "max_samples": 2000, "max_rhat": 1.03, "thin": 1},
}  # fmt: skip


def kinematics_stage() -> dict[str, Any]:
    """The first stage of a staged fit: kinematics alone, free template weights, a polynomial for the continuum."""
    first = stage({"KinDust": KINDUST}, {"kinematics": ROUND, "dust.extinction": {"a_v": 0.0}}, "kinematics")
    return {**first, **KINEMATICS_STAGE}


def free_templates() -> list[dict[str, Any]]:
    """KinDust by itself, four moments, on data made of the template weights that describe the spectrum best."""
    values = {"kinematics": KINEMATICS, "dust.extinction": {"a_v": 0.0}}
    return [{**stage({"KinDust": {**KINDUST, "moments": 4}}, values), **KINEMATICS_STAGE}]


def staged() -> list[dict[str, Any]]:
    """Kinematics, then the history with the kinematics handed over by each rule, and the history by itself."""
    module, after = {"FullSpectralFit": full()}, {"needs": ["kinematics"]}
    continued = [
        stage(module, SIMPLE, rule, handover={"kinematics": rule}, stage=after) for rule in ("start", "fix", "prior")
    ]
    return [kinematics_stage(), *continued, stage(module, SIMPLE, "joint", stage={"needs": []})]


def one_stage(**options: Any) -> list[dict[str, Any]]:
    """History and kinematics in one fit, h3 = h4 = 0."""
    return [stage({"FullSpectralFit": full(**options)}, SIMPLE)]


def mean_likelihood() -> dict[str, Any]:
    """The negative control: the mean of the pixels' log-likelihoods in place of their sum."""
    module = {"file": str(Path(__file__).resolve().parent / "mean_spectral_fit.py"), **full()}
    fit = stage({"MeanSpectralFit": module}, SIMPLE)
    fit["pipeline"]["likelihoods"] = "MeanSpectralFit"
    fit["MeanSpectralFit"]["like_name"] = "MeanSpectralFit"
    return {"pipeline": [fit], "truth": one_stage()}


CASES: dict[str, Callable[[], Any]] = {
    "photometry": lambda: [stage({"SFHPhotometry": PHOTOMETRY}, {"stars.sfh": HISTORY, "dust.extinction": DUST})],
    "exponential": lambda: [stage({"FullSpectralFit": full()}, ALL)],
    "mass_fractions": lambda: [stage({"FullSpectralFit": full("FixedMassFracSFH")}, {**SIMPLE, "stars.sfh": TIMES})],
    "joint": lambda: [stage({"FullSpectralFit": full(), "SFHPhotometry": PHOTOMETRY}, SIMPLE)],
    "staged": staged,
    "free_templates": free_templates,
    "mean_likelihood": mean_likelihood,
    "off_library": lambda: {"pipeline": one_stage(), "truth": one_stage(SSPModel="M11-MILES")},
    "off_blur": lambda: {"pipeline": one_stage(), "blur": 50.0},
    "off_tilt": lambda: {"pipeline": one_stage(), "tilt": 0.05},
}


def write_galaxy(folder: Path) -> None:
    """Write the data of the galaxy that mocks take pixels, bands and errors from: S/N 30 and 20."""
    from orchestrator.modules.full_spectral_fit import module as spectral
    from orchestrator.modules.sfh_photometry import module as photometric

    folder.mkdir(parents=True, exist_ok=True)
    middle = {
        (section, name): float(text.split()[1])
        for section, entries in ALL.items()
        for name, text in entries.items()
    }  # fmt: skip
    wavelength = np.arange(3950.0, 5000.0, 2.0) * (1 + REDSHIFT)
    here = folder / "spectrum.dat"
    np.savetxt(here, np.column_stack([wavelength, np.ones_like(wavelength), np.full_like(wavelength, 0.03)]))
    module = spectral({**full(), "inputSpectrum": str(here)})
    flux = module.make_observable(middle)
    flux = flux / np.median(flux)
    rest = module.fit.covered_wavelength * (1 + REDSHIFT)
    np.savetxt(here, np.column_stack([rest, flux, np.full_like(flux, 1 / 30)]), fmt="%.8g")
    here = folder / "photometry.dat"
    here.write_text("".join(f"{band} 1.0 0.05\n" for band in BANDS), encoding="utf-8")
    fluxes = photometric({**PHOTOMETRY, "inputPhotometry": str(here)}).make_observable(middle)
    scale = 100.0 / np.median(fluxes)
    rows = [f"{band} {scale * f:.8g} {scale * f / 20:.8g}\n" for band, f in zip(BANDS, fluxes, strict=True)]
    here.write_text("".join(rows), encoding="utf-8")


def settings(stages: list[dict[str, Any]], given: Sequence[str]) -> list[dict[str, Any]]:
    """Apply ``section.option=value`` to every stage: to try samplers."""
    for text in given:
        key, _, value = text.partition("=")
        section, _, option = key.partition(".")
        for config in stages:
            config.setdefault(section, {})[option] = value
    return stages


def run(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run one case and return its line of results."""
    from orchestrator.validation.calibration import calibration_of
    from orchestrator.validation.config_file import validation_config
    from orchestrator.validation.study import run_mocks

    folder = options.output / (name + options.label)
    if not (folder / "photometry.dat").is_file():
        write_galaxy(folder)
    content = CASES[name]()
    content = content if isinstance(content, dict) else {"pipeline": content}
    settings(content["pipeline"], options.set or [])
    begun = time.perf_counter()
    mocks = run_mocks(
        validation_config(content, folder.absolute()), folder, number=options.number, seed=SEED,
        processes=options.processes,
    )  # fmt: skip
    stages = list(zip(*[mock.stages for mock in mocks], strict=True))
    results = [calibration_of(records) for records in stages]
    for result in results:
        sys.stdout.write(markdown(f"{name}{options.label}, {result.stage}", result) + "\n")
        sys.stdout.flush()
    return {"case": name, "wall": time.perf_counter() - begun}


def markdown(name: str, result: Any) -> str:
    """One stage as tables for docs/calibration.md."""
    words = ", ".join(f"{count} {word}" for word, count in result.verdicts.items())
    lines = [
        f"**{name}**, {result.number} mocks: **{result.word}**. {result.n_failed} failed, {result.n_few} with few "
        f"effective samples, {result.n_flagged} flagged (fits: {words}); {result.seconds:.1f} CPU s a fit, "
        f"{result.effective_samples:.0f} effective samples (median). TARP: "
        + ", ".join(f"points of the {key} p = {value:.2g}" for key, value in result.tarp_p.items()) + ".",
        *(f"Fault: {fault}." for fault in result.faults), "",
        "| parameter | ranks p (Holm) | 50 % | 68 % | 95 % |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for p in result.parameters:
        shares = " | ".join(f"{100 * c.fraction:.1f} ({c.deviation:+.1f})" for c in p.coverage)
        lines.append(f"| `{p.name.split('--')[1]}` | {p.rank_p:.3f} ({p.rank_p_holm:.3f}) | {shares} |")
    return "\n".join(lines) + "\n"


def records_of(name: str, options: argparse.Namespace) -> list[Any]:
    """Per stage, the records of the mocks that are there."""
    from orchestrator.validation.records import read_records
    from orchestrator.validation.study import RECORDS

    mocks = read_records(options.output / (name + options.label) / RECORDS)
    stages = zip(*[mocks[index].stages for index in sorted(mocks) if index < options.number], strict=True)
    return [list(records) for records in stages]


def report(options: argparse.Namespace) -> str:
    """All cases that are there, and the controls and distortions, as tables."""
    from orchestrator.validation.calibration import calibration_of
    from orchestrator.validation.controls import CONTROLS, altered

    parts, controls, distorted = [], [], []
    for name in CASES:
        for records in records_of(name, options):
            result = calibration_of(records)
            title = name if result.stage == "fit" else f"{name}, stage {result.stage}"
            (distorted if name.startswith("off_") else parts).append((title, result))
            if name.startswith(("off_", "mean")):
                continue
            for control, change in CONTROLS.items():
                found = calibration_of(altered(records, change, RANGES))
                controls.append(f"| {title} | {control} | {found.word} | {len(found.faults)} | {lowest(found)} |")
    text = "\n".join(markdown(*part) for part in parts)
    staged_records = records_of("staged", options)
    if staged_records:
        text += "\n" + staging(staged_records)
    text += "\n| case | draws | verdict | faults | lowest p of ranks (Holm), of TARP |\n|---|---|---|---|---|\n"
    text += "\n".join(controls) + "\n"
    return text + "\n" + degradation(distorted)


def degradation(distorted: list[tuple[str, Any]]) -> str:
    """Pull (mean, root mean square) and coverage of 68 % intervals where the data are not what the model knows."""
    lines = []
    for title, result in distorted:
        if not lines:
            names = [f"`{p.name.split('--')[1]}`" for p in result.parameters]
            lines += ["| mocks | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
        cells = [
            f"{p.pull_mean:+.2f}, {p.pull_rms:.2f}; {100 * p.coverage[1].fraction:.0f}" for p in result.parameters
        ]
        lines.append(f"| {title}, {result.number} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def staging(stages: list[list[Any]]) -> str:
    """What each rule of the handover does to the posteriors, beside the joint fit of the same mocks."""
    from orchestrator.validation.calibration import calibration_of

    joint = stages[-1]
    names = joint[0].parameters
    lines = [
        "| stage | " + " | ".join(f"`{name.split('--')[1]}`" for name in names) + " |",
        "|---|" + "---|" * len(names),
    ]
    for records in stages:
        found = {parameter.name: parameter for parameter in calibration_of(records).parameters}
        cells = []
        for i, name in enumerate(names):
            if name not in found:
                cells.append("-")
                continue
            pairs = zip(records, joint, strict=True)
            ratios = [one.width[one.parameters.index(name)] / other.width[i] for one, other in pairs
                      if not one.failure and not other.failure]  # fmt: skip
            shares = " / ".join(f"{100 * entry.fraction:.0f}" for entry in found[name].coverage[1:])
            cells.append(f"{shares}; {np.median(ratios):.2f}")
        lines.append(f"| {records[0].stage} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def lowest(result: Any) -> str:
    """The smallest p-values of one stage."""
    ranks = min(parameter.rank_p_holm for parameter in result.parameters)
    return f"{ranks:.2g}, {min(result.tarp_p.values()):.2g}"


RANGES = {
    f"{section}--{name}": (float(text.split()[0]), float(text.split()[2]))
    for section, entries in {**ALL, "stars.sfh": {**TIMES, **HISTORY}}.items()
    for name, text in entries.items()
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run cases, or report those that have run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", choices=["report", *CASES])
    parser.add_argument("--number", type=int, default=NUMBER)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("calibration"))
    parser.add_argument("--label", default="")
    parser.add_argument("--set", action="append", metavar="SECTION.OPTION=VALUE")
    options = parser.parse_args(arguments)
    if options.cases == ["report"]:
        sys.stdout.write(report(options))
        return 0
    for name in options.cases:
        sys.stdout.write(json.dumps(run(name, options)) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
