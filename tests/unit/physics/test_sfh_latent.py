"""Latent parameters of piece-wise histories: every point a history, the inverse exact, the prior as stated."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from orchestrator.errors import ConfigError
from orchestrator.physics.sfh import build_sfh
from orchestrator.physics.sfh_latent import with_prior
from orchestrator.physics.ssp_weights import ssp_weights

TODAY = 12.5
HISTORIES = {
    "FixedTimeSFH": [0.1, 0.5, 2.0, 6.0],
    "FixedTime_sSFR_SFH": [0.1, 0.5, 2.0, 6.0],
    "FixedCosmicTimeSFH": [0.1, 0.5, 2.0, 6.0],
    "FlexibleCosmicTimeSFH": [4],
    "FixedMassFracSFH": [0.2, 0.4, 0.6, 0.9],
}
CASES = [
    (name, prior)
    for name in HISTORIES
    for prior in ("softmax", "dirichlet", "continuity")
    if not (name == "FixedMassFracSFH" and prior == "continuity")
]


def draws(sfh, n, seed=2):
    rng = np.random.default_rng(seed)
    return {p.name: rng.uniform(p.lower, p.upper, n) for p in sfh.parameters}


@pytest.mark.parametrize(("name", "prior"), CASES)
def test_every_point_is_a_history_with_an_exact_inverse(name, prior):
    base = build_sfh(name, HISTORIES[name], TODAY)
    sfh = with_prior(base, prior)
    values = draws(sfh, 2000)
    valid = sfh.valid(values)
    # a heavy tail of the continuity prior has rates that differ by twenty decades, which rounds to no mass
    assert valid.mean() > (0.97 if prior == "continuity" else 0.999)
    with np.errstate(all="ignore"):
        physical = sfh.physical(values)
        back = sfh.latent(physical)
        if name != "FixedMassFracSFH":
            valid &= base.masses(physical).min(axis=1) > 1e-8
    assert valid.mean() > 0.7
    for key, column in values.items():
        np.testing.assert_allclose(back[key][valid], column[valid], rtol=1e-6, atol=1e-7, err_msg=key)


@pytest.mark.parametrize(("name", "prior"), CASES)
def test_the_history_is_that_of_its_physical_parameters(name, prior):
    base = build_sfh(name, HISTORIES[name], TODAY)
    sfh = with_prior(base, prior)
    values = draws(sfh, 40)
    times = np.linspace(0.01, TODAY, 60)
    physical = sfh.physical(values)
    np.testing.assert_array_equal(sfh.cumulative_mass(times, values), base.cumulative_mass(times, physical))
    np.testing.assert_array_equal(sfh.star_formation_rate(times, values), base.star_formation_rate(times, physical))
    np.testing.assert_array_equal(sfh.mass_weighted_age(values), base.mass_weighted_age(physical))
    ages, metals = np.linspace(6.5, 10.1, 12), np.array([0.004, 0.02, 0.05])
    np.testing.assert_array_equal(
        ssp_weights(sfh, values, TODAY, ages, metals), ssp_weights(base, physical, TODAY, ages, metals)
    )


@pytest.mark.parametrize(("name", "prior"), CASES)
def test_every_latent_parameter_moves_the_history(name, prior):
    sfh = with_prior(build_sfh(name, HISTORIES[name], TODAY), prior)
    start = {p.name: np.array([p.start]) for p in sfh.parameters}
    assert sfh.valid(start).all()
    times = np.linspace(0.1, TODAY, 50)
    before = sfh.cumulative_mass(times, start)
    for parameter in sfh.parameters[:-2]:
        step = 0.07 if parameter.start < 0.5 * (parameter.lower + parameter.upper) else -0.07
        moved = {**start, parameter.name: start[parameter.name] + step}
        assert np.abs(sfh.cumulative_mass(times, moved) - before).max() > 1e-3, parameter.name


def test_the_start_is_that_of_the_history():
    base = build_sfh("FixedMassFracSFH", HISTORIES["FixedMassFracSFH"], TODAY)
    sfh = with_prior(base, "dirichlet", 0.7)
    physical = sfh.physical({p.name: p.start for p in sfh.parameters})
    for parameter in base.parameters:
        assert physical[parameter.name][0] == pytest.approx(parameter.start, rel=1e-9)


def test_dirichlet_of_concentration_one_is_uniform_over_ordered_times():
    """Against sorted uniform times, the prior that a box of ordered times means."""
    base = build_sfh("FixedMassFracSFH", HISTORIES["FixedMassFracSFH"], TODAY)
    physical = with_prior(base, "dirichlet").physical(draws(with_prior(base, "dirichlet"), 4000))
    for order, parameter in enumerate(base.parameters[:-2], 1):
        expected = stats.beta(order, 5 - order).cdf
        assert stats.kstest(physical[parameter.name] / TODAY, expected).pvalue > 1e-3


def test_continuity_prior_has_student_steps_in_the_rate():
    """Leja et al. (2019): log10 of the ratio of neighbouring rates is 0.3 times Student's t with 2 degrees."""
    base = build_sfh("FixedTimeSFH", HISTORIES["FixedTimeSFH"], TODAY)
    sfh = with_prior(base, "continuity")
    masses = base.masses(sfh.physical(draws(sfh, 4000)))
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = np.log10(masses / -np.diff([TODAY, *base.edges(), 0.0]))
    steps = rates[np.isfinite(rates).all(axis=1)]
    assert len(steps) > 3900
    for step in (steps[:, :-1] - steps[:, 1:]).T:
        assert stats.kstest(step / 0.3, stats.t(2).cdf).pvalue > 1e-3


def test_outside_and_at_the_ends_there_is_no_history():
    sfh = with_prior(build_sfh("FixedTimeSFH", HISTORIES["FixedTimeSFH"], TODAY), "dirichlet")
    start = {p.name: np.full(4, p.start) for p in sfh.parameters}
    start["dirichlet_2"] = np.array([-0.1, 1.1, np.nan, 0.4])
    assert sfh.valid(start).tolist() == [False, False, False, True]


@pytest.mark.parametrize(("name", "prior"), [("ExponentialSFH", "dirichlet"), ("FixedMassFracSFH", "continuity")])
def test_histories_without_parts_are_refused(name, prior):
    with pytest.raises(ConfigError, match=f"SFHModel = {name} has no .* sfh_prior = {prior}"):
        with_prior(build_sfh(name, HISTORIES.get(name), TODAY), prior)
