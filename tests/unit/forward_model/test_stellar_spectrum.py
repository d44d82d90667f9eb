"""The model of a stellar spectrum and its likelihood, against independent computations."""

from __future__ import annotations

from typing import Any

import astropy.units
import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM
from scipy.integrate import quad
from scipy.special import eval_legendre
from scipy.stats import norm

from orchestrator.physics.wavelength import pixel_edges

COSMOLOGY = FlatLambdaCDM(70, 0.28, Tcmb0=0)
SOLAR_LUMINOSITY = 3.828e33
MASS = 1e10


def distance_factor(redshift: float) -> float:
    distance = COSMOLOGY.luminosity_distance(redshift).to_value(astropy.units.cm)
    return SOLAR_LUMINOSITY / (4 * np.pi * distance**2 * (1 + redshift))


def legendre_sum(fit: Any, coefficients: list[float], wavelength: np.ndarray) -> np.ndarray:
    """1 + sum of c_i P_i over the fitted range."""
    low, high = fit.model.pixels.wavelength[[0, -1]]
    x = 2 * (wavelength - low) / (high - low) - 1
    return 1 + sum(c * eval_legendre(i, x) for i, c in enumerate(coefficients, 1))


@pytest.fixture(scope="module")
def wavelength(bench: Any) -> np.ndarray:
    return bench.log_pixels()


@pytest.fixture(scope="module")
def data(bench: Any, wavelength: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return bench.mock(wavelength)


@pytest.fixture(scope="module")
def sampled(bench: Any, wavelength: np.ndarray, data: tuple) -> Any:
    return bench.fit(wavelength, *data, amplitude="sampled")


@pytest.fixture(scope="module")
def profiled(bench: Any, wavelength: np.ndarray, data: tuple) -> Any:
    return bench.fit(wavelength, *data)


# ---- the model ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"los_vel": -350.0, "los_sigma": 280.0, "los_h3": -0.1, "los_h4": 0.12},
        {"a_v": 1.8, "logtau": -0.5, "ism_metallicity_today": 0.04, "alpha_powerlaw": 2.0},
    ],
)
def test_flux_is_that_of_an_independent_computation(
    bench: Any, toolbox: Any, synthetic: Any, wavelength: np.ndarray, profiled: Any, changes: dict[str, float]
) -> None:
    mass = 3e10
    model, _ = profiled.model.model_spectrum(toolbox.at(**changes), np.array([mass]))
    today = COSMOLOGY.age(bench.redshift).value
    expected = mass * toolbox.brute_flux(
        synthetic,
        pixel_edges(wavelength / (1 + bench.redshift)),
        today=today,
        factor=distance_factor(bench.redshift),
        **changes,
    )
    np.testing.assert_allclose(model[0], expected, rtol=4e-4)


def test_lsf_of_the_data_broadens_the_templates(
    bench: Any, toolbox: Any, synthetic: Any, wavelength: np.ndarray
) -> None:
    """An FWHM of 4.16 Angstrom observed at z = 0.04 is 4 Angstrom in the rest frame (D9)."""
    lsf = bench.folder / "lsf_broad.txt"
    np.savetxt(lsf, [[3000.0, 4.0 * (1 + bench.redshift)], [9000.0, 4.0 * (1 + bench.redshift)]])
    fit = bench.fit(wavelength, np.ones(len(wavelength)) * 1e-16, 1e-16, lsf=str(lsf))
    model, _ = fit.model.model_spectrum(toolbox.at(), np.array([1.0]))
    arguments: dict[str, Any] = {
        "today": COSMOLOGY.age(bench.redshift).value,
        "factor": distance_factor(bench.redshift),
    }
    edges = pixel_edges(wavelength / (1 + bench.redshift))
    expected = toolbox.brute_flux(synthetic, edges, data_fwhm=4.0, **arguments)
    np.testing.assert_allclose(model[0], expected, rtol=4e-4)
    not_divided = toolbox.brute_flux(synthetic, edges, data_fwhm=4.16, **arguments)
    assert np.abs(model[0] / not_divided - 1).max() > 1.2e-3


