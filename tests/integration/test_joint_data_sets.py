"""Two spectra and photometry of one galaxy: one mass and one history, a polynomial and a noise per data set."""

from __future__ import annotations

import numpy as np
import pytest
from orchestrator.modules.full_spectral_fit import FullSpectralFitModule
from orchestrator.modules.sfh_photometry import SFHPhotometryModule
from small_library import write_library

from orchestrator import MainPipeline, Reader

REDSHIFT = 0.02
LOG_MASS = 10.2
TRUTH = {
    ("stars.sfh", "logtau"): 0.4,
    ("stars.sfh", "ism_metallicity_today"): 0.015,
    ("stars.sfh", "alpha_powerlaw"): 0.5,
    ("kinematics", "los_vel"): 30.0,
    ("kinematics", "los_sigma"): 150.0,
    ("kinematics", "los_h3"): 0.0,
    ("kinematics", "los_h4"): 0.0,
    ("dust.extinction", "a_v"): 0.3,
}
TILT = {"blue": 0.08, "red": -0.05}
JITTER = {"blue": 1.0, "red": 2.5}
"""Extra noise that the stated errors leave out, in units of them."""
ARMS = {"blue": (4150.0, 4900.0), "red": (4700.0, 5600.0)}
BANDS = {"g": 4500.0, "v": 5000.0, "r": 5400.0}
UNIT = 1e-16
VALUES = {
    "stars.sfh": {"logtau": "-0.5 0.6 1.5", "ism_metallicity_today": "0.015", "alpha_powerlaw": "0.5"},
    "kinematics": {"los_vel": "30", "los_sigma": "150", "los_h3": "0", "los_h4": "0"},
    "dust.extinction": {"a_v": "0.3"},
    "legendre_blue": {"legendre_1": "-0.3 0 0.3"},
    "legendre_red": {"legendre_1": "-0.3 0 0.3"},
    "noise_blue": {"log10_jitter": "-1 0.1 1"},
    "noise_red": {"log10_jitter": "-1 0.1 1"},
}


@pytest.fixture
def galaxy(tmp_path, monkeypatch):
    """A folder with a library, both arms of a spectrum and photometry, made by the modules with noise added."""
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    write_library(tmp_path / "toy.npz")
    rng = np.random.default_rng(7)
    mass = np.array([10.0**LOG_MASS])
    for arm, (low, high) in ARMS.items():
        wavelength = np.arange(low, high, 1.5) * (1 + REDSHIFT)
        np.savetxt(f"{arm}.dat", np.column_stack([wavelength, np.ones((len(wavelength), 2))]))
        module = FullSpectralFitModule({**spectrum_of(arm), "legendre_deg": 1})
        point = module.read_parameters({**TRUTH, ("legendre", "legendre_1"): TILT[arm]})
        flux = np.interp(
            wavelength / (1 + REDSHIFT), module.fit.covered_wavelength, module.model.model_spectrum(point, mass)[0][0]
        )
        error = np.full(len(flux), flux.mean() / 60)
        spread = error * np.hypot(1.0, JITTER[arm])
        columns = [wavelength, (flux + spread * rng.standard_normal(len(flux))) / UNIT, error / UNIT]
        np.savetxt(f"{arm}.dat", np.column_stack(columns))
    for band, centre in BANDS.items():
        np.savetxt(f"{band}.txt", [[centre - 200, 0.0], [centre, 1.0], [centre + 200, 0.0]])
    (tmp_path / "bands.txt").write_text("".join(f"{tmp_path}/{band}.txt 1 1\n" for band in BANDS))
    module = SFHPhotometryModule(photometry())
    flux = module.model.model_fluxes(module.read_parameters(TRUTH), mass)[0] / 1e-29
    noisy = flux * (1 + rng.standard_normal(len(flux)) / 50)
    rows = zip(BANDS, noisy, flux / 50, strict=True)
    (tmp_path / "bands.txt").write_text("".join(f"{tmp_path}/{b}.txt {f:.8g} {e:.8g}\n" for b, f, e in rows))
    return tmp_path


def population():
    return {"SSPModel": "toy.npz", "SFHModel": "ExponentialSFH", "ExtinctionLaw": "ccm89", "redshift": REDSHIFT}


def spectrum_of(arm):
    units = "1e-16 erg / (s cm2 Angstrom)"
    return {**population(), "inputSpectrum": f"{arm}.dat", "velscale": 90.0, "fluxUnits": units}


def photometry():
    return {**population(), "inputPhotometry": "bands.txt"}


