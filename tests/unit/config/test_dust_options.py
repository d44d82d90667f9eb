"""Options of dust: what excludes what, BESTA's switches, and the parameters that follow."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.config.law_table import law_table
from orchestrator.config.module_options import MODULES, parse_options
from orchestrator.config.values import check_values, complete_values, default_values, values_from_mapping
from orchestrator.errors import ConfigError
from orchestrator.physics.dust_laws import LAWS

SPECTRUM = {"inputSpectrum": "a.dat", "SSPModel": "PopStar", "SFHModel": "ExponentialSFH"}
PHOTOMETRY = {"inputPhotometry": "a.txt", "SSPModel": "PopStar", "SFHModel": "ExponentialSFH"}


def options_of(class_name: str, **choices: Any) -> Any:
    return parse_options(class_name, (PHOTOMETRY if "Photometry" in class_name else SPECTRUM) | choices)


def dust_of(class_name: str, **choices: Any) -> dict[tuple[str, str], Any]:
    declared = MODULES[class_name].declared_parameters(options_of(class_name, **choices))
    return {(p.section, p.name): p for p in declared if p.section.startswith("dust")}


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"ExtinctionLaw": "ccm89", "delta_free": "T"}, "laws that have it: kriek13, noll09, salim18"),
        ({"ExtinctionLaw": "fm07", "r_v_free": "T"}, "fm07 has no r_v to choose; laws that have it: calzetti00"),
        ({"ExtinctionLaw": "ccm89", "r_v_free": "T", "r_v": 3.0}, "r_v = 3 fixes what r_v_free = T frees"),
        ({"r_v_free": "T"}, "r_v needs an ExtinctionLaw"),
        ({"birth_cloud": "T"}, "birth_cloud needs an ExtinctionLaw"),
        ({"ExtinctionLaw": "ccm89", "birth_cloud_slope": -0.7}, "has no effect without birth_cloud = T"),
        (
            {"ExtinctionLaw": "ccm89", "birth_cloud": "T", "birth_cloud_law": "ccm8"},
            "birth_cloud_law = 'ccm8' is not an attenuation law; did you mean 'ccm89'",
        ),
        ({"galactic_e_bv": 0.1, "galactic_law": "fitzpatrick9"}, "did you mean 'fitzpatrick99'"),
        ({"galactic_r_v": 3.1}, "galactic_r_v has no effect without galactic_e_bv"),
    ],
)
def test_options_that_cannot_be_are_refused_with_what_to_do(choices: dict[str, Any], message: str) -> None:
    for class_name in ("FullSpectralFit", "SFHPhotometry"):
        with pytest.raises(ConfigError) as caught:
            options_of(class_name, **choices)
        assert message in str(caught.value)


def test_besta_switches() -> None:
    assert dust_of("GalaxySpectra")["dust_attenuation", "a_v"].upper == 0.0
    on = options_of("GalaxySpectra", DustAttenuation="T")
    assert on.extinction_law == "ccm89"
    by_law = options_of("GalaxyPhotometry", ExtinctionLaw="calzetti00")
    assert by_law.extinction_law == "calzetti00"
    off = options_of("GalaxyPhotometry", DustAttenuation=False, ExtinctionLaw="calzetti00")
    assert off.extinction_law is None
    two = options_of("GalaxySpectra", DustAttenuation=True, DustAttenuationModel="CharlotFall00Attenuation")
    assert (two.extinction_law, two.birth_cloud) == ("power_law", True)


def test_a_model_of_attenuation_that_is_not_known_is_refused_by_name() -> None:
    """D20: the peer then has no dust at all, and does not say so."""
    with pytest.raises(ConfigError, match="did you mean 'CharlotFall00Attenuation'"):
        options_of("GalaxySpectra", DustAttenuation="T", DustAttenuationModel="CharlotFall00Attenuatio")
    with pytest.raises(ConfigError, match="needs DustAttenuation = T"):
        options_of("GalaxySpectra", DustAttenuationModel="CharlotFall00Attenuation")


def test_emission_needs_something_absorbed() -> None:
    with pytest.raises(ConfigError, match="must absorb: set ExtinctionLaw, or DustCalorimetric = F"):
        options_of("GalaxyPhotometry", DustEmission="T")
    section = "dust.dust_sed_component"
    balanced = dust_of("GalaxyPhotometry", DustAttenuation="T", DustEmission="T")
    assert [name for s, name in balanced if s == section] == ["t_dust", "alpha", "beta", "lam0"]
    assert all(balanced[section, name].optional for name in ("t_dust", "alpha", "beta", "lam0"))
    free = dust_of("SFHPhotometry", DustEmission="T", DustCalorimetric="F")
    assert (section, "log10_lum_ir") in free
    # a spectrum holds none of it, so these can only stay where they are
    spectrum = dust_of("GalaxySpectra", DustAttenuation="T", DustEmission="T")
    assert all(p.lower == p.upper for (s, _), p in spectrum.items() if s == section)


@pytest.mark.parametrize(
    ("class_name", "given", "right"),
    [
        ("GalaxyPhotometry", "dust.extinction", "dust_attenuation"),
        ("GalaxySpectra", "dust.extinction", "dust_attenuation"),
        ("SFHPhotometry", "dust_attenuation", "dust.extinction"),
    ],
)
def test_the_spelling_of_the_other_modules_is_refused_naming_the_right_one(
    class_name: str, given: str, right: str
) -> None:
    """D5: the peer ignores dust under the name that its manual gives."""
    declared = MODULES[class_name].declared_parameters(options_of(class_name, ExtinctionLaw="ccm89"))
    values = {p.section: {} for p in declared}
    for p in declared:
        values[p.section][p.name] = f"{p.lower!r} {p.start!r} {p.upper!r}"
    values[given] = values.pop(right)
    faults = check_values(values_from_mapping(values, "values"), declared, "values.ini")
    assert any(f"section [{given}]; did you mean '{right}'" in fault for fault in faults)


def test_optional_parameters_may_be_left_out_and_are_held() -> None:
    declared = MODULES["GalaxyPhotometry"].declared_parameters(options_of("GalaxyPhotometry", DustAttenuation="T"))
    values = default_values(declared)
    entry = values.get("dust_attenuation.curve", "r_v")
    assert entry is not None
    assert (entry.is_fixed, entry.start) == (True, 3.1)
    given = {p.section: {} for p in declared if not p.optional}
    for p in declared:
        if not p.optional:
            given[p.section][p.name] = f"{p.lower!r} {p.start!r} {p.upper!r}"
    read = values_from_mapping(given, "values")
    assert check_values(read, declared, "values.ini") == []
    completed = complete_values(read, declared).get("dust_attenuation.curve", "r_v")
    assert completed is not None
    assert completed.start == 3.1


def test_free_quantities_are_parameters() -> None:
    free = dust_of("FullSpectralFit", ExtinctionLaw="G23", r_v_free="T", birth_cloud="T")
    assert (free["dust.extinction", "r_v"].lower, free["dust.extinction", "r_v"].upper) == (2.3, 5.6)
    assert "younger than 10 Myr" in free["dust.extinction", "a_v_birth_cloud"].meaning
    galaxy = dust_of("GalaxySpectra", ExtinctionLaw="noll09", delta_free="T", bump_free="T")
    assert list(galaxy) == [
        ("dust_attenuation", "a_v"), ("dust_attenuation.curve", "delta"), ("dust_attenuation.curve", "bump")
    ]
    fixed = dust_of("GalaxySpectra", ExtinctionLaw="ccm89", r_v=3.3)
    assert list(fixed) == [("dust_attenuation", "a_v")]


def test_the_table_of_laws_lists_all() -> None:
    table = law_table()
    assert all(f"| `{name}` |" in table for name in LAWS)