def test_distance_and_sampling_of_the_mass(bench: Any, toolbox: Any, wavelength: np.ndarray) -> None:
    near = bench.fit(wavelength, np.full(len(wavelength), 1e-16), 1e-16, distance_mpc=10.0)
    far = bench.fit(wavelength, np.full(len(wavelength), 1e-16), 1e-16, distance_mpc=30.0)
    one = np.array([1.0])
    ratio = near.model.model_spectrum(toolbox.at(), one)[0] / far.model.model_spectrum(toolbox.at(), one)[0]
    np.testing.assert_allclose(ratio, 9.0, rtol=1e-12)


# ---- the likelihood ----------------------------------------------------------------------------------------
def closed_form(fit: Any, flux: np.ndarray) -> float:
    pixels = fit.model.pixels
    return float(norm.logpdf(pixels.flux, flux, pixels.inverse_variance**-0.5).sum())


def test_likelihood_is_the_sum_of_normal_densities(toolbox: Any, sampled: Any, data: tuple) -> None:
    """D1: a sum with its normalisation, not a mean."""
    for changes in ({}, {"los_vel": 90.0, "a_v": 0.55}):
        mass = 0.98 * MASS
        point = toolbox.at(log10_stellar_mass=np.log10(mass), **changes)
        flux, _ = sampled.model.model_spectrum(point)
        found = sampled.model.log_likelihood(point).log_likelihood[0]
        assert found == pytest.approx(norm.logpdf(data[0], flux[0], data[1]).sum(), abs=1e-5)


def test_weights_scale_the_inverse_variance_once(
    bench: Any, toolbox: Any, wavelength: np.ndarray, data: tuple, sampled: Any
) -> None:
    """D12: a weight of 0.5 is an uncertainty larger by sqrt(2), not by 2 or more."""
    weights = np.random.default_rng(3).choice([0.0, 0.25, 0.5, 1.0], len(wavelength))
    mask = bench.folder / "weights.txt"
    np.savetxt(mask, weights)
    fit = bench.fit(wavelength, *data, "weighted", amplitude="sampled", mask=str(mask))
    point = toolbox.at(log10_stellar_mass=9.99)
    flux = sampled.model.model_spectrum(point)[0][0]
    used = weights > 0
    expected = norm.logpdf(data[0], flux, data[1] / np.sqrt(np.where(used, weights, 1.0)))[used].sum()
    assert fit.model.log_likelihood(point).log_likelihood[0] == pytest.approx(expected, abs=1e-5)
    assert len(fit.model.pixels.flux) == used.sum()


def test_beta_multiplies_the_inverse_variance(
    bench: Any, toolbox: Any, wavelength: np.ndarray, data: tuple
) -> None:
    fit = bench.fit(wavelength, *data, amplitude="sampled", NoiseModel="MultiplicativeNoiseModel")
    for beta in (0.2, 1.0, 4.0):
        point = toolbox.at(log10_stellar_mass=10.01, beta=beta)
        flux = fit.model.model_spectrum(point)[0][0]
        expected = norm.logpdf(data[0], flux, data[1] / np.sqrt(beta)).sum()
        assert fit.model.log_likelihood(point).log_likelihood[0] == pytest.approx(expected, abs=1e-5)


def test_profiled_mass_is_weighted_least_squares(toolbox: Any, profiled: Any, data: tuple) -> None:
    point = toolbox.at(los_vel=80.0)
    unit = profiled.model.model_spectrum(point, np.array([1.0]))[0][0]
    mass = (unit * data[0] / data[1] ** 2).sum() / (unit**2 / data[1] ** 2).sum()
    found = profiled.model.log_likelihood(point)
    assert found.amplitude[0] == pytest.approx(mass, rel=1e-10)
    assert found.log_likelihood[0] == pytest.approx(
        norm.logpdf(data[0], mass * unit, data[1]).sum(), abs=1e-5
    )


