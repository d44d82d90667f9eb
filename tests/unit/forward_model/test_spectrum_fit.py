"""From options to a fit of a spectrum: files, masks, media, redshift; each defect of the data handling."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from orchestrator.errors import ConfigError, DataError, LibraryError
from orchestrator.forward_model.spectrum_fit import flux_per_luminosity
from orchestrator.physics.wavelength import vacuum_to_air

LIGHT_SPEED = 299792.458
MODELS: dict[str, dict[str, float]] = {
    "ExponentialSFH": {"logtau": 0.4},
    "DelayedTauSFH": {"logtau": 0.4},
    "LogNormalSFH": {"t0": 4.0, "scale": 0.6},
    "FixedMassFracSFH": {"t_at_frac_0.3000": 2.0, "t_at_frac_0.8000": 7.0},
}
NOISE = {"NoiseModel": "MultiplicativeNoiseModel"}


def likelihood(fit: Any, point: Any) -> float:
    return float(fit.model.log_likelihood(point).log_likelihood[0])


def best_velocity(fit: Any, toolbox: Any, **fixed: float) -> float:
    """Velocity of the maximum, from a parabola through the three highest points of a grid of 2 km/s."""
    velocity = np.arange(-250.0, 251.0, 2.0)
    values = fit.model.log_likelihood(toolbox.at(len(velocity), los_vel=velocity, **fixed)).log_likelihood
    i = int(np.argmax(values))
    a, b, _ = np.polyfit(velocity[i - 1 : i + 2], values[i - 1 : i + 2], 2)
    return float(-b / (2 * a))


@pytest.fixture(scope="module")
def wavelength(bench: Any) -> np.ndarray:
    return bench.log_pixels()


@pytest.fixture(scope="module")
def data(bench: Any, wavelength: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return bench.mock(wavelength)


# ---- noise -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("velscale", [None, 50.0, 200.0])
@pytest.mark.parametrize("step", [0.5, 1.0, 3.0])
def test_pure_noise_has_a_chi2_of_one_per_pixel(
    bench: Any, toolbox: Any, step: float, velscale: float | None
) -> None:
    """D3: the peer finds 0.13 to 0.89, depending on the grid."""
    wave = bench.linear_pixels(step)
    error = np.random.default_rng(4).uniform(0.5, 2.0, len(wave)) * 1e-16
    chi2 = []
    for seed in range(6):
        noise = np.random.default_rng([4, seed]).normal(0, error)
        fit = bench.fit(wave, noise, error, "noise", amplitude="sampled", velscale=velscale)
        nothing = toolbox.at(log10_stellar_mass=-20.0)
        chi2.append(2 * (fit.model.log_normalisation - likelihood(fit, nothing)))
        np.testing.assert_allclose(fit.model.pixels.flux, noise, rtol=1e-12)
    n_data = 6 * len(wave)
    assert sum(chi2) / n_data == pytest.approx(1.0, abs=4 * np.sqrt(2 / n_data))


@pytest.mark.parametrize("step", [0.5, 1.0, 3.0])
def test_truth_on_another_grid_fits_to_the_noise(bench: Any, toolbox: Any, synthetic: Any, step: float) -> None:
    """Data of an independent model on linear pixels: chi2 is the number of pixels, and residuals are white."""
    wave = bench.linear_pixels(step)
    edges = np.concatenate([wave - step / 2, [wave[-1] + step / 2]]) / (1 + bench.redshift)
    factor = 1e10 * flux_per_luminosity(bench.redshift, 70.0, 0.28, None)
    from orchestrator.physics.cosmology import age_of_universe

    today = float(age_of_universe(bench.redshift))
    flux = toolbox.brute_flux(synthetic, edges, today=today, factor=factor)
    error = np.full(len(wave), flux.mean() / 50)
    noisy = flux + np.random.default_rng(17).normal(0, error)
    fit = bench.fit(wave, noisy, error, "linear")
    model = fit.model.model_spectrum(toolbox.at())[0][0]
    pull = (noisy - model) / error
    assert (pull**2).mean() == pytest.approx(1.0, abs=4 * np.sqrt(2 / len(wave)))
    assert abs((pull[1:] * pull[:-1]).mean()) < 4 / np.sqrt(len(wave))


@pytest.mark.parametrize("velscale", [47.0, 70.0])
def test_a_velscale_that_divides_nothing(
    bench: Any, toolbox: Any, wavelength: np.ndarray, data: tuple, velscale: float
) -> None:
    """D18: the peer stops with a broadcast error at 70 km/s. The fit hardly depends on the step."""
    own = bench.fit(wavelength, *data)
    other = bench.fit(wavelength, *data, velscale=velscale)
    assert other.model.velscale == pytest.approx(velscale)
    assert len(other.model.pixels.flux) == len(own.model.pixels.flux)
    assert best_velocity(other, toolbox) == pytest.approx(best_velocity(own, toolbox), abs=0.3)
    assert likelihood(other, toolbox.at()) == pytest.approx(likelihood(own, toolbox.at()), abs=3.0)


# ---- bad pixels --------------------------------------------------------------------------------------------
def damaged(data: tuple, places: np.ndarray, flux: float, error: float | None = None) -> tuple:
    values, errors = data[0].copy(), data[1].copy()
    values[places] = flux if not np.isnan(flux) else np.nan
    if error is not None:
        errors[places] = error
    return values, errors


@pytest.mark.parametrize(
    ("flux", "error", "masked"),
    [
        (np.nan, None, False),
        (np.inf, None, False),
        (1e-13, np.inf, False),
        (1e-13, np.nan, False),
        (1e-13, 0.0, False),
        (1e-13, None, True),
        (np.nan, np.nan, True),
        (-1e-13, np.inf, True),
        (1e-13, 0.0, True),
    ],
)
def test_bad_pixels_leave_no_trace(
    bench: Any,
    toolbox: Any,
    wavelength: np.ndarray,
    data: tuple,
    flux: float,
    error: float | None,
    masked: bool,
) -> None:
    """D13-D15: NaN became zero flux of full weight, masked cosmic rays x 1000 leaked into neighbours."""
    places = np.array([100, 101, 500, 1100])
    mask = bench.folder / "mask.txt"
    weights = np.ones(len(wavelength))
    weights[places] = 0.0
    np.savetxt(mask, weights)
    polynomial = {"legendre_deg": 3, "legendre_mode": "profiled"}
    clean = bench.fit(wavelength, *data, "clean", mask=str(mask), **polynomial)
    broken = bench.fit(
        wavelength, *damaged(data, places, flux, error), "broken", mask=str(mask) if masked else None, **polynomial
    )
    points = toolbox.at(3, los_vel=[0.0, 60.0, 200.0])
    np.testing.assert_allclose(
        broken.model.log_likelihood(points).log_likelihood,
        clean.model.log_likelihood(points).log_likelihood,
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        broken.model.model_spectrum(points)[0], clean.model.model_spectrum(points)[0], rtol=1e-9
    )
    assert len(broken.model.pixels.flux) == len(wavelength) - len(places)


def test_nan_pixels_are_counted(
    bench: Any, wavelength: np.ndarray, data: tuple, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        bench.fit(wavelength, *damaged(data, np.array([3, 900]), np.nan), "nan")
    assert "2 with NaN or infinite flux" in caplog.text


# ---- range, masks, library ---------------------------------------------------------------------------------
def test_range_is_in_the_rest_frame(bench: Any, wavelength: np.ndarray, data: tuple) -> None:
    fit = bench.fit(wavelength, *data, wlRange=[4500.0, 5000.0])
    rest = wavelength / (1 + bench.redshift)
    np.testing.assert_allclose(fit.model.pixels.wavelength, rest[(rest >= 4500) & (rest <= 5000)])


def test_range_without_data_is_an_error(bench: Any, wavelength: np.ndarray, data: tuple) -> None:
    with pytest.raises(DataError, match=r"wlRange 6000-7000 A .* holds no pixel"):
        bench.fit(wavelength, *data, wlRange=[6000.0, 7000.0])


def test_emission_lines_are_masked_where_the_galaxy_has_them(
    bench: Any, wavelength: np.ndarray, data: tuple
) -> None:
    fit = bench.fit(wavelength, *data, mask_emission_lines="T")
    lost = np.setdiff1d(wavelength / (1 + bench.redshift), fit.model.pixels.wavelength)
    for line in (4862.69, 5008.24):  # H beta, [O III]; vacuum
        assert np.any(np.abs(lost / line - 1) * LIGHT_SPEED < 60)
    assert not np.any(np.abs(fit.model.pixels.wavelength / 5008.24 - 1) * LIGHT_SPEED < 500)


def test_library_shorter_than_the_data_is_counted(
    bench: Any, toolbox: Any, synthetic: Any, wavelength: np.ndarray, data: tuple, caplog: Any
) -> None:
    """D16: the peer fits the zeros and the ringing beyond the end of its templates."""
    inside = synthetic.wavelength < 4900
    short = replace(
        synthetic,
        wavelength=synthetic.wavelength[inside],
        flux=synthetic.flux[:, :, inside],
        lsf_fwhm=synthetic.lsf_fwhm[inside],
    )
    file = toolbox.write_library(short, bench.folder / "short.npz")
    with caplog.at_level(logging.WARNING):
        fit = bench.fit(wavelength, *data, SSPModel=str(file))
    lost = len(wavelength) - len(fit.model.pixels.flux)
    assert lost > (wavelength / (1 + bench.redshift) > 4900).sum()
    assert f"{lost} of {len(wavelength)} good pixels are dropped" in caplog.text
    cut = bench.fit(wavelength, *data, wlRange=[4000.0, fit.model.pixels.wavelength[-1] + 0.1])
    assert len(cut.model.pixels.flux) == len(fit.model.pixels.flux)
    # What is left is fitted as if the library went on.
    assert likelihood(fit, toolbox.at()) == pytest.approx(likelihood(cut, toolbox.at()), abs=0.05)


def test_library_elsewhere_is_an_error(bench: Any, wavelength: np.ndarray, data: tuple) -> None:
    with pytest.raises(LibraryError, match="choose another SSPModel or wlRange, or check redshift"):
        bench.fit(wavelength, *data, redshift=1.5)


# ---- air and vacuum, redshift, LSF -------------------------------------------------------------------------
@pytest.mark.parametrize("library_medium", ["vacuum", "air"])
@pytest.mark.parametrize("data_medium", ["vacuum", "air"])
def test_mixing_air_and_vacuum_gives_no_velocity(
    bench: Any, toolbox: Any, synthetic: Any, data_medium: str, library_medium: str
) -> None:
    """D17: the peer finds +86 km/s for vacuum data with a library in air."""
    at_rest = bench.moved(redshift=0.0)
    wave = at_rest.log_pixels(50.0)
    flux, error = at_rest.mock(wave, 100.0)
    written = synthetic
    if library_medium == "air":
        written = replace(synthetic, wavelength=vacuum_to_air(synthetic.wavelength))
    file = toolbox.write_library(written, bench.folder / f"{library_medium}.npz", library_medium)
    given = vacuum_to_air(wave) if data_medium == "air" else wave
    fit = at_rest.fit(given, flux, error, "medium", SSPModel=str(file), wlMedium=data_medium)
    right = best_velocity(at_rest.fit(wave, flux, error, "right"), toolbox)
    assert right == pytest.approx(toolbox.TRUTH["los_vel"], abs=8.0)
    assert best_velocity(fit, toolbox) == pytest.approx(right, abs=0.5)
    wrong = at_rest.fit(vacuum_to_air(wave), flux, error, "wrong", SSPModel=str(file), wlMedium="vacuum")
    assert best_velocity(wrong, toolbox) == pytest.approx(right - 83.0, abs=1.5)


def test_a_wrong_redshift_is_a_velocity(bench: Any, toolbox: Any, wavelength: np.ndarray, data: tuple) -> None:
    right = best_velocity(bench.fit(wavelength, *data), toolbox)
    wrong = best_velocity(bench.fit(wavelength, *data, redshift=bench.redshift - 1e-4), toolbox)
    # The noise moves both alike, by 5 km/s or so.
    assert right == pytest.approx(toolbox.TRUTH["los_vel"], abs=15.0)
    assert wrong - right == pytest.approx(1e-4 / (1 + bench.redshift) * LIGHT_SPEED, abs=0.2)


@pytest.mark.parametrize("redshift", [0.0, 0.5])
def test_lsf_is_divided_by_one_plus_z(bench: Any, toolbox: Any, redshift: float) -> None:
    """D9: an observed FWHM of 4 (1+z) Angstrom gives the same templates at any redshift."""
    moved = bench.moved(redshift=redshift)
    wave = moved.log_pixels()
    lsf = bench.folder / f"lsf_{redshift}.txt"
    np.savetxt(lsf, [[1000.0, 4.0 * (1 + redshift)], [20000.0, 4.0 * (1 + redshift)]])
    fit = moved.fit(wave, np.full(len(wave), 1e-16), 1e-16, "lsf", lsf=str(lsf), distance_mpc=100.0)
    wave_0 = bench.moved(redshift=0.0).log_pixels()
    rest_lsf = bench.folder / "lsf_rest.txt"
    np.savetxt(rest_lsf, [[1000.0, 4.0], [20000.0, 4.0]])
    at_rest = bench.moved(redshift=0.0).fit(
        wave_0, np.full(len(wave_0), 1e-16), 1e-16, "rest", lsf=str(rest_lsf), distance_mpc=100.0
    )
    for one, other in ((fit, at_rest),):
        np.testing.assert_allclose(
            np.abs(one.model.coefficients @ one.model.basis_rfft),
            np.abs(other.model.coefficients @ other.model.basis_rfft),
            rtol=1e-4,
            atol=1e-4,
        )


def test_lsf_of_the_library_can_be_given(bench: Any, toolbox: Any, wavelength: np.ndarray, data: tuple) -> None:
    lsf, ssp_lsf = bench.folder / "lsf_data.txt", bench.folder / "lsf_ssp.txt"
    np.savetxt(lsf, [[3000.0, 5.0], [9000.0, 5.0]])
    np.savetxt(ssp_lsf, [[3000.0, 4.5], [9000.0, 4.5]])
    stated = bench.fit(wavelength, *data, lsf=str(lsf))
    given = bench.fit(wavelength, *data, lsf=str(lsf), SSPLSF=str(ssp_lsf))
    assert abs(likelihood(stated, toolbox.at()) - likelihood(given, toolbox.at())) > 1.0


# ---- every parameter counts --------------------------------------------------------------------------------
@pytest.mark.parametrize("sfh_model", list(MODELS))
@pytest.mark.parametrize("module", ["FullSpectralFit", "SFHSpectra"])
def test_every_parameter_changes_the_likelihood(
    bench: Any, toolbox: Any, wavelength: np.ndarray, data: tuple, sfh_model: str, module: str
) -> None:
    """D4, D5: four of the peer's eight SFH models, and its dust, change nothing."""
    options: dict[str, Any] = {
        "SFHModel": sfh_model,
        "amplitude": "sampled",
        "legendre_deg": 2,
        "legendre_mode": "sampled",
        **NOISE,
    }
    if sfh_model == "FixedMassFracSFH":
        options["SFHArgs"] = [0.3, 0.8]
    if module == "SFHSpectra":
        options |= {"los_sigma": 140.0}
    fit = bench.fit(wavelength, *data, module=module, **options)
    start = {
        **MODELS[sfh_model],
        "ism_metallicity_today": 0.015,
        "alpha_powerlaw": 0.6,
        "log10_stellar_mass": 10.0,
        "legendre_1": 0.0,
        "legendre_2": 0.0,
        "beta": 1.0,
    }
    if module == "FullSpectralFit":
        start |= {"los_vel": 60.0, "los_sigma": 140.0, "los_h3": 0.0, "los_h4": 0.0, "a_v": 0.5}
    reference = likelihood(fit, {key: np.array([start[key[1]]]) for key in keys(toolbox, start)})
    for name, value in start.items():
        changed = start | {name: value * 1.1 + (0.05 if value == 0 else 0.0)}
        found = likelihood(fit, {key: np.array([changed[key[1]]]) for key in keys(toolbox, changed)})
        assert abs(found - reference) > 1e-2, f"{name} has no effect"


