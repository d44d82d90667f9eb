"""The model of broadband photometry: limits, dust, mass, and one mass with a spectrum."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import extinction
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from orchestrator.config.module_options import parse_options
from orchestrator.errors import DataError
from orchestrator.forward_model.photometry_fit import PhotometryFit, prepare_photometry_fit
from orchestrator.forward_model.spectrum_fit import flux_per_luminosity
from orchestrator.physics.cosmology import age_of_universe

LIGHT_SPEED = 2.99792458e18  # Angstrom/s
MICROJANSKY = 1e-29
REDSHIFT = 0.04
MASS = 1e10
CENTRES = {"u": 3560.0, "g": 4700.0, "r": 6200.0, "i": 7600.0, "z": 9100.0}
HALF_WIDTH = 450.0
MODELS: dict[str, dict[str, float]] = {
    "ExponentialSFH": {"logtau": 0.4},
    "DelayedTauSFH": {"logtau": 0.4},
    "LogNormalSFH": {"t0": 4.0, "scale": 0.6},
    "FixedMassFracSFH": {"t_at_frac_0.3000": 2.0, "t_at_frac_0.8000": 7.0},
}
Prepare = Callable[..., PhotometryFit]


def transmission(wavelength: np.ndarray, band: str) -> np.ndarray:
    """A triangle, so that a file of three points holds it exactly."""
    return np.clip(1 - np.abs(wavelength - CENTRES[band]) / HALF_WIDTH, 0.0, None)


@pytest.fixture(scope="module")
def wide(toolbox: Any) -> Any:
    """A library from 2800 to 10 500 Angstrom with coarse lines."""
    return toolbox.synthetic_library(np.arange(2800.0, 10500.0, 10.0), 70, 25.0, seed=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, toolbox: Any, wide: Any) -> Path:
    path = tmp_path_factory.mktemp("photometry")
    for band, centre in CENTRES.items():
        rows = [[centre - HALF_WIDTH, 0.0], [centre, 1.0], [centre + HALF_WIDTH, 0.0]]
        np.savetxt(path / f"{band}.txt", rows)
    toolbox.write_library(wide, path / "wide.npz")
    return path


@pytest.fixture(scope="module")
def prepare(folder: Path) -> Prepare:
    """Rows of band, flux, error and limit to a fit; fluxes in erg/s/cm2/Hz."""

    def make(rows: list[tuple], **options: Any) -> PhotometryFit:
        table = folder / "photometry.txt"
        lines = [
            f"{folder / band}.txt {flux / MICROJANSKY:.17g} {error / MICROJANSKY:.17g} {' '.join(limit)}"
            for band, flux, error, *limit in rows
        ]
        table.write_text("\n".join(lines) + "\n")
        given = {
            "inputPhotometry": str(table),
            "redshift": REDSHIFT,
            "SSPModel": str(folder / "wide.npz"),
            "SFHModel": "ExponentialSFH",
            "ExtinctionLaw": "ccm89",
        } | options
        given = {name: value for name, value in given.items() if value is not None}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ORCHESTRATOR_CACHE", str(folder / "cache"))
            return prepare_photometry_fit(parse_options("SFHPhotometry", given))

    return make


@pytest.fixture(scope="module")
def true_flux(toolbox: Any, wide: Any) -> np.ndarray:
    return np.array([brute_band_flux(toolbox, wide, band, MASS) for band in CENTRES])


def brute_band_flux(toolbox: Any, library: Any, band: str, mass: float, **changes: float) -> float:
    """AB mean of photons on a grid of 0.05 Angstrom, of the explicit sum over SSPs."""
    p = toolbox.TRUTH | changes
    weights = toolbox.brute_weights(library, float(age_of_universe(REDSHIFT)), p)
    sed = np.tensordot(weights, library.flux, 2)
    # Dust multiplies the library's points, between which spectra are linear.
    sed = sed * 10 ** (-0.4 * p["a_v"] * extinction.ccm89(library.wavelength.copy(), 1.0, 3.1))
    wave = np.arange(CENTRES[band] - HALF_WIDTH, CENTRES[band] + HALF_WIDTH + 0.01, 0.05)
    flux = np.interp(wave / (1 + REDSHIFT), library.wavelength, sed)
    flux = flux * flux_per_luminosity(REDSHIFT, 70.0, 0.28, None)
    through = transmission(wave, band)
    numerator = np.trapezoid(flux * wave * through, wave)
    return float(mass * numerator / (LIGHT_SPEED * np.trapezoid(through / wave, wave)))


@pytest.fixture(scope="module")
def rows(true_flux: np.ndarray) -> list[tuple]:
    """Five bands at S/N 20."""
    rng = np.random.default_rng(31)
    error = true_flux / 20
    noisy = true_flux + rng.normal(0, error)
    return list(zip(CENTRES, noisy, error, strict=True))


def likelihood(fit: PhotometryFit, point: Any) -> float:
    return float(fit.model.log_likelihood(point).log_likelihood[0])


# ---- the model ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "changes", [{}, {"a_v": 0.0}, {"a_v": 4.9, "logtau": -0.6}, {"a_v": 1.3, "alpha_powerlaw": 2.5}]
)
def test_band_fluxes_are_those_of_an_independent_computation(
    prepare: Prepare, rows: list, toolbox: Any, wide: Any, changes: dict[str, float]
) -> None:
    found = prepare(rows).model.model_fluxes(toolbox.at(**changes), np.array([2e9]))[0]
    expected = [brute_band_flux(toolbox, wide, band, 2e9, **changes) for band in CENTRES]
    np.testing.assert_allclose(found, expected, rtol=3e-5)


@pytest.mark.parametrize("a_v", [1.5, 2.2, 8.0])
def test_dust_beyond_the_table_is_exact(
    prepare: Prepare, rows: list, toolbox: Any, wide: Any, a_v: float
) -> None:
    fit = prepare(rows, a_v_max=1.0)
    assert fit.model.table.a_v_max == 1.0
    found = fit.model.model_fluxes(toolbox.at(a_v=a_v), np.array([1.0]))[0]
    expected = [brute_band_flux(toolbox, wide, band, 1.0, a_v=a_v) for band in CENTRES]
    np.testing.assert_allclose(found, expected, rtol=3e-5)
    inside = prepare(rows, a_v_max=10.0).model.model_fluxes(toolbox.at(a_v=a_v), np.array([1.0]))[0]
    np.testing.assert_allclose(found, inside, rtol=5e-6)


def test_spectrum_of_the_figure_has_the_fluxes_of_the_bands(
    prepare: Prepare, rows: list, toolbox: Any
) -> None:
    fit = prepare(rows)
    wave, flux = fit.spectrum(toolbox.at(), np.array([MASS]))
    model = fit.model.model_fluxes(toolbox.at(), np.array([MASS]))[0]
    fine = np.arange(3000.0, 10000.0, 0.5)
    f_nu = np.interp(fine, wave, flux)
    for band, expected in zip(CENTRES, model, strict=True):
        weight = transmission(fine, band) / fine
        assert (f_nu * weight).sum() / weight.sum() == pytest.approx(expected, rel=1e-3)


def test_a_band_beyond_the_library_is_an_error_that_names_it(
    prepare: Prepare, folder: Path, rows: list
) -> None:
    np.savetxt(folder / "K.txt", [[20000.0, 0.0], [22000.0, 1.0], [24000.0, 0.0]])
    with pytest.raises(DataError, match="band 'K' spans"):
        prepare([*rows, ("K", 1e-28, 1e-29)])


# ---- the likelihood ----------------------------------------------------------------------------------------
def test_likelihood_is_the_sum_of_normal_densities(
    prepare: Prepare, rows: list, toolbox: Any, wide: Any
) -> None:
    fit = prepare(rows, amplitude="sampled", NoiseModel="MultiplicativeNoiseModel")
    flux, error = np.array([row[1] for row in rows]), np.array([row[2] for row in rows])
    for mass, beta in ((MASS, 1.0), (1.1 * MASS, 0.3)):
        model = [brute_band_flux(toolbox, wide, band, mass) for band in CENTRES]
        found = likelihood(fit, toolbox.at(log10_stellar_mass=np.log10(mass), beta=beta))
        assert found == pytest.approx(norm.logpdf(flux, model, error / np.sqrt(beta)).sum(), abs=2e-3)


def test_limits_are_normal_distribution_functions(prepare: Prepare, rows: list, toolbox: Any, wide: Any) -> None:
    limited = [(*rows[0], "upper"), *rows[1:4], (*rows[4], "lower")]
    fit = prepare(limited, amplitude="sampled")
    model = {band: brute_band_flux(toolbox, wide, band, 1.05 * MASS) for band in CENTRES}
    expected = sum(norm.logpdf(flux, model[band], error) for band, flux, error in rows[1:4])
    expected += norm.logcdf((rows[0][1] - model["u"]) / rows[0][2])
    expected += norm.logsf((rows[4][1] - model["z"]) / rows[4][2])
    assert likelihood(fit, toolbox.at(log10_stellar_mass=np.log10(1.05 * MASS))) == pytest.approx(
        expected, abs=2e-3
    )


@pytest.mark.parametrize("mode", ["profiled", "marginalised"])
def test_mass_with_limits_is_the_maximum_or_integral_over_masses(
    prepare: Prepare, rows: list, toolbox: Any, mode: str
) -> None:
    # The limit in u lies 15 % below the truth at S/N 20 and drags the mass down.
    band, flux, error = rows[0]
    limited = [(band, 0.85 * flux, error, "upper"), *rows[1:]]
    by_mass = prepare(limited, amplitude="sampled")

    def at_mass(mass: float) -> float:
        return likelihood(by_mass, toolbox.at(log10_stellar_mass=np.log10(mass)))

    best = minimize_scalar(
        lambda m: -at_mass(m), bounds=(0.5 * MASS, 2 * MASS), method="bounded", options={"xatol": 1e-7 * MASS}
    )
    found = prepare(limited, amplitude=mode).model.log_likelihood(toolbox.at())
    assert found.amplitude[0] == pytest.approx(best.x, rel=1e-5)
    expected = -best.fun
    if mode == "marginalised":
        expected += np.log(quad(lambda m: np.exp(at_mass(m) + best.fun), 0.7 * MASS, 1.4 * MASS, points=[best.x])[0])
    assert found.log_likelihood[0] == pytest.approx(expected, abs=1e-6)


def test_a_faint_upper_limit_far_above_does_not_move_the_mass(
    prepare: Prepare, rows: list, toolbox: Any
) -> None:
    """D6: one upper limit of ten times the flux moved the peer's mass by 0.33 dex."""
    without = prepare(rows[:4]).model.log_likelihood(toolbox.at())
    flux = rows[4][1]
    limited = prepare([*rows[:4], ("z", 10 * flux, flux, "upper")]).model.log_likelihood(toolbox.at())
    assert np.log10(limited.amplitude[0] / without.amplitude[0]) == pytest.approx(0.0, abs=1e-9)
    assert limited.log_likelihood[0] == pytest.approx(without.log_likelihood[0], abs=1e-9)