def test_marginalised_mass_is_the_integral_over_the_mass(
    bench: Any, toolbox: Any, wavelength: np.ndarray, data: tuple
) -> None:
    fit = bench.fit(wavelength, *data, amplitude="marginalised")
    by_mass = bench.fit(wavelength, *data, amplitude="sampled")
    point = toolbox.at(a_v=0.4)
    found = fit.model.log_likelihood(point)
    best = found.amplitude[0]
    offset = found.log_likelihood[0]

    def density(mass: float) -> float:
        value = by_mass.model.log_likelihood(point | toolbox.at(a_v=0.4, log10_stellar_mass=np.log10(mass)))
        return float(np.exp(value.log_likelihood[0] - offset))

    integral = quad(density, 0.98 * best, 1.02 * best, epsabs=0, epsrel=1e-8, points=[best])[0]
    assert integral == pytest.approx(1.0, rel=1e-6)


def test_inverted_spectrum_gets_no_mass(bench: Any, toolbox: Any, wavelength: np.ndarray, data: tuple) -> None:
    """D6: the peer fits a spectrum of negative flux happily."""
    fit = bench.fit(wavelength, -data[0], data[1], "inverted")
    found = fit.model.log_likelihood(toolbox.at())
    assert found.amplitude[0] == 0.0
    assert found.log_likelihood[0] == pytest.approx(norm.logpdf(data[0], 0.0, data[1]).sum(), abs=1e-5)
    assert np.all(fit.model.model_spectrum(toolbox.at())[0] == 0.0)


def test_model_of_an_inverted_spectrum_with_polynomials_is_finite(
    bench: Any, toolbox: Any, wavelength: np.ndarray, data: tuple
) -> None:
    fit = bench.fit(wavelength, -data[0], data[1], "inverted", legendre_deg=3, legendre_mode="profiled")
    flux, polynomial = fit.model.model_spectrum(toolbox.at())
    assert np.isfinite(flux).all()
    assert np.isfinite(polynomial).all()


# ---- polynomials -------------------------------------------------------------------------------------------
def test_profiled_polynomials_are_weighted_least_squares(
    bench: Any, toolbox: Any, wavelength: np.ndarray, data: tuple
) -> None:
    rng = np.random.default_rng(8)
    rest = wavelength / (1 + bench.redshift)
    tilted = data[0] * (1 + 0.2 * np.sin(rest / 300))
    error = data[1] * rng.uniform(0.5, 2.0, len(rest))
    fit = bench.fit(wavelength, tilted, error, legendre_deg=6, legendre_mode="profiled")
    plain = bench.fit(wavelength, tilted, error, "plain")
    x = 2 * (rest - rest[0]) / (rest[-1] - rest[0]) - 1
    for changes in ({}, {"los_sigma": 200.0, "a_v": 1.2}):
        unit = plain.model.model_spectrum(toolbox.at(**changes), np.array([1.0]))[0][0]
        design = unit[:, None] * np.polynomial.legendre.legvander(x, 6)
        solution = np.linalg.lstsq(design / error[:, None] * MASS, tilted / error, rcond=None)[0] * MASS
        expected = norm.logpdf(tilted, design @ solution, error).sum()
        found = fit.model.log_likelihood(toolbox.at(**changes))
        assert found.log_likelihood[0] == pytest.approx(expected, abs=1e-4)
        assert found.amplitude[0] == pytest.approx(solution[0], rel=1e-7)
        flux, polynomial = fit.model.model_spectrum(toolbox.at(**changes))
        np.testing.assert_allclose(flux[0], design @ solution, rtol=1e-7)
        np.testing.assert_allclose(polynomial[0], (design @ solution) / (unit * solution[0]), rtol=1e-7)


