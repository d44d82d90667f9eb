"""Configurations that the tests of `orchestrator.config` start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def spectrum(tmp_path: Path) -> Path:
    """A small spectrum of three columns."""
    path = tmp_path / "spectrum.dat"
    path.write_text("\n".join(f"{3500 + 10 * i} 1.0 0.1" for i in range(50)))
    return path


@pytest.fixture
def photometry(tmp_path: Path) -> Path:
    """Photometry of two bands."""
    path = tmp_path / "photometry.dat"
    path.write_text("sdss2010-g 10.0 1.0\nsdss2010-r 12.0 1.0\n")
    return path


@pytest.fixture
def kin_dust(spectrum: Path) -> dict[str, dict[str, Any]]:
    """A valid first stage, without dust."""
    return {
        "runtime": {"sampler": "maxlike"},
        "maxlike": {"method": "Nelder-Mead", "tolerance": 1e-3, "maxiter": 3000},
        "output": {"filename": "results/kinematics", "format": "text"},
        "pipeline": {"modules": "KinDust", "values": "start.ini", "likelihoods": "KinDust"},
        "KinDust": {"inputSpectrum": spectrum.name, "SSPModel": "MIUSCAT", "wlRange": [3600.0, 4000.0]},
    }


@pytest.fixture
def sfh_spectra(spectrum: Path) -> dict[str, dict[str, Any]]:
    """A valid second stage, whose dispersion comes from the first."""
    return {
        "runtime": {"sampler": "maxlike emcee"},
        "emcee": {"walkers": 32, "samples": 100, "nsteps": 100},
        "output": {"filename": "results/history"},
        "pipeline": {"modules": "SFHSpectra", "extra_output": "extra/stellar_mass"},
        "SFHSpectra": {
            "inputSpectrum": spectrum.name,
            "SSPModel": "MIUSCAT",
            "SFHModel": "FixedMassFracSFH",
            "SFHArgs": [0.25, 0.5, 0.75],
        },
    }


@pytest.fixture
def joint(spectrum: Path, photometry: Path) -> dict[str, dict[str, Any]]:
    """A valid stage of two modules."""
    common = {"SSPModel": "PopStar", "SFHModel": "ExponentialSFH"}
    return {
        "runtime": {"sampler": "maxlike"},
        "output": {"filename": "results/joint"},
        "pipeline": {"modules": "FullSpectralFit_blue, SFHPhotometry"},
        "FullSpectralFit_blue": {"inputSpectrum": spectrum.name, **common},
        "SFHPhotometry": {"inputPhotometry": photometry.name, **common},
    }
