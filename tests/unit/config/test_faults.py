"""Every fault of a configuration is found, in one report, before anything runs."""

from __future__ import annotations

import pytest

from orchestrator.config.check import build_stages
from orchestrator.errors import ConfigError


def faults_of(configs, directory, **keywords):
    with pytest.raises(ConfigError) as caught:
        build_stages(configs, directory=directory, **keywords)
    return caught.value.faults


def one_fault(config, directory):
    (fault,) = faults_of([config], directory)
    return fault


def test_all_faults_of_all_stages_in_one_report(kin_dust, sfh_spectra, tmp_path):
    kin_dust["runtime"]["samplr"] = "emcee"
    kin_dust["maxlike"]["maxitr"] = 3
    kin_dust["output"]["filname"] = "x"
    kin_dust["pipeline"]["modulles"] = "x"
    kin_dust["KinDust"]["velscal"] = 50
    kin_dust["KinDust"]["inputSpectrum"] = "nowhere.dat"
    kin_dust["pipline"] = {}
    sfh_spectra["SFHSpectra"]["SFHModel"] = "ExponentalSFH"
    faults = faults_of([kin_dust, sfh_spectra], tmp_path)
    assert [fault[:8] for fault in faults] == ["stage 1:"] * 7 + ["stage 2:"]
    text = "\n".join(faults)
    for expected in (
        "[runtime] unknown option 'samplr'; did you mean 'sampler'?",
        "[maxlike] unknown option 'maxitr'; did you mean 'maxiter'?",
        "[output] unknown option 'filname'; did you mean 'filename'?",
        "[pipeline] unknown option 'modulles'; did you mean 'modules'?",
        "[KinDust] unknown option 'velscal'; did you mean 'velscale'?",
        "unknown section 'pipline'; did you mean 'pipeline'?",
        "did you mean 'ExponentialSFH'?",
    ):
        assert expected in text


def test_missing_sections_and_options(tmp_path):
    faults = faults_of([{}], tmp_path)
    text = "\n".join(faults)
    for expected in (
        "section 'runtime' is missing; for example {'runtime': {'sampler': 'maxlike'}}",
        "section 'output' is missing",
        "section 'pipeline' is missing",
    ):
        assert expected in text


@pytest.mark.parametrize("config", [None, 3, ["a"]])
def test_a_configuration_that_is_no_dictionary(config, tmp_path):
    assert "expected a dictionary of ini sections, found" in one_fault(config, tmp_path)


def test_a_section_that_is_no_dictionary(kin_dust, tmp_path):
    kin_dust["maxlike"] = 3
    expected = "stage 1: section 'maxlike': expected a dictionary of options, found 3"
    assert one_fault(kin_dust, tmp_path) == expected


def test_unknown_sampler(kin_dust, tmp_path):
    kin_dust["runtime"]["sampler"] = "maxlike emcie"
    assert "unknown sampler 'emcie'; did you mean 'emcee'?" in one_fault(kin_dust, tmp_path)


def test_a_plug_in_sampler_is_accepted(kin_dust, tmp_path):
    (tmp_path / "mine.py").write_text("class MineSampler(Base):\n    pass\n")
    kin_dust["runtime"].update(sampler="mine", import_samplers="mine.py")
    kin_dust["mine"] = {"anything": 1}
    (stage,) = build_stages([kin_dust], directory=tmp_path)
    assert stage.sections["mine"] == {"anything": 1}
    assert stage.sections["runtime"]["import_samplers"] == str(tmp_path / "mine.py")
    kin_dust["runtime"]["import_samplers"] = "none.py"
    assert "does not exist" in "".join(faults_of([kin_dust], tmp_path))


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("maxiter", "many", "[maxlike] maxiter = 'many': expected a whole number"),
        ("maxiter", 10.5, "expected a whole number"),
        ("tolerance", "small", "[maxlike] tolerance = 'small': expected a number"),
        ("max_posterior", "perhaps", "[maxlike] max_posterior = 'perhaps': expected T or F"),
        ("covmat", "none.txt", "none.txt' does not exist"),
    ],
)
def test_sampler_options_of_the_wrong_kind(kin_dust, tmp_path, option, value, expected):
    kin_dust["maxlike"][option] = value
    assert expected in one_fault(kin_dust, tmp_path)


