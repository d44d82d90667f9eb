"""What goes wrong at a user's desk: one clear message, before anything expensive starts, and nothing lost.

The real modules through the real CosmoSIS, on a short spectrum and a small SSP library that the tests write.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from orchestrator.modules.full_spectral_fit import FullSpectralFitModule

from orchestrator import MainPipeline, Reader, load_run
from orchestrator.errors import ConfigError, DataError, StageError
from orchestrator.fit import mpi

SECONDS_TO_REFUSE = 5.0
"""Imports, the first look into the files and the report of a refusal take less."""

BROKEN_MODULE = """
def setup(options):
    return options["Mine", "when"] if options.has_value("Mine", "when") else options["module_options", "when"]

def execute(block, when):
    if when == "execute":
        raise RuntimeError("the lamp went out")
    block["likelihoods", "mine_like"] = -0.5 * block["mine", "x"] ** 2
    return 0
"""


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


def write_spectrum(path, *, flux=None, error=None):
    """Write 600 pixels of a red continuum with a line; arrays or numbers may replace flux and error."""
    rng = np.random.default_rng(4)
    wavelength = np.linspace(4100.0, 5300.0, 600)
    line = 1.0 - 0.3 * np.exp(-0.5 * ((wavelength - 4861.0) / 5.0) ** 2)
    shape = 0.5 * (wavelength / 4700.0) ** 0.3 * line
    shape = shape + 0.02 * rng.standard_normal(600)
    flux = shape if flux is None else flux(shape)
    error = np.full(600, 0.02) if error is None else error
    np.savetxt(path, np.column_stack([wavelength, flux, error]))
    return path


@pytest.fixture
def config(tmp_path, library, cache, monkeypatch):
    """A good configuration of one quick stage, run in the folder of the test."""
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    write_spectrum(tmp_path / "galaxy.dat")
    return full_fit("fit", library)


def full_fit(output, library, sampler="maxlike", **options):
    settings = {"maxlike": {"maxiter": 30}, "emcee": {"walkers": 16, "samples": 4, "nsteps": 2}}
    return {
        "runtime": {"sampler": sampler},
        **{word: settings[word] for word in sampler.split() if word in settings},
        "output": {"filename": str(output)},
        "pipeline": {"modules": "FullSpectralFit", "values": f"{output}_start.ini"},
        "FullSpectralFit": {
            "inputSpectrum": "galaxy.dat",
            "SSPModel": str(library),
            "SFHModel": "ExponentialSFH",
            "fluxUnits": "1e-16 erg / (s cm2 Angstrom)",
            "redshift": 0.01,
            "velscale": 80.0,
            **options,
        },
    }


def own_module(folder, output, when):
    """A stage with a user's own module, which raises in 'setup' or 'execute'."""
    path = folder / "mine.py"
    path.write_text(BROKEN_MODULE)
    return {
        "runtime": {"sampler": "maxlike"},
        "maxlike": {"maxiter": 20},
        "output": {"filename": output},
        "pipeline": {"modules": "Mine", "likelihoods": "mine"},
        "Mine": {"file": str(path), "when": when},
        "values": {"mine": {"x": "-1 0.3 1"}},
    }


def refusal(configs, folder=None, **keywords):
    """Start a pipeline that must be refused; return the message after checking that nothing ran."""
    folder = Path.cwd() if folder is None else folder
    before = {path for path in folder.rglob("*") if path.is_file()}
    begun = time.perf_counter()
    with pytest.raises(ConfigError) as caught:
        MainPipeline(configs if isinstance(configs, list) else [configs], **keywords).run()
    assert time.perf_counter() - begun < SECONDS_TO_REFUSE
    new = {path for path in folder.rglob("*") if path.is_file()} - before
    assert not new, "a run that is refused writes nothing"
    message = str(caught.value)
    assert "Traceback" not in message
    return message


def one_fault(configs, **keywords):
    message = refusal(configs, **keywords)
    assert message.startswith("stage 1: "), message
    assert "faults in the configuration" not in message, message
    return message


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


# --- runs that fail