@pytest.mark.parametrize(
    "options", [{}, {"module": "SFHSpectra", "los_sigma": 140.0, "los_vel": 60.0, "a_v": 0.5}], ids=["FSF", "SFHS"]
)
def test_sampled_polynomials_multiply_the_model(
    bench: Any, toolbox: Any, wavelength: np.ndarray, data: tuple, options: dict[str, Any]
) -> None:
    coefficients = [0.1, -0.05, 0.02]
    named = {f"legendre_{i}": c for i, c in enumerate(coefficients, 1)}
    polynomial = {"legendre_deg": 3, "legendre_mode": "sampled"}
    fit = bench.fit(wavelength, *data, amplitude="sampled", **polynomial, **options)
    plain = bench.fit(wavelength, *data, "plain", amplitude="sampled", **options)
    point = toolbox.at(log10_stellar_mass=10.0, **named)
    rest = wavelength / (1 + bench.redshift)
    expected = plain.model.model_spectrum(point)[0][0] * legendre_sum(fit, coefficients, rest)
    flux, curve = fit.model.model_spectrum(point)
    np.testing.assert_allclose(flux[0], expected, rtol=1e-10)
    np.testing.assert_allclose(curve[0], legendre_sum(fit, coefficients, rest), rtol=1e-10)
    likelihood = fit.model.log_likelihood(point).log_likelihood[0]
    assert likelihood == pytest.approx(norm.logpdf(data[0], expected, data[1]).sum(), abs=1e-5)


@pytest.mark.parametrize(
    "changes",
    [{"legendre_scale": 300.0}, {"legendre_bounds": [4600.0, 5000.0]}, {"legendre_deg": 4}],
    ids=["scale", "bounds", "degree"],
)
def test_options_of_the_polynomials_have_an_effect(
    bench: Any, toolbox: Any, wavelength: np.ndarray, data: tuple, changes: dict[str, Any]
) -> None:
    """D10: polynomials that are zero over most of the range, and bounds that raise."""
    tilted = data[0] * (1 + 0.3 * np.sin(wavelength / 250))
    base = {"legendre_deg": 3, "legendre_mode": "profiled"}
    first = bench.fit(wavelength, tilted, data[1], "tilted", **base).model
    other = bench.prepare(bench.folder / "tilted.txt", **(base | changes)).model
    point = toolbox.at()
    assert abs(first.log_likelihood(point).log_likelihood - other.log_likelihood(point).log_likelihood) > 1.0
    # No polynomial is a constant, or vanishes over a part of the range.
    spread = np.ptp(other.polynomials[1:], axis=1)
    assert np.all(spread > 0.5)


def test_degree_one_is_a_straight_line(
    bench: Any, toolbox: Any, wavelength: np.ndarray, data: tuple
) -> None:
    fit = bench.fit(wavelength, *data, legendre_deg=1)
    _, polynomial = fit.model.model_spectrum(toolbox.at(legendre_1=0.1))
    np.testing.assert_allclose(polynomial[0, [0, -1]], [0.9, 1.1], atol=1e-10)
    rest = wavelength / (1 + bench.redshift)
    assert np.abs(np.polyfit(rest, polynomial[0], 2)[0]) < 1e-12


# ---- batches and support -----------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", ["profiled", "sampled", "marginalised"])
@pytest.mark.parametrize("polynomial", ["profiled", "sampled"])
def test_a_batch_is_its_single_points(
    bench: Any, toolbox: Any, wavelength: np.ndarray, data: tuple, mode: str, polynomial: str
) -> None:
    fit = bench.fit(
        wavelength,
        *data,
        amplitude=mode,
        legendre_deg=2,
        legendre_mode=polynomial,
        NoiseModel="MultiplicativeNoiseModel",
    )
    rng = np.random.default_rng(12)
    ranges = {
        "logtau": (-1, 1.5),
        "ism_metallicity_today": (0.005, 0.06),
        "alpha_powerlaw": (0, 3),
        "los_vel": (-400, 400),
        "los_sigma": (1, 400),
        "los_h3": (-0.2, 0.2),
        "los_h4": (-0.2, 0.2),
        "a_v": (0, 2),
        "beta": (0.1, 3),
        "legendre_1": (-0.2, 0.2),
        "legendre_2": (-0.2, 0.2),
        "log10_stellar_mass": (9.5, 10.5),
    }
    points = {name: rng.uniform(*limits, 64) for name, limits in ranges.items()}
    batch = fit.model.log_likelihood(toolbox.at(64, **points))
    for i in range(64):
        single = fit.model.log_likelihood(toolbox.at(**{name: value[i] for name, value in points.items()}))
        assert single.log_likelihood[0] == pytest.approx(batch.log_likelihood[i], rel=1e-10)
        assert single.amplitude[0] == pytest.approx(batch.amplitude[i], rel=1e-10)