def test_sampler_options_are_typed_for_cosmosis(kin_dust, tmp_path):
    kin_dust["maxlike"].update(maxiter=300.0, max_posterior="T", output_ini="best.ini")
    (stage,) = build_stages([kin_dust], directory=tmp_path)
    section = stage.sections["maxlike"]
    assert section["maxiter"] == 300
    assert type(section["maxiter"]) is int
    assert section["max_posterior"] is True
    assert section["output_ini"] == tmp_path / "best.ini"


def test_too_few_walkers(kin_dust, tmp_path):
    kin_dust["runtime"]["sampler"] = "emcee"
    kin_dust["emcee"] = {"walkers": 6, "samples": 10}
    assert "[emcee] walkers = 6: 4 parameters vary, so at least 8 are needed" in one_fault(kin_dust, tmp_path)


def test_modules(kin_dust, tmp_path):
    kin_dust["pipeline"]["modules"] = "KinDust KinDust KinDist Other"
    kin_dust["Other"] = {}
    text = "\n".join(faults_of([kin_dust], tmp_path))
    assert "'KinDust' is given twice" in text
    assert "modules names 'KinDist', but there is no such section; did you mean 'KinDust'?" in text
    assert "[Other] is no module of this package" in text


@pytest.mark.parametrize(
    ("file", "expected"),
    [("none.py", "there is no file"), ("{sfh}", "is the module SFHSpectra, not KinDust; rename the section")],
)
def test_module_files(kin_dust, tmp_path, file, expected):
    from orchestrator.paths import module_file

    kin_dust["KinDust"]["file"] = file.format(sfh=module_file("sfh_spectra"))
    assert expected in one_fault(kin_dust, tmp_path)


def test_likelihoods(joint, tmp_path):
    joint["pipeline"]["likelihoods"] = "SFHPhotometri SFHPhotometry"
    text = "\n".join(faults_of([joint], tmp_path))
    assert "leaves out 'FullSpectralFit_blue' of [FullSpectralFit_blue], so its data would not count" in text
    assert "no module computes 'SFHPhotometri'; did you mean 'SFHPhotometry'?" in text
    joint["pipeline"]["likelihoods"] = "same same"
    joint["FullSpectralFit_blue"]["like_name"] = joint["SFHPhotometry"]["like_name"] = "same_like"
    text = "\n".join(faults_of([joint], tmp_path))
    assert "'same' is given twice and would count twice" in text
    assert "like_name 'same' is that of [FullSpectralFit_blue] too" in text


def test_output(kin_dust, tmp_path):
    (tmp_path / "file").write_text("")
    kin_dust["output"]["filename"] = "file/fit"
    assert "is a file, not a folder" in one_fault(kin_dust, tmp_path)
    kin_dust["output"]["filename"] = " "
    assert "[output] filename is missing" in one_fault(kin_dust, tmp_path)
    kin_dust["output"] = {"filename": "fit", "format": "fits"}
    assert "set 'text'" in one_fault(kin_dust, tmp_path)
    kin_dust["output"] = {"filename": "a #1"}
    assert "begin a comment" in "".join(faults_of([kin_dust], tmp_path))


def test_two_stages_that_write_the_same_file(kin_dust, tmp_path):
    kin_dust["runtime"]["sampler"] = "maxlike maxlike"
    other = {**kin_dust, "output": {"filename": "results/kinematics.txt"}}
    (fault,) = faults_of([kin_dust, other], tmp_path)[:1]
    assert "stages 1 and 2 both write" in fault
    other["output"] = {"filename": "results/kinematics.maxlike"}
    kin_dust["runtime"]["sampler"] = "maxlike test"
    other["runtime"] = {"sampler": "test"}
    assert any("stages 1 and 2 both write" in fault for fault in faults_of([kin_dust, other], tmp_path))


