"""`measure_emission_lines` of the modules: lines injected into a stellar spectrum come back."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_library import write_library

from orchestrator.config.module_options import MODULES

LIGHT_SPEED = 299792.458
REDSHIFT = 0.04
UNIT = 1e-16
VALUES = {
    ("stars.sfh", "logtau"): 0.4,
    ("stars.sfh", "ism_metallicity_today"): 0.015,
    ("stars.sfh", "alpha_powerlaw"): 0.6,
    ("kinematics", "los_vel"): 60.0,
    ("kinematics", "los_sigma"): 140.0,
    ("kinematics", "los_h3"): 0.0,
    ("kinematics", "los_h4"): 0.0,
}
FWHM = 2.6 * (1 + REDSHIFT)
WAVELENGTH = (1 + REDSHIFT) * np.exp(np.arange(np.log(4100.0), np.log(5500.0), 60.0 / LIGHT_SPEED))
LINES = {"Hbeta": (4862.683, 3.0), "[OIII]5008": (5008.240, 6.0), "[OIII]4960": (4960.295, 6.0 / 2.98)}


def build(name: str, folder: Path, **options: Any) -> Any:
    given = {
        "inputSpectrum": str(folder / "galaxy.txt"),
        "fluxUnits": f"{UNIT} erg / (s cm2 Angstrom)",
        "redshift": REDSHIFT,
        "SSPModel": str(folder / "toy.npz"),
        "lsf": str(folder / "lsf.txt"),
        "mask_emission_lines": True,
    }
    if name != "KinDust":
        given["SFHModel"] = "ExponentialSFH"
    module = importlib.import_module(f"orchestrator.modules.{Path(MODULES[name].file).stem}").module
    return module(given | options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lines")
    write_library(path / "toy.npz")
    np.savetxt(path / "lsf.txt", [[3000.0, FWHM], [9000.0, FWHM]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCHESTRATOR_CACHE", str(path / "cache"))
        ones = np.ones(len(WAVELENGTH))
        np.savetxt(path / "galaxy.txt", np.column_stack([WAVELENGTH, ones, ones]))
        module = build("FullSpectralFit", path, mask_emission_lines=False)
        stars = module.make_observable(VALUES) / UNIT
    gas = np.zeros(len(WAVELENGTH))
    for centre, flux in LINES.values():
        centre = centre * (1 + REDSHIFT) * np.exp(90.0 / LIGHT_SPEED)
        sigma = np.hypot(centre * 120.0 / LIGHT_SPEED, FWHM / 2.3548)
        profile = np.exp(-0.5 * ((WAVELENGTH - centre) / sigma) ** 2) / sigma / np.sqrt(2 * np.pi)
        gas += flux * np.mean(stars) * profile
    error = 0.01 * stars
    noise = np.random.default_rng(6).normal(0.0, error)
    np.savetxt(path / "galaxy.txt", np.column_stack([WAVELENGTH, stars + gas + noise, error]))
    np.savetxt(path / "level.txt", [np.mean(stars)])
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("FullSpectralFit", {}),
        ("SFHSpectra", {"los_vel": 60.0, "los_sigma": 140.0}),
        ("KinDust", {}),
        ("FullSpectralFit", {"NoiseModel": "MultiplicativeNoiseModel"}),
    ],
)
def test_injected_lines_come_back(name, options, folder, monkeypatch):
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(folder / "cache"))
    values = dict(VALUES)
    if "NoiseModel" in options:
        values["noise", "beta"] = 0.25
    result = build(name, folder, **options).measure_emission_lines(values, detection=5.0)
    level = UNIT * float(np.loadtxt(folder / "level.txt"))
    for line, (_, flux) in LINES.items():
        found = result[line]
        assert found.status == "detected"
        assert abs(found.flux / level - flux) < 4 * found.flux_error / level + 0.1, line
        assert found.velocity == pytest.approx(90.0, abs=15.0)
        assert found.dispersion == pytest.approx(120.0, abs=20.0)
    assert result.noise_factor == pytest.approx(2.0 if "NoiseModel" in options else 1.0)
    assert result["Hgamma"].status == "upper limit"
    assert result["Halpha"].status == "not covered"
