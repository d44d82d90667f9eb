"""Dust with a free law or in two places, as factors on the pixels, and the dust of the Galaxy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from orchestrator.config.module_options import MODULES, parse_options
from orchestrator.errors import DataError
from orchestrator.forward_model.dust_model import foreground_transmission, prepare_dust_model
from orchestrator.physics.attenuation import attenuation_curve

GOOD = np.linspace(3800.0, 6900.0, 60)
COVERED = np.linspace(3700.0, 7000.0, 80)
AGES = np.tile(np.linspace(6.0, 10.1, 9), 2)
BASE = {"inputSpectrum": "a.dat", "SSPModel": "PopStar", "SFHModel": "ExponentialSFH", "ExtinctionLaw": "ccm89"}
SECTION = "dust.extinction"


def options_of(class_name: str = "FullSpectralFit", **choices: Any) -> Any:
    return parse_options(class_name, {key: v for key, v in (BASE | choices).items() if v is not None})


def model_of(class_name: str = "FullSpectralFit", **choices: Any) -> Any:
    return prepare_dust_model(options_of(class_name, **choices), AGES, GOOD, COVERED, 0.1)


def point(**values: Any) -> dict[tuple[str, str], np.ndarray]:
    return {(SECTION, name): np.atleast_1d(np.asarray(value, dtype=float)) for name, value in values.items()}


@pytest.mark.parametrize(
    ("class_name", "choices"),
    [
        ("FullSpectralFit", {}),
        ("FullSpectralFit", {"r_v": 4.0}),
        ("FullSpectralFit", {"ExtinctionLaw": None}),
        ("FullSpectralFit", {"galactic_e_bv": 0.1}),
        ("SFHSpectra", {"los_sigma": 100.0}),
        ("GalaxySpectra", {"ExtinctionLaw": None}),
        ("GalaxySpectra", {"r_v": 3.1}),
    ],
)
def test_one_screen_with_a_fixed_law_needs_no_model(class_name: str, choices: dict[str, Any]) -> None:
    assert model_of(class_name, **choices) is None


@pytest.mark.parametrize(("which", "wavelength"), [("good", GOOD), ("covered", COVERED)])
def test_free_r_v(which: str, wavelength: np.ndarray) -> None:
    model = model_of(r_v_free="T")
    assert [(p.section, p.name) for p in model.parameters] == [(SECTION, "a_v"), (SECTION, "r_v")]
    old, young = model.factors(point(a_v=[0.5, 1.5], r_v=[2.5, 5.0]), which)
    assert young is None
    assert model.young is None
    for i, (a_v, r_v) in enumerate(((0.5, 2.5), (1.5, 5.0))):
        expected = 10 ** (-0.4 * a_v * attenuation_curve("ccm89", wavelength, r_v))
        np.testing.assert_allclose(old[i], expected, rtol=1e-9)


def test_fixed_and_free_shapes() -> None:
    fixed = model_of(ExtinctionLaw="noll09", delta=-0.4)
    curve = attenuation_curve("noll09", GOOD, shape={"delta": -0.4})
    np.testing.assert_allclose(fixed.factors(point(a_v=1.0), "good")[0][0], 10 ** (-0.4 * curve), rtol=1e-12)
    free = model_of(ExtinctionLaw="noll09", delta_free="T", bump_free="T")
    same = free.factors(point(a_v=1.0, delta=-0.4, bump=1.0), "good")[0][0]
    np.testing.assert_allclose(same, 10 ** (-0.4 * curve), rtol=1e-12)


def test_birth_clouds_are_in_front_of_young_stars_alone() -> None:
    model = model_of(birth_cloud="T", birth_cloud_age=20.0)
    np.testing.assert_array_equal(model.young, np.log10(2e7) > AGES)
    old, young = model.factors(point(a_v=0.5, a_v_birth_cloud=1.2), "good")
    np.testing.assert_allclose(old[0], 10 ** (-0.4 * 0.5 * attenuation_curve("ccm89", GOOD)), rtol=1e-12)
    np.testing.assert_allclose(young[0] / old[0], 10 ** (-0.4 * 1.2 * (GOOD / 5500.0) ** -1.3), rtol=1e-12)
    other = model_of(birth_cloud="T", birth_cloud_law="G03_SMCBar")
    old, young = other.factors(point(a_v=0.5, a_v_birth_cloud=1.2), "good")
    expected = 10 ** (-0.4 * 1.2 * attenuation_curve("G03_SMCBar", GOOD))
    np.testing.assert_allclose(young[0] / old[0], expected, rtol=1e-12)


def test_a_library_without_young_stars_is_refused() -> None:
    with pytest.raises(DataError, match=r"birth_cloud_age = 10 Myr: the youngest SSP has 100 Myr"):
        prepare_dust_model(options_of(birth_cloud="T"), AGES + 2.0, GOOD, COVERED, 0.1)


@pytest.mark.parametrize(
    ("choices", "names"),
    [
        ({"r_v_free": "T"}, ("a_v", "r_v")),
        ({"ExtinctionLaw": "G23", "r_v_free": "T", "birth_cloud": "T"}, ("a_v", "r_v", "a_v_birth_cloud")),
        ({"ExtinctionLaw": "kriek13", "delta_free": "T"}, ("a_v", "delta")),
        ({"ExtinctionLaw": "salim18", "delta_free": "T", "bump_free": "T"}, ("a_v", "delta", "bump")),
        ({"ExtinctionLaw": "power_law", "slope_free": "T", "birth_cloud": "T"}, ("a_v", "slope", "a_v_birth_cloud")),
    ],
)
def test_every_parameter_changes_the_light(choices: dict[str, Any], names: tuple[str, ...]) -> None:
    model = model_of(**choices)
    assert {p.name for p in model.parameters} == set(names)
    start = {p.name: p.start for p in model.parameters}

    def light(values: dict[str, float]) -> np.ndarray:
        old, young = model.factors(point(**values), "good")
        return old if young is None else old + young

    for name in names:
        other = {**start, name: start[name] + 0.1}
        assert np.abs(light(other) / light(start) - 1).max() > 1e-5, name


def test_support() -> None:
    model = model_of(ExtinctionLaw="G23", r_v_free="T", birth_cloud="T")
    valid = model.valid(
        point(
            a_v=[0.1, -0.1, 0.1, np.nan, 0.1, 0.1],
            r_v=[3.1, 3.1, 9.0, 3.1, np.nan, 3.1],
            a_v_birth_cloud=[0.0, 0.5, 0.5, 0.5, 0.5, -0.5],
        )
    )
    assert valid.tolist() == [True, False, False, False, False, False]


def test_galaxy_spectra_reads_r_v_where_it_is_given() -> None:
    options = options_of("GalaxySpectra")
    declared = {(p.section, p.name): p for p in MODULES["GalaxySpectra"].declared_parameters(options)}
    assert declared["dust_attenuation.curve", "r_v"].optional
    assert ("dust.extinction", "a_v") not in declared
    model = model_of("GalaxySpectra")
    assert {(p.section, p.name) for p in model.parameters} == {(SECTION, "a_v"), (SECTION, "r_v")}


def test_laws_that_do_not_reach_the_spectrum_are_refused() -> None:
    with pytest.raises(DataError, match="VCG04 is defined from 1250"):
        model_of(ExtinctionLaw="VCG04")
    with pytest.raises(DataError, match="B92_MWAvg is defined"):
        prepare_dust_model(options_of(galactic_e_bv=0.1, galactic_law="B92_MWAvg"), AGES, GOOD, COVERED, 0.5)


def test_emission_of_dust_is_not_for_spectra_in_the_infrared() -> None:
    options = options_of("GalaxySpectra", DustAttenuation="T", DustEmission="T")
    assert prepare_dust_model(options, AGES, GOOD, COVERED, 0.1) is not None
    with pytest.raises(DataError, match="DustEmission = T: the spectrum reaches 21000"):
        prepare_dust_model(options, AGES, GOOD, 3 * COVERED, 0.1)


def test_foreground_is_in_the_observed_frame() -> None:
    observed = np.array([4000.0, 6000.0])
    assert foreground_transmission(options_of(), observed) is None
    passed = foreground_transmission(options_of(galactic_e_bv=0.2), observed)
    expected = 10 ** (-0.4 * 0.2 * 3.1 * attenuation_curve("fitzpatrick99", observed))
    np.testing.assert_allclose(passed, expected, rtol=1e-12)
    recalibrated = foreground_transmission(options_of(galactic_e_bv=0.2, galactic_e_bv_is_sfd="T"), observed)
    np.testing.assert_allclose(recalibrated, expected**0.86, rtol=1e-12)
    other = foreground_transmission(
        options_of(galactic_e_bv=0.2, galactic_law="calzetti00", galactic_r_v=4.5), observed
    )
    expected = 10 ** (-0.4 * 0.2 * 4.5 * attenuation_curve("calzetti00", observed, 4.5))
    np.testing.assert_allclose(other, expected, rtol=1e-12)