def test_a_noisy_band_does_not_dominate_the_mass(
    prepare: Prepare, rows: list, toolbox: Any, true_flux: np.ndarray
) -> None:
    """D6: with one band at S/N 0.2 the peer's mass scatters by 0.6, 30 times the noise of the others."""
    error = true_flux / 20
    error[4] = true_flux[4] / 0.2
    masses = []
    for seed in range(40):
        noisy = true_flux + np.random.default_rng([6, seed]).normal(0, error)
        fit = prepare(list(zip(CENTRES, noisy, error, strict=True)))
        masses.append(fit.model.log_likelihood(toolbox.at()).amplitude[0] / MASS)
    expected = 1 / np.sqrt(((true_flux / error) ** 2).sum())
    # 40 draws: the scatter is known to 11 %, the mean to 0.16 of the scatter.
    assert np.std(masses) == pytest.approx(expected, rel=0.45)
    assert np.mean(masses) == pytest.approx(1.0, abs=4 * expected / np.sqrt(40))


def test_profiled_mass_is_weighted_least_squares(prepare: Prepare, rows: list, toolbox: Any) -> None:
    fit = prepare(rows)
    unit = fit.model.model_fluxes(toolbox.at(), np.array([1.0]))[0]
    flux, error = np.array([row[1] for row in rows]), np.array([row[2] for row in rows])
    mass = (unit * flux / error**2).sum() / (unit**2 / error**2).sum()
    found = fit.model.log_likelihood(toolbox.at())
    assert found.amplitude[0] == pytest.approx(mass, rel=1e-10)
    assert found.log_likelihood[0] == pytest.approx(norm.logpdf(flux, mass * unit, error).sum(), rel=1e-10)