def keys(toolbox: Any, names: dict[str, float]) -> list[tuple[str, str]]:
    return [(toolbox.section_of(name), name) for name in names]


@pytest.mark.parametrize(
    ("option", "changes"),
    [("los_vel", 160.0), ("los_sigma", 200.0), ("los_h3", 0.1), ("los_h4", 0.1), ("a_v", 1.0)],
)
def test_every_fixed_value_of_sfh_spectra_changes_the_likelihood(
    bench: Any, toolbox: Any, wavelength: np.ndarray, data: tuple, option: str, changes: float
) -> None:
    base = {"module": "SFHSpectra", "los_sigma": 140.0}
    one = likelihood(bench.fit(wavelength, *data, **base), toolbox.at())
    other = likelihood(bench.fit(wavelength, *data, **(base | {option: changes})), toolbox.at())
    assert abs(one - other) > 1.0


@pytest.mark.parametrize("polynomial", [0, 5])
def test_sfh_spectra_is_full_spectral_fit_at_fixed_kinematics(
    bench: Any, toolbox: Any, wavelength: np.ndarray, data: tuple, polynomial: int
) -> None:
    fixed = {name: toolbox.TRUTH[name] for name in ("los_vel", "los_sigma", "los_h3", "los_h4", "a_v")}
    options = {"legendre_deg": polynomial, "legendre_mode": "profiled"}
    whole = bench.fit(wavelength, *data, **options)
    part = bench.fit(wavelength, *data, module="SFHSpectra", **options, **fixed)
    points = toolbox.at(4, logtau=[-0.5, 0.0, 0.4, 1.0])
    one, other = whole.model.log_likelihood(points), part.model.log_likelihood(points)
    np.testing.assert_allclose(other.log_likelihood, one.log_likelihood, atol=1e-6)
    np.testing.assert_allclose(other.amplitude, one.amplitude, rtol=1e-9)
    np.testing.assert_allclose(
        part.model.model_spectrum(points)[0], whole.model.model_spectrum(points)[0], rtol=1e-9
    )


