"""Several data sets in one stage, values that move between stages, and results read back later."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest
from orchestrator.modules.full_spectral_fit import FullSpectralFitModule
from orchestrator.modules.sfh_photometry import SFHPhotometryModule

from orchestrator import MainPipeline, Reader, load_run, summarize_results
from orchestrator.config.values import read_values
from orchestrator.errors import ConfigError
from orchestrator.report import closing

pytestmark = pytest.mark.library("PopStar")

REDSHIFT = 0.05
LOG_MASS = 10.3
TRUTH = {
    ("stars.sfh", "logtau"): 0.4,
    ("stars.sfh", "ism_metallicity_today"): 0.015,
    ("stars.sfh", "alpha_powerlaw"): 0.5,
    ("kinematics", "los_vel"): 80.0,
    ("kinematics", "los_sigma"): 250.0,
    ("kinematics", "los_h3"): 0.0,
    ("kinematics", "los_h4"): 0.0,
    ("dust.extinction", "a_v"): 0.3,
}
FREE = {
    "stars.sfh": {"logtau": "-0.5 0.6 1.5", "ism_metallicity_today": "0.015", "alpha_powerlaw": "0.5"},
    "kinematics": {"los_vel": "80", "los_sigma": "250", "los_h3": "0", "los_h4": "0"},
    "dust.extinction": {"a_v": "0 0.2 1"},
}
SSP = {"SSPModel": "PopStar", "redshift": REDSHIFT}
POPULATION = {**SSP, "SFHModel": "ExponentialSFH", "ExtinctionLaw": "ccm89"}
SPECTRUM = {"inputSpectrum": "spectrum.dat", "velscale": 150.0, "fluxUnits": "erg / (s cm2 Angstrom)"}
BANDS = ("sdss2010-u", "sdss2010-g", "sdss2010-r", "sdss2010-i", "sdss2010-z", "wise2010-W1")
SPECTRUM_SN, PHOTOMETRY_SN = 20.0, 25.0


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with a spectrum, its two halves, and photometry of one galaxy of 10^10.3 Msun."""
    folder = tmp_path_factory.mktemp("galaxy")
    rng = np.random.default_rng(12)
    mass = np.array([10.0**LOG_MASS])
    wavelength = np.arange(3800.0, 7400.0, 5.0)
    flat = np.full_like(wavelength, 1e-16)
    np.savetxt(folder / "flat.dat", np.column_stack([wavelength, flat, 0.1 * flat]))
    options = {**POPULATION, **SPECTRUM, "inputSpectrum": str(folder / "flat.dat")}
    module = FullSpectralFitModule(options)
    flux = module.model.model_spectrum(module.read_parameters(TRUTH), mass)[0][0]
    wavelength = module.fit.covered_wavelength * (1 + REDSHIFT)
    error = flux / SPECTRUM_SN
    columns = np.column_stack([wavelength, flux + error * rng.standard_normal(len(flux)), error])
    np.savetxt(folder / "spectrum.dat", columns)
    np.savetxt(folder / "blue.dat", columns[wavelength < 5500])
    np.savetxt(folder / "red.dat", columns[wavelength > 5400])
    (folder / "flat.txt").write_text("".join(f"{band} 1.0 0.1\n" for band in BANDS))
    photometry = SFHPhotometryModule({**POPULATION, "inputPhotometry": str(folder / "flat.txt")})
    bands = photometry.model.model_fluxes(photometry.read_parameters(TRUTH), mass)[0] / 1e-29  # uJy
    error = bands / PHOTOMETRY_SN
    noisy = bands + error * rng.standard_normal(len(bands))
    rows = [f"{band} {f:.8g} {e:.8g}\n" for band, f, e in zip(BANDS, noisy, error, strict=True)]
    (folder / "bands.txt").write_text("".join(rows))
    limit = f"{BANDS[-1]} {0.9 * bands[-1]:.8g} {0.2 * bands[-1]:.8g} upper\n"
    (folder / "limits.txt").write_text("".join(rows[:-1]) + limit)
    return folder


@pytest.fixture
def run_in(data, tmp_path, monkeypatch):
    """A folder of the test with copies of the data, to run in."""
    for path in data.iterdir():
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stage(name, modules, sampler="maxlike", values=FREE, **sections):
    settings = {
        "maxlike": {"tolerance": 1e-5, "maxiter": 600},
        "emcee": {"walkers": 12, "samples": 60, "nsteps": 20},
    }
    return {
        "runtime": {"sampler": sampler, "seed": 3},
        **{word: settings[word] for word in sampler.split()},
        "output": {"filename": f"results/{name}"},
        "pipeline": {"modules": " ".join(modules), "extra_output": "extra/stellar_mass"},
        "values": values,
        **modules,
        **sections,
    }