@pytest.mark.parametrize("mode", ["profiled", "sampled", "marginalised"])
@pytest.mark.parametrize("limits", [False, True])
def test_a_batch_is_its_single_points(
    prepare: Prepare, rows: list, toolbox: Any, mode: str, limits: bool
) -> None:
    given = [(*rows[0], "upper"), *rows[1:]] if limits else rows
    fit = prepare(given, amplitude=mode, NoiseModel="MultiplicativeNoiseModel", a_v_max=1.5)
    rng = np.random.default_rng(2)
    points = {
        "logtau": rng.uniform(-1, 1.5, 64),
        "ism_metallicity_today": rng.uniform(0.005, 0.06, 64),
        "alpha_powerlaw": rng.uniform(0, 3, 64),
        "a_v": rng.uniform(0, 2, 64),  # inside and beyond the table
        "beta": rng.uniform(0.1, 3, 64),
        "log10_stellar_mass": rng.uniform(9.8, 10.2, 64),
    }
    batch = fit.model.log_likelihood(toolbox.at(64, **points))
    assert np.isfinite(batch.log_likelihood).all()
    for i in range(64):
        single = fit.model.log_likelihood(toolbox.at(**{name: value[i] for name, value in points.items()}))
        assert single.log_likelihood[0] == pytest.approx(batch.log_likelihood[i], rel=1e-10, abs=1e-10)
        assert single.amplitude[0] == pytest.approx(batch.amplitude[i], rel=1e-10)


