"""The general spectrum model: the plain one's numbers where both can, and every noise parameter heard."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import stats

from orchestrator.forward_model.data_noise import pixel_noise
from orchestrator.forward_model.general_spectrum import GeneralSpectrumModel
from orchestrator.forward_model.shared_kinematics import SharedKinematics
from orchestrator.forward_model.spectrum_model import StellarSpectrumModel
from orchestrator.physics.noise_models import NoiseModel
from orchestrator.physics.parameter import Parameter

MASS = 1e10
FAMILIES = {
    "AdditiveNoiseModel": {"log10_jitter": (-0.2, 0.5)},
    "JitterNoiseModel": {"beta": (0.8, 0.5), "log10_jitter": (-0.2, 0.5)},
    "StudentT": {"nu": (3.0, 9.0)},
    "GaussianProcess": {"log10_gp_sigma": (-0.3, 0.4), "log10_gp_scale": (1.2, 2.2)},
}


@pytest.fixture(scope="module")
def spectrum(bench):
    wavelength = bench.log_pixels(velscale=90.0)
    return wavelength, *bench.mock(wavelength, signal_to_noise=40.0)


@pytest.fixture(scope="module")
def fits(bench, spectrum):
    def prepared(**options):
        return bench.fit(*spectrum, name="general", **options)

    return prepared


def points(toolbox, n=3, **noise):
    given = toolbox.at(n, logtau=np.linspace(0.2, 0.6, n), a_v=np.linspace(0.3, 0.7, n))
    return given | {("noise", name): np.full(n, value) for name, value in noise.items()}


def general(plain: StellarSpectrumModel, **choices) -> GeneralSpectrumModel:
    pixels = plain.pixels
    noise = NoiseModel(inverse_variance=pixels.inverse_variance, level=np.abs(pixels.flux), **choices)
    return GeneralSpectrumModel(base=plain, noise=noise, covered_level=np.ones(pixels.covered.sum()))


@pytest.mark.parametrize("mode", ["sampled", "profiled"])
@pytest.mark.parametrize("amplitude", ["profiled", "marginalised", "sampled"])
def test_with_plain_noise_the_numbers_are_those_of_the_plain_model(fits, toolbox, mode, amplitude):
    plain = fits(legendre_deg=2, legendre_mode=mode, amplitude=amplitude).model
    assert isinstance(plain, StellarSpectrumModel)
    given = points(toolbox)
    given |= {("legendre", f"legendre_{i}"): np.array([0.0, 0.05, -0.02]) for i in (1, 2)}
    given["stars.sfh", "log10_stellar_mass"] = np.full(3, 10.01)
    expected, found = plain.log_likelihood(given), general(plain).log_likelihood(given)
    for name in ("log_likelihood", "amplitude", "surviving_fraction"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-9, err_msg=name)
    for name in ("constant", "slope", "curvature"):
        np.testing.assert_allclose(getattr(found.joint, name), getattr(expected.joint, name), rtol=1e-9)
    for joint_mass in (None, np.full(3, 0.9 * MASS)):
        pair = [model.model_spectrum(given, joint_mass) for model in (general(plain), plain)]
        for ours, theirs in zip(*pair, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-7)


def test_beta_is_that_of_the_plain_model(fits, toolbox):
    plain = fits(NoiseModel="MultiplicativeNoiseModel").model
    given = points(toolbox, beta=0.6)
    expected = plain.log_likelihood(given).log_likelihood
    both = general(replace(plain, sampled_noise=False), beta=True).log_likelihood(given).log_likelihood
    np.testing.assert_allclose(both, expected, rtol=1e-10)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("module", ["FullSpectralFit", "SFHSpectra"])
def test_every_noise_parameter_changes_the_likelihood(fits, toolbox, family, module):
    fixed = {"los_vel": 60.0, "los_sigma": 140.0, "a_v": 0.5} if module == "SFHSpectra" else {}
    model = fits(module=module, NoiseModel=family, noise_fractional=True, **fixed).model
    assert isinstance(model, GeneralSpectrumModel)
    steps = {**FAMILIES[family], "fractional": (0.01, 0.03)}
    assert set(model.noise.parameters) == set(steps)
    base = {name: pair[0] for name, pair in steps.items()}
    reference = model.log_likelihood(points(toolbox, **base)).log_likelihood
    for name, (_, other) in steps.items():
        moved = model.log_likelihood(points(toolbox, **{**base, name: other})).log_likelihood
        assert (np.abs(moved - reference) > 0.1).all(), name


def test_student_likelihood_is_the_sum_of_t_densities(fits, toolbox):
    model = fits(NoiseModel="StudentT", noise_nu=4, noise_beta=True, amplitude="sampled").model
    given = points(toolbox, beta=0.5) | {("stars.sfh", "log10_stellar_mass"): np.full(3, 10.0)}
    pixels = model.pixels
    flux = model.model_spectrum(given)[0][:, pixels.good_pixels[pixels.covered]]
    scale = (0.5 * pixels.inverse_variance) ** -0.5
    expected = stats.t.logpdf(pixels.flux - flux, 4, 0, scale).sum(axis=1)
    np.testing.assert_allclose(model.log_likelihood(given).log_likelihood, expected, rtol=1e-9)


def test_outliers_move_the_gaussian_and_not_student(bench, spectrum, toolbox):
    wavelength, flux, error = spectrum
    hit = np.random.default_rng(3).random(len(flux)) < 0.03
    spoiled = np.where(hit, flux + 40 * error, flux)
    given = points(toolbox, 1, logtau=0.4, a_v=0.5)
    given["stars.sfh", "logtau"][:], given["dust.extinction", "a_v"][:] = 0.4, 0.5
    mass = {}
    for name, options in {"gauss": {}, "student": {"NoiseModel": "StudentT", "noise_nu": 2.5}}.items():
        model = bench.fit(wavelength, spoiled, error, f"outliers_{name}", **options).model
        mass[name] = model.log_likelihood(given).amplitude[0]
    assert abs(mass["student"] / MASS - 1) < 0.004
    assert mass["gauss"] / MASS > 1.01


def test_points_outside_the_support(fits, toolbox):
    model = fits(NoiseModel="JitterNoiseModel").model
    given = points(toolbox, 4, beta=1.0, log10_jitter=0.0)
    given["noise", "beta"][1], given["noise", "log10_jitter"][2], given["dust.extinction", "a_v"][3] = 0.0, np.nan, -1
    alone = model.log_likelihood({key: value[:1] for key, value in given.items()}).log_likelihood
    found = model.log_likelihood(given).log_likelihood
    np.testing.assert_allclose(found[0], alone[0], rtol=1e-12)
    assert (found[1:] == -np.inf).all()


def test_shared_kinematics_are_prepared_once_and_change_nothing(fits, toolbox):
    model = fits(NoiseModel="AdditiveNoiseModel").model
    shared = SharedKinematics(model)
    given = points(toolbox, 80, log10_jitter=0.1)
    expected = model.log_likelihood(given).log_likelihood
    np.testing.assert_allclose(shared.log_likelihood(given).log_likelihood, expected, rtol=1e-8)
    assert shared.model_for(given).basis_rfft is None


def test_noise_level_of_a_figure(fits, toolbox):
    model = fits(NoiseModel="AdditiveNoiseModel", noise_fractional=True).model
    stated = np.full(int(model.pixels.covered.sum()), 2 * model.noise.unit)
    found = model.noise_level(points(toolbox, 1, log10_jitter=0.0, fractional=0.1), stated)[0]
    expected = np.sqrt(5 * model.noise.unit**2 + (0.1 * model.covered_level) ** 2)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_position_of_the_process(fits, bench):
    pixels = fits().model.pixels
    options = type("Options", (), {
        "noise_model": "GaussianProcess", "noise_gp_axis": "km/s", "noise_kernel": "SHO", "noise_gp_quality": 2.0,
        "samples_beta": False, "noise_fractional": False, "noise_nu": None,
    })  # fmt: skip
    velocity = pixel_noise(options, pixels, bench.redshift).position
    np.testing.assert_allclose(np.diff(velocity), 90.0, rtol=1e-6)
    options.noise_gp_axis = "Angstrom"
    np.testing.assert_allclose(pixel_noise(options, pixels, 0.1).position, 1.1 * pixels.wavelength, rtol=1e-14)


@dataclass(frozen=True)
class TwoScreens:
    """Dust as another part of the program would give it."""

    young: np.ndarray | None
    n_good: int
    n_covered: int
    parameters: tuple[Parameter, ...] = (Parameter("dust.extinction", "a_v_birth_cloud", 0, 0.5, 3, "mag", "test"),)

    def valid(self, parameters):
        return parameters["dust.extinction", "a_v_birth_cloud"] >= 0

    def factors(self, parameters, which):
        n = self.n_good if which == "good" else self.n_covered
        curve = np.linspace(1.3, 0.8, n)
        old = 10 ** (-0.4 * parameters["dust.extinction", "a_v"][:, None] * curve)
        cloud = 10 ** (-0.4 * parameters["dust.extinction", "a_v_birth_cloud"][:, None] * curve)
        return old, None if self.young is None else old * cloud


@pytest.mark.parametrize("split", [True, False])
def test_young_and_old_stars_behind_their_own_dust(fits, toolbox, synthetic, split):
    plain = fits(ExtinctionLaw=None, amplitude="sampled", ssp_compression_error=0).model
    ages = np.tile(synthetic.log10_age_yr, 3)
    young = ages < 8.0
    dust = TwoScreens(young if split else None, len(plain.pixels.flux), int(plain.pixels.covered.sum()))
    model = replace(general(plain), dust=dust)
    given = points(toolbox, 2) | {("stars.sfh", "log10_stellar_mass"): np.full(2, 10.0)}
    given["dust.extinction", "a_v_birth_cloud"] = np.array([0.7, 1.5])
    found = model.model_spectrum(given)[0]
    weights = plain.population.weights(given)[1]
    old, both = dust.factors(given, "covered")
    ssps = {key: np.repeat(value[:1], 36) for key, value in given.items()}  # both points share their kinematics
    spectra = plain._shape(ssps, np.eye(36), covered=True)[None]
    transmission = np.repeat(old[:, None], 36, axis=1)
    if split:
        transmission = np.where(young[None, :, None], both[:, None], old[:, None])
    expected = MASS * np.einsum("ps,psn->pn", weights, spectra * transmission)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    given["dust.extinction", "a_v_birth_cloud"][1] = -0.1
    assert model.log_likelihood(given).log_likelihood[1] == -np.inf
    assert np.isfinite(model.log_likelihood(given).log_likelihood[0])


def test_dust_of_the_galaxy_in_the_foreground(bench, spectrum, toolbox):
    """The model is reddened in the observed frame: data reddened alike give the likelihood of those that are not."""
    import extinction

    wavelength, flux, error = spectrum
    passed = 10 ** (-0.4 * extinction.fitzpatrick99(wavelength, 3.1 * 0.1, 3.1))
    given = points(toolbox)
    for options in ({}, {"legendre_deg": 2, "legendre_mode": "profiled"}, {"NoiseModel": "AdditiveNoiseModel"}):
        given |= {("noise", "log10_jitter"): np.full(3, -9.0)}
        clean = bench.fit(wavelength, flux, error, "clean", **options).model
        seen = bench.fit(wavelength, flux * passed, error * passed, "seen", galactic_e_bv=0.1, **options).model
        expected = clean.log_likelihood(given)
        found = seen.log_likelihood(given)
        shift = np.log(passed[clean.pixels.good_pixels]).sum()
        np.testing.assert_allclose(found.log_likelihood + shift, expected.log_likelihood, rtol=1e-5)
        np.testing.assert_allclose(found.amplitude, expected.amplitude, rtol=1e-6)
        fast = SharedKinematics(seen)
        many = {key: np.repeat(value[:1], 80) for key, value in given.items()}
        np.testing.assert_allclose(
            fast.log_likelihood(many).log_likelihood, found.log_likelihood[0], rtol=1e-8
        )
        expected_flux = clean.model_spectrum(given)[0] * passed[clean.pixels.covered]
        np.testing.assert_allclose(seen.model_spectrum(given)[0], expected_flux, rtol=1e-6)