def stage(name, sampler, **noise):
    arm = {"legendre_deg": 1, "NoiseModel": "AdditiveNoiseModel", **noise}
    modules = {f"FullSpectralFit_{which}": {**spectrum_of(which), **arm} for which in ARMS}
    modules["SFHPhotometry"] = photometry()
    return {
        "runtime": {"sampler": sampler, "seed": 5},
        "maxlike": {"tolerance": 1e-4, "maxiter": 800},
        "emcee": {"walkers": 24, "samples": 150, "nsteps": 50},
        "output": {"filename": f"results/{name}"},
        "pipeline": {"modules": " ".join(modules), "extra_output": "extra/stellar_mass"},
        "values": VALUES,
        **modules,
    }


def test_two_spectra_and_photometry_of_one_galaxy(galaxy):
    first, second = MainPipeline([stage("start", "maxlike"), stage("joint", "emcee")]).run(plot_result=True)
    moved = {(update.section, update.name) for update in second.handover.updates}
    assert {("legendre_blue", "legendre_1"), ("legendre_red", "legendre_1"), ("noise_red", "log10_jitter")} <= moved
    mass = first.best_fit.extra["extra--stellar_mass"]
    spread = np.std(second.chain.extra["extra--stellar_mass"])
    assert abs(mass - LOG_MASS) < 5 * spread
    assert spread < 0.03
    expected = {
        "stars.sfh--logtau": 0.4,
        **{f"legendre_{arm}--legendre_1": TILT[arm] for arm in ARMS},
        **{f"noise_{arm}--log10_jitter": np.log10(JITTER[arm]) for arm in ARMS},
    }
    for name, truth in expected.items():
        posterior = second.summary[name]
        assert 0 < posterior.std < 0.2, name
        assert abs(posterior.mean - truth) < 4.5 * posterior.std, name
    blue, red = (second.summary[f"legendre_{arm}--legendre_1"].mean for arm in ARMS)
    assert blue - red > 0.05
    for result in (first, second):
        assert set(result.figures) == {"FullSpectralFit_blue", "FullSpectralFit_red", "SFHPhotometry"}
    reader = Reader.from_results_file("results/joint.txt")
    module = reader.get_module("FullSpectralFit_red")
    assert module.options.legendre_section == "legendre_red"
    point = module.read_parameters(reader.get_max_posterior_solution(as_datablock=True))
    assert point["legendre", "legendre_1"][0] == second.best_fit.values["legendre_red", "legendre_1"]


def test_outliers_in_one_spectrum_with_student_noise_last(galaxy):
    """Student's t comes last in the modules; the joint fit is not moved by cosmic rays."""
    columns = np.loadtxt("red.dat")
    hit = np.random.default_rng(1).random(len(columns)) < 0.03
    columns[hit, 1] += 60 * columns[hit, 2]
    np.savetxt("red.dat", columns)
    config = stage("robust", "maxlike")
    config["FullSpectralFit_red"] |= {"NoiseModel": "StudentT", "noise_nu": 2, "noise_beta": True}
    config["pipeline"]["modules"] = "FullSpectralFit_blue SFHPhotometry FullSpectralFit_red"
    config["values"] = {**VALUES, "noise_red": {"beta": "0.01 0.3 2"}}
    (result,) = MainPipeline([config]).run(plot_result=True)
    best = result.best_fit
    assert best.extra["extra--stellar_mass"] == pytest.approx(LOG_MASS, abs=0.02)
    assert best.values["stars.sfh", "logtau"] == pytest.approx(0.4, abs=0.1)
    assert best.values["legendre_red", "legendre_1"] == pytest.approx(TILT["red"], abs=0.02)


def test_correlated_noise_end_to_end(galaxy):
    config = stage("correlated", "maxlike")
    del config["FullSpectralFit_blue"], config["SFHPhotometry"]
    config["FullSpectralFit_red"] |= {"NoiseModel": "GaussianProcess", "noise_beta": True}
    config["pipeline"]["modules"] = "FullSpectralFit_red"
    shared = {name: VALUES[name] for name in ("stars.sfh", "kinematics", "dust.extinction")}
    config["values"] = {
        **shared,
        "legendre": {"legendre_1": "-0.3 0 0.3"},
        "noise": {"beta": "0.01 0.3 2", "log10_gp_sigma": "-2 -0.5 1", "log10_gp_scale": "1.5"},
    }
    (result,) = MainPipeline([config]).run(plot_result=True)
    values = result.best_fit.values
    assert values["noise", "beta"] == pytest.approx(1 / (1 + JITTER["red"] ** 2), rel=0.25)
    assert values["noise", "log10_gp_sigma"] < np.log10(1.0)