@pytest.mark.parametrize("sfh_model", list(MODELS))
def test_every_parameter_changes_the_likelihood(
    prepare: Prepare, rows: list, toolbox: Any, sfh_model: str
) -> None:
    """D4, D5."""
    options = {"SFHArgs": [0.3, 0.8]} if sfh_model == "FixedMassFracSFH" else {}
    fit = prepare(
        rows, SFHModel=sfh_model, amplitude="sampled", NoiseModel="MultiplicativeNoiseModel", **options
    )
    start = {
        **MODELS[sfh_model],
        "ism_metallicity_today": 0.015,
        "alpha_powerlaw": 0.6,
        "a_v": 0.5,
        "log10_stellar_mass": 10.0,
        "beta": 0.8,
    }

    def at_values(values: dict[str, float]) -> float:
        return likelihood(fit, {(toolbox.section_of(k), k): np.array([v]) for k, v in values.items()})

    for name, value in start.items():
        difference = at_values(start | {name: 1.1 * value}) - at_values(start)
        assert abs(difference) > 1e-3, f"{name} has no effect"


@pytest.mark.parametrize(
    "changes", [{"a_v": -0.1}, {"a_v": np.nan}, {"beta": 0.0}, {"beta": np.nan}, {"logtau": np.nan}], ids=str
)
def test_outside_the_support_the_likelihood_is_zero(
    prepare: Prepare, rows: list, toolbox: Any, changes: dict[str, float]
) -> None:
    fit = prepare(rows, NoiseModel="MultiplicativeNoiseModel")
    assert np.isneginf(likelihood(fit, toolbox.at(**({"beta": 1.0} | changes))))


