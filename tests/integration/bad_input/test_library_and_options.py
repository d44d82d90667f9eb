"""An SSP library that does not serve the options is found before anything starts."""

from __future__ import annotations

from pathlib import Path

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
    assert "light_range = 50 90 A: tiny covers 4000-5399.5 A; choose a range inside" in one_fault(config)


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


def test_a_tabulated_prior_beside_a_path_with_a_blank(config, library):
    config["emcee"] = {"walkers": 16, "samples": 4}
    config["runtime"]["sampler"] = "emcee"
    later = full_fit("a folder/later", library)
    later["handover"] = {"stars.sfh": "prior_tabulated"}
    message = refusal([config, later])
    assert message.startswith("stage 2: [handover] prior_tabulated: its tables lie beside ")
    assert "holds a blank" in message


def test_a_module_that_refuses_its_input_shows_no_traceback(config, caplog):
    """What only the module itself finds is told in one sentence too."""
    options = {key: config["FullSpectralFit"][key] for key in ("inputSpectrum", "SSPModel", "SFHModel")}
    wrong = {"z_min": 0.0, "z_max": 0.03, "use_features": "T", "continuum_knot_spacing": 0.5}
    config["SpectraRedshiftFit"] = {**options, **wrong}
    config["pipeline"]["modules"] = "SpectraRedshiftFit"
    del config["FullSpectralFit"]
    assert MainPipeline([config]).execute_all() == 1
    message = next(r.getMessage() for r in caplog.records if r.levelname == "ERROR")
    assert "The module [SpectraRedshiftFit] cannot be set up: a continuum with a knot every 0.5 A has" in message
    assert "set continuum_knot_spacing larger" in message
    assert "Traceback" not in message
    assert 'File "' not in message
