"""Band fluxes through free laws, birth clouds, emission of dust, the Galaxy and the space between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.config.dust_parameters import GALAXY_NAMES
from orchestrator.config.module_options import MODULES, parse_options
from orchestrator.errors import DataError
from orchestrator.forward_model.band_light import prepare_light
from orchestrator.forward_model.photometry_fit import PhotometryFit, prepare_photometry_fit
from orchestrator.forward_model.spectrum_fit import flux_per_luminosity
from orchestrator.physics.attenuation import attenuation_curve
from orchestrator.physics.cosmology import age_of_universe
from orchestrator.physics.dust_emission import casey2012, emission_grid
from orchestrator.physics.igm import igm_transmission

LIGHT_SPEED = 2.99792458e18  # Angstrom/s
MICROJANSKY = 1e-29
REDSHIFT = 0.04
CENTRES = {"fuv": 1800.0, "nuv": 2400.0, "g": 4700.0, "i": 7600.0, "mir": 150000.0, "fir": 1e6}
HALF_WIDTH = {"fuv": 200.0, "nuv": 300.0, "g": 450.0, "i": 450.0, "mir": 20000.0, "fir": 2e5}
STELLAR = ("fuv", "nuv", "g", "i")
DUST, EMISSION = "dust.extinction", "dust.dust_sed_component"
Prepare = Callable[..., PhotometryFit]


@pytest.fixture(scope="module")
def wide(toolbox: Any) -> Any:
    """A library from 1000 to 25 000 Angstrom."""
    return toolbox.synthetic_library(np.arange(1000.0, 25000.0, 10.0), 70, 25.0, seed=5)


@pytest.fixture(scope="module")
def prepare(tmp_path_factory: pytest.TempPathFactory, toolbox: Any, wide: Any) -> Prepare:
    folder = tmp_path_factory.mktemp("dusty")
    for band, centre in CENTRES.items():
        half = HALF_WIDTH[band]
        np.savetxt(folder / f"{band}.txt", [[centre - half, 0.0], [centre, 1.0], [centre + half, 0.0]])
    toolbox.write_library(wide, folder / "wide.npz")

    def make(bands: tuple[str, ...] = STELLAR, module: str = "SFHPhotometry", **options: Any) -> PhotometryFit:
        table = folder / "photometry.txt"
        table.write_text("".join(f"{folder / band}.txt {20 + 10 * i} 1.5\n" for i, band in enumerate(bands)))
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
            return prepare_photometry_fit(parse_options(module, given))

    return make


def at(toolbox: Any, n_points: int = 1, **changes: Any) -> dict[tuple[str, str], np.ndarray]:
    """The truth, with dust and emission besides."""
    own = {"r_v", "delta", "bump", "slope", "a_v_birth_cloud"}
    emission = {"t_dust": 35.0, "alpha": 2.0, "beta": 1.5, "lam0": 200.0, "log10_lum_ir": -0.5}
    point = toolbox.at(n_points, **{k: v for k, v in changes.items() if k not in own and k not in emission})
    extra = {(DUST, k): v for k, v in changes.items() if k in own}
    extra |= {(EMISSION, k): changes.get(k, v) for k, v in emission.items()}
    return point | {k: np.broadcast_to(np.asarray(v, dtype=float), (n_points,)).copy() for k, v in extra.items()}


def band_flux(wavelength: np.ndarray, sed: np.ndarray, band: str, redshift: float = REDSHIFT) -> float:
    """AB mean of photons on a fine grid, of a spectrum in Lsun/Angstrom in the rest frame."""
    centre, half = CENTRES[band], HALF_WIDTH[band]
    wave = np.linspace(centre - half, centre + half, 20001)
    flux = np.interp(wave / (1 + redshift), wavelength, sed) * flux_per_luminosity(redshift, 70.0, 0.28, None)
    through = 1 - np.abs(wave - centre) / half
    return float(np.trapezoid(flux * wave * through, wave) / (LIGHT_SPEED * np.trapezoid(through / wave, wave)))


def fluxes(fit: PhotometryFit, point: Any) -> np.ndarray:
    return fit.model.model_fluxes(point, np.ones(len(point[DUST, "a_v"])))


# ---- the general path where the fast one applies too ----------------------------------------------------------
@pytest.mark.parametrize("law", ["ccm89", "calzetti00", "G23"])
def test_general_path_is_the_fast_one_for_one_screen(prepare: Prepare, toolbox: Any, law: str) -> None:
    fast = prepare(ExtinctionLaw=law)
    assert fast.model.light is None
    general = prepare(ExtinctionLaw=law, r_v_free="T")
    assert general.model.table is None
    r_v = {"ccm89": 3.1, "calzetti00": 4.05, "G23": 3.1}[law]
    points = at(toolbox, 40, a_v=np.linspace(0, 4.9, 40), r_v=r_v, logtau=np.linspace(-0.8, 1.4, 40))
    np.testing.assert_allclose(fluxes(general, points), fluxes(fast, points), rtol=1.5e-6)
    found, expected = (f.model.log_likelihood(points).log_likelihood for f in (general, fast))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_galaxy_photometry_is_fast_at_the_usual_r_v_and_right_at_others(prepare: Prepare, toolbox: Any) -> None:
    galaxy = prepare(module="GalaxyPhotometry", DustAttenuation="T")
    assert galaxy.model.table is not None
    usual = at(toolbox, 3, a_v=[0.1, 1.0, 2.0], r_v=3.1)
    np.testing.assert_array_equal(fluxes(galaxy, usual), fluxes(prepare(), usual))
    other = at(toolbox, 3, a_v=[0.1, 1.0, 2.0], r_v=4.4)
    np.testing.assert_allclose(fluxes(galaxy, other), fluxes(prepare(r_v=4.4), other), rtol=1.5e-6)


# ---- against an explicit sum ----------------------------------------------------------------------------------
def test_birth_clouds_dim_young_stars_alone(prepare: Prepare, toolbox: Any, wide: Any) -> None:
    fit = prepare(birth_cloud="T", birth_cloud_age=12.0)
    found = fluxes(fit, at(toolbox, a_v=0.4, a_v_birth_cloud=1.1, logtau=1.2))[0]
    weights = toolbox.brute_weights(wide, float(age_of_universe(REDSHIFT)), toolbox.TRUTH | {"logtau": 1.2})
    young = wide.log10_age_yr < np.log10(1.2e7)
    assert weights[:, young].sum() > 0
    clouds = np.where(young[:, None], 10 ** (-0.4 * 1.1 * (wide.wavelength / 5500.0) ** -1.3), 1.0)
    sed = np.tensordot(weights, wide.flux * clouds, 2)
    sed = sed * 10 ** (-0.4 * 0.4 * attenuation_curve("ccm89", wide.wavelength))
    expected = [band_flux(wide.wavelength, sed, band) for band in STELLAR]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    none = fluxes(fit, at(toolbox, a_v=0.4, a_v_birth_cloud=0.0, logtau=1.2))
    np.testing.assert_allclose(none, fluxes(prepare(), at(toolbox, a_v=0.4, logtau=1.2)), rtol=1.5e-6)


@pytest.mark.parametrize("choices", [{}, {"birth_cloud": "T"}, {"r_v_free": "T"}])
def test_what_is_absorbed_is_emitted(prepare: Prepare, toolbox: Any, wide: Any, choices: dict[str, str]) -> None:
    fit = prepare((*STELLAR, "mir", "fir"), DustEmission="T", **choices)
    point = at(toolbox, a_v=0.8, a_v_birth_cloud=0.6, r_v=3.1, logtau=0.9, t_dust=42.0)
    grid = np.union1d(wide.wavelength, emission_grid())
    _, weights = fit.model.population.weights(point)
    _, light = prepare_light(fit.options, fit.library, fit.filters, whole=True)
    dusty = light.spectrum(point, weights, grid)
    without = {(DUST, "a_v"): np.zeros(1), (DUST, "a_v_birth_cloud"): np.zeros(1)}
    clear = light.spectrum(point | without, weights, grid)
    bluewards = grid <= emission_grid()[0]
    assert dusty[bluewards].sum() < clear[bluewards].sum()
    assert np.trapezoid(dusty, grid) == pytest.approx(np.trapezoid(clear, grid), rel=1e-3)
    absorbed = np.trapezoid((clear - dusty)[bluewards], grid[bluewards])
    assert absorbed > 0.1 * np.trapezoid(clear, grid)


def test_emission_in_bands_is_caseys(prepare: Prepare, toolbox: Any, wide: Any) -> None:
    fit = prepare((*STELLAR, "mir", "fir"), DustEmission="T", DustCalorimetric="F")
    point = at(toolbox, a_v=0.8, t_dust=42.0, alpha=1.7, log10_lum_ir=0.3)
    found = fluxes(fit, point)[0]
    emitted = 10**0.3 * casey2012(emission_grid(), 42.0, 1.7, 1.5, 200.0)[0]
    weights = toolbox.brute_weights(wide, float(age_of_universe(REDSHIFT)), toolbox.TRUTH)
    sed = np.tensordot(weights, wide.flux, 2) * 10 ** (-0.4 * 0.8 * attenuation_curve("ccm89", wide.wavelength))
    for band, value in zip((*STELLAR, "mir", "fir"), found, strict=True):
        stars = band_flux(wide.wavelength, sed, band) if band in STELLAR else 0.0
        dust = band_flux(emission_grid(), emitted, band) if band not in STELLAR else 0.0
        # the tail of the stars adds a little
        assert value == pytest.approx(stars + dust, rel=1e-3 if band != "mir" else 1e-2), band


def test_foreground_is_applied_in_the_observed_frame_through_the_bands(
    prepare: Prepare, toolbox: Any, wide: Any
) -> None:
    weights = toolbox.brute_weights(wide, float(age_of_universe(REDSHIFT)), toolbox.TRUTH)
    sed = np.tensordot(weights, wide.flux, 2) * 10 ** (-0.4 * 0.5 * attenuation_curve("ccm89", wide.wavelength))
    seen = wide.wavelength * (1 + REDSHIFT)
    sed = sed * 10 ** (-0.4 * 0.3 * 3.1 * attenuation_curve("fitzpatrick99", seen))
    expected = [band_flux(wide.wavelength, sed, band) for band in STELLAR]
    for choices in ({}, {"r_v_free": "T"}):  # both paths
        found = fluxes(prepare(galactic_e_bv=0.3, **choices), at(toolbox, r_v=3.1))[0]
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    unreddened = fluxes(prepare(), at(toolbox))[0]
    at_centre = 10 ** (-0.4 * 0.93 * attenuation_curve("fitzpatrick99", list(CENTRES.values())[:4]))
    assert np.abs(found / unreddened / at_centre - 1).max() > 2e-3  # not at the effective wavelength


def test_absorption_between_the_galaxies(prepare: Prepare, toolbox: Any, wide: Any) -> None:
    redshift = 2.6
    parameters = at(toolbox)
    plain = fluxes(prepare(("g", "i"), redshift=redshift), parameters)
    for model in ("madau1995", "inoue2014"):
        found = fluxes(prepare(("g", "i"), redshift=redshift, igm=model), parameters)
        assert found[0, 1] == pytest.approx(plain[0, 1], rel=1e-9)  # redwards of Lyman alpha
        wave = np.linspace(4250.0, 5150.0, 9001)
        through = (1 - np.abs(wave - 4700.0) / 450.0) * wave
        passing = igm_transmission(wave, redshift, model)
        assert passing.min() < 0.9
        expected = np.trapezoid(passing * through, wave) / np.trapezoid(through, wave)
        assert found[0, 0] / plain[0, 0] == pytest.approx(expected, abs=0.02)


# ---- the likelihood -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("module", "choices"),
    [
        ("SFHPhotometry", {"r_v_free": "T", "birth_cloud": "T"}),
        ("SFHPhotometry", {"ExtinctionLaw": "noll09", "delta_free": "T", "bump_free": "T"}),
        ("SFHPhotometry", {"ExtinctionLaw": "power_law", "slope_free": "T"}),
        ("SFHPhotometry", {"DustEmission": "T"}),
        ("SFHPhotometry", {"DustEmission": "T", "DustCalorimetric": "F"}),
        ("GalaxyPhotometry", {"DustAttenuation": "T", "DustEmission": "T"}),
    ],
)
def test_every_parameter_changes_the_likelihood(
    prepare: Prepare, module: str, choices: dict[str, str]
) -> None:
    fit = prepare((*STELLAR, "mir", "fir") if "DustEmission" in choices else STELLAR, module, **choices)
    own = {galaxy: name for name, galaxy in GALAXY_NAMES.items()}
    start = {}
    for p in MODULES[module].declared_parameters(fit.options):
        key = (p.section, p.name)
        start[own.get(key, key)] = np.array([p.start])
    reference = fit.model.log_likelihood(start).log_likelihood[0]
    assert np.isfinite(reference)
    for key, value in start.items():
        changed = fit.model.log_likelihood(start | {key: value * 1.1 + 0.01}).log_likelihood[0]
        assert abs(changed - reference) > 1e-3, key


def test_a_batch_is_its_single_points_and_impossible_dust_is_no_likelihood(prepare: Prepare, toolbox: Any) -> None:
    fit = prepare((*STELLAR, "fir"), DustEmission="T", r_v_free="T", birth_cloud="T")
    rng = np.random.default_rng(8)
    n = 150  # more than one block
    points = at(
        toolbox, n, a_v=rng.uniform(0, 3, n), r_v=rng.uniform(2, 6, n), a_v_birth_cloud=rng.uniform(0, 2, n),
        t_dust=rng.uniform(20, 60, n), alpha=rng.uniform(1, 3, n),
    )
    points[DUST, "a_v"][3] = -0.1
    points[DUST, "r_v"][70] = 20.0
    points[EMISSION, "t_dust"][149] = -5.0
    points[DUST, "a_v_birth_cloud"][10] = np.nan
    batch = fit.model.log_likelihood(points).log_likelihood
    impossible = np.isin(np.arange(n), (3, 70, 149, 10))
    assert (batch[impossible] == -np.inf).all()
    assert np.isfinite(batch[~impossible]).all()
    for i in (0, 3, 64, 100, 149):
        one = fit.model.log_likelihood({key: value[i : i + 1] for key, value in points.items()})
        if np.isfinite(batch[i]):
            assert one.log_likelihood[0] == pytest.approx(batch[i], rel=1e-9)
        else:
            assert one.log_likelihood[0] == -np.inf


def test_spectrum_of_the_figure_has_the_fluxes_of_the_bands(prepare: Prepare, toolbox: Any) -> None:
    bands = (*STELLAR, "mir", "fir")
    fit = prepare(bands, DustEmission="T", birth_cloud="T", galactic_e_bv=0.1)
    point = at(toolbox, a_v_birth_cloud=0.7)
    wave, flux = fit.spectrum(point, np.array([1e10]))
    model = fit.model.model_fluxes(point, np.array([1e10]))[0]
    for band, expected in zip(bands, model, strict=True):
        fine = np.linspace(CENTRES[band] - HALF_WIDTH[band], CENTRES[band] + HALF_WIDTH[band], 5001)
        weight = (1 - np.abs(fine - CENTRES[band]) / HALF_WIDTH[band]) / fine
        found = (np.interp(fine, wave, flux) * weight).sum() / weight.sum()
        assert found == pytest.approx(expected, rel=2e-3), band


def test_a_law_that_is_not_defined_at_a_band_is_refused(prepare: Prepare) -> None:
    with pytest.raises(DataError, match="law GCC09 is defined from"):
        prepare(ExtinctionLaw="GCC09")
    assert prepare(("fuv", "nuv"), ExtinctionLaw="GCC09").model.table is not None
    with pytest.raises(DataError, match="law GCC09 is defined from"):
        prepare(("fuv", "nuv"), ExtinctionLaw="GCC09", DustEmission="T")


def test_bands_of_the_infrared_need_emission(prepare: Prepare) -> None:
    with pytest.raises(DataError, match="band 'fir' spans"):
        prepare((*STELLAR, "fir"))
    assert Path(prepare((*STELLAR, "fir"), DustEmission="T").options.input_photometry).is_file()
