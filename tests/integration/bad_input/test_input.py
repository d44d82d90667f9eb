"""Bad input: one clear message, before anything expensive starts."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from orchestrator.modules.full_spectral_fit import FullSpectralFitModule
from quick_stages import full_fit, one_fault, refusal, write_spectrum

from orchestrator import MainPipeline, Reader, load_run

# --- files


def test_missing_spectrum(config):
    config["FullSpectralFit"]["inputSpectrum"] = "galxy.dat"
    message = one_fault(config)
    assert "[FullSpectralFit] inputSpectrum = 'galxy.dat': there is no file" in message
    assert str(Path.cwd() / "galxy.dat") in message  # where it was looked for


def test_spectrum_that_is_no_spectrum(config):
    Path("galaxy.dat").write_text("once upon a time\nthere was a galaxy\n")
    message = one_fault(config)
    assert "galaxy.dat' line 2 holds 'there was a galaxy'; expected numbers only" in message
    Path("galaxy.dat").write_text("")
    assert "is empty" in one_fault(config)


def test_malformed_values_file(config):
    Path("fit_start.ini").write_text("[kinematics]\nlos_vel = -100, 0, 100\nlos_sigma = 10 600 500\n")
    message = refusal(config)
    assert "fit_start.ini, line 2: [kinematics] los_vel = '-100, 0, 100'" in message
    assert "separated by blanks" in message
    assert "line 3" in message
    Path("fit_start.ini").write_text("los_vel = 3\n")
    message = one_fault(config)
    assert "fit_start.ini" in message
    assert "section" in message


def test_parameter_missing_from_the_values_file(config):
    MainPipeline([config]).run()
    text = Path("fit_start.ini").read_text()
    Path("fit_start.ini").write_text(re.sub(r"(?m)^logtau.*$", "", text))
    message = one_fault(config)
    assert "parameter stars.sfh/logtau is missing from" in message
    assert "fit_start.ini; add to section [stars.sfh] for example `logtau = -1.0 0.5 1.7`" in message


def test_misspelled_parameter_names_the_nearest_one(config):
    config["values"] = {
        "stars.sfh": {"logtau": "-1 0.5 1", "ism_metallicity_today": "0.01", "alpha_powerlaw": "0.5"},
        "kinematics": {"los_vel": "-9 9", "los_sigm": "50 150", "los_h3": "0", "los_h4": "0"},
    }
    del config["pipeline"]["values"]
    message = refusal(config)
    assert "kinematics/los_sigma is missing" in message
    assert "no module of the stage reads kinematics/los_sigm; did you mean 'los_sigma'?" in message


def test_start_outside_its_range(config):
    config["values"] = {"stars.sfh": {"logtau": "-1 2.5 1.7"}}
    message = refusal(config)
    assert "[stars.sfh] logtau = '-1 2.5 1.7': the start 2.5 is outside the range from -1 to 1.7" in message


# --- names


@pytest.mark.parametrize(
    ("section", "option", "value", "expected"),
    [
        ("FullSpectralFit", "velscal", 80, "unknown option 'velscal'; did you mean 'velscale'?"),
        ("FullSpectralFit", "SFHModel", "ExponetialSFH", "did you mean 'ExponentialSFH'?"),
        ("FullSpectralFit", "SSPModel", "PopStr", "unknown SSP library 'PopStr'"),
        ("FullSpectralFit", "SSPModel", "PopStr", "did you mean 'PopStar'?"),
        ("FullSpectralFit", "SSPModel", "tiny_.npz", "there is no file"),
        ("FullSpectralFit", "ExtinctionLaw", "ccm98", "is not an attenuation law; did you mean 'ccm89'?"),
        ("FullSpectralFit", "fluxUnits", "erg/s/cm2/Angstom", "fluxUnits"),
        ("FullSpectralFit", "fluxUnits", "km/s", "fluxUnits"),
        ("FullSpectralFit", "wlUnits", "Angstorm", "wlUnits"),
        ("FullSpectralFit", "redshift", -0.5, "redshift = -0.5"),
        ("FullSpectralFit", "redshift", "nan", "redshift = 'nan'"),
        ("FullSpectralFit", "wlRange", [5000, 4500], "wlRange"),
        ("FullSpectralFit", "velscale", 0, "velscale = 0"),
        ("runtime", "sampler", "emce", "unknown sampler 'emce'; did you mean 'emcee'?"),
        ("maxlike", "maxitr", 20, "unknown option 'maxitr'; did you mean 'maxiter'?"),
        ("pipeline", "modules", "FulSpectralFit", "no such section; did you mean 'FullSpectralFit'?"),
    ],
)
def test_wrong_names_and_values(config, section, option, value, expected):
    config[section][option] = value
    message = one_fault(config)
    assert expected in message
    if section == "FullSpectralFit":
        assert "[FullSpectralFit]" in message
    assert (option if "unknown option" in expected else re.sub(r"[\[\]]", "", str(value))) in message


def test_unit_of_the_wrong_kind_says_which_is_expected(config):
    config["FullSpectralFit"]["fluxUnits"] = "km/s"
    message = one_fault(config)
    assert "galaxy.dat" in message
    assert "erg" in message


def test_unknown_filter(config, library):
    Path("bands.txt").write_text("sdss2010-g 10.0 1.0\nsdss2010-rr 12.0 1.0\n")
    options = config.pop("FullSpectralFit")
    names = ("SSPModel", "SFHModel", "redshift")
    config["SFHPhotometry"] = {
        "inputPhotometry": "bands.txt",
        **{key: options[key] for key in names},
    }
    config["pipeline"]["modules"] = "SFHPhotometry"
    message = one_fault(config)
    assert "[SFHPhotometry]" in message
    assert "'sdss2010-rr'" in message
    assert "did you mean 'sdss2010-r'?" in message


def test_library_that_was_not_fetched(config, monkeypatch, tmp_path):
    monkeypatch.setenv("ORCHESTRATOR_DATA", str(tmp_path / "empty"))
    config["FullSpectralFit"]["SSPModel"] = "MIUSCAT"
    message = one_fault(config)
    assert "SSP library 'MIUSCAT' is not on this machine" in message
    assert "orchestrator ssp fetch MIUSCAT" in message


# --- data


def test_range_outside_the_data(config):
    config["FullSpectralFit"]["wlRange"] = [6000.0, 7000.0]
    message = one_fault(config)
    assert "wlRange 6000-7000 A (rest frame) holds no pixel of" in message
    assert "galaxy.dat, which covers 4059.4-5247.5 A at redshift 0.01" in message


def test_range_outside_the_library(config):
    write_spectrum("galaxy.dat")
    columns = np.loadtxt("galaxy.dat")
    columns[:, 0] += 3000.0
    np.savetxt("galaxy.dat", columns)
    message = one_fault(config)
    assert "4000" in message
    assert "tiny" in message or "templates" in message


def test_redshift_that_moves_the_spectrum_off_the_library(config):
    config["FullSpectralFit"]["redshift"] = 3.0
    message = one_fault(config)
    assert "redshift" in message


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_spectrum_without_a_finite_pixel(config, bad):
    write_spectrum("galaxy.dat", flux=lambda shape: np.full_like(shape, bad))
    message = one_fault(config)
    assert "galaxy.dat: the flux of all 600 unmasked pixels is NaN or infinite" in message


def test_all_errors_zero(config):
    write_spectrum("galaxy.dat", error=np.zeros(600))
    message = one_fault(config)
    assert "galaxy.dat: none of the 600 unmasked pixels has a finite positive error" in message


def test_some_bad_pixels_are_left_out_and_counted(config, caplog):
    def spoil(shape):
        shape = shape.copy()
        shape[10:17] = np.nan
        shape[100:105] = np.inf
        return shape

    error = np.full(600, 0.02)
    error[300:303] = 0.0
    write_spectrum("galaxy.dat", flux=spoil, error=error)
    assert MainPipeline([config]).execute_all() == 0
    told = [record.getMessage() for record in caplog.records if "galaxy.dat" in record.getMessage()]
    assert any("12 with NaN or infinite flux" in text and "3 with zero error" in text for text in told)
    assert sum("12 with NaN" in text for text in told) == 1, "told once"
    assert "12 with NaN or infinite flux" in Path("fit.log").read_text()
    result = load_run("fit.txt")
    assert np.isfinite(result.best_fit.log_likelihood)
    columns = np.loadtxt("galaxy.dat")
    good = np.all(np.isfinite(columns), axis=1) & (columns[:, 2] > 0)
    assert np.count_nonzero(good) == 585
    np.savetxt("clean.dat", columns[good])  # without these pixels the likelihood is the same
    options = {**config["FullSpectralFit"], "inputSpectrum": "clean.dat"}
    clean = FullSpectralFitModule(options)
    point = Reader.from_results_file("fit.txt").get_max_posterior_solution(as_datablock=True)
    assert clean.execute(point) == 0
    assert point["likelihoods", clean.like_name] == pytest.approx(result.best_fit.log_likelihood, rel=1e-9)


def test_a_range_outside_the_data_of_a_later_stage_stops_all(config, library):
    later = full_fit("later", library, wlRange=[6000.0, 7000.0])
    message = refusal([config, later])
    assert "stage 2: [FullSpectralFit]" in message
    assert "wlRange" in message


def test_masks_that_leave_no_pixel(config):
    config["FullSpectralFit"].update(
        wlRange=[4855.0, 4866.0], mask_emission_lines="T", emission_line_half_width=2000.0
    )
    message = one_fault(config)
    assert "pixel" in message
    assert "mask" in message
