"""The star-formation histories against closed forms, scipy and their own derivatives and inverses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.interpolate import PchipInterpolator
from scipy.stats import norm
from sfh_reference import all_models, draw, history

from orchestrator.errors import ConfigError
from orchestrator.physics.cosmology import age_of_universe
from orchestrator.physics.pchip_kernels import pchip_evaluate, pchip_slopes
from orchestrator.physics.sfh import (
    SFH_MODELS,
    DelayedTauSFH,
    ExponentialSFH,
    FixedMassFracSFH,
    LogNormalSFH,
    StarFormationHistory,
    build_sfh,
)

TODAY = 13.728
TIMES = np.concatenate([[0.0], np.geomspace(1e-3, TODAY, 60)])
METALS = {"ism_metallicity_today": 0.02, "alpha_powerlaw": 0.5}
MODELS = [
    ExponentialSFH(TODAY),
    DelayedTauSFH(TODAY),
    LogNormalSFH(TODAY),
    FixedMassFracSFH(TODAY, mass_fraction=(0.1, 0.5, 0.9)),
]
ALL = all_models(TODAY)


def one_point(values: dict[str, NDArray[np.float64]], i: int) -> dict[str, float]:
    return {name: float(array[i]) for name, array in values.items()}


@pytest.mark.parametrize("logtau", [-3.0, -1.0, 0.0, 0.5, 1.7, 5.0])
def test_tau_models_have_their_closed_forms(logtau: float) -> None:
    tau, values = 10.0**logtau, {"logtau": logtau, **METALS}
    u = TIMES / tau
    exponential = np.expm1(-u) / np.expm1(-TODAY / tau)
    assert ExponentialSFH(TODAY).cumulative_mass(TIMES, values)[0] == pytest.approx(exponential, abs=1e-10)
    with np.errstate(under="ignore"):
        delayed = 1.0 - np.exp(-u) * (1.0 + u)
    tolerance = 1e-12 / delayed[-1] + 1e-10
    assert DelayedTauSFH(TODAY).cumulative_mass(TIMES, values)[0] == pytest.approx(
        delayed / delayed[-1], abs=tolerance
    )


@pytest.mark.parametrize(
    ("t0", "scale"), [(3.0, 0.5), (0.1, 3.0), (30.0, 0.1), (30.0, 3.0), (0.1, 0.1), (13.7, 0.3)]
)
def test_log_normal_has_its_closed_form(t0: float, scale: float) -> None:
    values = {"t0": t0, "scale": scale, **METALS}
    expected = norm.cdf(np.log(TIMES[1:] / t0) / scale) / norm.cdf(np.log(TODAY / t0) / scale)
    assert LogNormalSFH(TODAY).cumulative_mass(TIMES[1:], values)[0] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("n_knots", [2, 3, 4, 9])
def test_pchip_is_that_of_scipy(n_knots: int) -> None:
    rng = np.random.default_rng(n_knots)
    x = np.sort(rng.uniform(0.0, 10.0, (20, n_knots)), axis=1)
    for y in (np.sort(rng.uniform(0.0, 1.0, n_knots)), rng.normal(size=n_knots)):
        slopes = pchip_slopes(x, y[None])
        for i in range(20):
            at = np.linspace(x[i, 0], x[i, -1], 101)
            reference = PchipInterpolator(x[i], y)
            scale = max(1.0, np.abs(reference(x[i], 1)).max())
            assert pchip_evaluate(x[i : i + 1], y[None], slopes[i : i + 1], at[None], False)[0] == pytest.approx(
                reference(at), abs=1e-12
            )
            assert pchip_evaluate(x[i : i + 1], y[None], slopes[i : i + 1], at[None], True)[0] == pytest.approx(
                reference(at, 1), abs=1e-11 * scale
            )


def test_fixed_mass_fractions_are_a_pchip_through_the_given_points() -> None:
    sfh = FixedMassFracSFH(TODAY, mass_fraction=(0.9, 0.1, 0.5))
    values = {"t_at_frac_0.1000": 0.7, "t_at_frac_0.5000": 4.0, "t_at_frac_0.9000": 9.5, **METALS}
    reference = PchipInterpolator([0.0, 0.7, 4.0, 9.5, TODAY], [0.0, 0.1, 0.5, 0.9, 1.0])
    assert sfh.cumulative_mass(TIMES, values)[0] == pytest.approx(reference(TIMES), abs=1e-12)
    assert sfh.formation_time([0.1, 0.5, 0.9], values)[0] == pytest.approx([0.7, 4.0, 9.5], abs=1e-11)
    assert sfh.breakpoints(values)[0] == pytest.approx([0.7, 4.0, 9.5], abs=1e-14)


@pytest.mark.parametrize("sfh", ALL, ids=lambda sfh: sfh.name)
def test_mass_rises_from_nothing_to_one(sfh: StarFormationHistory) -> None:
    mass = sfh.cumulative_mass(np.linspace(0.0, TODAY, 400), draw(sfh, 200, seed=1))
    assert mass.shape == (200, 400)
    assert np.all(mass[:, 0] == 0.0)
    assert np.all(mass[:, -1] == 1.0)
    assert np.diff(mass, axis=1).min() >= -1e-13


@pytest.mark.parametrize("sfh", ALL, ids=lambda sfh: sfh.name)
def test_rate_is_the_derivative_of_the_mass(sfh: StarFormationHistory) -> None:
    values = draw(sfh, 30, seed=2)
    edges = np.linspace(0.05, TODAY, 4001)
    middle = 0.5 * (edges[1:] + edges[:-1])
    slope = np.diff(sfh.cumulative_mass(edges, values), axis=1) / np.diff(edges)
    rate = sfh.star_formation_rate(middle, values)
    # all but the cells with a kink or a steep rise
    assert np.quantile(np.abs(rate - slope), 0.95) < 1e-4
    assert np.median(np.abs(rate - slope)) < 1e-6
    assert np.all(sfh.star_formation_rate([-1.0, 0.0, TODAY + 0.1], values) == 0.0)


@pytest.mark.parametrize("sfh", ALL, ids=lambda sfh: sfh.name)
def test_formation_times_invert_the_mass(sfh: StarFormationHistory) -> None:
    values = draw(sfh, 100, seed=3)
    times = sfh.formation_time([0.5, 0.9], values)
    # within a micro-year of the big bang the lookback time has not the digits to tell when
    late = times > 1e-6
    assert late.mean() > 0.5
    expected = np.tile([0.5, 0.9], (100, 1))
    assert sfh.cumulative_mass(times, values)[late] == pytest.approx(expected[late], abs=1e-9)
    with pytest.raises(ValueError, match="fraction"):
        sfh.formation_time([1.2], values)


@pytest.mark.parametrize("sfh", ALL, ids=lambda sfh: sfh.name)
def test_mass_weighted_age_is_the_integral_of_the_mass(sfh: StarFormationHistory) -> None:
    values = draw(sfh, 8, seed=4)
    ages = sfh.mass_weighted_age(values)
    for i in range(8):
        mass = history(sfh.name, one_point(values, i), TODAY).mass
        kinks = sfh.breakpoints(one_point(values, i))[0]
        edges = np.sort([0.0, *(TODAY * np.geomspace(1e-8, 0.5, 30)), *kinks, TODAY])
        expected = sum(
            quad(mass, a, b, epsrel=1e-11, epsabs=1e-12)[0] for a, b in zip(edges[:-1], edges[1:], strict=True)
        )
        assert ages[i] == pytest.approx(expected, abs=1e-8)


def test_young_mass_keeps_its_digits() -> None:
    # the last 1e5 yr of an old galaxy: 1 - M(t) would be exactly zero
    values = {"logtau": np.log10(0.3), **METALS}
    lookback = np.array([1e-4, 1e-3, 1e-2])
    rate_today = np.exp(-TODAY / 0.3) / 0.3
    young = ExponentialSFH(TODAY).young_mass(lookback, values)[0]
    assert young == pytest.approx(rate_today * 0.3 * np.expm1(lookback / 0.3), rel=1e-12)
    delayed = DelayedTauSFH(TODAY).young_mass([1e-9], values)[0, 0]
    assert delayed == pytest.approx(1e-9 * rate_today * TODAY / 0.3, rel=1e-7)
    normal = LogNormalSFH(TODAY).young_mass([1e-9], {"t0": 0.2, "scale": 0.5, **METALS})[0, 0]
    density = norm.pdf(np.log(TODAY / 0.2) / 0.5) / (0.5 * TODAY)
    assert normal == pytest.approx(1e-9 * density, rel=1e-7)


@pytest.mark.parametrize("sfh", ALL, ids=lambda sfh: sfh.name)
def test_start_is_valid_and_inside_the_range_at_any_redshift(sfh: StarFormationHistory) -> None:
    for redshift in (0.0, 0.5, 3.0, 8.0):
        now = float(age_of_universe(redshift))
        scaled = {
            name: tuple(time * now / TODAY for time in getattr(sfh, name))
            for name in ("lookback_time", "lookback_time_bins")
            if hasattr(sfh, name)
        }
        model = dataclasses.replace(sfh, today=now, **scaled)
        start = {p.name: p.start for p in model.parameters}
        assert model.valid(start).all()
        for p in model.parameters:
            assert p.lower < p.start < p.upper
            assert p.section == "stars.sfh"
            assert p.meaning


def test_parameters_have_the_names_and_ranges_of_besta() -> None:
    ranges = {p.name: (p.lower, p.start, p.upper) for p in build_sfh("LogNormalSFH").parameters}
    assert ranges == {
        "t0": (0.1, 3.0, 30.0),
        "scale": (0.1, 0.5, 3.0),
        "ism_metallicity_today": (0.005, 0.01, 0.08),
        "alpha_powerlaw": (0.0, 1.0, 10.0),
    }
    for name in ("ExponentialSFH", "DelayedTauSFH"):
        ranges = {p.name: (p.lower, p.start, p.upper) for p in build_sfh(name).parameters}
        assert ranges == {
            "logtau": (-1.0, 0.5, 1.7),
            "ism_metallicity_today": (0.005, 0.01, 0.08),
            "alpha_powerlaw": (0.0, 0.5, 3.0),
        }
    names = [p.name for p in build_sfh("FixedMassFracSFH", "0.5, 0.98765").parameters]
    assert names[:2] == ["t_at_frac_0.5000", "t_at_frac_0.9877"]


def test_models_share_no_state() -> None:
    before = build_sfh("ExponentialSFH").parameters
    build_sfh("FixedMassFracSFH", [0.1, 0.9])
    build_sfh("LogNormalSFH")
    assert build_sfh("ExponentialSFH").parameters == before
    assert [p.name for p in build_sfh("FixedMassFracSFH", [0.3]).parameters][0] == "t_at_frac_0.3000"
    assert len(build_sfh("FixedMassFracSFH", [0.3]).parameters) == 3
    with pytest.raises(dataclasses.FrozenInstanceError):
        build_sfh("ExponentialSFH").today = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    "times",
    [
        (5.0, 4.0, 9.0),
        (4.0, 4.0, 9.0),
        (0.0, 4.0, 9.0),
        (1.0, 4.0, TODAY),
        (-1.0, 4.0, 9.0),
        (1.0, np.nan, 9.0),
        (1.0, 4.0, np.inf),
    ],
)
def test_times_out_of_order_or_range_are_not_valid(times: tuple[float, float, float]) -> None:
    sfh = MODELS[3]
    names = [p.name for p in sfh.parameters][:3]
    values = {
        name: np.array([time, good]) for name, time, good in zip(names, times, (1.0, 4.0, 9.0), strict=True)
    }
    values |= METALS
    assert sfh.valid(values).tolist() == [False, True]
    mass = sfh.cumulative_mass([2.0], values)
    assert np.isnan(mass[0, 0])
    assert 0.1 < mass[1, 0] < 0.5
    assert np.isnan(sfh.formation_time([0.5], values)[0, 0])
    assert np.isnan(sfh.star_formation_rate([0.5], values)[0, 0])
    assert np.isnan(sfh.mass_weighted_age(values)[0])


@pytest.mark.parametrize(("sfh", "bad"), [
    (MODELS[0], {"logtau": np.nan}), (MODELS[0], {"logtau": 400.0}), (MODELS[1], {"logtau": -300.0}),
    (MODELS[2], {"scale": 0.0}), (MODELS[2], {"t0": -1.0}), (MODELS[2], {"t0": 1e5, "scale": 0.1}),
    (MODELS[0], {"alpha_powerlaw": -0.1}), (MODELS[0], {"ism_metallicity_today": 0.0}),
])  # fmt: skip
def test_values_outside_the_support_are_not_valid(sfh: StarFormationHistory, bad: dict[str, float]) -> None:
    start = {p.name: p.start for p in sfh.parameters}
    assert not sfh.valid({**start, **bad}).any()
    assert np.isnan(sfh.cumulative_mass(TIMES, {**start, **bad})).all()


def test_today_of_a_call_replaces_that_of_the_model() -> None:
    values = {"logtau": 0.3, **METALS}
    here = ExponentialSFH(TODAY).cumulative_mass(TIMES[:40], values, today=5.0)
    assert np.array_equal(here, ExponentialSFH(5.0).cumulative_mass(TIMES[:40], values))


def test_missing_parameter_is_named() -> None:
    with pytest.raises(ConfigError, match="'logtau'.*'log_tau'"):
        ExponentialSFH(TODAY).cumulative_mass(TIMES, {"log_tau": 0.5, **METALS})


def test_registry_holds_the_models_under_their_names() -> None:
    public = {
        "DelayedTauQuenchedSFH", "DelayedTauSFH", "ExponentialSFH", "FixedCosmicTimeSFH", "FixedMassFracSFH",
        "FixedTimeSFH", "FixedTime_sSFR_SFH", "FlexibleCosmicTimeSFH", "LogNormalQuenchedSFH", "LogNormalSFH",
    }  # fmt: skip
    assert public < set(SFH_MODELS)
    assert {sfh.name for sfh in ALL} == set(SFH_MODELS)
    assert all(SFH_MODELS[name].name == name for name in SFH_MODELS)


# ---- all histories against scipy ---------------------------------------------------------------------------
@pytest.mark.parametrize("sfh", ALL, ids=lambda sfh: sfh.name)
def test_mass_and_rate_are_those_of_the_definition(sfh: StarFormationHistory) -> None:
    values = draw(sfh, 20, seed=6)
    mass, rate = sfh.cumulative_mass(TIMES, values), sfh.star_formation_rate(TIMES[1:-1], values)
    for i in range(20):
        expected = history(sfh.name, one_point(values, i), TODAY)
        assert mass[i] == pytest.approx(expected.mass(TIMES), abs=2e-10)
        assert rate[i] == pytest.approx(expected.rate(TIMES[1:-1]), rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("sfh", ALL, ids=lambda sfh: sfh.name)
def test_breakpoints_are_where_the_rate_is_not_smooth(sfh: StarFormationHistory) -> None:
    values = draw(sfh, 5, seed=7)
    for i in range(5):
        expected = history(sfh.name, one_point(values, i), TODAY).breaks
        assert sfh.breakpoints(values)[i] == pytest.approx(expected, abs=1e-12)


QUENCHED = [sfh for sfh in ALL if "Quenched" in sfh.name]


@pytest.mark.parametrize("sfh", QUENCHED, ids=lambda sfh: sfh.name)
def test_quenched_history_is_its_parent_seen_at_the_quenching_time(sfh: StarFormationHistory) -> None:
    values = draw(sfh, 10, seed=8)
    parent = SFH_MODELS[sfh.name.replace("Quenched", "")](TODAY)
    for i, end in enumerate(values["quenching_time"]):
        one = one_point(values, i)
        before = TIMES[end > TIMES]
        expected = parent.cumulative_mass(before, one, today=end)[0]
        assert sfh.cumulative_mass(before, one)[0] == pytest.approx(expected, abs=1e-12)
        assert sfh.mass_weighted_age(one)[0] == pytest.approx(parent.mass_weighted_age(one, end)[0] + TODAY - end)
    lookback = np.linspace(0.0, TODAY, 50)
    young = sfh.young_mass(lookback, values)
    rate = sfh.star_formation_rate(TODAY - lookback, values)
    passive = TODAY - lookback > values["quenching_time"][:, None]
    assert passive.any()
    assert np.all(young[passive] == 0.0)
    assert np.all(rate[passive] == 0.0)


@pytest.mark.parametrize("sfh", QUENCHED, ids=lambda sfh: sfh.name)
def test_quenching_after_today_or_at_the_big_bang_is_no_history(sfh: StarFormationHistory) -> None:
    start = {p.name: p.start for p in sfh.parameters}
    times = np.array([-1.0, 0.0, 1.0, TODAY, np.nextafter(TODAY, 20.0), 20.0])
    assert sfh.valid({**start, "quenching_time": times}).tolist() == [False, False, True, True, False, False]
    parent = SFH_MODELS[sfh.name.replace("Quenched", "")](TODAY)
    at_today = sfh.cumulative_mass(TIMES, {**start, "quenching_time": TODAY})
    assert at_today == pytest.approx(parent.cumulative_mass(TIMES, start), abs=1e-14)


def test_extreme_quenching_keeps_its_digits() -> None:
    # a rate that rises with t over 1e-6 of an e-folding time: M(t) = (t / end)^2
    values = {"logtau": 1.7, "quenching_time": 5e-5, **METALS}
    mass = build_sfh("DelayedTauQuenchedSFH", today=TODAY).cumulative_mass([1e-5, 2.5e-5], values)[0]
    assert mass == pytest.approx([0.04, 0.25], rel=1e-5)
