"""The kinematic model on a synthetic library: no file, no other code."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from orchestrator.errors import ConfigError, LibraryError
from orchestrator.forward_model.kinematics import KinematicsModel
from orchestrator.forward_model.kinematics_setup import eigen_templates, prepare_kinematics_model
from orchestrator.observation.spectrum import Spectrum
from orchestrator.physics.losvd import gauss_hermite_losvd
from orchestrator.physics.wavelength import SPEED_OF_LIGHT_KMS
from orchestrator.ssp_libraries.library import SSPLibrary

VELSCALE = 60.0
N_MET, N_AGE = 2, 12
FWHM = 2.5
TRUTH = {"los_vel": 40.0, "los_sigma": 160.0, "los_h3": 0.05, "los_h4": 0.03}
Arrays = dict[tuple[str, str], np.ndarray]


@pytest.fixture(autouse=True)
def _private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.getbasetemp() / "kinematics_cache"
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(folder))


def line_spectrum(wavelength: np.ndarray, depth: np.ndarray, centres: np.ndarray, sigma: float) -> np.ndarray:
    spectrum = np.ones_like(wavelength)
    for d, c in zip(depth, centres, strict=True):
        spectrum -= d * np.exp(-0.5 * ((wavelength - c) / sigma) ** 2)
    return spectrum


@pytest.fixture(scope="module")
def library() -> SSPLibrary:
    """Templates with 60 lines whose depths change smoothly with age and metallicity."""
    rng = np.random.default_rng(11)
    wavelength = np.arange(3900.0, 5700.0, 0.8)
    centres = rng.uniform(3910, 5690, 60)
    young, old, metal = rng.uniform(0, 0.3, (3, 60))
    flux = np.empty((N_MET, N_AGE, len(wavelength)))
    for i in range(N_MET):
        for j in range(N_AGE):
            t = j / (N_AGE - 1)
            depth = (1 - t) * young + t * old * (1 + i * metal)
            slope = (wavelength / 4800.0) ** (-2 + 3 * t)
            flux[i, j] = 10 ** (-1.5 * t) * slope * line_spectrum(wavelength, depth, centres, FWHM / 2.3548)
    return SSPLibrary(
        name="toy",
        wavelength=wavelength,
        log10_age_yr=np.linspace(8, 10.1, N_AGE),
        metallicity=np.array([0.01, 0.02]),
        flux=flux,
        lsf_fwhm=np.full(len(wavelength), FWHM),
        surviving_fraction=None,
        mass_normalised=True,
        citation="none",
        licence="none",
        checksum="toy",
    )


def observe(
    library: SSPLibrary, wavelength: np.ndarray, noise: float = 0.01, redshift: float = 0.0, lsf: bool = True
) -> Spectrum:
    """A noisy mixture of two templates, broadened in real space, at the given rest wavelengths."""
    fine = np.exp(np.arange(np.log(3905.0), np.log(5690.0), 10.0 / SPEED_OF_LIGHT_KMS))
    mixture = 0.3 * library.flux[0, 3] + 8.0 * library.flux[1, 9]
    velocity = np.arange(-2000.0, 2001.0, 10.0)
    kernel = gauss_hermite_losvd(velocity, *TRUTH.values())
    flux = np.convolve(np.interp(fine, library.wavelength, mixture), kernel / kernel.sum(), mode="same")
    step = np.gradient(wavelength)
    pixels = np.mean(
        [np.interp(wavelength + share * step, fine, flux) for share in (np.arange(20) + 0.5) / 20 - 0.5],
        axis=0,
    )
    scale = 1e-16 / pixels.mean()
    sigma = noise * 1e-16 * np.ones(len(wavelength))
    drawn = np.random.default_rng(5).normal(0, sigma)
    return Spectrum(
        wavelength=wavelength * (1 + redshift),
        flux=pixels * scale + drawn,
        uncertainty=sigma,
        good_pixels=np.ones(len(wavelength), dtype=bool),
        weights=np.ones(len(wavelength)),
        lsf_fwhm=np.full(len(wavelength), FWHM * (1 + redshift)) if lsf else None,
        redshift=redshift,
        name="toy galaxy",
    )


LOG_GRID = np.exp(np.arange(np.log(4100.0), np.log(5450.0), VELSCALE / SPEED_OF_LIGHT_KMS))
LINEAR_GRID = np.arange(4100.0, 5450.0, 1.1)


@pytest.fixture(scope="module")
def model(library: SSPLibrary, tmp_path_factory: pytest.TempPathFactory) -> KinematicsModel:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCHESTRATOR_CACHE", str(tmp_path_factory.mktemp("cache")))
        return prepare_kinematics_model(observe(library, LOG_GRID), library, multiplicative_degree=4)


def at(n_points: int = 1, **changes: float | np.ndarray) -> Arrays:
    values = {("kinematics", name): value for name, value in TRUTH.items()}
    sections = {"a_v": "dust.extinction", "beta": "noise"}
    values |= {(sections.get(name, "kinematics"), name): value for name, value in changes.items()}
    return {
        key: np.broadcast_to(np.asarray(value, dtype=float), (n_points,)).copy()
        for key, value in values.items()
    }


def reduced_chi2(model: KinematicsModel, **changes: float) -> float:
    found = model.model_flux(at(**changes))
    return float(found.chi2[0]) / found.n_good


@pytest.mark.parametrize("wavelength", [LOG_GRID, LINEAR_GRID], ids=["log", "linear"])
@pytest.mark.parametrize("mode", ["non_negative", "marginalised"])
def test_truth_fits_to_the_noise_and_is_the_best(
    library: SSPLibrary, wavelength: np.ndarray, mode: str
) -> None:
    spectrum = observe(library, wavelength, redshift=0.03)
    model = prepare_kinematics_model(
        spectrum, library, multiplicative_degree=3, template_weights=mode, n_eigen_templates=10
    )
    assert reduced_chi2(model) == pytest.approx(1.0, abs=4 * np.sqrt(2 / len(wavelength)))
    best = model.log_likelihood(at())[0]
    for name, step in {"los_vel": 12.0, "los_sigma": 15.0, "los_h3": 0.08, "los_h4": 0.1}.items():
        for sign in (-1, 1):
            assert model.log_likelihood(at(**{name: TRUTH[name] + sign * step}))[0] < best - 2


def test_positive_velocity_is_a_redshift(library: SSPLibrary) -> None:
    at_rest = observe(library, LOG_GRID)
    moved = replace(at_rest, wavelength=at_rest.wavelength * np.exp(200.0 / SPEED_OF_LIGHT_KMS))
    model = prepare_kinematics_model(moved, library, multiplicative_degree=4)
    assert reduced_chi2(model, los_vel=TRUTH["los_vel"] + 200.0) < 1.2
    assert reduced_chi2(model, los_vel=TRUTH["los_vel"] - 200.0) > 3


def test_likelihood_is_the_sum_with_its_normalisation(model: KinematicsModel) -> None:
    found = model.model_flux(at())
    sigma = 1 / np.sqrt(model.pixels.inverse_variance)
    inside = model.pixels.good_pixels[model.pixels.covered]
    z = (model.pixels.flux - found.flux[0][inside]) / sigma
    expected = np.sum(-0.5 * z**2 - np.log(np.sqrt(2 * np.pi) * sigma))
    assert model.log_likelihood(at())[0] == pytest.approx(expected, abs=1e-6)
    assert found.chi2[0] == pytest.approx(np.sum(z**2), abs=1e-6)


@pytest.mark.parametrize("mode", ["non_negative", "marginalised"])
def test_noise_factor_equals_scaled_errors(library: SSPLibrary, mode: str) -> None:
    spectrum = observe(library, LOG_GRID)
    wider = replace(spectrum, uncertainty=spectrum.uncertainty / np.sqrt(0.3))
    options = {"multiplicative_degree": 3, "template_weights": mode}
    scaled = prepare_kinematics_model(spectrum, library, **options).log_likelihood(at(beta=0.3))
    given = prepare_kinematics_model(wider, library, **options).log_likelihood(at())
    np.testing.assert_allclose(scaled, given, atol=1e-3)


def test_batch_is_the_single_points_in_any_order(model: KinematicsModel) -> None:
    rng = np.random.default_rng(0)
    sigma, velocity = rng.uniform(40, 400, 12), rng.uniform(-300, 300, 12)
    batch = model.log_likelihood(at(12, los_sigma=sigma, los_vel=velocity))
    single = [
        model.log_likelihood(at(los_sigma=sigma[i], los_vel=velocity[i]))[0] for i in reversed(range(12))
    ]
    np.testing.assert_array_equal(batch, single[::-1])


def test_likelihood_is_smooth(model: KinematicsModel) -> None:
    steps = np.linspace(-1, 1, 41)
    values = model.log_likelihood(at(41, los_sigma=TRUTH["los_sigma"] + steps))
    curve = np.polynomial.Polynomial.fit(steps, values, 4)
    assert np.std(values - curve(steps)) < 1e-4


def test_outside_the_support_there_is_no_likelihood(model: KinematicsModel) -> None:
    values = model.log_likelihood(at(4, los_sigma=[-1.0, np.nan, 100.0, 0.0], beta=[1.0, 1.0, 0.0, 1.0]))
    assert np.isneginf(values[:3]).all()
    assert np.isfinite(values[3])
    with pytest.raises(ValueError, match="no model exists"):
        model.model_flux(at(los_sigma=-1.0))


def test_two_moments_ignore_h3_and_h4(library: SSPLibrary) -> None:
    model = prepare_kinematics_model(observe(library, LOG_GRID), library, multiplicative_degree=3, moments=2)
    np.testing.assert_array_equal(
        model.log_likelihood(at()), model.log_likelihood(at(los_h3=0.0, los_h4=0.2))
    )


def test_bad_pixels_do_not_matter(library: SSPLibrary, model: KinematicsModel) -> None:
    spectrum = observe(library, LOG_GRID)
    flux = spectrum.flux.copy()
    flux[[100, 500]] = np.nan, 1e6
    good = np.ones(len(flux), dtype=bool)
    good[500] = False
    broken = prepare_kinematics_model(
        replace(spectrum, flux=flux, good_pixels=good), library, multiplicative_degree=4
    )
    found = broken.model_flux(at())
    assert found.n_good == len(flux) - 2
    np.testing.assert_allclose(found.flux, model.model_flux(at()).flux, rtol=0.01)


def test_pixels_do_not_depend_on_dispersion_and_the_uncovered_are_counted(
    library: SSPLibrary, caplog: pytest.LogCaptureFixture
) -> None:
    beyond = np.exp(np.arange(np.log(4100.0), np.log(6100.0), VELSCALE / SPEED_OF_LIGHT_KMS))
    spectrum = observe(library, beyond)
    with caplog.at_level(logging.WARNING):
        model = prepare_kinematics_model(spectrum, library, multiplicative_degree=3)
    n_lost = len(beyond) - len(model.pixels.flux)
    assert n_lost > np.sum(beyond > library.wavelength[-1])
    assert any(f"{n_lost} of {len(beyond)}" in message for message in caplog.messages)
    assert {model.model_flux(at(los_sigma=s)).n_good for s in (1.0, 50.0, 300.0)} == {len(model.pixels.flux)}
    assert reduced_chi2(model) < 1.2


def test_no_overlap_is_an_error(library: SSPLibrary) -> None:
    spectrum = observe(library, LOG_GRID)
    far = replace(spectrum, wavelength=spectrum.wavelength * 2)
    with pytest.raises(LibraryError, match="toy galaxy"):
        prepare_kinematics_model(far, library)
    with pytest.raises(ConfigError, match="keep no pixel"):
        prepare_kinematics_model(spectrum, library, wave_range=(7000.0, 8000.0))


def test_dust_is_told_from_the_polynomial_only_without_one(library: SSPLibrary) -> None:
    spectrum = observe(library, LOG_GRID)
    with_dust = {"extinction_law": "calzetti00", "additive_degree": -1}
    free = prepare_kinematics_model(spectrum, library, multiplicative_degree=6, **with_dust)
    values = free.log_likelihood(at(3, a_v=[0.0, 0.7, 1.5]))
    assert np.ptp(values) < 5.0
    stiff = prepare_kinematics_model(spectrum, library, multiplicative_degree=0, **with_dust)
    values = stiff.log_likelihood(at(3, a_v=[0.0, 0.7, 1.5]))
    assert values[0] > values[1] > values[2]
    assert values[0] - values[2] > 50


def test_fractions_find_the_two_templates(model: KinematicsModel) -> None:
    found = model.model_flux(at())
    assert found.light_fractions is not None
    assert found.mass_fractions is not None
    assert found.light_fractions.shape == (1, N_MET, N_AGE)
    assert found.light_fractions.sum() == pytest.approx(1.0)
    assert found.mass_fractions.sum() == pytest.approx(1.0)
    # Old stars are 30 times fainter here, so they have more of the mass than of the light.
    assert found.mass_fractions[0, :, 7:].sum() > found.light_fractions[0, :, 7:].sum() > 0.1


def test_additive_polynomial_takes_up_a_pedestal(library: SSPLibrary) -> None:
    spectrum = observe(library, LOG_GRID)
    raised = replace(spectrum, flux=spectrum.flux + 0.8e-16)
    without = prepare_kinematics_model(raised, library, multiplicative_degree=2)
    with_additive = prepare_kinematics_model(raised, library, multiplicative_degree=2, additive_degree=1)
    assert reduced_chi2(without) > 1.5
    found = with_additive.model_flux(at())
    assert reduced_chi2(with_additive) < 1.2
    assert found.additive.mean() == pytest.approx(0.8e-16, rel=0.15)


def test_unresolved_dispersion_is_flagged(model: KinematicsModel, caplog: pytest.LogCaptureFixture) -> None:
    limit = model.resolution.unresolved_limit
    assert limit == pytest.approx(SPEED_OF_LIGHT_KMS * FWHM / 2.3548 / np.sqrt(4100.0 * 5450.0), rel=1e-3)
    np.testing.assert_array_equal(model.resolution.is_unresolved([0.9 * limit, 1.1 * limit]), [True, False])
    with caplog.at_level(logging.WARNING):
        assert model.resolution.check(1.1 * limit)
        assert not caplog.messages
        assert not model.resolution.check(0.9 * limit, "galaxy 7")
    assert "galaxy 7" in caplog.text
    assert "below the instrumental dispersion" in caplog.text


def test_coarse_templates_are_reported_for_any_dispersion(
    library: SSPLibrary, caplog: pytest.LogCaptureFixture
) -> None:
    coarse = replace(
        library,
        wavelength=library.wavelength[::25],
        flux=library.flux[:, :, ::25],
        lsf_fwhm=np.full(90, 20.0),
        name="coarse",
    )
    model = prepare_kinematics_model(observe(library, LOG_GRID), coarse, multiplicative_degree=3)
    caplog.clear()
    for sigma in (50.0, 300.0, 500.0):
        assert not model.resolution.check(sigma)
        assert model.resolution.is_unresolved(sigma)
    assert caplog.text.count("do not resolve a dispersion below") == 3


def test_unknown_lsf_is_reported(library: SSPLibrary, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        model = prepare_kinematics_model(
            observe(library, LOG_GRID, lsf=False), library, multiplicative_degree=3
        )
    assert "has no LSF" in caplog.text
    assert np.isnan(model.resolution.instrumental_dispersion)
    assert model.resolution.unresolved_limit == model.resolution.template_dispersion


def test_choices_are_checked_together(library: SSPLibrary) -> None:
    with pytest.raises(ConfigError) as caught:
        prepare_kinematics_model(
            observe(library, LOG_GRID), library, template_weights="non-negativ", moments=3, additive_degree=-2
        )
    assert len(caught.value.faults) == 3
    assert "did you mean 'non_negative'?" in str(caught.value)


def test_missing_parameter_is_named(model: KinematicsModel) -> None:
    with pytest.raises(ConfigError, match="kinematics/los_sigma is missing"):
        model.log_likelihood({("kinematics", "los_vel"): np.zeros(1)})


def test_eigen_templates_reproduce_the_library_with_unit_scatter() -> None:
    rng = np.random.default_rng(0)
    templates = 1 + rng.normal(size=(20, 5)) @ rng.normal(size=(5, 200))
    components, mean = eigen_templates(templates, 5)
    coefficients = np.linalg.lstsq(components.T, (templates - mean).T, rcond=None)[0]
    np.testing.assert_allclose(coefficients.T @ components + mean, templates, atol=1e-10)
    np.testing.assert_allclose(coefficients.std(axis=1), 1.0, rtol=1e-10)
    assert len(eigen_templates(templates[:3], 30)[0]) == 2
