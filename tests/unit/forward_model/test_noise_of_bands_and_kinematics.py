"""Noise models in photometry, limits included, and under template weights that are solved inside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize, stats

from orchestrator.config.module_options import parse_options
from orchestrator.forward_model.data_noise import band_noise, pixel_noise
from orchestrator.forward_model.kinematics_setup import prepare_kinematics_model
from orchestrator.forward_model.photometry_fit import prepare_photometry_fit
from orchestrator.physics.amplitude import no_parabola

REDSHIFT = 0.04
CENTRES = {"a": 4500.0, "b": 4700.0, "c": 5000.0, "d": 5300.0}
MASS = 1e10


@pytest.fixture(scope="module")
def prepare(tmp_path_factory, toolbox, bench):
    folder = tmp_path_factory.mktemp("bands")
    for band, centre in CENTRES.items():
        np.savetxt(folder / f"{band}.txt", [[centre - 150, 0.0], [centre, 1.0], [centre + 150, 0.0]])

    def make(flux, error, limits=("", "", "", ""), **options):
        rows = zip(CENTRES, flux, error, limits, strict=True)
        (folder / "p.txt").write_text("".join(f"{folder / b}.txt {f:.17g} {e:.17g} {w}\n" for b, f, e, w in rows))
        given = {
            "inputPhotometry": str(folder / "p.txt"), "redshift": REDSHIFT, "SSPModel": str(bench.library_file),
            "SFHModel": "ExponentialSFH", "ExtinctionLaw": "ccm89",
        }  # fmt: skip
        return prepare_photometry_fit(parse_options("SFHPhotometry", given | options)).model

    return make


@pytest.fixture(scope="module")
def bands(prepare, toolbox):
    """Noisy fluxes in uJy and errors at S/N 20."""
    model = prepare(np.ones(4), np.ones(4))
    flux = model.model_fluxes(toolbox.at(), np.array([MASS]))[0] / 1e-29
    return flux * (1 + 0.05 * np.random.default_rng(2).standard_normal(4)), flux / 20


CASES = {
    "beta": ({"NoiseModel": "MultiplicativeNoiseModel"}, {"beta": 0.4}),
    "jitter": (
        {"NoiseModel": "JitterNoiseModel", "noise_fractional": True},
        {"beta": 0.7, "log10_jitter": 0.1, "fractional": 0.05},
    ),
    "student": ({"NoiseModel": "StudentT", "noise_beta": True}, {"beta": 0.7, "nu": 3.0}),
}


def spread(case, flux, error):
    given = CASES[case][1]
    median = np.median(error)
    jitter = 10 ** given["log10_jitter"] * median if "log10_jitter" in given else 0.0
    return np.sqrt(error**2 / given["beta"] + jitter**2 + (given.get("fractional", 0.0) * flux) ** 2)


@pytest.mark.parametrize("case", CASES)
def test_density_of_bands_and_limits(prepare, bands, toolbox, case):
    """Sum of normal (or t) densities and of normal distribution functions of the limits, as wide as the noise."""
    flux, error = bands
    options, given = CASES[case]
    model = prepare(flux, error, ("", "upper", "", "lower"), amplitude="sampled", **options)
    point = toolbox.at() | {("noise", name): np.array([value]) for name, value in given.items()}
    point["stars.sfh", "log10_stellar_mass"] = np.array([10.02])
    expected_flux = model.model_fluxes(point, np.array([10**10.02]))[0] / 1e-29
    sigma = spread(case, flux, error)
    pull = (flux - expected_flux) / sigma
    density = stats.t(3.0) if case == "student" else stats.norm
    scale = np.log(sigma[[0, 2]] * 1e-29).sum()
    expected = density.logpdf(pull[[0, 2]]).sum() - scale + stats.norm.logcdf([pull[1], -pull[3]]).sum()
    assert model.log_likelihood(point).log_likelihood[0] == pytest.approx(expected, rel=1e-10)
    np.testing.assert_allclose(model.noise_level(point)[0], sigma * 1e-29, rtol=1e-12)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("limits", [("", "", "", ""), ("", "", "", "upper")])
def test_profiled_mass_is_the_best_of_the_sampled_ones(prepare, bands, toolbox, case, limits):
    options, given = CASES[case]
    point = toolbox.at() | {("noise", name): np.array([value]) for name, value in given.items()}
    sampled = prepare(*bands, limits, amplitude="sampled", **options)

    def minus(mass):
        at = {**point, ("stars.sfh", "log10_stellar_mass"): np.array([mass])}
        return -sampled.log_likelihood(at).log_likelihood[0]

    best = optimize.minimize_scalar(minus, bounds=(9.5, 10.5), method="bounded", options={"xatol": 1e-9})
    found = prepare(*bands, limits, **options).log_likelihood(point)
    assert found.log_likelihood[0] == pytest.approx(-best.fun, rel=1e-9)
    assert found.amplitude[0] == pytest.approx(10**best.x, rel=1e-5)


def test_impossible_noise_of_bands(prepare, bands, toolbox):
    model = prepare(*bands, NoiseModel="JitterNoiseModel")
    point = toolbox.at(3)
    point["noise", "beta"] = np.array([1.0, -1.0, 1.0])
    point["noise", "log10_jitter"] = np.array([0.0, 0.0, np.nan])
    found = model.log_likelihood(point, no_parabola(3)).log_likelihood
    assert np.isfinite(found[0])
    assert (found[1:] == -np.inf).all()


def test_band_noise_follows_each_band():
    options = parse_options("SFHPhotometry", {
        "inputPhotometry": "p", "SSPModel": "x", "SFHModel": "ExponentialSFH", "noise_fractional": True,
    })  # fmt: skip
    noise = band_noise(options, np.array([-2.0, 5.0]), np.array([1.0, 1.0]))
    variance = noise.variance({"fractional": np.array([0.1])}, 1)
    np.testing.assert_allclose(variance, [[1.04, 1.25]])


# ---- KinDust ---------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def kinematics(bench, own_cache_of_module):
    wavelength = bench.log_pixels(velscale=90.0)
    fit = bench.fit(wavelength, *bench.mock(wavelength, signal_to_noise=30.0), name="kinematics")
    return {
        weights: prepare_kinematics_model(
            fit.spectrum, bench.library, multiplicative_degree=2, template_weights=weights, n_eigen_templates=8
        )
        for weights in ("non_negative", "marginalised")
    }


@pytest.fixture(scope="module")
def own_cache_of_module(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCHESTRATOR_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def kinematic_point(**noise):
    given = {"los_vel": 60.0, "los_sigma": 140.0, "los_h3": 0.06, "los_h4": 0.04}
    values = {("kinematics", name): np.array([value]) for name, value in given.items()}
    return values | {("noise", name): np.array([value]) for name, value in noise.items()}


def with_noise(model, **choices):
    options = parse_options("KinDust", {"inputSpectrum": "s", "SSPModel": "x", **choices})
    return replace(model, noise=pixel_noise(options, model.pixels, REDSHIFT))


@pytest.mark.parametrize("weights", ["non_negative", "marginalised"])
def test_jitter_of_kinematics_is_that_of_wider_errors(kinematics, bench, weights):
    """The same as a spectrum whose stated errors are those of the noise model."""
    plain = kinematics[weights]
    model = with_noise(plain, NoiseModel="JitterNoiseModel", noise_fractional=True)
    given = {"beta": 0.8, "log10_jitter": 0.2, "fractional": 0.02}
    sigma = plain.pixels.inverse_variance**-0.5
    level = model.noise.level
    total = np.sqrt(sigma**2 / 0.8 + (10**0.2 * np.median(sigma)) ** 2 + (0.02 * level) ** 2)
    wider = replace(
        plain, whitening=1 / total, pixels=replace(plain.pixels, inverse_variance=total**-2.0)
    )
    found = model.log_likelihood(kinematic_point(**given))[0]
    assert found == pytest.approx(wider.log_likelihood(kinematic_point())[0], abs=1e-4)
    for name, other in {"beta": 1.2, "log10_jitter": 0.4, "fractional": 0.05}.items():
        assert abs(model.log_likelihood(kinematic_point(**{**given, name: other}))[0] - found) > 0.5, name
    assert model.log_likelihood(kinematic_point(**{**given, "fractional": -0.1}))[0] == -np.inf


def test_figure_of_kinematics_shows_the_noise(kinematics):
    model = with_noise(kinematics["non_negative"], NoiseModel="AdditiveNoiseModel")
    uncertainty = np.full(int(model.pixels.covered.sum()), 2 * model.noise.unit)
    scale = model.noise_scale(kinematic_point(log10_jitter=0.0), uncertainty)
    np.testing.assert_allclose(scale, np.sqrt(1.25), rtol=1e-12)
    plain = kinematics["non_negative"].noise_scale(kinematic_point(beta=0.25), uncertainty)
    np.testing.assert_array_equal(plain, 2.0)
