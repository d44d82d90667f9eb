"""Declared parameters follow the options."""

from __future__ import annotations

import pytest

from orchestrator.config.module_options import MODULES, parse_options

SPECTRUM = {"inputSpectrum": "a.dat", "SSPModel": "MIUSCAT", "SFHModel": "ExponentialSFH"}


def declared(class_name, **options):
    given = parse_options(class_name, options)
    return {(p.section, p.name): p for p in MODULES[class_name].declared_parameters(given)}


def test_kin_dust_without_a_law_has_no_dust():
    given = {"inputSpectrum": "a.dat", "SSPModel": "MIUSCAT"}
    parameters = declared("KinDust", **given)
    assert parameters["kinematics", "los_sigma"].upper == 500.0
    assert parameters["dust.extinction", "a_v"].lower == parameters["dust.extinction", "a_v"].upper == 0.0
    assert declared("KinDust", **given, ExtinctionLaw="ccm89")["dust.extinction", "a_v"].upper == 2.0


def test_two_moments_fix_the_higher_ones():
    parameters = declared("KinDust", inputSpectrum="a.dat", SSPModel="MIUSCAT", moments=2)
    assert parameters["kinematics", "los_h3"].upper == parameters["kinematics", "los_h4"].upper == 0.0
    four = declared("KinDust", inputSpectrum="a.dat", SSPModel="MIUSCAT")
    assert (four["kinematics", "los_h3"].lower, four["kinematics", "los_h4"].upper) == (-0.3, 0.3)


def test_polynomials_are_parameters_only_if_sampled():
    sampled = declared("FullSpectralFit", **SPECTRUM, legendre_deg=3)
    names = [name for section, name in sampled if section == "legendre"]
    assert names == ["legendre_1", "legendre_2", "legendre_3"]
    profiled = declared("FullSpectralFit", **SPECTRUM, legendre_deg=3, legendre_mode="profiled")
    assert not [key for key in profiled if key[0] == "legendre"]
    assert not [key for key in declared("SFHSpectra", **SPECTRUM, legendre_deg=3) if key[0] == "legendre"]


@pytest.mark.parametrize("class_name", ["FullSpectralFit", "SFHSpectra"])
def test_mass_and_noise_on_request(class_name):
    plain = declared(class_name, **SPECTRUM)
    assert ("stars.sfh", "log10_stellar_mass") not in plain
    assert ("noise", "beta") not in plain
    full = declared(class_name, **SPECTRUM, amplitude="sampled", NoiseModel="MultiplicativeNoiseModel")
    assert full["stars.sfh", "log10_stellar_mass"].start == 10.0
    assert full["noise", "beta"].lower == 0.01


def test_fixed_kinematics_are_no_parameters():
    assert {section for section, _ in declared("SFHSpectra", **SPECTRUM)} == {"stars.sfh"}


def test_times_end_today():
    given = {**SPECTRUM, "SFHModel": "FixedMassFracSFH", "SFHArgs": [0.5]}
    near = declared("SFHSpectra", **given)["stars.sfh", "t_at_frac_0.5000"].upper
    far = declared("SFHSpectra", **given, redshift=1.0)["stars.sfh", "t_at_frac_0.5000"].upper
    assert 13.6 < near < 13.8
    assert 5.5 < far < 6.5


def test_the_dust_range_stays_inside_the_photometric_grid():
    given = {"inputPhotometry": "a", "SSPModel": "PopStar"}
    given |= {"SFHModel": "ExponentialSFH", "ExtinctionLaw": "ccm89"}
    assert declared("SFHPhotometry", **given, a_v_max=0.5)["dust.extinction", "a_v"].upper == 0.5
    assert declared("SFHPhotometry", **given)["dust.extinction", "a_v"].upper == 2.0
