"""Options of EquivalentWidthFit: what excludes what, and which parameters follow."""

from __future__ import annotations

import pytest

from orchestrator.config.index_options import DEFAULT_INDICES
from orchestrator.config.module_options import MODULES, parse_options
from orchestrator.errors import ConfigError

BASE = {"SSPModel": "MIUSCAT", "SFHModel": "ExponentialSFH", "los_sigma": 150.0}
SPECTRUM = {**BASE, "inputSpectrum": "a.dat"}
TABLE = {**BASE, "inputIndices": "a.txt", "index_resolution": "lick"}


def parse(given, **changes):
    return parse_options("EquivalentWidthFit", {**given, **changes})


def emission(given, **changes):
    declared = MODULES["EquivalentWidthFit"].declared_parameters(parse(given, **changes))
    return [p.name for p in declared if p.section == "emission"]


def test_names_are_checked_and_spelled_as_in_the_table():
    assert parse(SPECTRUM).index_names == DEFAULT_INDICES
    assert parse(SPECTRUM, ew_names="H_beta, Mg_b").index_names == ("Hbeta", "Mgb")
    assert parse(TABLE).index_names == ()
    for names, message in (("Hbta", "did you mean 'Hbeta'"), ("Hbeta H_beta", "more than once: Hbeta")):
        with pytest.raises(ConfigError, match=message):
            parse(SPECTRUM, ew_names=names)


@pytest.mark.parametrize(("given", "expected"), [("data", "data"), ("lick", "lick"), (8.4, 8.4), ("8.4", 8.4)])
def test_resolution(given, expected):
    assert parse(SPECTRUM, index_resolution=given).index_resolution == expected


@pytest.mark.parametrize("given", ["coarse", -1, 0, "nan"])
def test_resolution_that_cannot_be(given):
    with pytest.raises(ConfigError, match="index_resolution"):
        parse(SPECTRUM, index_resolution=given)


@pytest.mark.parametrize(
    ("given", "changes", "message"),
    [
        (BASE, {}, "give one of inputSpectrum"),
        (SPECTRUM, {"inputIndices": "b.txt"}, "give one of inputSpectrum"),
        (SPECTRUM, {"distance_mpc": 10}, "distance_mpc has no effect"),
        (TABLE, {"index_resolution": "data"}, "needs index_resolution"),
        (TABLE, {"wlRange": [4000, 5000], "mask": "m"}, "wlRange, mask would have no effect|mask, wlRange would"),
        (TABLE, {"los_vel": 3}, "los_vel would have no effect"),
        (SPECTRUM, {"balmer_emission": "T", "mask_emission_lines": "T"}, "exclude each other"),
        (SPECTRUM, {"balmer_emission": "T", "ew_names": "Fe5270"}, "balmer_emission = T has no effect on Fe5270"),
        (SPECTRUM, {"oiii_emission": "T"}, "oiii_emission = T has no effect"),
        (SPECTRUM, {"ni_emission": "T", "ew_names": "Hbeta"}, "ni_emission = T has no effect"),
        (SPECTRUM, {"gas_extinction": "T"}, "needs an ExtinctionLaw"),
        (SPECTRUM, {"gas_extinction": "T", "ExtinctionLaw": "ccm89", "ew_names": "Hbeta"}, "another Balmer line"),
        (SPECTRUM, {"gas_extinction": "T", "ExtinctionLaw": "ccm89", "balmer_emission": "F"}, "it needs balmer"),
    ],
)  # fmt: skip
def test_options_that_exclude_each_other(given, changes, message):
    with pytest.raises(ConfigError, match=message):
        parse(given, **changes)


def test_emission_is_sampled_where_an_index_needs_it():
    assert emission(SPECTRUM) == ["ew_hbeta"]
    assert emission(SPECTRUM, balmer_emission="F") == []
    assert emission(SPECTRUM, mask_emission_lines="T") == []
    assert emission(SPECTRUM, ew_names="Mgb Fe5270") == []
    assert emission(SPECTRUM, ew_names="Hbeta Fe5015 Mgb", oiii_emission="T", ni_emission="T") == [
        "ew_hbeta", "ew_oiii", "ew_ni",
    ]  # fmt: skip
    assert emission(SPECTRUM, gas_extinction="T", ExtinctionLaw="ccm89") == ["ew_hbeta", "a_v_gas"]
    assert emission(TABLE) == []
    assert emission(TABLE, balmer_emission="T") == ["ew_hbeta"]


def test_there_is_no_mass():
    declared = MODULES["EquivalentWidthFit"].declared_parameters(parse(SPECTRUM))
    assert not [p for p in declared if "mass" in p.name]
    assert "amplitude" not in MODULES["EquivalentWidthFit"].options.model_fields
