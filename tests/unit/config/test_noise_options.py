"""Noise options, and the sections of nuisance parameters in joint fits."""

from __future__ import annotations

import pytest

from orchestrator.config.check import build_stages, declared_parameters, stage_values
from orchestrator.config.ini import read_ini, write_ini
from orchestrator.config.module_options import MODULES, parse_options
from orchestrator.config.values import write_values
from orchestrator.errors import ConfigError

SPECTRUM = {"inputSpectrum": "s.dat", "SSPModel": "PopStar", "SFHModel": "ExponentialSFH"}
GP = {"NoiseModel": "GaussianProcess"}
PHOTOMETRY = {"inputPhotometry": "p.dat", "SSPModel": "PopStar", "SFHModel": "ExponentialSFH"}
KIN_DUST = {"inputSpectrum": "s.dat", "SSPModel": "PopStar"}
NAMES = {
    "MultiplicativeNoiseModel": {"beta"},
    "AdditiveNoiseModel": {"log10_jitter"},
    "JitterNoiseModel": {"beta", "log10_jitter"},
    "StudentT": {"nu"},
    "GaussianProcess": {"log10_gp_sigma", "log10_gp_scale"},
}


def names(module, options, section="noise"):
    declared = MODULES[module].declared_parameters(parse_options(module, options))
    for parameter in declared:
        assert parameter.lower <= parameter.start <= parameter.upper
        assert parameter.meaning
    return {parameter.name for parameter in declared if parameter.section == section}


@pytest.mark.parametrize("model", NAMES)
def test_parameters_of_each_noise_model(model):
    options = {**SPECTRUM, "NoiseModel": model}
    assert names("FullSpectralFit", options) == NAMES[model]
    assert names("FullSpectralFit", {**options, "noise_fractional": True}) == NAMES[model] | {"fractional"}
    assert names("FullSpectralFit", {**options, "noise_section": "Noise_B"}, "noise_b") == NAMES[model]
    if model in ("StudentT", "GaussianProcess"):
        assert names("FullSpectralFit", {**options, "noise_beta": "T"}) == NAMES[model] | {"beta"}


def test_fixed_degrees_of_freedom_are_no_parameter():
    assert names("SFHPhotometry", {**PHOTOMETRY, "NoiseModel": "StudentT", "noise_nu": 4}) == set()


@pytest.mark.parametrize(
    ("module", "options", "advice"),
    [
        ("FullSpectralFit", {**SPECTRUM, "NoiseModel": "Student"}, "NoiseModel"),
        ("FullSpectralFit", {**SPECTRUM, "noise_nu": 4}, "set NoiseModel = StudentT"),
        ("FullSpectralFit", {**SPECTRUM, "NoiseModel": "StudentT", "noise_kernel": "SHO"}, "GaussianProcess"),
        ("FullSpectralFit", {**SPECTRUM, **GP, "noise_gp_quality": 2}, "noise_kernel = SHO"),
        ("FullSpectralFit", {**SPECTRUM, "noise_beta": True}, "set NoiseModel = MultiplicativeNoiseModel"),
        ("FullSpectralFit", {**SPECTRUM, "NoiseModel": "JitterNoiseModel", "noise_beta": True}, "already"),
        ("FullSpectralFit", {**SPECTRUM, "NoiseModel": "StudentT", "amplitude": "marginalised"}, "or sampled"),
        ("FullSpectralFit", {**SPECTRUM, "noise_section": "stars.sfh"}, "choose another name"),
        ("FullSpectralFit", {**SPECTRUM, "legendre_section": "a b"}, "no name of a section"),
        ("SFHPhotometry", {**PHOTOMETRY, "NoiseModel": "GaussianProcess"}, "for bands"),
        ("KinDust", {**KIN_DUST, "NoiseModel": "StudentT"}, "use FullSpectralFit"),
        ("KinDust", {**KIN_DUST, "NoiseModel": "GaussianProcess"}, "use FullSpectralFit"),
        ("KinDust", {**KIN_DUST, "legendre_section": "mine"}, "remove it"),
    ],
)
def test_what_does_not_go_together_is_refused_with_advice(module, options, advice):
    with pytest.raises(ConfigError) as caught:
        parse_options(module, options)
    assert advice in str(caught.value)


# ---- sections in a joint fit ----------------------------------------------------------------------------------
NOISY = {"NoiseModel": "MultiplicativeNoiseModel"}