def test_a_failing_second_stage_loses_nothing(config, tmp_path, caplog):
    pipeline = MainPipeline([config, own_module(tmp_path, "second", "execute")])
    assert pipeline.execute_all() == 1
    text = caplog.text
    assert "The module [Mine] raised RuntimeError at the start point" in text
    assert "the lamp went out" in text
    assert "end of the log" in text
    assert re.search(r"repeat it with:\n\s+\S*python", text)
    assert "1 of 2 stages finished: fit" in text
    assert [result.name for result in pipeline.results] == ["fit"]
    assert load_run("fit.txt").run.complete
    assert Path("fit_best_fit.json").is_file()
    assert not Path("second.txt").exists()
    command = text[text.index("repeat it with:") :].splitlines()[1].strip()
    again = subprocess.run(command, shell=True, capture_output=True, text=True, cwd="/", timeout=60)
    assert again.returncode != 0
    assert "the lamp went out" in again.stdout + again.stderr


def test_module_file_that_raises_when_it_is_loaded(config, tmp_path, caplog):
    stage = own_module(tmp_path, "fit", "never")
    (tmp_path / "mine.py").write_text("raise ImportError('no such instrument')\n")
    assert MainPipeline([stage]).execute_all() == 1
    first_line = next(r.getMessage() for r in caplog.records if r.levelname == "ERROR").partition("\n")[0]
    assert "Stage 'fit' failed" in first_line
    assert "mine.py" in first_line
    assert "no such instrument" in first_line, "the reason comes first"
    assert not Path("fit.txt").exists()


def test_no_mpiexec(config, library, monkeypatch, caplog):
    monkeypatch.setattr(mpi, "mpiexec_candidates", list)
    caplog.set_level(logging.INFO)
    config = full_fit("fit", library, "emcee")
    assert MainPipeline([config], n_cores_list=[2]).execute_all() == 0
    assert "no working mpiexec was found" in caplog.text
    assert "runs on 2 local processes" in caplog.text
    assert "local pool of 2 processes" in Path("fit.log").read_text()
    assert load_run("fit.txt").chain.n_rows == 16 * 4


# --- folders


