"""Mock data are the modules' own model at the truth plus noise of the errors they read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_library import write_library

from orchestrator.errors import ConfigError
from orchestrator.observation.read_photometry import read_photometry
from orchestrator.validation.config_file import stages_of, validation_config
from orchestrator.validation.makers import Distortion
from orchestrator.validation.mock_data import Simulator

VALUES = {
    "stars.sfh": {"logtau": "-0.3 0.4 1.0", "ism_metallicity_today": "0.006 0.015 0.04", "alpha_powerlaw": "0 0.5 1"},
    "kinematics": {"los_vel": "-100 0 100", "los_sigma": "80 120 250", "los_h3": 0.0, "los_h4": 0.0},
    "dust.extinction": {"a_v": "0 0.5 1.5"},
}
ENSEMBLE = {"walkers": 16, "nsteps": 10}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("mock_data")
    write_library(path / "toy.npz")
    wave = np.arange(4300.0, 5500.0, 2.0)
    flux = 1 + 1e-4 * (wave - 4900)
    flux[100] = np.nan
    np.savetxt(path / "spectrum.dat", np.column_stack([wave, flux, np.where(wave < 4900, 0.02, 0.05)]))
    for band, centre in (("g", 4600.0), ("r", 5200.0)):
        np.savetxt(path / f"{band}.txt", [[centre - 200, 0.0], [centre, 1.0], [centre + 200, 0.0]])
    (path / "photometry.dat").write_text(f"{path / 'g'}.txt 10.0 0.5\n{path / 'r'}.txt 14.0 0.6 upper\n")
    return path


def spectral(**options):
    return {
        "inputSpectrum": "spectrum.dat", "redshift": 0.01, "fluxUnits": "1e-16 erg / (s cm2 Angstrom)",
        "SSPModel": "toy.npz", "SFHModel": "ExponentialSFH", "ExtinctionLaw": "ccm89", "velscale": 100.0, **options,
    }  # fmt: skip


def stage(modules, values=VALUES, name="fit", **sections):
    return {
        "runtime": {"sampler": "ensemble"}, "ensemble": ENSEMBLE, "output": {"filename": name},
        "pipeline": {"modules": " ".join(modules)}, **modules, "values": values, **sections,
    }  # fmt: skip


def stages(folder, *configs):
    config = validation_config(list(configs), folder)
    return stages_of(config.pipeline, config.folder)


@pytest.fixture(autouse=True)
def _cache(folder, monkeypatch):
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(folder / "cache"))


def read(path):
    return np.loadtxt(path, unpack=True)


def test_noise_has_the_observed_errors_and_bad_pixels_stay_bad(folder, tmp_path):
    simulator = Simulator(stages(folder, stage({"FullSpectralFit": spectral()})))
    (maker,) = simulator._makers
    pulls, significances = [], []
    for seed in range(12):
        mock = simulator.simulate(np.random.default_rng(seed), tmp_path)
        (options,) = mock.options.values()
        _, flux, error = read(options["inputSpectrum"])
        weights = read(options["mask"])
        assert weights[100] == 0
        point = {key: np.array([value]) for key, value in mock.truth.items()}
        good = maker.pixels.good_pixels
        model = maker.flux(point, 10**mock.log10_mass)[maker.good]
        pulls.append((flux[good] - model) / error[good])
        significances.append(np.sqrt(((model / error[good]) ** 2).sum()))
    pulls = np.concatenate(pulls)
    assert pulls.mean() == pytest.approx(0.0, abs=4 / np.sqrt(len(pulls)))
    assert (pulls**2).mean() == pytest.approx(1.0, abs=4 * np.sqrt(2 / len(pulls)))
    np.testing.assert_allclose(significances, simulator.significance, rtol=1e-6)


def test_the_same_seed_gives_the_same_data(folder, tmp_path):
    simulator = Simulator(stages(folder, stage({"FullSpectralFit": spectral()})))
    files = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        mock = simulator.simulate(np.random.default_rng(5), tmp_path / name)
        files.append(Path(next(iter(mock.options.values()))["inputSpectrum"]).read_bytes())
    assert files[0] == files[1]


def test_an_upper_limit_stays_one_only_below_the_limit(folder, tmp_path):
    options = {"inputPhotometry": "photometry.dat", "redshift": 0.01, "SSPModel": "toy.npz"}
    values = {"stars.sfh": VALUES["stars.sfh"], "dust.extinction": {"a_v": 0.0}}
    module = {"SFHPhotometry": {**options, "SFHModel": "ExponentialSFH"}}
    simulator = Simulator(stages(folder, stage(module, values)))
    kept = []
    for seed in range(40):
        mock = simulator.simulate(np.random.default_rng(seed), tmp_path)
        (given,) = mock.options.values()
        data = read_photometry(given["inputPhotometry"], flux_units="uJy")
        kept.append(data.is_upper_limit[1])
        assert not data.is_upper_limit[0]
        if data.is_upper_limit[1]:
            assert data.flux[1] == pytest.approx(14e-29)
        else:
            assert data.flux[1] > 14e-29
    assert 0 < sum(kept) < 40


def test_sampled_mass_is_drawn_from_its_prior(folder, tmp_path):
    values = {**VALUES, "stars.sfh": {**VALUES["stars.sfh"], "log10_stellar_mass": "9 9.5 10"}}
    simulator = Simulator(stages(folder, stage({"FullSpectralFit": spectral(amplitude="sampled")}, values)))
    masses = [simulator.simulate(np.random.default_rng(seed), tmp_path).log10_mass for seed in range(8)]
    assert 9 < min(masses) < max(masses) < 10


def test_marginalised_mass_favours_light_histories(folder, tmp_path):
    """Uniform in the mass at a given flux: the weight of a history is its mass-to-light ratio."""
    chosen = {}
    for amplitude in ("profiled", "marginalised"):
        simulator = Simulator(stages(folder, stage({"FullSpectralFit": spectral(amplitude=amplitude)})))
        masses = [simulator.simulate(np.random.default_rng(seed), tmp_path).log10_mass for seed in range(60)]
        chosen[amplitude] = np.mean(masses)
    assert chosen["marginalised"] > chosen["profiled"] + 0.05


def test_a_file_of_two_stages_is_made_once_by_the_last(folder, tmp_path):
    first = stage({"KinDust": {k: v for k, v in spectral().items() if k != "SFHModel"}}, {
        "kinematics": VALUES["kinematics"], "dust.extinction": VALUES["dust.extinction"]}, "kinematics")  # fmt: skip
    simulator = Simulator(stages(folder, first, stage({"FullSpectralFit": spectral()})))
    assert len(simulator.sources) == 1
    assert [type(maker).__name__ for maker in simulator._makers] == ["SpectrumMaker"]


def test_kinematics_of_an_earlier_stage_set_the_options_of_a_later_one(folder, tmp_path):
    first = stage({"KinDust": {k: v for k, v in spectral().items() if k != "SFHModel"}}, {
        "kinematics": VALUES["kinematics"], "dust.extinction": {"a_v": 0.0}}, "kinematics")  # fmt: skip
    options = {k: v for k, v in spectral().items() if k != "ExtinctionLaw"}
    second = stage({"SFHSpectra": {**options, "los_sigma": 100.0}}, {"stars.sfh": VALUES["stars.sfh"]}, "history")
    first["KinDust"].pop("ExtinctionLaw")
    simulator = Simulator(stages(folder, first, second))
    assert set(simulator._depends[0].values()) == {("kinematics", "los_vel"), ("kinematics", "los_sigma")}
    mock = simulator.simulate(np.random.default_rng(1), tmp_path)
    assert mock.truth["kinematics", "los_sigma"] != 100.0


def test_distortion(folder, tmp_path):
    ready = stages(folder, stage({"FullSpectralFit": spectral()}))
    fluxes = []
    for distortion in (Distortion(), Distortion(tilt=0.1), Distortion(blur=200.0)):
        mock = Simulator(ready, distortion).simulate(np.random.default_rng(3), tmp_path)
        wave, flux, error = read(next(iter(mock.options.values()))["inputSpectrum"])
        fluxes.append(flux)
    good = fluxes[0] != 0
    slope = np.polyfit(wave[good], fluxes[1][good] / fluxes[0][good] - 1, 1)[0]
    assert slope == pytest.approx(0.1 / np.ptp(wave[good]), rel=0.05)
    changed = (fluxes[2] - fluxes[0])[good]
    assert abs(changed.mean()) < 0.1 * changed.std()
    assert changed.std() > 0


def test_data_that_cannot_be_simulated(folder, tmp_path):
    (tmp_path / "mine.py").write_text("def setup(options):\n    return 0\n")
    own = stage({"Mine": {"file": str(tmp_path / "mine.py")}}, {"mine": {"x": "0 1"}})
    own["pipeline"]["likelihoods"] = "mine"
    with pytest.raises(ConfigError, match="module of your own.*truth"):
        Simulator(stages(folder, own))
    noise = {**VALUES, "noise": {"log10_gp_sigma": "-1 0 1", "log10_gp_scale": "0 1 2"}}
    with pytest.raises(ConfigError, match="correlated noise cannot be simulated"):
        Simulator(stages(folder, stage({"FullSpectralFit": spectral(NoiseModel="GaussianProcess")}, noise)))
