"""Redshifts of mock spectra: unbiased, and scattered as their errors say."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from small_library import write_library

from orchestrator.config.module_options import parse_options
from orchestrator.forward_model.redshift_setup import prepare_redshift_fit
from orchestrator.forward_model.spectrum_fit import prepare_spectrum_fit

UNIT = "1e-16 erg / (s cm2 Angstrom)"
N_MOCKS = 100
WAVE = np.arange(4550.0, 5750.0, 1.2)
POPULATION = {
    ("stars.sfh", "logtau"): 0.6,
    ("stars.sfh", "ism_metallicity_today"): 0.02,
    ("stars.sfh", "alpha_powerlaw"): 0.5,
    ("dust.extinction", "a_v"): 0.3,
}
STILL = {("kinematics", "los_vel"): 0.0, ("kinematics", "los_sigma"): 100.0, ("kinematics", "los_h3"): 0.0,
         ("kinematics", "los_h4"): 0.0}  # fmt: skip


def points(values):
    return {key: np.array([value]) for key, value in values.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("recovery")
    write_library(path / "library.npz")
    np.savetxt(path / "flat.dat", np.column_stack([WAVE, np.ones_like(WAVE), np.full_like(WAVE, 0.1)]))
    return path


def given(folder, spectrum, **options):
    return {
        "inputSpectrum": str(folder / spectrum), "fluxUnits": UNIT, "SSPModel": str(folder / "library.npz"),
        "SFHModel": "ExponentialSFH", "ExtinctionLaw": "ccm89", **options,
    }  # fmt: skip


def mock(folder, redshift, signal_to_noise, rng):
    """Write a spectrum of FullSpectralFit at a redshift, with noise."""
    full = prepare_spectrum_fit(parse_options("FullSpectralFit", given(folder, "flat.dat", redshift=redshift))).model
    flux = full.model_spectrum(points(POPULATION | STILL), np.array([1e10]))[0][0]
    flux = flux / flux.mean()
    error = np.full_like(flux, 1 / signal_to_noise)
    np.savetxt(folder / "mock.dat", np.column_stack([WAVE, flux + rng.normal(0, error), error]))


@pytest.mark.parametrize(
    ("signal_to_noise", "options"),
    [
        (30, {}),
        (30, {"use_features": True}),
        (30, {"legendre_deg": 3, "legendre_mode": "profiled"}),
        (6, {}),
    ],
)
def test_redshifts_are_recovered(folder, monkeypatch, caplog, signal_to_noise, options):
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(folder / "cache"))
    logging.getLogger("orchestrator").setLevel(logging.ERROR)
    rng = np.random.default_rng(11)
    pulls = []
    for redshift in rng.uniform(0.06, 0.09, N_MOCKS):
        mock(folder, redshift, signal_to_noise, rng)
        parsed = parse_options("SpectraRedshiftFit", given(folder, "mock.dat", z_min=0.05, z_max=0.1, **options))
        extra = prepare_redshift_fit(parsed).model.log_likelihood(points(POPULATION)).extra
        pulls.append((extra["redshift"][0] - redshift) / extra["redshift_error"][0])
    pulls = np.array(pulls)
    assert abs(pulls.mean()) < 3 / np.sqrt(N_MOCKS)
    assert 0.8 < pulls.std() < 1.2


def test_a_second_peak_is_reported(folder, monkeypatch):
    """Hardly any signal: several redshifts are possible, and the fit says so."""
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(folder / "cache"))
    rng = np.random.default_rng(5)
    closest = []
    for _ in range(20):
        mock(folder, 0.07, 1.2, rng)
        parsed = parse_options("SpectraRedshiftFit", given(folder, "mock.dat", z_min=0.05, z_max=0.1))
        model = prepare_redshift_fit(parsed).model
        extra = model.log_likelihood(points(POPULATION)).extra
        profile = model.profile(points(POPULATION))
        at_second = np.interp(extra["second_redshift"][0], profile.redshift, profile.log_likelihood)
        assert extra["second_lower_by"][0] == pytest.approx(profile.log_likelihood.max() - at_second, abs=0.6)
        closest.append(extra["second_lower_by"][0])
    assert min(closest) < 3