def test_data_do_not_depend_on_parameters(toolbox: Any, profiled: Any) -> None:
    """D7: at 1 and 4 km/s the peer has no pixel left, at 300 km/s 63 fewer than at 50."""
    points = toolbox.at(5, los_sigma=[0.0, 1.0, 4.0, 50.0, 300.0], los_h3=0.0, los_h4=0.0)
    found = profiled.model.log_likelihood(points).log_likelihood
    assert np.isfinite(found).all()
    # Same pixels, same normalisation: with chi2 taken off, one constant remains.
    pixels = profiled.model.pixels
    flux, _ = profiled.model.model_spectrum(points)
    assert flux.shape == (5, len(pixels.flux))
    chi2 = ((pixels.flux - flux) ** 2 * pixels.inverse_variance).sum(axis=1)
    np.testing.assert_allclose(found + 0.5 * chi2, pixels.log_normalisation, rtol=1e-10)
    # And unresolved dispersions agree: the difference grows as sigma squared.
    assert found[1] - found[0] == pytest.approx((found[2] - found[0]) / 16, rel=0.01)


@pytest.mark.parametrize(
    "changes",
    [
        {"los_sigma": -1.0},
        {"los_sigma": np.nan},
        {"los_vel": np.nan},
        {"los_h4": -1.8},
        {"a_v": np.nan},
        {"beta": 0.0},
        {"beta": -1.0},
        {"beta": np.nan},
        {"logtau": np.nan},
        {"ism_metallicity_today": -0.01},
        {"alpha_powerlaw": -0.1},
    ],
    ids=str,
)
def test_outside_the_support_the_likelihood_is_zero(
    bench: Any, toolbox: Any, wavelength: np.ndarray, data: tuple, changes: dict[str, float]
) -> None:
    fit = bench.fit(wavelength, *data, NoiseModel="MultiplicativeNoiseModel")
    base = {"beta": 1.0} | changes
    assert np.isneginf(fit.model.log_likelihood(toolbox.at(**base)).log_likelihood[0])


def test_one_bad_point_does_not_spoil_a_batch(
    bench: Any, toolbox: Any, wavelength: np.ndarray, data: tuple, profiled: Any
) -> None:
    good = profiled.model.log_likelihood(toolbox.at()).log_likelihood[0]
    mixed = profiled.model.log_likelihood(toolbox.at(3, los_sigma=[140.0, -5.0, 140.0])).log_likelihood
    np.testing.assert_allclose(mixed[[0, 2]], good, rtol=1e-12)
    assert np.isneginf(mixed[1])


def test_a_dim_and_a_bright_spectrum_have_the_same_fit(
    bench: Any, toolbox: Any, wavelength: np.ndarray, data: tuple, profiled: Any
) -> None:
    """A scale of data and errors changes the mass and the normalisation, and nothing else."""
    scaled = bench.fit(wavelength, 1e-3 * data[0], 1e-3 * data[1], "dim")
    one, other = (fit.model.log_likelihood(toolbox.at(los_vel=30.0)) for fit in (profiled, scaled))
    assert other.amplitude[0] == pytest.approx(1e-3 * one.amplitude[0], rel=1e-9)
    expected = one.log_likelihood[0] + len(wavelength) * np.log(1e3)
    assert other.log_likelihood[0] == pytest.approx(expected, rel=1e-9)


def test_surviving_fraction_is_that_of_the_library(toolbox: Any, synthetic: Any, profiled: Any, bench: Any) -> None:
    weights = toolbox.brute_weights(synthetic, COSMOLOGY.age(bench.redshift).value, toolbox.TRUTH)
    expected = (weights * synthetic.surviving_fraction).sum()
    found = profiled.model.log_likelihood(toolbox.at()).surviving_fraction[0]
    assert found == pytest.approx(expected, abs=1e-4)
