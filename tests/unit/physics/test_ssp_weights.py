"""The projection of star-formation histories on SSP grids against direct integration of the definition."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sfh_reference import all_models, direct_weights, draw, hats

from orchestrator.physics.sfh import (
    DelayedTauSFH,
    ExponentialSFH,
    FixedMassFracSFH,
    LogNormalSFH,
    StarFormationHistory,
    build_sfh,
)
from orchestrator.physics.ssp_weights import prepare_ssp_grid, project_sfh, project_valid, ssp_weights

TODAY = 13.728
# spacings and ranges of the kinds of library in use: many young ages, an oldest one beyond today
LOG_AGES = np.concatenate(
    [
        [5.0, 5.48, 5.7, 5.85],
        np.arange(6.0, 8.0, 0.08),
        [8.0, 8.3, 8.48, 8.7, 8.85, 9.0, 9.18],
        [9.3, 9.48, 9.6, 9.7, 9.78, 9.85, 9.9, 9.95, 10.0, 10.04, 10.08, 10.11, 10.12, 10.13],
        [10.14, 10.15, 10.18],
    ]
)
METALS = np.array([0.0001, 0.0004, 0.004, 0.008, 0.02, 0.05])
MODELS = all_models(TODAY)


@pytest.mark.parametrize("sfh", MODELS, ids=lambda sfh: sfh.name)
def test_weights_are_the_direct_integral_of_the_definition(sfh: StarFormationHistory) -> None:
    values = draw(sfh, 12, seed=5)
    weights = ssp_weights(sfh, values, TODAY, LOG_AGES, METALS)
    for i in range(12):
        one = {k: float(v[i]) for k, v in values.items()}
        expected = direct_weights(sfh.name, one, TODAY, LOG_AGES, METALS)
        # a relative 1e-6 in every SSP with more than a millionth of the mass
        np.testing.assert_allclose(weights[i], expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("sfh", MODELS, ids=lambda sfh: sfh.name)
@pytest.mark.parametrize(
    "log_ages", [np.arange(7.8, 10.26, 0.15), np.array([6.5, 7.5, 8.5, 9.5]), np.array([9.0])]
)
def test_coarse_short_and_single_age_grids(sfh: StarFormationHistory, log_ages: NDArray[np.float64]) -> None:
    values = draw(sfh, 6, seed=6)
    weights = ssp_weights(sfh, values, TODAY, log_ages, METALS)
    assert weights.sum(axis=(1, 2)) == pytest.approx(1.0, abs=1e-12)
    for i in range(6):
        one = {k: float(v[i]) for k, v in values.items()}
        expected = direct_weights(sfh.name, one, TODAY, log_ages, METALS)
        np.testing.assert_allclose(weights[i], expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("sfh", MODELS, ids=lambda sfh: sfh.name)
def test_sum_is_one_and_no_weight_is_negative_over_the_prior(sfh: StarFormationHistory) -> None:
    weights = ssp_weights(sfh, draw(sfh, 1000, seed=7), TODAY, LOG_AGES, METALS)
    assert weights.sum(axis=(1, 2)) == pytest.approx(1.0, abs=1e-12)
    assert weights.min() >= 0.0


def test_constant_rate_has_its_closed_form() -> None:
    sfh = ExponentialSFH(10.0)
    log_ages = np.array([7.0, 8.0, 9.0, 9.5, 10.5])
    weights = ssp_weights(
        sfh,
        {"logtau": 6.0, "ism_metallicity_today": 0.02, "alpha_powerlaw": 0.0},
        10.0,
        log_ages,
        np.array([0.02]),
    )[0, 0]
    age = 10.0 ** (log_ages - 9.0)
    cut = np.minimum(age, 10.0)
    step = np.diff(np.log(age))
    # mass a/10 younger than a; the mean of ln(a) over [a1, a2] by parts
    first_moment = (cut[1:] * np.log(cut[1:] / age[:-1]) - np.diff(cut)) / 10.0 / step
    expected = np.zeros(5)
    expected[0] = cut[0] / 10.0
    expected[1:] += first_moment
    expected[:-1] += np.diff(cut) / 10.0 - first_moment
    # the rate of tau = 1e6 Gyr falls by 1e-5 in 10 Gyr
    assert weights == pytest.approx(expected, rel=1e-5)


def test_young_weights_keep_their_digits_in_an_old_galaxy() -> None:
    tau = 0.3
    sfh = ExponentialSFH(TODAY)
    values = {"logtau": np.log10(tau), "ism_metallicity_today": 0.02, "alpha_powerlaw": 0.0}
    youngest = ssp_weights(sfh, values, TODAY, [5.0, 5.0001, 10.0], METALS)[0].sum(axis=0)[0]
    per_mass = np.exp(-TODAY / tau) / tau / -np.expm1(-TODAY / tau)
    assert 1e-25 < youngest < 1e-23
    # all of the mass younger than 1e5 yr, and half of that in the interval to the next age
    expected = per_mass * 1e-4 * (1.0 + 0.5 * (10.0**1e-4 - 1.0))
    assert youngest == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("sfh", MODELS, ids=lambda sfh: sfh.name)
def test_every_parameter_changes_the_weights(sfh: StarFormationHistory) -> None:
    start = {p.name: np.array([p.start]) for p in sfh.parameters}
    grid = prepare_ssp_grid(LOG_AGES, METALS, TODAY)
    reference = project_sfh(grid, sfh, start)
    for p in sfh.parameters:
        step = 0.02 * (p.upper - p.lower)
        steps = np.array([p.start - step, p.start + step])
        points = {name: np.repeat(value, 2) for name, value in start.items()} | {p.name: steps}
        valid, changed = project_valid(grid, sfh, points)
        assert valid.any()
        assert np.abs(changed[valid] - reference).max(axis=(1, 2)).min() > 1e-4, p.name


def test_quenched_galaxies_have_no_young_stars() -> None:
    for sfh in MODELS:
        if "Quenched" not in sfh.name:
            continue
        values = draw(sfh, 20, seed=10)
        weights = ssp_weights(sfh, values, TODAY, LOG_AGES, METALS).sum(axis=1)
        for i, end in enumerate(values["quenching_time"]):
            # the SSP below the youngest star shares its light
            first = max(np.searchsorted(LOG_AGES, np.log10(max(TODAY - end, 1e-9)) + 9.0) - 1, 0)
            assert np.all(weights[i, :first] == 0.0)
            assert weights[i, first : first + 2].max() > 0.0


def test_small_alpha_does_not_leave_the_cell_before_the_first_stars() -> None:
    # the metallicity of the next poorer SSP would be reached at 1e-22 of the mass
    values = {"logtau": -0.878, "ism_metallicity_today": 0.00956, "alpha_powerlaw": 0.0036}
    weights = ssp_weights(DelayedTauSFH(TODAY), values, TODAY, LOG_AGES, METALS)[0]
    expected = direct_weights("DelayedTauSFH", values, TODAY, LOG_AGES, METALS)
    np.testing.assert_allclose(weights, expected, rtol=1e-8, atol=1e-12)


def test_log_normal_that_has_hardly_begun_keeps_its_oldest_stars() -> None:
    for t0, scale in [(17.5, 0.19), (30.0, 0.1), (30.0, 0.3)]:
        values = {"t0": t0, "scale": scale, "ism_metallicity_today": 0.03, "alpha_powerlaw": 2.0}
        for log_ages in (LOG_AGES, np.arange(7.8, 10.26, 0.15)):
            weights = ssp_weights(LogNormalSFH(TODAY), values, TODAY, log_ages, METALS)[0]
            expected = direct_weights("LogNormalSFH", values, TODAY, log_ages, METALS)
            np.testing.assert_allclose(weights, expected, rtol=1e-6, atol=1e-12)


def test_mass_of_ages_beyond_the_library_goes_to_its_ends() -> None:
    sfh = build_sfh("DelayedTauSFH", today=TODAY)
    values = {"logtau": 0.5, "ism_metallicity_today": 0.02, "alpha_powerlaw": 0.5}
    weights = ssp_weights(sfh, values, TODAY, [9.0, 9.3], METALS)[0].sum(axis=0)
    younger = sfh.young_mass([1.0, 10.0**0.3], values)[0]
    assert weights[0] > younger[0]
    assert weights[1] > 1.0 - younger[1]


def test_ages_above_today_get_no_mass_beyond_the_one_interval_that_today_cuts() -> None:
    sfh = build_sfh("ExponentialSFH", today=3.0)
    values = {"logtau": 0.5, "ism_metallicity_today": 0.02, "alpha_powerlaw": 0.5}
    weights = ssp_weights(sfh, values, 3.0, LOG_AGES, METALS)[0].sum(axis=0)
    first_above = np.searchsorted(LOG_AGES, np.log10(3.0) + 9.0)
    assert weights[first_above] > 0.0
    assert np.all(weights[first_above + 1 :] == 0.0)
    assert weights.sum() == pytest.approx(1.0, abs=1e-13)


@pytest.mark.parametrize(("metallicity", "node"), [(1e-6, 0), (0.5, 5)])
def test_metallicity_is_held_at_the_ends_of_the_library(metallicity: float, node: int) -> None:
    sfh = ExponentialSFH(TODAY)
    values = {"logtau": 0.5, "ism_metallicity_today": metallicity, "alpha_powerlaw": 0.0}
    weights = ssp_weights(sfh, values, TODAY, LOG_AGES, METALS)[0]
    assert weights[node].sum() == pytest.approx(1.0, abs=1e-13)


def test_mean_metallicity_is_that_of_the_closed_box_power_law() -> None:
    fine = np.geomspace(1e-7, 0.1, 3000)
    values = {"logtau": 0.3, "ism_metallicity_today": 0.03, "alpha_powerlaw": 1.5}
    weights = ssp_weights(DelayedTauSFH(TODAY), values, TODAY, LOG_AGES, fine)[0].sum(axis=1)
    assert weights @ fine == pytest.approx(0.03 / 2.5, rel=1e-5)


def test_batch_equals_single_points() -> None:
    grid = prepare_ssp_grid(LOG_AGES, METALS, TODAY)
    for sfh in MODELS:
        values = draw(sfh, 9, seed=8)
        batch = project_sfh(grid, sfh, values)
        for i in range(9):
            single = project_sfh(grid, sfh, {k: v[i : i + 1] for k, v in values.items()})
            assert np.array_equal(single[0], batch[i])


def test_invalid_points_are_nan_and_do_not_touch_the_others() -> None:
    sfh = FixedMassFracSFH(TODAY, mass_fraction=(0.5, 0.9))
    values = {
        "t_at_frac_0.5000": [3.0, 9.0, 3.0],
        "t_at_frac_0.9000": [8.0, 5.0, 8.0],
        "ism_metallicity_today": [0.02, 0.02, np.nan],
        "alpha_powerlaw": [0.5, 0.5, 0.5],
    }
    weights = ssp_weights(sfh, values, TODAY, LOG_AGES, METALS)
    assert np.isnan(weights[1:]).all()
    alone = ssp_weights(sfh, {k: v[:1] for k, v in values.items()}, TODAY, LOG_AGES, METALS)
    assert np.array_equal(weights[0], alone[0])


def test_grids_that_do_not_increase_are_refused() -> None:
    with pytest.raises(ValueError, match="log10_age_yr"):
        prepare_ssp_grid([7.0, 7.0, 8.0], METALS, TODAY)
    with pytest.raises(ValueError, match="metallicity"):
        prepare_ssp_grid(LOG_AGES, METALS[::-1], TODAY)


def test_spectrum_agrees_with_that_of_finely_sampled_particles() -> None:
    """The spectrum, over steep SSPs, against many single-age stars each interpolated in the library."""
    ln_age, ln_z = np.log(10.0) * LOG_AGES[None, :, None], np.log(METALS)[:, None, None]
    wavelength = np.geomspace(1000.0, 20000.0, 60)
    slope = 2.0 * np.log(wavelength / 5500.0) / np.log(10.0)
    flux = np.exp(-(0.75 + 0.15 * slope) * (ln_age - 20.0) - 0.2 * (ln_z + 4.0) * (1.0 - slope))
    for sfh in MODELS:
        values = draw(sfh, 4, seed=9)
        if sfh.name == "LogNormalQuenchedSFH":  # broader ones begin before the first particle
            values["scale"] = np.linspace(0.2, 1.2, 4)
        spectra = np.einsum("pza,zaw->pw", ssp_weights(sfh, values, TODAY, LOG_AGES, METALS), flux)
        age = np.unique(
            np.concatenate(
                [np.geomspace(1e-7, TODAY / 2, 6000), TODAY - np.geomspace(1e-7, TODAY / 2, 6000), [TODAY]]
            )
        )
        mass = np.diff(sfh.young_mass(age, values), axis=1)
        formed = np.maximum(sfh.cumulative_mass(TODAY - 0.5 * (age[1:] + age[:-1]), values), 1e-300)
        ages_of = hats(0.5 * np.log(age[1:] * age[:-1]) + 9.0 * np.log(10.0), ln_age.ravel())
        for i in range(4):
            metallicity = values["alpha_powerlaw"][i] * np.log(formed[i]) + np.log(
                values["ism_metallicity_today"][i]
            )
            weights = np.einsum("i,iz,ia->za", mass[i], hats(metallicity, ln_z.ravel()), ages_of)
            expected = np.einsum("za,zaw->w", weights, flux)
            assert spectra[i] == pytest.approx(expected, rel=1e-3)