def both(amplitude="profiled", photometry="bands.txt"):
    spectrum = {**POPULATION, **SPECTRUM, "amplitude": amplitude}
    return {
        "FullSpectralFit": spectrum,
        "SFHPhotometry": {**POPULATION, "inputPhotometry": photometry, "amplitude": amplitude},
    }


def total(modules, block):
    """The summed log-likelihood of modules that run one after the other, as CosmoSIS runs them."""
    for module in modules:
        assert module.execute(block) == 0
    return sum(block["likelihoods", module.like_name] for module in modules)


def block_of(values):
    from cosmosis.datablock import DataBlock

    block = DataBlock()
    for (section, name), value in values.items():
        block.put_double(section, name, float(value))
    return block


# --- one mass


def test_spectrum_and_photometry_share_a_profiled_mass(run_in):
    (joint,) = MainPipeline([stage("joint", both(), "maxlike emcee")]).run()
    mass = joint.chain.extra["extra--stellar_mass"]
    assert np.std(mass) > 0
    assert joint.best_fit.extra["extra--stellar_mass"] == pytest.approx(LOG_MASS, abs=5 * np.std(mass))
    assert np.std(mass) < 0.05
    for name in ("stars.sfh--logtau", "dust.extinction--a_v"):
        posterior = joint.summary[name]
        truth = TRUTH[tuple(name.split("--"))]
        assert abs(posterior.mean - truth) < 5 * posterior.std
    best = joint.best_fit
    truth = {**TRUTH, **best.values}
    reader = Reader.from_results_file("results/joint.txt")
    modules = [reader.get_module(name) for name in reader.modules]
    assert total(modules, block_of(truth)) == pytest.approx(best.log_likelihood, rel=1e-9)


def test_profiled_mass_maximises_the_sampled_one(run_in):
    """The joint likelihood at its own mass is that of the sampled mass there, and no mass does better."""
    profiled = [FullSpectralFitModule(both()["FullSpectralFit"]), SFHPhotometryModule(both()["SFHPhotometry"])]
    block = block_of(TRUTH)
    at_maximum = total(profiled, block)
    best = block["extra", "stellar_mass"]
    assert best == pytest.approx(LOG_MASS, abs=0.02)
    options = both("sampled")
    sampled = [FullSpectralFitModule(options["FullSpectralFit"]), SFHPhotometryModule(options["SFHPhotometry"])]
    found = [
        total(sampled, block_of({**TRUTH, ("stars.sfh", "log10_stellar_mass"): best + step}))
        for step in (-1e-3, 0.0, 1e-3)
    ]
    assert found[1] == pytest.approx(at_maximum, rel=1e-10)
    assert max(found) == found[1]


def test_spectrum_and_photometry_share_a_sampled_mass(run_in):
    values = {**FREE, "stars.sfh": {**FREE["stars.sfh"], "log10_stellar_mass": "9 10 12"}}
    (joint,) = MainPipeline([stage("joint", both("sampled"), "maxlike emcee", values)]).run()
    posterior = joint.summary["log10_stellar_mass"]
    assert 0 < posterior.std < 0.05
    assert abs(posterior.mean - LOG_MASS) < 5 * posterior.std
    written = joint.chain.extra["extra--stellar_mass"]
    np.testing.assert_allclose(written, joint.chain.column("stars.sfh--log10_stellar_mass"), rtol=1e-9)


@pytest.mark.parametrize("amplitude", ["profiled", "marginalised"])
def test_order_of_the_modules_changes_nothing(run_in, amplitude):
    options = both(amplitude)
    spectrum = FullSpectralFitModule(options["FullSpectralFit"])
    bands = SFHPhotometryModule(options["SFHPhotometry"])
    first, second = block_of(TRUTH), block_of(TRUTH)
    assert total([spectrum, bands], first) == pytest.approx(total([bands, spectrum], second), rel=1e-9)
    assert first["extra", "stellar_mass"] == pytest.approx(second["extra", "stellar_mass"], abs=1e-9)


