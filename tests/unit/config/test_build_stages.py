"""Configurations become stages: what is filled in, resolved and left alone."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import pytest

from orchestrator.config.check import build_stages, declared_parameters, stage_values
from orchestrator.config.ini import read_ini, write_ini
from orchestrator.config.values import ValueEntry, default_values, render_values, write_values
from orchestrator.errors import ConfigError
from orchestrator.paths import module_file

VELOCITY = "[kinematics]\nlos_vel = -{0} {0}\nlos_sigma = 30\nlos_h3 = 0\nlos_h4 = 0\n"
"""A values file in which only the velocity varies."""


def test_a_pipeline_of_two_stages(kin_dust, sfh_spectra, tmp_path):
    first, second = build_stages([kin_dust, sfh_spectra], directory=tmp_path)
    assert (first.name, second.name) == ("kinematics", "history")
    assert first.paths.chain == tmp_path / "results" / "kinematics.txt"
    assert second.samplers == ("maxlike", "emcee")
    (module,) = first.modules
    assert module.class_name == "KinDust"
    assert module.file == module_file("kin_dust")
    assert module.options["inputSpectrum"] == str(tmp_path / "spectrum.dat")
    assert module.options["like_name"] == "KinDust_like"
    assert first.sections["pipeline"]["likelihoods"] == "KinDust"
    assert second.sections["pipeline"]["likelihoods"] == "SFHSpectra"
    assert first.values_file == tmp_path / "start.ini"
    assert second.values_file is None
    assert not first.values_file.exists()
    assert not (tmp_path / "results").exists()


def test_the_users_dictionaries_are_not_modified(kin_dust, sfh_spectra, joint, tmp_path):
    given = [kin_dust, sfh_spectra, joint]
    before = copy.deepcopy(given)
    build_stages(given, directory=tmp_path)
    assert given == before


def test_the_stage_survives_its_own_ini_file(kin_dust, tmp_path):
    (stage,) = build_stages([kin_dust], directory=tmp_path)
    write_values(stage.paths.values, stage_values(stage))
    path = write_ini(stage)
    (again,) = build_stages([{}], ini_files=[path], ini_values_files=[_values(tmp_path, stage)])
    assert again.modules == stage.modules
    assert again.paths == stage.paths
    assert again.samplers == stage.samplers
    assert again.seed == stage.seed
    assert again.ini_file == path


def _values(folder: Path, stage) -> Path:
    path = folder / "given_values.ini"
    write_values(path, default_values(declared_parameters(stage)))
    return path


def test_a_relative_path_starts_in_the_given_directory(kin_dust, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with pytest.raises(ConfigError, match="there is no file"):
        build_stages([kin_dust])
    monkeypatch.chdir(tmp_path)
    (stage,) = build_stages([kin_dust])
    monkeypatch.chdir(elsewhere)
    assert stage.modules[0].options["inputSpectrum"] == str(tmp_path / "spectrum.dat")
    assert stage.paths.directory == tmp_path / "results"


def test_environment_variables_in_all_paths(kin_dust, tmp_path, monkeypatch):
    monkeypatch.setenv("GALAXY", str(tmp_path / "my galaxy"))
    (tmp_path / "my galaxy").mkdir()
    (tmp_path / "my galaxy" / "it's.dat").write_text("1 1 1")
    kin_dust["KinDust"]["inputSpectrum"] = "${GALAXY}/it's.dat"
    kin_dust["output"]["filename"] = "$GALAXY/fit"
    kin_dust["pipeline"]["values"] = "$GALAXY/values.ini"
    (stage,) = build_stages([kin_dust], directory=tmp_path)
    assert stage.modules[0].options["inputSpectrum"] == str(tmp_path / "my galaxy" / "it's.dat")
    assert stage.paths.chain == tmp_path / "my galaxy" / "fit.txt"
    assert stage.values_file == tmp_path / "my galaxy" / "values.ini"


def test_cores(kin_dust, tmp_path):
    assert build_stages([kin_dust], directory=tmp_path)[0].n_cores == 1
    assert build_stages([kin_dust], [3], directory=tmp_path)[0].n_cores == 3
    assert build_stages([kin_dust], [-1], directory=tmp_path)[0].n_cores == os.cpu_count()


@pytest.mark.parametrize("wrong", [0, -2, True, 1.5, "two"])
def test_wrong_cores(kin_dust, tmp_path, wrong):
    with pytest.raises(ConfigError, match=r"stage 1: n_cores = "):
        build_stages([kin_dust], [wrong], directory=tmp_path)


def test_lists_of_the_wrong_length(kin_dust, tmp_path):
    with pytest.raises(ConfigError) as caught:
        build_stages([kin_dust], [1, 2], ["a", "b"], "c", directory=tmp_path)
    named = [fault.split()[0] for fault in caught.value.faults]
    assert named == ["n_cores_list", "ini_files", "ini_values_files"]
    assert "has 2 entries, but there are 1 configurations" in caught.value.faults[0]


@pytest.mark.parametrize("configs", [{"runtime": {}}, [], "a.ini", None])
def test_no_list_of_configurations(configs):
    with pytest.raises(ConfigError, match="expected a list of configurations"):
        build_stages(configs)


def test_two_modules_separated_by_a_comma_share_one_mass(joint, tmp_path):
    (stage,) = build_stages([joint], directory=tmp_path)
    assert [module.name for module in stage.modules] == ["FullSpectralFit_blue", "SFHPhotometry"]
    assert stage.modules[0].class_name == "FullSpectralFit"
    for name in ("FullSpectralFit_blue", "SFHPhotometry"):
        joint[name]["amplitude"] = "sampled"
    (sampled,) = build_stages([joint], directory=tmp_path)
    names = [(parameter.section, parameter.name) for parameter in declared_parameters(sampled)]
    assert names.count(("stars.sfh", "log10_stellar_mass")) == 1
    assert stage.sections["pipeline"]["likelihoods"] == "FullSpectralFit_blue SFHPhotometry"


def test_two_modules_with_different_amplitudes(joint, tmp_path):
    joint["SFHPhotometry"]["amplitude"] = "sampled"
    with pytest.raises(ConfigError, match=r"their amplitude differs: \[FullSpectralFit_blue\] profiled"):
        build_stages([joint], directory=tmp_path)
    joint["FullSpectralFit_blue"]["amplitude"] = "sampled"
    assert len(build_stages([joint], directory=tmp_path)) == 1


def test_likelihood_of_an_alias_by_the_name_of_its_class(kin_dust, tmp_path):
    kin_dust["KinDust_red"] = kin_dust.pop("KinDust")
    kin_dust["pipeline"]["modules"] = "KinDust_red"
    (stage,) = build_stages([kin_dust], directory=tmp_path)
    assert stage.modules[0].options["like_name"] == "KinDust_like"


def test_our_file_and_an_alias_of_photometry(joint, tmp_path):
    joint["pipeline"]["modules"] = "GalaxyPhotometry"
    joint["GalaxyPhotometry"] = {**joint.pop("SFHPhotometry"), "file": str(module_file("galaxy_photometry"))}
    del joint["FullSpectralFit_blue"]
    (stage,) = build_stages([joint], directory=tmp_path)
    assert stage.modules[0].class_name == "GalaxyPhotometry"
    assert "file" not in stage.modules[0].options


def test_a_module_of_the_users_own_passes_through(kin_dust, tmp_path):
    (tmp_path / "mine.py").write_text("")
    (tmp_path / "start.ini").write_text(
        "[kinematics]\nlos_vel = -1 1\nlos_sigma = 10 20\nlos_h3 = 0\nlos_h4 = 0\n[mine]\nx = 0 1\n"
    )
    kin_dust["mine"] = {"file": "mine.py", "anything": [1, 2]}
    kin_dust["pipeline"].update(modules="mine KinDust", likelihoods="KinDust something")
    kin_dust["extra"] = {"global": 1}
    (stage,) = build_stages([kin_dust], directory=tmp_path)
    assert stage.modules[0].class_name is None
    assert stage.modules[0].file == tmp_path / "mine.py"
    assert stage.modules[0].options == {"anything": [1, 2]}
    assert stage.sections["pipeline"]["likelihoods"] == "KinDust something"
    (tmp_path / "start.ini").unlink()
    with pytest.raises(ConfigError, match="needs a values file that exists"):
        build_stages([kin_dust], directory=tmp_path)


def test_seeds_are_the_users_or_always_the_same(kin_dust, tmp_path):
    (stage,) = build_stages([kin_dust], directory=tmp_path)
    (again,) = build_stages([kin_dust], directory=tmp_path)
    assert stage.seed == again.seed > 0
    kin_dust["output"]["filename"] = "other"
    assert build_stages([kin_dust], directory=tmp_path)[0].seed != stage.seed
    kin_dust["runtime"]["seed"] = "42"
    assert build_stages([kin_dust], directory=tmp_path)[0].seed == 42


def test_resume_and_figure_name(kin_dust, tmp_path):
    kin_dust["runtime"]["resume"] = "T"
    kin_dust["output"]["figurename"] = "figure.png"
    (stage,) = build_stages([kin_dust], directory=tmp_path)
    assert stage.resume is True
    assert stage.figure_name == str(tmp_path / "figure.png")


def test_values_inline_from_a_file_and_by_default(kin_dust, tmp_path):
    (stage,) = build_stages([kin_dust], directory=tmp_path)
    assert stage_values(stage).get("kinematics", "los_sigma") == ValueEntry(5.0, 150.0, 500.0)

    kin_dust["values"] = {
        "kinematics": {"los_vel": "-50 50", "los_sigma": [10, 100, 300], "los_h3": 0, "los_h4": 0.0}
    }
    (stage,) = build_stages([kin_dust], directory=tmp_path)
    assert stage_values(stage).get("kinematics", "los_sigma") == ValueEntry(10.0, 100.0, 300.0)
    assert stage_values(stage).get("dust.extinction", "a_v") == ValueEntry.fixed(0.0)
    assert stage.values_file is None  # so that no file is written, which a second run would find beside them

    (tmp_path / "start.ini").write_text(VELOCITY.format(5))
    with pytest.raises(ConfigError, match="values are given twice"):
        build_stages([kin_dust], directory=tmp_path)
    del kin_dust["values"]
    (stage,) = build_stages([kin_dust], directory=tmp_path)
    assert stage_values(stage).varied == (("kinematics", "los_vel"),)


def test_ini_values_files_take_the_place_of_the_configured_one(kin_dust, tmp_path):
    (tmp_path / "start.ini").write_text(VELOCITY.format(5))
    (tmp_path / "other.ini").write_text(VELOCITY.format(9))
    (stage,) = build_stages([kin_dust], ini_values_files=["other.ini"], directory=tmp_path)
    assert stage.values_file == tmp_path / "other.ini"
    assert stage_values(stage).get("kinematics", "los_vel") == ValueEntry(-9.0, 0.0, 9.0)
    with pytest.raises(ConfigError, match="ini_values_files: there is no file '.*none.ini'"):
        build_stages([kin_dust], ini_values_files=["none.ini"], directory=tmp_path)


def test_a_ready_ini_file(spectrum, tmp_path):
    (tmp_path / "values.ini").write_text(VELOCITY.format(5))
    path = tmp_path / "ready.ini"
    path.write_text(
        "[runtime]\nsampler = emcee\n[emcee]\nwalkers = 8\n[output]\nfilename = chain\n"
        "[pipeline]\nmodules = KinDust\nvalues = values.ini\nlikelihoods = KinDust\n"
        f"[KinDust]\nfile = {module_file('kin_dust')}\ninputSpectrum = {spectrum}\nSSPModel = MIUSCAT\n"
        "wlRange = 3600 4000\nmask_telluric = T\nSSPDir = None\n"
    )
    before = path.read_bytes()
    for config in (None, {}):
        (stage,) = build_stages([config], ini_files=["ready.ini"], directory=tmp_path)
    assert stage.ini_file == path
    assert stage.modules[0].options["wlRange"] == (3600.0, 4000.0)
    assert stage.modules[0].options["mask_telluric"] is True
    assert stage.sections["emcee"] == {"walkers": 8}
    assert path.read_bytes() == before
    path.write_text(path.read_text().replace("wlRange", "wlRnge"))
    with pytest.raises(ConfigError, match="unknown option 'wlrnge'; did you mean 'wlRange'"):
        build_stages([{}], ini_files=["ready.ini"], directory=tmp_path)


def test_what_module_options_hold_is_what_cosmosis_reads(kin_dust, tmp_path):
    kin_dust["KinDust"].update(fluxUnits="1e-16 erg / (s cm2 Angstrom)", legendre_deg=4, SSPModelArgs="")
    (stage,) = build_stages([kin_dust], directory=tmp_path)
    found = read_ini(write_ini(stage))["KinDust"]
    assert found["fluxunits"] == "1e-16 erg / (s cm2 Angstrom)"
    assert found["wlrange"] == [3600.0, 4000.0]
    assert found["legendre_deg"] == 4


def test_rendered_defaults_pass_the_checks(sfh_spectra, kin_dust, tmp_path):
    stages = build_stages([kin_dust, sfh_spectra], directory=tmp_path)
    sfh_spectra["pipeline"]["values"] = "second.ini"
    (tmp_path / "second.ini").write_text(render_values(stage_values(stages[1])))
    assert len(build_stages([kin_dust, sfh_spectra], directory=tmp_path)) == 2
