"""Options of modules: spellings, types as CosmoSIS gives them, all faults at once."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from orchestrator.config.module_options import MODULE_OPTIONS, MODULES, module_of_section, parse_options
from orchestrator.errors import ConfigError

KIN_DUST = {"inputSpectrum": "a.dat", "SSPModel": "MIUSCAT"}
PHOTOMETRY = {"inputPhotometry": "a.dat", "SSPModel": "PopStar", "SFHModel": "ExponentialSFH"}


def test_every_option_has_a_description():
    for model in MODULE_OPTIONS.values():
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"


def test_names_are_read_without_regard_to_capitals():
    lower = {"inputspectrum": "a.dat", "sspmodel": "MIUSCAT", "wlrange": "3500 9000"}
    assert parse_options("KinDust", lower).wl_range == (3500.0, 9000.0)
    python = {"input_spectrum": "a.dat", "ssp_model": "MIUSCAT"}
    assert parse_options("KinDust", python).ssp_model == "MIUSCAT"


def test_the_same_option_in_two_spellings_is_a_fault():
    with pytest.raises(ConfigError, match="'velscale' is given twice"):
        parse_options("KinDust", {**KIN_DUST, "velscale": 50, "Velscale": 60})


@pytest.mark.parametrize(
    "given",
    [[3500, 9000], (3500.0, 9000.0), np.array([3500.0, 9000.0]), "3500 9000", "3500, 9000", "[3500, 9000]"],
)
def test_ranges_in_every_form(given):
    assert parse_options("KinDust", {**KIN_DUST, "wlRange": given}).wl_range == (3500.0, 9000.0)


@pytest.mark.parametrize(
    ("option", "given", "name", "expected"),
    [
        ("velscale", 50, "velscale", 50.0),
        ("velscale", np.float64(70.0), "velscale", 70.0),
        ("inputSpectrumRow", np.int64(4), "input_spectrum_row", 4),
        ("inputSpectrumRow", 4.0, "input_spectrum_row", 4),
        ("mask_telluric", True, "mask_telluric", True),
        ("mask_telluric", "T", "mask_telluric", True),
        ("mask_telluric", 1, "mask_telluric", True),
        ("mask_telluric", "f", "mask_telluric", False),
        ("SSPModelArgs", "cha, nebular=True", "ssp_model_args", ("cha", "nebular=True")),
        ("SSPModelArgs", "", "ssp_model_args", ()),
        ("velscale", None, "velscale", None),
        ("velscale", "None", "velscale", None),
        ("ExtinctionLaw", "none", "extinction_law", None),
        ("fluxUnits", "1e-16 erg / (s cm2 Angstrom)", "flux_units", "1e-16 erg / (s cm2 Angstrom)"),
    ],
)
def test_values_as_cosmosis_and_python_give_them(option, given, name, expected):
    value = getattr(parse_options("KinDust", {**KIN_DUST, option: given}), name)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    "given", [[0.3, 0.6], "0.3 0.6", "0.3, 0.6", np.array([0.3, 0.6]), "mass_fraction=[0.3, 0.6]"]
)
def test_sfh_arguments_in_every_form(given):
    options = parse_options("SFHPhotometry", {**PHOTOMETRY, "SFHModel": "FixedMassFracSFH", "SFHArgs": given})
    assert options.sfh_args == (0.3, 0.6)


def test_a_folder_whose_name_contains_none_is_a_folder():
    options = parse_options("KinDust", {**KIN_DUST, "SSPDir": "/data/none_such_dir2"})
    assert str(options.ssp_dir) == "/data/none_such_dir2"
    for nothing in ("None", "none", "", None):
        assert parse_options("KinDust", {**KIN_DUST, "SSPDir": nothing}).ssp_dir is None


def test_environment_variables_in_paths(monkeypatch):
    monkeypatch.setenv("SPECTRA", "/data/my spectra")
    options = parse_options("KinDust", {**KIN_DUST, "inputSpectrum": "$SPECTRA/a.dat"})
    assert str(options.input_spectrum) == "/data/my spectra/a.dat"


def test_all_faults_at_once_with_the_nearest_names():
    given = {"inputSpectrum": "a.dat", "velscal": 50, "wlrange": "9000 3500", "redshift": True, "moments": 3}
    with pytest.raises(ConfigError) as caught:
        parse_options("KinDust", given, "KinDust_red")
    faults = caught.value.faults
    assert len(faults) == 5
    assert all(fault.startswith("[KinDust_red]") for fault in faults)
    text = str(caught.value)
    for expected in (
        "unknown option 'velscal'; did you mean 'velscale'?",
        "wlRange = '9000 3500': expected two increasing numbers, found 9000 and 3500",
        "redshift = True: expected a number",
        "moments = 3: input should be 2 or 4",
        "option 'SSPModel' is missing",
    ):
        assert expected in text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "nan", "fifty", -0.1, [1, 2]])
def test_numbers_that_cannot_be(value):
    with pytest.raises(ConfigError, match="redshift"):
        parse_options("KinDust", {**KIN_DUST, "redshift": value})


def test_text_that_cosmosis_took_for_something_else():
    with pytest.raises(ConfigError, match="put it in double quotes"):
        parse_options("KinDust", {**KIN_DUST, "ExtinctionLaw": 1e5})


def test_transforms_are_the_softmax_prior():
    history = {"SFHModel": "FixedMassFracSFH", "SFHArgs": "0.3 0.7"}
    plain = parse_options("SFHPhotometry", {**PHOTOMETRY, **history, "use_transforms": "F"})
    assert plain.sfh_prior == "ranges"
    assert plain.history(13.0).parameters[0].name == "t_at_frac_0.3000"
    latent = parse_options("SFHPhotometry", {**PHOTOMETRY, **history, "use_transforms": "T"})
    assert [p.name for p in latent.history(13.0).parameters][:2] == ["softmax_1", "softmax_2"]
    with pytest.raises(ConfigError, match="use_transforms = T means sfh_prior = softmax"):
        parse_options("SFHPhotometry", {**PHOTOMETRY, **history, "use_transforms": "T", "sfh_prior": "dirichlet"})
    with pytest.raises(ConfigError, match="dirichlet_concentration has no effect with sfh_prior = ranges"):
        parse_options("SFHPhotometry", {**PHOTOMETRY, **history, "dirichlet_concentration": 0.7})


def test_multiplicative_degree_comes_from_legendre_deg():
    assert parse_options("KinDust", KIN_DUST).multiplicative_degree == 0
    assert parse_options("KinDust", {**KIN_DUST, "legendre_deg": 10}).multiplicative_degree == 10
    assert parse_options("KinDust", {**KIN_DUST, "multiplicative_degree": 4}).multiplicative_degree == 4
    with pytest.raises(ConfigError, match="the same option and differ"):
        parse_options("KinDust", {**KIN_DUST, "multiplicative_degree": 4, "legendre_deg": 10})


def test_fixed_dust_needs_a_law():
    options = {**KIN_DUST, "SFHModel": "ExponentialSFH", "los_sigma": 150, "a_v": 0.3}
    with pytest.raises(ConfigError, match="a_v = 0.3 has no effect without ExtinctionLaw"):
        parse_options("SFHSpectra", options)
    assert parse_options("SFHSpectra", {**options, "ExtinctionLaw": "ccm89"}).a_v == 0.3


def test_options_without_effect_give_a_warning_once(caplog):
    with caplog.at_level(logging.WARNING):
        parse_options("KinDust", {**KIN_DUST, "wlNormRange": [5000, 5500], "legendre_clip_first_zero": True})
    assert [record.getMessage() for record in caplog.records] == [
        "[KinDust] wlNormRange has no effect and can be removed",
        "[KinDust] legendre_clip_first_zero has no effect and can be removed",
    ]
    caplog.clear()
    parse_options("KinDust", KIN_DUST)
    parse_options("KinDust", {**KIN_DUST, "wlNormRange": [5000, 5500]}, quiet=True)
    assert not caplog.records


def test_the_given_options_are_not_modified_and_the_result_is_frozen():
    given = {**KIN_DUST, "wlRange": [3500, 9000]}
    options = parse_options("KinDust", given)
    assert given == {**KIN_DUST, "wlRange": [3500, 9000]}
    with pytest.raises(ValueError, match="frozen"):
        options.redshift = 1.0


def test_sections_and_classes():
    assert module_of_section("FullSpectralFit_blue") == "FullSpectralFit"
    assert module_of_section("KinDust") == "KinDust"
    assert module_of_section("my_module") is None
    assert MODULES["GalaxyPhotometry"].file == "galaxy_photometry"
    with pytest.raises(ConfigError, match="did you mean 'KinDust'"):
        parse_options("KinDist", {})