def test_order_of_the_modules_matters_not_with_limits_or_is_refused(run_in):
    modules = both(photometry="limits.txt")
    (expected,) = MainPipeline([stage("last", modules)]).run()
    reverse = stage("first", dict(reversed(modules.items())))
    try:
        (found,) = MainPipeline([reverse]).run()
    except ConfigError as error:  # as good: limits are no parabola in the mass
        message = str(error)
        assert "SFHPhotometry" in message
        assert "limit" in message
        assert "last" in message
    else:
        assert found.best_fit.log_likelihood == pytest.approx(expected.best_fit.log_likelihood, abs=0.01)
        mass = "extra--stellar_mass"
        assert found.best_fit.extra[mass] == pytest.approx(expected.best_fit.extra[mass], abs=1e-3)


def test_figures_of_a_joint_fit_show_the_joint_mass(run_in, monkeypatch):
    from orchestrator.report import photometry_figure, spectrum_figure

    drawn = {}

    def keep(name):
        def draw(figure, path):
            drawn[name] = figure
            return path

        return draw

    text = (run_in / "bands.txt").read_text().split()
    doubled = [f"{band} {2 * float(f)} {e}\n" for band, f, e in zip(text[::3], text[1::3], text[2::3], strict=True)]
    (run_in / "bands.txt").write_text("".join(doubled))  # another mass than the spectrum's
    (result,) = MainPipeline([stage("joint", both())]).run(plot_result=True)
    assert set(result.figures) == {"FullSpectralFit", "SFHPhotometry"}
    # once more in this process, where the figures can be looked into
    monkeypatch.setattr(spectrum_figure, "plot_spectrum", keep("spectrum"))
    monkeypatch.setattr(photometry_figure, "plot_photometry", keep("photometry"))
    figures = {name: str(path) for name, path in result.figures.items()}
    order = closing.Order(str(result.stage.paths.chain), str(run_in / "products.json"), figures)
    assert closing.main([str(result.stage.paths.params), json.dumps(asdict(order))]) == 0
    mass = np.array([10 ** result.best_fit.extra["extra--stellar_mass"]])
    reader = Reader.from_results_file("results/joint.txt")
    point = reader.get_max_posterior_solution(as_datablock=True)
    spectrum, photometry = (reader.get_module(name) for name in reader.modules)
    expected = spectrum.model.model_spectrum(spectrum.read_parameters(point), mass)[0][0]
    np.testing.assert_allclose(drawn["spectrum"].model, expected, rtol=1e-6)
    bands = photometry.model.model_fluxes(photometry.read_parameters(point), mass)[0] / 1e-29
    np.testing.assert_allclose(drawn["photometry"].model_flux, bands, rtol=1e-6)


# --- two spectra


def test_blue_and_red_arm(run_in):
    arms = {
        f"FullSpectralFit_{arm}": {**POPULATION, **SPECTRUM, "inputSpectrum": f"{arm}.dat"}
        for arm in ("blue", "red")
    }
    config = stage("arms", arms)
    config["pipeline"]["likelihoods"] = "FullSpectralFit_blue FullSpectralFit_red"
    later = stage("again", arms)  # the peer fails at the second stage of two modules
    first, second = MainPipeline([config, later]).run(plot_result=True)
    for result in (first, second):
        assert set(result.figures) == set(arms)
        assert all(figure.is_file() for figure in result.figures.values())
        assert result.best_fit.extra["extra--stellar_mass"] == pytest.approx(LOG_MASS, abs=0.05)
    assert second.best_fit.log_posterior >= first.best_fit.log_posterior - 1e-6
    assert {update.name for update in second.handover.updates} == {"logtau", "a_v"}
    reader = Reader.from_results_file("results/arms.txt")
    blue, red = (reader.get_module(name) for name in reader.modules)
    assert (blue.alias, red.alias) == ("FullSpectralFit_blue", "FullSpectralFit_red")
    assert blue.fit.covered_wavelength[-1] < 5500 < red.fit.covered_wavelength[-1]


# --- handover


