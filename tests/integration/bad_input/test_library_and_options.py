"""An SSP library that does not serve the options is found before anything starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from quick_stages import full_fit, one_fault, refusal

from orchestrator import MainPipeline


@pytest.fixture
def photometry(config, library):
    """A good configuration of one stage with photometry, in the folder of the test."""
    Path("bands.txt").write_text("sdss2010-g 10.0 1.0\n")
    config["SFHPhotometry"] = {
        "inputPhotometry": "bands.txt",
        "SSPModel": str(library),
        "SFHModel": "ExponentialSFH",
    }
    del config["FullSpectralFit"]
    config["pipeline"]["modules"] = "SFHPhotometry"
    return config


def test_bands_that_the_library_does_not_cover(photometry):
    message = one_fault(photometry)
    assert "[SFHPhotometry] band 'sdss2010-g' spans" in message
    assert "leave the band out, or use an SSP library with a longer range" in message


@pytest.mark.parametrize("section", ["FullSpectralFit", "SFHPhotometry"])
def test_birth_clouds_without_young_stars(config, photometry, library, section):
    if section == "FullSpectralFit":
        config = full_fit("fit", library)
    config[section].update(ExtinctionLaw="ccm89", birth_cloud="T", birth_cloud_age=1.0)
    message = one_fault(config)
    assert f"[{section}] birth_cloud_age = 1 Myr: the youngest SSP has 10 Myr" in message


def test_light_outside_the_library(config):
    config["FullSpectralFit"]["light_range"] = [50, 90]
    assert "light_range = 50 90 A: tiny covers 4000-5398.5 A; choose a range inside" in one_fault(config)


def test_polynomial_bounds_outside_the_data(config):
    config["FullSpectralFit"].update(legendre_deg=3, legendre_bounds=[2000, 3000])
    assert "legendre_bounds 2000-3000 A are outside the fitted range of galaxy.dat" in one_fault(config)


def test_indices_at_a_resolution_that_is_not_known(config, library):
    options = {key: config["FullSpectralFit"][key] for key in ("inputSpectrum", "SSPModel", "SFHModel", "redshift")}
    config["EquivalentWidthFit"] = {**options, "los_sigma": 100.0, "index_resolution": "lick"}
    config["pipeline"]["modules"] = "EquivalentWidthFit"
    del config["FullSpectralFit"]
    message = one_fault(config)
    assert "index_resolution = lick: the line-spread function of galaxy.dat is not known" in message


def test_too_few_walkers(config):
    config["runtime"]["sampler"] = "maxlike ensemble"
    config["ensemble"] = {"walkers": 6}
    assert "[ensemble] walkers = 6: 7 parameters vary, so at least 14 are needed" in one_fault(config)


def test_what_no_earlier_stage_fits_cannot_be_handed_over(config, library):
    """A parameter that is fixed in the earlier stage does not arrive in a later one."""
    later = full_fit("later", library, ExtinctionLaw="ccm89")
    later["handover"] = {"dust.extinction--a_v": "fix"}
    message = refusal([config, later])
    assert "stage 2: [handover] dust.extinction--a_v = fix: no earlier stage fits it" in message


def test_a_module_that_refuses_its_input_shows_no_traceback(config, caplog):
    """What only the module itself finds is told in one sentence too."""
    Path("fit_start.ini").write_text(
        "[stars.sfh]\nlogtau = -1 0.5 1.7\nism_metallicity_today = 0.01\nalpha_powerlaw = 0.5\n"
        "[kinematics]\nlos_vel = 0\nlos_sigma = 50 150\nlos_h3 = 0\nlos_h4 = 0\n[dust.extinction]\na_v = 0.2\n"
    )
    columns = np.loadtxt("galaxy.dat")
    columns[:, 0] -= 3500.0  # 600 to 1800 A, where the law is not defined
    np.savetxt("galaxy.dat", columns)
    wide = np.load(config["FullSpectralFit"]["SSPModel"])
    np.savez("ultraviolet.npz", **{**wide, "wavelength": wide["wavelength"] - 3500.0})
    config["FullSpectralFit"].update(SSPModel="ultraviolet.npz", ExtinctionLaw="odonnell94", velscale=300.0)
    assert MainPipeline([config]).execute_all() == 1
    message = next(r.getMessage() for r in caplog.records if r.levelname == "ERROR")
    assert "The module [FullSpectralFit] cannot be set up: " in message
    assert "odonnell94" in message
    assert "Traceback" not in message
    assert 'File "' not in message