def test_no_dust_law_is_no_dust(bench: Any, toolbox: Any, wavelength: np.ndarray, data: tuple) -> None:
    """The law is optional, as documented; without it a_v has no effect and is 0."""
    without = bench.fit(wavelength, *data, ExtinctionLaw=None)
    with_law = bench.fit(wavelength, *data)
    assert likelihood(without, toolbox.at(a_v=1.0)) == likelihood(without, toolbox.at(a_v=0.0))
    assert likelihood(without, toolbox.at()) == pytest.approx(likelihood(with_law, toolbox.at(a_v=0.0)), abs=1e-8)


def test_unknown_dust_law_is_an_error(bench: Any, wavelength: np.ndarray, data: tuple) -> None:
    """D20: a law that does not exist is not the same as no dust."""
    with pytest.raises(DataError, match="did you mean 'calzetti00'"):
        bench.fit(wavelength, *data, ExtinctionLaw="calzeti00")


def test_sfh_spectra_wants_a_dispersion(bench: Any, wavelength: np.ndarray, data: tuple) -> None:
    with pytest.raises(ConfigError, match="los_sigma is missing"):
        bench.fit(wavelength, *data, module="SFHSpectra")


def test_without_redshift_the_mass_is_that_of_10_pc(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = flux_per_luminosity(0.0, 70.0, 0.28, None)
    assert "10 pc" in caplog.text
    # The Sun at 10 pc: 3.2e-7 erg/s/cm2 of bolometric flux.
    assert found == pytest.approx(3.199e-7, rel=1e-3)
    assert flux_per_luminosity(0.0, 70.0, 0.28, 1e-5) == pytest.approx(found, rel=1e-12)
