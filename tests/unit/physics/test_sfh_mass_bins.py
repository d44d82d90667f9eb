"""Histories with the masses formed in bins of time: parameters, masses, support."""

from __future__ import annotations

import numpy as np
import pytest
from sfh_reference import all_models

from orchestrator.physics.cosmology import age_of_universe
from orchestrator.physics.sfh import MassBinsSFH, build_sfh

TODAY = 13.728
METALS = {"ism_metallicity_today": 0.02, "alpha_powerlaw": 0.5}
BINS = [sfh for sfh in all_models(TODAY) if isinstance(sfh, MassBinsSFH)]


@pytest.mark.parametrize("sfh", BINS, ids=lambda sfh: sfh.name)
def test_masses_of_the_bins_and_their_parameters_are_inverse(sfh: MassBinsSFH) -> None:
    rng = np.random.default_rng(9)
    masses = rng.dirichlet(np.full(6, 0.7), 50)
    own = sfh.values_of_masses(masses)
    values = {**own, "ism_metallicity_today": np.full(50, 0.02), "alpha_powerlaw": np.full(50, 0.5)}
    assert sfh.valid(values).all()
    assert sfh.masses(values) == pytest.approx(masses, abs=1e-13)
    formed = sfh.cumulative_mass(TODAY - np.array(sfh.edges()), values)
    assert formed == pytest.approx(np.cumsum(masses, axis=1)[:, :-1], abs=1e-13)
    again = sfh.values_of_masses(3.0 * sfh.masses(values))
    for name in sfh.bin_names:
        assert again[name] == pytest.approx(own[name], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("sfh", BINS, ids=lambda sfh: sfh.name)
def test_mass_in_one_bin_only_is_a_history(sfh: MassBinsSFH) -> None:
    for bin_index in range(6):
        masses = np.full((1, 6), 1e-13)
        masses[0, bin_index] = 1.0
        values = {**sfh.values_of_masses(masses), "ism_metallicity_today": 0.02, "alpha_powerlaw": 0.5}
        values = {name: float(np.ravel(value)[0]) for name, value in values.items()}
        if sfh.name == "FixedTimeSFH":
            values |= {name: values[name] - 1e-9 for name in sfh.bin_names}
        assert sfh.valid(values).all()
        assert sfh.masses(values)[0] == pytest.approx(masses[0], abs=1e-8)


def test_parameters_of_the_bins_have_the_names_and_ranges_of_besta() -> None:
    today = float(age_of_universe(0.0))
    ranges = {p.name: (p.lower, p.upper) for p in build_sfh("FixedTimeSFH", "0.5, 5, 1").parameters}
    assert list(ranges)[:3] == ["logmass_at_5.000", "logmass_at_1.000", "logmass_at_0.500"]
    assert set(list(ranges.values())[:3]) == {(-6.0, 0.0)}
    rates = build_sfh("FixedTime_sSFR_SFH", "0.5, 5, 1").parameters
    assert [p.name for p in rates][:3] == [
        "logssfr_over_9.70_logyr", "logssfr_over_9.00_logyr", "logssfr_over_8.70_logyr",
    ]  # fmt: skip
    assert [p.upper for p in rates[:3]] == pytest.approx([-9.69897, -9.0, -8.69897], abs=1e-5)
    assert all((p.lower, p.start) == (-14.0, pytest.approx(-9.0 - np.log10(today))) for p in rates[:3])
    shares = build_sfh("FixedCosmicTimeSFH", "0.5, 5").parameters[:2]
    assert [(p.name, p.lower, p.start, p.upper) for p in shares] == [
        ("coeff_at_5.000", 0.0, 0.5, 1.0), ("coeff_at_0.500", 0.0, 0.5, 1.0),
    ]  # fmt: skip
    flexible = build_sfh("FlexibleCosmicTimeSFH", "3")
    assert [p.name for p in flexible.parameters][:3] == ["coeff_1", "coeff_2", "coeff_3"]
    assert isinstance(flexible, MassBinsSFH)
    assert flexible.edges() == pytest.approx(np.geomspace(today, 0.05, 4)[1:])


def test_parameters_of_the_quenched_models_are_in_gyr_and_end_today() -> None:
    for name in ("DelayedTauQuenchedSFH", "LogNormalQuenchedSFH", "ExponentialQuenchedSFH"):
        found = {p.name: p for p in build_sfh(name, today=10.0).parameters}["quenching_time"]
        assert (found.start, found.upper, found.unit) == (5.0, 10.0, "Gyr")
    ranges = {p.name: (p.lower, p.start, p.upper) for p in build_sfh("LogNormalQuenchedSFH", today=10.0).parameters}
    assert ranges["scale"] == (0.1, 3.0, 50.0)
    assert ranges["t0"] == (0.1, 5.0, 10.0)


def test_bins_that_hold_more_than_all_or_lose_mass_are_no_history() -> None:
    masses = build_sfh("FixedTimeSFH", "1, 5", TODAY)
    half = np.log10(0.5)
    values = {"logmass_at_5.000": np.array([half, half]), "logmass_at_1.000": np.array([half, half + 1e-9]), **METALS}
    assert masses.valid(values).tolist() == [True, False]
    assert np.isnan(masses.cumulative_mass([3.0], values)[1, 0])
    rates = build_sfh("FixedTime_sSFR_SFH", "1, 5", TODAY)
    values = {
        "logssfr_over_9.70_logyr": np.array([-10.0, -10.0, -9.6]),
        "logssfr_over_9.00_logyr": np.array([-9.5, -9.2, -9.7]),
        **METALS,
    }
    # of the last 5 Gyr's half of the mass, 0.32 and 0.63 in the last Gyr; more than all of it
    assert rates.valid(values).tolist() == [True, False, False]
    shares = build_sfh("FixedCosmicTimeSFH", "1, 5", TODAY)
    values = {"coeff_at_5.000": np.array([0.0, 1.0, 1.1]), "coeff_at_1.000": np.array([1.0, 0.0, 0.5]), **METALS}
    assert shares.valid(values).tolist() == [True, True, False]


def test_bins_older_than_the_universe_of_a_call_are_no_history() -> None:
    sfh = build_sfh("FixedTimeSFH", "1, 5", TODAY)
    start = {p.name: p.start for p in sfh.parameters}
    assert sfh.valid(start, today=6.0).all()
    assert not sfh.valid(start, today=4.0).any()
    assert np.isnan(sfh.mass_weighted_age(start, today=4.0)).all()
    assert np.isnan(sfh.cumulative_mass([1.0], start, today=4.0)).all()