@pytest.mark.parametrize("n_cores", [1, 2])
def test_folder_with_blanks_and_quotes(config, library, tmp_path, monkeypatch, n_cores):
    folder = tmp_path / """it's "a b" $(touch hit)"""
    folder.mkdir()
    monkeypatch.chdir(folder)
    write_spectrum("my galaxy's \"data\".dat")
    (folder / "my lib").mkdir()
    copy = folder / "my lib" / "tiny.npz"
    copy.write_bytes(library.read_bytes())
    config = full_fit("out put/the fit", "./my lib/tiny.npz", "maxlike emcee")
    config["FullSpectralFit"]["inputSpectrum"] = "my galaxy's \"data\".dat"
    config["pipeline"]["values"] = "the start's.ini"
    (result,) = MainPipeline([config], n_cores_list=[n_cores]).run(plot_result=True)
    assert (folder / "out put" / "the fit.txt").is_file()
    assert (folder / "the start's.ini").is_file()
    assert result.figures["FullSpectralFit"].is_file()
    assert not list(tmp_path.rglob("hit"))
    done = subprocess.run(
        [str(Path(sys.executable).parent / "cosmosis"), "the fit.ini"],
        cwd=folder / "out put",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_folder_with_a_per_cent_sign(config, library, tmp_path, monkeypatch):
    folder = tmp_path / "50%x %(here)s"
    folder.mkdir()
    monkeypatch.chdir(folder)
    write_spectrum("galaxy%.dat")
    config["FullSpectralFit"]["inputSpectrum"] = "galaxy%.dat"
    config["output"]["filename"] = "fit"
    (result,) = MainPipeline([config]).run(plot_result=True)
    assert result.figures["FullSpectralFit"].is_file()
    assert (folder / "fit.txt").is_file()


def test_output_folder_is_created(config):
    config["output"]["filename"] = "a/b/c/fit"
    assert MainPipeline([config]).execute_all() == 0
    assert Path("a/b/c/fit.txt").is_file()


def test_output_parent_that_is_a_file(config):
    Path("taken").write_text("precious")
    config["output"]["filename"] = "taken/fit"
    message = one_fault(config)
    assert message.startswith("stage 1: [output] filename = ")
    assert f"{str(Path.cwd() / 'taken')!r} is a file, not a folder" in message
    assert Path("taken").read_text() == "precious"


def test_two_runs_started_in_one_folder(config, library):
    slow = full_fit("fit", library, "emcee")
    slow["emcee"] = {"walkers": 16, "samples": 2000, "nsteps": 100}
    script = f"import sys; from orchestrator import MainPipeline; sys.exit(MainPipeline([{slow!r}]).execute_all())"
    with subprocess.Popen(
        [sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as first:
        try:
            end = time.monotonic() + 60
            while not (Path("fit.txt").exists() and Path("fit.txt").stat().st_size > 20000):
                assert first.poll() is None, first.stderr.read()
                assert time.monotonic() < end
                time.sleep(0.05)
            begun = time.perf_counter()
            with pytest.raises(StageError) as caught:
                MainPipeline([slow]).run()
            assert time.perf_counter() - begun < SECONDS_TO_REFUSE
            message = str(caught.value)
            assert f"Another run is writing {str(Path.cwd() / 'fit.txt')!r}" in message
            assert f"process {first.pid} on" in message
            assert "another output.filename" in message
            size = Path("fit.txt").stat().st_size
            assert size > 20000, "the first run's chain is untouched"
            while Path("fit.txt").stat().st_size == size:
                assert first.poll() is None
                assert time.monotonic() < end
                time.sleep(0.05)
        finally:
            if first.poll() is None:
                os.killpg(first.pid, signal.SIGTERM)
            first.wait(30)


def test_several_faults_are_told_at_once(config, library):
    config["runtime"]["sampler"] = "maxlke"
    config["FullSpectralFit"].update(inputSpectrum="nowhere.dat", SFHModel="Exponental")
    second = full_fit("other", library, velscale=-3, redshift="far")
    second["pipeline"]["likelihods"] = "x"
    message = refusal([config, second])
    assert re.match(r"\d faults in the configuration:\n", message)
    for expected in (
        "stage 1: [runtime] unknown sampler 'maxlke'; did you mean 'maxlike'?",
        "stage 1: [FullSpectralFit] inputSpectrum = 'nowhere.dat': there is no file",
        "'Exponental' is not a star-formation history; did you mean 'ExponentialSFH'?",
        "stage 2: [FullSpectralFit] velscale = -3",
        "stage 2: [FullSpectralFit] redshift = 'far'",
        "unknown option 'likelihods'; did you mean 'likelihoods'?",
    ):
        assert expected in message


def test_an_unknown_option_does_not_hide_the_other_faults_of_its_section(config):
    config["FullSpectralFit"].update(velscal=3, inputSpectrum="nowhere.dat", SFHModel="Exponental")
    message = refusal(config)
    for expected in ("unknown option 'velscal'", "there is no file", "did you mean 'ExponentialSFH'?"):
        assert expected in message


def test_unreadable_spectrum_and_missing_library_are_told_at_once(config, monkeypatch, tmp_path, library):
    monkeypatch.setenv("ORCHESTRATOR_DATA", str(tmp_path / "empty"))
    write_spectrum("galaxy.dat", error=np.zeros(600))
    config["FullSpectralFit"]["SSPModel"] = "MaStar"
    second = full_fit("other", library, fluxUnits="furlong")
    message = refusal([config, second])
    assert "orchestrator ssp fetch MaStar" in message
    assert "none of the 600 unmasked pixels has a finite positive error" in message
    assert "stage 2: [FullSpectralFit]" in message
    assert "furlong" in message


def test_data_errors_are_typed():
    from orchestrator.observation.read_spectrum import read_spectrum

    with pytest.raises(DataError, match="nowhere.dat"):
        read_spectrum("nowhere.dat")