def test_without_a_law_there_is_no_dust(prepare: Prepare, rows: list, toolbox: Any) -> None:
    plain, dusty = prepare(rows, ExtinctionLaw=None), prepare(rows)
    assert likelihood(plain, toolbox.at(a_v=2.0)) == likelihood(plain, toolbox.at())
    assert likelihood(plain, toolbox.at()) == pytest.approx(likelihood(dusty, toolbox.at(a_v=0.0)), rel=1e-6)


# ---- a spectrum and photometry with one mass ---------------------------------------------------------------
@pytest.fixture(scope="module")
def spectrum_fits(bench: Any) -> dict[str, Any]:
    wave = bench.log_pixels()
    flux, error = bench.mock(wave, 5.0)
    return {
        mode: bench.fit(wave, flux, error, "joint", amplitude=mode)
        for mode in ("profiled", "marginalised", "sampled")
    }


@pytest.mark.parametrize("limits", [False, True])
@pytest.mark.parametrize("mode", ["profiled", "marginalised"])
def test_joint_fit_has_one_mass_and_the_joint_likelihood(
    prepare: Prepare, rows: list, spectrum_fits: dict[str, Any], toolbox: Any, mode: str, limits: bool
) -> None:
    """The increments of the modules add up to the likelihood of all data at one mass."""
    # Photometry 20 % fainter than the spectrum, so that the joint mass is neither's own.
    scaled = [(band, 0.8 * flux, 0.8 * error) for band, flux, error in rows]
    given = [(*scaled[0], "upper"), *scaled[1:]] if limits else scaled
    point = toolbox.at()
    spectrum = spectrum_fits[mode].model
    photometry = prepare(given, amplitude=mode).model
    first = spectrum.log_likelihood(point)
    second = photometry.log_likelihood(point, first.joint)
    total = first.log_likelihood[0] + second.log_likelihood[0]
    sampled = prepare(given, amplitude="sampled").model

    def direct(mass: float) -> float:
        at_mass = toolbox.at(log10_stellar_mass=np.log10(mass))
        return float(
            spectrum_fits["sampled"].model.log_likelihood(at_mass).log_likelihood[0]
            + sampled.log_likelihood(at_mass).log_likelihood[0]
        )

    best = minimize_scalar(
        lambda m: -direct(m), bounds=(0.6 * MASS, 1.4 * MASS), method="bounded", options={"xatol": 1e-8 * MASS}
    )
    assert second.amplitude[0] == pytest.approx(best.x, rel=1e-5)
    expected = -best.fun
    if mode == "marginalised":
        width = 10 / np.sqrt(second.joint.curvature[0])
        integral = quad(
            lambda m: np.exp(direct(m) + best.fun), best.x - width, best.x + width, points=[best.x], limit=200
        )[0]
        expected += np.log(integral)
    assert total == pytest.approx(expected, abs=1e-5)
    # Neither alone says so.
    alone = photometry.log_likelihood(point)
    assert alone.amplitude[0] < 0.97 * second.amplitude[0] < 0.999 * first.amplitude[0]
    assert first.log_likelihood[0] + alone.log_likelihood[0] > total


@pytest.mark.parametrize("mode", ["profiled", "marginalised"])
def test_order_of_the_modules_does_not_matter(
    prepare: Prepare, rows: list, spectrum_fits: dict[str, Any], toolbox: Any, mode: str
) -> None:
    point = toolbox.at(logtau=0.3)
    spectrum, photometry = spectrum_fits[mode].model, prepare(rows, amplitude=mode).model
    one = spectrum.log_likelihood(point)
    two = photometry.log_likelihood(point, one.joint)
    three = photometry.log_likelihood(point)
    four = spectrum.log_likelihood(point, three.joint)
    assert two.amplitude[0] == pytest.approx(four.amplitude[0], rel=1e-12)
    assert one.log_likelihood[0] + two.log_likelihood[0] == pytest.approx(
        three.log_likelihood[0] + four.log_likelihood[0], rel=1e-11
    )
