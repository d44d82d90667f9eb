"""Every parameter that a module declares changes its likelihood: module x star-formation history x noise x dust.

The public peer ignores four of its eight histories in two modules, and dust under its documented name.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_library import write_library

from orchestrator.config.module_options import MODULES
from orchestrator.physics.sfh import SFH_MODELS

REDSHIFT = 0.04
BANDS = {"u": 4300.0, "g": 4700.0, "r": 5100.0, "i": 5500.0, "z": 5350.0}
WITH_HISTORY = [name for name in MODULES if name not in ("KinDust", "GaussianTarget")]
VARIANTS: dict[str, dict[str, Any]] = {
    "additive noise": {"NoiseModel": "AdditiveNoiseModel"},
    "jitter": {"NoiseModel": "JitterNoiseModel", "noise_fractional": "T"},
    "Student t": {"NoiseModel": "StudentT"},
    "sampled mass": {"amplitude": "sampled"},
    "marginalised mass": {"amplitude": "marginalised"},
    "free law": {"ExtinctionLaw": "noll09", "delta_free": "T", "bump_free": "T"},
    "free R_V": {"ExtinctionLaw": "ccm89", "r_v_free": "T"},
    "birth clouds": {"birth_cloud": "T"},
    "Gaussian process": {"NoiseModel": "GaussianProcess"},
    "polynomial": {"legendre_deg": 3, "legendre_mode": "sampled"},
}
UNFIT = {
    # what a module refuses; the refusals are tested with the options
    "SFHSpectra": {"free law", "free R_V", "birth clouds"},
    "SFHPhotometry": {"Gaussian process", "polynomial"},
    "GalaxyPhotometry": {"Gaussian process", "polynomial", "free R_V"},
    "GalaxySpectra": {"free R_V"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of toys, a spectrum and photometry of a plausible galaxy."""
    path = tmp_path_factory.mktemp("silent")
    write_library(path / "toy.npz")
    for band, centre in BANDS.items():
        np.savetxt(path / f"{band}.txt", [[centre - 150, 0.0], [centre, 1.0], [centre + 150, 0.0]])
    rng = np.random.default_rng(6)
    wave = (1 + REDSHIFT) * np.exp(np.arange(np.log(4050.0), np.log(5550.0), 70.0 / 299792.458))
    flux = (wave / 5000) ** -0.7 * (1 + 0.1 * np.sin(wave / 31.0)) * (1 + 0.02 * rng.normal(size=len(wave)))
    np.savetxt(path / "spectrum.txt", np.column_stack([wave, flux, 0.05 * flux]))
    rows = [f"{path / band}.txt {100 + 3 * i} 5\n" for i, band in enumerate(BANDS)]
    (path / "photometry.txt").write_text("".join(rows))
    return path


@pytest.fixture(autouse=True)
def _private_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(folder / "cache"))


def build(name: str, folder: Path, **options: Any) -> Any:
    given: dict[str, Any] = {"SSPModel": str(folder / "toy.npz"), "SFHModel": "ExponentialSFH"}
    given["ExtinctionLaw"] = "ccm89"
    if name.endswith("Photometry"):
        given |= {"redshift": REDSHIFT, "inputPhotometry": str(folder / "photometry.txt"), "fluxUnits": "uJy"}
    else:
        given |= {"inputSpectrum": str(folder / "spectrum.txt"), "fluxUnits": "1e-16 erg / (s cm2 Angstrom)"}
        given |= {"z_min": 0.03, "z_max": 0.05} if name == "SpectraRedshiftFit" else {"redshift": REDSHIFT}
    if name == "SpectraRedshiftFit":
        given |= {"redshift_mode": "sampled", "los_sigma": 140.0}
    if name == "EquivalentWidthFit":
        given |= {"los_sigma": 140.0, "ew_names": "Hbeta Mgb Fe5270 Fe4383 Ca4227"}
    if name == "SFHSpectra":
        given |= {"los_sigma": 140.0, "a_v": 0.3}
    if name == "KinDust":
        given.pop("SFHModel")
    given |= options
    return importlib.import_module(f"orchestrator.modules.{MODULES[name].file}").module(given)


def silent_parameters(module: Any) -> list[str]:
    """Return the parameters that leave the likelihood as it is when they move by a tenth of their range."""
    free = [p for p in module.parameters if p.lower < p.upper]
    start = {(p.section, p.name): np.array([_inside(p)]) for p in module.parameters}
    before = module.log_likelihood_batch(start)[0]
    assert np.isfinite(before), start
    silent = []
    for parameter in free:
        key, width = (parameter.section, parameter.name), parameter.upper - parameter.lower
        moved = []
        for step in (0.1, -0.1, 0.02, -0.02):
            value = start[key] + step * width
            if parameter.lower < value[0] < parameter.upper:
                moved.append(module.log_likelihood_batch({**start, key: value})[0])
        finite = [value for value in moved if np.isfinite(value)]
        assert finite, f"{key} has no finite neighbour"
        if not any(abs(value - before) > 1e-7 * max(1.0, abs(before)) for value in finite):
            silent.append("/".join(key))
    return silent


def _inside(parameter: Any) -> float:
    """Start values, moved off zero and off the ends, where an effect may vanish by symmetry."""
    if parameter.name.startswith(("ew_", "a_v")) and parameter.lower < parameter.upper:
        return max(parameter.start, 0.3)
    return parameter.start


def history_options(history: str) -> dict[str, Any]:
    example = SFH_MODELS[history].example
    return {"SFHModel": history, **({"SFHArgs": list(example)} if example else {})}


@pytest.mark.parametrize("history", list(SFH_MODELS))
@pytest.mark.parametrize("name", WITH_HISTORY)
def test_every_parameter_of_every_history_is_heard(name: str, history: str, folder: Path) -> None:
    module = build(name, folder, **history_options(history))
    assert {p.name for p in SFH_MODELS[history](12.0, **_fields(history)).parameters} <= {
        p.name for p in module.parameters
    }
    assert silent_parameters(module) == []


def _fields(history: str) -> dict[str, Any]:
    model = SFH_MODELS[history]
    if not model.example:
        return {}
    return {model.numbers: model.example[0] if history == "FlexibleCosmicTimeSFH" else model.example}


@pytest.mark.parametrize("prior", ["softmax", "dirichlet", "continuity"])
@pytest.mark.parametrize("name", WITH_HISTORY)
def test_every_latent_parameter_is_heard(name: str, prior: str, folder: Path) -> None:
    options = history_options("FixedTimeSFH") | {"sfh_prior": prior}
    module = build(name, folder, **options)
    assert any(p.name == f"{prior}_1" for p in module.parameters)
    assert silent_parameters(module) == []


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        (name, variant)
        for name in ("FullSpectralFit", "GalaxySpectra", "SFHSpectra", "SFHPhotometry", "GalaxyPhotometry")
        for variant in VARIANTS
        if variant not in UNFIT.get(name, ())
    ],
)
def test_every_parameter_of_noise_dust_and_mass_is_heard(name: str, variant: str, folder: Path) -> None:
    module = build(name, folder, **VARIANTS[variant])
    plain = build(name, folder)
    if variant != "marginalised mass":
        assert len(module.parameters) > len(plain.parameters)
    assert silent_parameters(module) == []


@pytest.mark.parametrize("variant", ["additive noise", "jitter"])
def test_every_parameter_of_the_kinematics_is_heard(variant: str, folder: Path) -> None:
    assert silent_parameters(build("KinDust", folder, **VARIANTS[variant])) == []
