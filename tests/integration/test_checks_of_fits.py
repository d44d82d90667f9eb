"""Checks of fits against their data: exact where they can be, alarmed where the model is wrong, refused elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from orchestrator.modules.full_spectral_fit import FullSpectralFitModule
from orchestrator.modules.sfh_photometry import SFHPhotometryModule
from small_library import write_library

from orchestrator import MainPipeline
from orchestrator.fit.checks import check_fit, predictions
from orchestrator.fit.model_comparison import NotComparableError, compare_runs
from orchestrator.report.posterior_figures import draw_posterior

TRUTH = {
    ("stars.sfh", "logtau"): 0.4,
    ("stars.sfh", "ism_metallicity_today"): 0.02,
    ("stars.sfh", "alpha_powerlaw"): 0.0,
    ("kinematics", "los_vel"): 50.0,
    ("kinematics", "los_sigma"): 200.0,
    ("kinematics", "los_h3"): 0.0,
    ("kinematics", "los_h4"): 0.0,
}
VALUES = {
    "stars.sfh": {"logtau": "-0.5 0.6 1.5", "ism_metallicity_today": "0.02", "alpha_powerlaw": "0.0"},
    "kinematics": {"los_vel": "-100 40 200", "los_sigma": "100 180 300", "los_h3": "0", "los_h4": "0"},
}
N_BAD = 60


@pytest.fixture(scope="module")
def galaxy(tmp_path_factory):
    """Data of a known galaxy, and the same with a stretch that no model describes."""
    folder = tmp_path_factory.mktemp("checks")
    write_library(folder / "toy.npz")
    rng = np.random.default_rng(5)
    wavelength = np.arange(4300.0, 5500.0, 2.0)
    table = np.column_stack([wavelength, np.full((len(wavelength), 2), [1e-16, 1e-17])])
    np.savetxt(folder / "flat.dat", table)
    module = FullSpectralFitModule(spectrum_options(folder, "flat.dat"))
    flux = module.model.model_spectrum(module.read_parameters(TRUTH), np.array([1e10]))[0][0]
    wavelength = module.fit.covered_wavelength
    noisy = flux * (1 + rng.standard_normal(len(flux)) / 30)
    np.savetxt(folder / "good.dat", np.column_stack([wavelength, noisy, flux / 30]))
    noisy[100 : 100 + N_BAD] *= 1.1
    np.savetxt(folder / "bad.dat", np.column_stack([wavelength, noisy, flux / 30]))
    return folder


def spectrum_options(folder, name, **options):
    return {
        "inputSpectrum": str(folder / name), "SSPModel": str(folder / "toy.npz"), "SFHModel": "ExponentialSFH",
        "fluxUnits": "erg / (s cm2 Angstrom)", "redshift": 0.0, "distance_mpc": 10.0, "velscale": 120.0, **options,
    }  # fmt: skip


def fit(galaxy, tmp_path, name, data="good.dat", values=VALUES, sampler="multistart ensemble", **options):
    config = {
        "runtime": {"sampler": sampler, "seed": 2},
        "ensemble": {"walkers": 32, "max_samples": 200, "nsteps": 50},
        "output": {"filename": str(tmp_path / name)},
        "pipeline": {"modules": "FullSpectralFit", "extra_output": "extra/stellar_mass"},
        "FullSpectralFit": spectrum_options(galaxy, data, **options),
        "values": values,
    }
    (result,) = MainPipeline([config]).run()
    return result


def checks_of(result):
    return check_fit(result.chain, result.summary, draws=100, goodness=result.goodness)


@pytest.fixture(scope="module")
def good(galaxy, tmp_path_factory):
    return fit(galaxy, tmp_path_factory.mktemp("good"), "good")


@pytest.mark.parametrize("noise", [{}, {"NoiseModel": "MultiplicativeNoiseModel"}, {"NoiseModel": "StudentT"}])
def test_data_add_up_to_the_likelihood(galaxy, noise):
    module = FullSpectralFitModule(spectrum_options(galaxy, "good.dat", **noise))
    solution = {**TRUTH, ("noise", "beta"): 0.8, ("noise", "nu"): 4.0}
    from cosmosis.datablock import DataBlock

    block = DataBlock()
    for (section, name), value in solution.items():
        block.put_double(section, name, value)
    module.execute(block)
    found = module.predicted_data(block)
    assert found.dependent == ""
    assert found.log_likelihood.sum() == pytest.approx(block["likelihoods", module.like_name], rel=1e-6)


def test_a_good_fit_passes(good):
    checks = checks_of(good)
    (check,) = checks.data_sets
    assert 0.001 < check.p_value < 0.999
    assert 0.001 < check.predictive_p_value < 0.999
    assert check.suspicious == ()
    assert sum(part.n_data for part in check.parts) == check.goodness.n_data
    # three sampled parameters and the mass, which is solved for and so is not seen by a pointwise sum
    assert 1.0 < checks.loo.n_effective < 6.0
    assert checks.loo.elpd == pytest.approx(checks.waic.elpd, abs=0.3)
    assert checks.loo.n_unreliable < 10  # Pareto k scatters with so few samples


def test_a_stretch_that_the_model_cannot_describe_is_named(galaxy, tmp_path):
    checks = checks_of(fit(galaxy, tmp_path, "bad", "bad.dat"))
    (check,) = checks.data_sets
    assert check.p_value < 1e-3
    low, high = 4300.0 + 2 * 100, 4300.0 + 2 * (100 + N_BAD)
    for part in check.suspicious:
        first, last = (float(word) for word in part.name.split()[0].split("-"))
        assert first < high + 80
        assert last > low - 80
        assert part.pull > 1
    assert check.suspicious


def test_comparison_of_two_models_of_the_same_data(galaxy, good, tmp_path):
    """With the velocity fixed far off, the fit is worse by what the data say; LOO and chi2 agree on it."""
    worse_values = {**VALUES, "kinematics": {**VALUES["kinematics"], "los_vel": "-60"}}
    worse = fit(galaxy, tmp_path, "worse", values=worse_values)
    comparison = compare_runs(good, worse)
    value, error = comparison.elpd_difference
    assert value > 3.5 * error > 0
    chi2 = [check.data_sets[0].goodness.chi2 for check in comparison.checks]
    assert value == pytest.approx(0.5 * (chi2[1] - chi2[0]), rel=0.15)
    assert comparison.log_bayes_factor is None
    assert any("nested sampler" in note for note in comparison.notes)


@pytest.mark.parametrize(
    ("data", "options", "why"),
    [
        ("bad.dat", {}, "differs in its flux"),
        ("good.dat", {"wlRange": [4300.0, 5200.0]}, "data of the spectrum against"),
    ],
)
def test_other_data_or_another_mask_are_refused(galaxy, good, tmp_path, data, options, why):
    other = fit(galaxy, tmp_path, "other", data, sampler="multistart", **options)
    with pytest.raises(NotComparableError, match=why):
        compare_runs(good, other)


def test_marginalised_mass_has_no_pointwise_likelihood(galaxy, tmp_path):
    checks = checks_of(fit(galaxy, tmp_path, "marginal", amplitude="marginalised"))
    assert checks.loo is None
    assert "marginalised" in checks.why_none
    assert checks.data_sets[0].p_value > 0.001


def test_photometry_with_limits_adds_up_too(galaxy, tmp_path):
    bands = []
    for centre in (4500, 5200):
        bands.append(str(tmp_path / f"band_{centre}.dat"))
        np.savetxt(bands[-1], [[centre - 200, 0], [centre - 100, 1], [centre + 100, 1], [centre + 200, 0]])
    (tmp_path / "bands.txt").write_text(f"{bands[0]} 5.0 0.5\n{bands[1]} 8.0 0.5 upper\n")
    options = {**spectrum_options(galaxy, "good.dat"), "inputPhotometry": str(tmp_path / "bands.txt")}
    for name in ("inputSpectrum", "fluxUnits", "velscale"):
        del options[name]
    module = SFHPhotometryModule({**options, "amplitude": "sampled"})
    from cosmosis.datablock import DataBlock

    block = DataBlock()
    for (section, name), value in {**TRUTH, ("stars.sfh", "log10_stellar_mass"): 4.0}.items():
        block.put_double(section, name, value)
    module.execute(block)
    found = module.predicted_data(block)
    assert len(found.names) == 2
    assert found.measured.tolist() == [True, False]
    assert found.log_likelihood.sum() == pytest.approx(block["likelihoods", module.like_name], rel=1e-6)


def test_all_figures_are_drawn(good):
    made = draw_posterior(good, found=predictions(good.chain, good.summary, 20))
    assert set(made) == {"corner", "posteriors", "trace", "predictions of FullSpectralFit"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in made.values())
    assert len({path.name for path in made.values()}) == 4