@pytest.fixture
def two(joint, spectrum):
    """Two spectra and photometry, all with noise, the spectra with a polynomial."""
    blue = {**joint["FullSpectralFit_blue"], **NOISY, "legendre_deg": 1}
    return {
        **joint,
        "pipeline": {"modules": "FullSpectralFit_blue FullSpectralFit_red SFHPhotometry"},
        "FullSpectralFit_blue": blue,
        "FullSpectralFit_red": dict(blue),
        "SFHPhotometry": {**joint["SFHPhotometry"], **NOISY},
    }


def sections(stage):
    return {parameter.section for parameter in declared_parameters(stage)} - {
        "stars.sfh", "kinematics", "dust.extinction",
    }  # fmt: skip


def test_each_data_set_gets_its_own_polynomial_and_noise(two, tmp_path):
    (stage,) = build_stages([two], directory=tmp_path)
    expected = {"legendre_blue", "legendre_red", "noise_blue", "noise_red", "noise_sfhphotometry"}
    assert sections(stage) == expected
    assert expected <= set(stage_values(stage).sections)
    write_values(stage.paths.values, stage_values(stage))
    assert read_ini(write_ini(stage))["FullSpectralFit_red"]["legendre_section"] == "legendre_red"


def test_one_module_keeps_the_plain_names(two, tmp_path):
    del two["FullSpectralFit_red"]["legendre_deg"], two["FullSpectralFit_red"]["NoiseModel"]
    del two["SFHPhotometry"]["NoiseModel"]
    (stage,) = build_stages([two], directory=tmp_path)
    assert sections(stage) == {"legendre", "noise"}


def test_sharing_is_said(two, tmp_path):
    for name in ("FullSpectralFit_blue", "FullSpectralFit_red"):
        two[name] |= {"legendre_section": "legendre", "noise_section": "shared"}
    (stage,) = build_stages([two], directory=tmp_path)
    assert sections(stage) == {"legendre", "shared", "noise"}


def test_equal_suffixes_are_told_apart(two, tmp_path):
    two["SFHPhotometry_red"] = two.pop("SFHPhotometry")
    two["pipeline"]["modules"] = "FullSpectralFit_blue FullSpectralFit_red SFHPhotometry_red"
    (stage,) = build_stages([two], directory=tmp_path)
    assert {"noise_blue", "noise_fullspectralfit_red", "noise_sfhphotometry_red"} <= sections(stage)


def test_values_that_would_share_explain_the_sections(two, tmp_path):
    two["values"] = {"legendre": {"legendre_1": "-0.1 0.1"}, "noise": {"beta": "0.1 2"}}
    with pytest.raises(ConfigError) as caught:
        build_stages([two], directory=tmp_path)
    message = str(caught.value)
    assert "legendre_blue/legendre_1 is missing" in message
    assert "set legendre_section = legendre in each of these modules" in message


def test_a_ready_ini_file_has_to_name_the_sections(two, tmp_path):
    (stage,) = build_stages([two], directory=tmp_path)
    write_values(tmp_path / "values.ini", stage_values(stage))
    path = write_ini(stage)
    path.rename(tmp_path / "ready.ini")
    given = {"ini_files": [tmp_path / "ready.ini"], "ini_values_files": [tmp_path / "values.ini"]}
    (again,) = build_stages([{}], **given)
    assert again.modules == stage.modules
    text = (tmp_path / "ready.ini").read_text()
    without = "\n".join(line for line in text.splitlines() if not line.startswith("legendre_section"))
    (tmp_path / "ready.ini").write_text(without)
    with pytest.raises(ConfigError, match="legendre_section = legendre_red` to the ini file"):
        build_stages([{}], **given)


def test_student_noise_comes_last_unless_the_mass_is_sampled(two, tmp_path):
    two["FullSpectralFit_blue"]["NoiseModel"] = "StudentT"
    with pytest.raises(ConfigError, match=r"\[FullSpectralFit_blue\] NoiseModel = StudentT: .* last"):
        build_stages([two], directory=tmp_path)
    two["pipeline"]["modules"] = "FullSpectralFit_red SFHPhotometry FullSpectralFit_blue"
    build_stages([two], directory=tmp_path)
    two["pipeline"]["modules"] = "FullSpectralFit_blue FullSpectralFit_red SFHPhotometry"
    for name in ("FullSpectralFit_blue", "FullSpectralFit_red", "SFHPhotometry"):
        two[name]["amplitude"] = "sampled"
    build_stages([two], directory=tmp_path)
