"""A small SSP library, a short spectrum and a good configuration to spoil."""

from __future__ import annotations

import numpy as np
import pytest
from quick_stages import full_fit, write_spectrum


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One cache of prepared templates for all tests here."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Two metallicities and twelve ages: a slope and five lines, in the documented simple layout."""
    wavelength = np.arange(4000.0, 5400.0, 1.5)
    ages = np.linspace(7.0, 10.1, 12)
    flux = np.empty((2, 12, len(wavelength)))
    for i in range(2):
        for j, age in enumerate(ages):
            t = (age - 7.0) / 3.1
            slope = (wavelength / 4700.0) ** (-3.0 + 3.5 * t + 0.5 * i)
            lines = sum(
                (0.1 + 0.3 * t + 0.1 * i) * np.exp(-0.5 * ((wavelength - centre) / 3.0) ** 2)
                for centre in (4102.0, 4341.0, 4861.0, 5175.0, 5270.0)
            )
            flux[i, j] = 10.0 ** (-2.0 * t) * slope * (1.0 - lines)
    path = tmp_path_factory.mktemp("library") / "tiny.npz"
    np.savez(
        path,
        wavelength=wavelength,
        log10_age_yr=ages,
        metallicity=np.array([0.008, 0.02]),
        flux=flux,
        lsf_fwhm=2.5,
        medium="vacuum",
    )
    return path


@pytest.fixture
def config(tmp_path, library, cache, monkeypatch):
    """A good configuration of one quick stage, run in the folder of the test."""
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    write_spectrum(tmp_path / "galaxy.dat")
    return full_fit("fit", library)