def test_kinematics_become_options_of_the_next_stage(run_in):
    values = {
        "stars.sfh": {"logtau": "0.4", "ism_metallicity_today": "0.015", "alpha_powerlaw": "0.5"},
        "kinematics": {"los_vel": "-300 0 300", "los_sigma": "50 150 400", "los_h3": "0", "los_h4": "0"},
        "dust.extinction": {"a_v": "0 0.2 1"},
    }
    first = stage("kinematics", {"FullSpectralFit": {**POPULATION, **SPECTRUM}}, values=values)
    history = {"SFHSpectra": {**POPULATION, **SPECTRUM}}  # no los_sigma: it is handed over
    second = stage("history", history, values={"stars.sfh": FREE["stars.sfh"]})
    kinematics, history = MainPipeline([first, second]).run()
    found = kinematics.best_fit.values
    moved = {u.name: u.value for u in history.handover.updates if u.target == "option"}
    assert moved == {
        "los_vel": found["kinematics", "los_vel"],
        "los_sigma": found["kinematics", "los_sigma"],
        "a_v": found["dust.extinction", "a_v"],
    }
    module = Reader.from_results_file("results/history.txt").get_module("SFHSpectra")
    assert module.options.los_sigma == found["kinematics", "los_sigma"] != 150.0
    assert module.options.a_v == found["dust.extinction", "a_v"]
    record = json.loads((run_in / "results" / "history_handover.json").read_text())
    assert {update["source"] for update in record["updates"]} == {"kinematics"}
    assert history.best_fit.values["stars.sfh", "logtau"] == pytest.approx(0.4, abs=0.1)


def test_kin_dust_hands_over_to_sfh_spectra(run_in):
    kin_dust = {**SSP, **SPECTRUM, "legendre_deg": 3, "moments": 2}
    first = stage("kinematics", {"KinDust": kin_dust}, values={
        "kinematics": {"los_vel": "-400 0 400", "los_sigma": "50 200 600"},
    })  # fmt: skip
    del first["pipeline"]["extra_output"]
    first["maxlike"] = {"maxiter": 60}
    second = stage("history", {"SFHSpectra": {**POPULATION, **SPECTRUM}}, values={"stars.sfh": FREE["stars.sfh"]})
    kinematics, history = MainPipeline([first, second]).run()
    sigma = kinematics.best_fit.values["kinematics", "los_sigma"]
    assert history.stage.modules[0].options["los_sigma"] == sigma
    assert any("unresolved" in flag for flag in kinematics.flags), "PopStar resolves no such dispersion"


def test_prior_from_a_spectrum_narrows_the_photometry(run_in):
    values = {section: dict(FREE[section]) for section in ("stars.sfh", "dust.extinction")}
    photometry = {"SFHPhotometry": {**POPULATION, "inputPhotometry": "bands.txt"}}
    alone = stage("alone", photometry, "maxlike emcee", values)
    first = stage("spectrum", {"FullSpectralFit": {**POPULATION, **SPECTRUM}}, "maxlike emcee")
    second = stage("bands", photometry, "maxlike emcee", values, handover={"stars.sfh": "prior"})
    (without,) = MainPipeline([alone]).run()
    spectrum, bands = MainPipeline([first, second]).run()
    assert "logtau = gaussian" in (run_in / "results" / "bands_priors.ini").read_text()
    prior, wide, narrow = (r.summary["logtau"].std for r in (spectrum, without, bands))
    assert narrow < wide
    assert narrow < 1.5 * prior
    start = read_values(run_in / "results" / "bands_values.ini").get("dust.extinction", "a_v").start
    assert start == spectrum.best_fit.values["dust.extinction", "a_v"]


# --- results read later


def test_results_file_alone_renamed_and_moved(run_in, tmp_path_factory):
    (result,) = MainPipeline([stage("joint", both(), "maxlike emcee")]).run()
    moved = tmp_path_factory.mktemp("elsewhere") / "my galaxy.txt"
    shutil.move(run_in / "results" / "joint.txt", moved)
    shutil.rmtree(run_in / "results")
    reader = Reader.from_results_file(moved)
    np.testing.assert_array_equal(reader.chain.samples, result.chain.samples)
    assert reader.modules == ["FullSpectralFit", "SFHPhotometry"]
    assert reader.ini_values.get("kinematics", "los_sigma").start == 250.0
    assert summarize_results(moved)["logtau"].median == result.summary["logtau"].median
    solution = reader.get_max_posterior_solution()
    assert solution["kinematics--los_sigma"] == 250.0, "constants are filled in"
    block = reader.solution_to_datablock(solution)
    assert block["kinematics", "los_sigma"] == 250.0
    assert block["stars.sfh", "logtau"] == result.best_fit.values["stars.sfh", "logtau"]
    modules = [reader.get_module(name) for name in reader.modules]
    assert total(modules, block) == pytest.approx(result.best_fit.log_likelihood, rel=1e-9)
    for module in modules:
        figure = module.plot_solution(block, figname=str(moved.parent / f"{module.alias}.png"))
        assert figure.stat().st_size > 10_000
    assert load_run(moved).best_fit.values == result.best_fit.values
    assert len(reader.get_top_frac_solutions(0.1)) == pytest.approx(0.1 * reader.chain.finite.sum(), abs=1)
