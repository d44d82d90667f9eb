"""Handover rules: every name must match something."""

from __future__ import annotations

import pytest

from orchestrator.config.check import build_stages
from orchestrator.errors import ConfigError


def rules(configs, directory):
    return build_stages(configs, directory=directory)[-1].handover


def fault(configs, directory):
    with pytest.raises(ConfigError) as caught:
        build_stages(configs, directory=directory)
    (text,) = caught.value.faults
    return text


@pytest.fixture
def again(kin_dust):
    """A second stage with the parameters of the first."""
    return {**kin_dust, "output": {"filename": "results/again"}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"kinematics": "fix"}, {"kinematics": "fix"}),
        ({"kinematics--los_sigma": "start"}, {"kinematics--los_sigma": "start"}),
        ({"kinematics/los_sigma": "Start"}, {"kinematics--los_sigma": "start"}),
        ({"los_sigma": "fix"}, {"kinematics--los_sigma": "fix"}),
        ({"LOS_VEL": "none"}, {"kinematics--los_vel": "none"}),
        ({}, {}),
    ],
)
def test_names_in_every_form(kin_dust, again, tmp_path, given, expected):
    again["handover"] = given
    assert rules([kin_dust, again], tmp_path) == expected


def test_module_options(kin_dust, sfh_spectra, tmp_path):
    sfh_spectra["handover"] = {"los_sigma": "fix", "kinematics--los_vel": "none"}
    assert rules([kin_dust, sfh_spectra], tmp_path) == {"los_sigma": "fix", "los_vel": "none"}
    sfh_spectra["handover"] = {"los_sigma": "prior"}
    assert "los_sigma is a fixed option here and not a parameter" in fault([kin_dust, sfh_spectra], tmp_path)


def test_a_section_means_the_options_that_come_from_it(kin_dust, sfh_spectra, tmp_path):
    sfh_spectra["handover"] = {"kinematics": "fix"}
    expected = dict.fromkeys(["los_h3", "los_h4", "los_sigma", "los_vel"], "fix")
    assert rules([kin_dust, sfh_spectra], tmp_path) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"los_sgma": "fix"}, "'los_sgma' is no section, parameter or option here; did you mean 'los_sigma'"),
        ({"stars--los_sigma": "fix"}, "'stars--los_sigma' is no section"),
        ({"los_sigma": "fixed"}, "los_sigma = 'fixed': expected one of start, fix, prior, prior_tabulated"),
    ],
)
def test_names_and_rules_that_do_not_exist(kin_dust, again, tmp_path, given, expected):
    again["handover"] = given
    assert expected in fault([kin_dust, again], tmp_path)


def test_the_first_stage_receives_nothing(kin_dust, tmp_path):
    kin_dust["handover"] = {"kinematics": "fix"}
    assert "the first stage has no earlier one" in fault([kin_dust], tmp_path)


def test_nothing_comes_from_earlier_stages(kin_dust, sfh_spectra, tmp_path):
    third = {**sfh_spectra, "output": {"filename": "results/third"}, "handover": {"logtau": "fix"}}
    third["SFHSpectra"] = {**sfh_spectra["SFHSpectra"], "SFHModel": "ExponentialSFH", "SFHArgs": []}
    assert "no earlier stage fits it" in fault([kin_dust, sfh_spectra, third], tmp_path)
    third["handover"] = {"ism_metallicity_today": "prior"}
    assert rules([kin_dust, sfh_spectra, third], tmp_path) == {"stars.sfh--ism_metallicity_today": "prior"}


def test_a_dispersion_must_come_from_somewhere(kin_dust, sfh_spectra, tmp_path):
    expected = "[SFHSpectra] los_sigma is missing: give it in km/s, or let an earlier stage (KinDust)"
    assert expected in fault([sfh_spectra], tmp_path)
    blocked = {**sfh_spectra, "handover": {"los_sigma": "none"}}
    assert expected in fault([kin_dust, blocked], tmp_path)
    sfh_spectra["SFHSpectra"]["los_sigma"] = 150
    assert rules([sfh_spectra], tmp_path) == {}


def test_dust_that_arrives_needs_a_law(kin_dust, sfh_spectra, tmp_path):
    kin_dust["KinDust"]["ExtinctionLaw"] = "ccm89"
    text = fault([kin_dust, sfh_spectra], tmp_path)
    assert "takes a_v from an earlier stage, but has no ExtinctionLaw" in text
    assert rules([kin_dust, {**sfh_spectra, "handover": {"a_v": "none"}}], tmp_path) == {"a_v": "none"}
    sfh_spectra["SFHSpectra"]["ExtinctionLaw"] = "ccm89"
    assert rules([kin_dust, sfh_spectra], tmp_path) == {}


def test_a_prior_needs_a_posterior(kin_dust, again, tmp_path):
    again["handover"] = {"los_sigma": "prior"}
    text = fault([kin_dust, again], tmp_path)
    assert "no posterior of kinematics--los_sigma: the stage before only optimises it" in text
    kin_dust["runtime"] = {"sampler": "maxlike emcee"}
    kin_dust["emcee"] = {"walkers": 16}
    assert rules([kin_dust, again], tmp_path) == {"kinematics--los_sigma": "prior"}
    again["handover"] = {"kinematics": "prior_tabulated"}
    assert rules([kin_dust, again], tmp_path) == {"kinematics": "prior_tabulated"}


def test_a_fixed_parameter_takes_no_start(kin_dust, again, tmp_path):
    again["values"] = {"kinematics": {"los_vel": "-5 5", "los_sigma": 30, "los_h3": 0, "los_h4": 0}}
    again["pipeline"] = {"modules": "KinDust"}
    again["handover"] = {"los_sigma": "start"}
    assert "it is fixed in this stage; only 'fix' and 'none'" in fault([kin_dust, again], tmp_path)
    again["handover"] = {"los_sigma": "fix"}
    assert rules([kin_dust, again], tmp_path) == {"kinematics--los_sigma": "fix"}
