"""Names of histories and their arguments, in all their spellings."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.errors import ConfigError
from orchestrator.physics.sfh import build_sfh, parse_sfh_args, split_sfh_args


@pytest.mark.parametrize(
    ("name", "hint"), [("ExponentialSFh", "'ExponentialSFH'"), ("DelayedTau", "'DelayedTauSFH'")]
)
def test_unknown_model_names_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean {hint}"):
        build_sfh(name)


@pytest.mark.parametrize(
    "value",
    [
        [0.1, 0.5, 0.9],
        "0.1, 0.5, 0.9",
        "[0.1,0.5,0.9]",
        "0.1 0.5 0.9",
        ["0.1, 0.5", 0.9],
        (np.float64(0.1), 0.5, 0.9),
        np.array([0.1, 0.5, 0.9]),
    ],
)
def test_arguments_in_all_their_spellings(value: object) -> None:
    assert parse_sfh_args(value) == (0.1, 0.5, 0.9)  # type: ignore[arg-type]
    assert build_sfh("FixedMassFracSFH", value).mass_fraction == (0.1, 0.5, 0.9)  # type: ignore[arg-type,attr-defined]


def test_no_arguments() -> None:
    assert parse_sfh_args(None) == parse_sfh_args("") == parse_sfh_args([]) == parse_sfh_args("[]") == ()
    assert parse_sfh_args(0.5) == (0.5,)


@pytest.mark.parametrize(("name", "args", "message"), [
    ("FixedMassFracSFH", None, "no mass fraction"),
    ("FixedMassFracSFH", "0.1, 1.0", "inside"),
    ("FixedMassFracSFH", "0.1, 0.10001", "equal"),
    ("FixedMassFracSFH", "0.1, half", "'half'"),
    ("FixedMassFracSFH", [0.1, None, True, "nan"], "'nan'"),
    ("ExponentialSFH", "0.1", "takes no arguments"),
])  # fmt: skip
def test_wrong_arguments_are_refused(name: str, args: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_sfh(name, args)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value",
    [
        "0.1, 0.5, logmass_min=-5",
        "0.1 0.5, logmass_min = -5",
        "lookback_time_bins=[0.1, 0.5], logmass_min=-5",
        [0.1, 0.5, "logmass_min=-5"],
        [0.1, 0.5, "logmass_min", "=", -5.0],
        ["0.1, 0.5", {"logmass_min": -5}],
        {"lookback_time_bins": np.array([0.1, 0.5]), "logmass_min": "-5"},
    ],
)
def test_named_arguments_in_all_their_spellings(value: object) -> None:
    numbers, keywords = split_sfh_args(value)  # type: ignore[arg-type]
    assert keywords["logmass_min"] == (-5.0,)
    assert (numbers or keywords["lookback_time_bins"]) == (0.1, 0.5)
    sfh = build_sfh("FixedTimeSFH", value)  # type: ignore[arg-type]
    assert [(p.name, p.lower) for p in sfh.parameters][:2] == [("logmass_at_0.500", -5.0), ("logmass_at_0.100", -5.0)]


@pytest.mark.parametrize(("name", "args", "message"), [
    ("FixedTimeSFH", None, "no lookback time"),
    ("FixedTimeSFH", "0.1, 20", "20.0.*age"),
    ("FixedTimeSFH", "0.1, 0", "0.0.*age"),
    ("FixedTimeSFH", "0.1, 0.1001", "one name"),
    ("FixedTimeSFH", "0.1, log_mass_min=-5", "'log_mass_min'.*'logmass_min'"),
    ("FixedTimeSFH", "0.1, logmass_min=-5 -6", "one number, found 2"),
    ("FixedTimeSFH", "0.1, logmass_min=", "one number, found 0"),
    ("FixedTimeSFH", "0.1, logmass_min=2", "negative"),
    ("FixedTimeSFH", "0.1, logmass_min=-5, logmass_min=-6", "twice"),
    ("FixedTimeSFH", "0.1, lookback_time_bins=0.3", "give it once"),
    ("FixedTime_sSFR_SFH", "1, 1.001", "one name"),
    ("FixedTime_sSFR_SFH", "1, logmass_min=-5", "takes no 'logmass_min'"),
    ("FlexibleCosmicTimeSFH", "2.5", "whole number"),
    ("FlexibleCosmicTimeSFH", None, "one number"),
    ("FlexibleCosmicTimeSFH", "0", "whole number"),
    ("FixedMassFracSFH", "mass_fractions=0.5", "'mass_fraction'"),
    ("DelayedTauQuenchedSFH", "quenching_time=3", "takes no arguments"),
])  # fmt: skip
def test_wrong_arguments_of_the_new_models_are_refused(name: str, args: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_sfh(name, args)  # type: ignore[arg-type]


def test_only_numbers_where_only_numbers_are_asked_for() -> None:
    with pytest.raises(ConfigError, match="'logmass_min'"):
        parse_sfh_args("0.1, logmass_min=-5")