def test_the_values_file_of_the_run_is_not_the_users(kin_dust, tmp_path):
    kin_dust["pipeline"]["values"] = "results/kinematics_values.ini"
    assert "is the name of the file that the stage writes for its run" in one_fault(kin_dust, tmp_path)


def test_values_file_with_faults(kin_dust, tmp_path):
    (tmp_path / "start.ini").write_text(
        "[kinematics]\nlos_vel = -500 0 500\nlos_h3 = 0\nlos_h4 = 0\n[dust.extinction]\na_v = 0 1\n"
        "[stars.sfh]\nt0 = 1 2\n"
    )
    text = "\n".join(faults_of([kin_dust], tmp_path))
    assert "parameter kinematics/los_sigma is missing from" in text
    assert "dust.extinction/a_v = '0.0 0.5 1.0' has no effect" in text
    assert "no module of the stage reads section [stars.sfh]" in text
    (tmp_path / "start.ini").write_text("[kinematics]\nlos_vel = 5 0 500\nlos_h3 = x\n")
    assert len(faults_of([kin_dust], tmp_path)) == 2


def test_nothing_varies(kin_dust, tmp_path):
    fixed = "".join(f"{name} = 1\n" for name in ("los_vel", "los_sigma", "los_h3", "los_h4"))
    (tmp_path / "start.ini").write_text(f"[kinematics]\n{fixed}")
    assert "no parameter varies" in one_fault(kin_dust, tmp_path)
    kin_dust["runtime"]["sampler"] = "test"
    assert len(build_stages([kin_dust], directory=tmp_path)) == 1


def test_two_stages_whose_template_would_be_the_same_file(kin_dust, sfh_spectra, tmp_path):
    sfh_spectra["pipeline"]["values"] = "start.ini"
    (fault,) = faults_of([kin_dust, sfh_spectra], tmp_path)
    assert "stages 1 and 2 have different parameters and the same values file" in fault


def test_priors(kin_dust, tmp_path):
    kin_dust["pipeline"]["priors"] = "priors.ini"
    assert "[pipeline] priors: there is no file" in one_fault(kin_dust, tmp_path)
    (tmp_path / "priors.ini").write_text("[kinematics]\nlos_sigme = gaussian 100 10\n")
    assert "did you mean 'kinematics/los_sigma'?" in one_fault(kin_dust, tmp_path)
    (tmp_path / "priors.ini").write_text("[kinematics]\nlos_sigma = gaussian 100 10\n")
    (stage,) = build_stages([kin_dust], directory=tmp_path)
    assert stage.priors_file == tmp_path / "priors.ini"
    assert "priors" not in stage.sections["pipeline"]


def test_extra_output(kin_dust, tmp_path):
    kin_dust["pipeline"]["extra_output"] = "extra/stellar_mass stellar_mass"
    assert "extra_output: 'stellar_mass': expected section/name" in one_fault(kin_dust, tmp_path)


def test_values_that_an_ini_file_cannot_hold_are_found_first(kin_dust, tmp_path):
    (tmp_path / "a ;b.dat").write_text("1 1 1")
    kin_dust["KinDust"]["inputSpectrum"] = "a ;b.dat"
    assert "' ;' and ' #' begin a comment" in one_fault(kin_dust, tmp_path)


def test_flags_and_seed(kin_dust, tmp_path):
    kin_dust["runtime"].update(resume="maybe", seed=-1)
    text = "\n".join(faults_of([kin_dust], tmp_path))
    assert "[runtime] resume = 'maybe': expected T or F" in text
    assert "[runtime] seed = -1: expected a whole number from 0 up" in text
