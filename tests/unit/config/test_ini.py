"""Ini files: what is written is what CosmoSIS reads back, type for type."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from cosmosis.runtime.config import Inifile
from cosmosis.runtime.pipeline import config_to_block
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.ini import read_ini, render_ini, render_section, write_ini
from orchestrator.errors import ConfigError
from orchestrator.stage import ModuleSection, Stage, StagePaths

HOSTILE = [
    "1e-16 erg / (s cm2 Angstrom)",
    "T",
    "n",
    "False",
    "on",
    "1e5",
    "3",
    "nan",
    "1 2 3",
    "1j",
    "",
    " blank at both ends ",
    "it's",
    '"quoted"',
    "'quoted'",
    '"half',
    "a 'b' \"c\"",
    "50 %",
    "%(home)s",
    '/data/100%/my spectra/it\'s "x".dat',
    "#first",
    ";first",
    "a;b#c",
    "[x]",
    "a = b : c",
    "key: value",
    "Å µ é",
    "$NOT_SET_ANYWHERE/x",
    "a, b, c",
    "%include nothing",
]


def read_back(section: str, name: str, text: str):
    return Inifile.from_lines(text.split("\n")).gettyped(section, name)


@pytest.mark.parametrize("value", [*HOSTILE, True, False, 3, -1, 0.1, 50.0, 1e-300, [1, 2], [3500.0, 9000.0]])
def test_module_options_read_back_with_value_and_type(value):
    faults: list[str] = []
    text = render_section("M", {"option": value}, raw=False, faults=faults)
    found = read_back("M", "option", text)
    assert faults == []
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Path("/a b/c"), "/a b/c"),
        ((3500, 9000.0), [3500.0, 9000.0]),
        (np.array([0.25, 0.5]), [0.25, 0.5]),
        (np.float64(2.5), 2.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (["cha", "nebular=True"], "cha nebular=True"),
        (["T"], "T"),
        (["T", "1"], "T 1"),
    ],
)
def test_python_values_become_what_cosmosis_has(value, expected):
    faults: list[str] = []
    found = read_back("M", "option", render_section("M", {"option": value}, raw=False, faults=faults))
    assert faults == []
    assert found == expected
    assert type(found) is type(expected)


characters = st.characters(codec="utf-8", exclude_characters="\n\r$\0", exclude_categories=["Cc", "Zl", "Zp"])
plain_text = st.text(characters)


@given(value=plain_text)
def test_any_text_reads_back_or_is_refused(value):
    faults: list[str] = []
    text = render_section("M", {"option": value}, raw=False, faults=faults)
    if not faults:
        assert read_back("M", "option", text) == value


@given(value=plain_text)
def test_any_raw_text_reads_back_or_is_refused(value):
    faults: list[str] = []
    text = render_section("output", {"filename": value}, raw=True, faults=faults)
    if not faults:
        assert Inifile.from_lines(text.split("\n")).get("output", "filename") == value


@pytest.mark.parametrize("value", ["a ;b", "a #b", "a\nb", "a\rb", "$HOME/x", "${HOME}"])
@pytest.mark.parametrize("raw", [True, False])
def test_what_no_spelling_can_carry_is_refused(value, raw, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    faults: list[str] = []
    render_section("M", {"option": value}, raw=raw, faults=faults)
    assert len(faults) == 1
    assert faults[0].startswith(f"[M] option = {value!r}: ")


@pytest.mark.parametrize("value", [{"a": 1}, [[1], [2]], object(), ["two words"]])
def test_values_that_are_no_options_are_refused(value):
    faults: list[str] = []
    render_section("M", {"option": value}, raw=False, faults=faults)
    assert len(faults) == 1


@pytest.mark.parametrize("name", ["a=b", "a:b", " a", "#a", "a\nb", "%include x", "[a"])
def test_names_that_cannot_stand_are_refused(name):
    faults: list[str] = []
    render_section("M", {name: 1}, raw=False, faults=faults)
    assert len(faults) == 1
    assert "cannot stand in an ini file" in faults[0]


@pytest.fixture
def stage(tmp_path) -> Stage:
    folder = tmp_path / "my fits, it's"
    options = {
        "inputSpectrum": str(folder / 'a "b".dat'),
        "fluxUnits": "1e-16 erg / (s cm2 Angstrom)",
        "wlRange": (3500.0, 9000.0),
        "redshift": 0.0,
        "velscale": 50.0,
        "mask_telluric": True,
        "like_name": "n",
        "mask": None,
    }
    return Stage(
        name="fit",
        paths=StagePaths.from_output("fit", folder),
        samplers=("maxlike", "emcee"),
        modules=(ModuleSection("FullSpectralFit", "FullSpectralFit", folder / "module.py", options),),
        sections={
            "runtime": {"sampler": "maxlike emcee", "resume": False},
            "output": {"filename": "ignored", "format": "text"},
            "pipeline": {"likelihoods": "FullSpectralFit", "debug": True},
            "maxlike": {"method": "Nelder-Mead", "tolerance": 1e-3},
            "emcee": {"walkers": 32},
        },
    )


def test_a_whole_stage_reads_back(stage):
    path = write_ini(stage)
    assert path == stage.paths.params
    found = read_ini(path)
    options = stage.modules[0].options
    assert found["FullSpectralFit"] == {
        "file": str(stage.modules[0].file),
        "inputspectrum": options["inputSpectrum"],
        "fluxunits": "1e-16 erg / (s cm2 Angstrom)",
        "wlrange": [3500.0, 9000.0],
        "redshift": 0.0,
        "velscale": 50.0,
        "mask_telluric": True,
        "like_name": "n",
    }
    assert type(found["FullSpectralFit"]["redshift"]) is float
    assert found["output"] == {"filename": str(stage.paths.chain), "format": "text"}
    assert found["pipeline"]["values"] == str(stage.paths.values)
    assert found["pipeline"]["modules"] == "FullSpectralFit"
    assert "priors" not in found["pipeline"]
    assert found["emcee"] == {"walkers": "32"}
    assert sorted(file.name for file in path.parent.iterdir()) == ["fit.ini"]


def test_cosmosis_gives_the_module_these_values(stage):
    ini = Inifile(str(write_ini(stage)))
    block = config_to_block(["FullSpectralFit"], ini)
    assert block["FullSpectralFit", "fluxunits"] == "1e-16 erg / (s cm2 Angstrom)"
    assert block.get_double("FullSpectralFit", "redshift") == 0.0
    assert block.get_bool("FullSpectralFit", "mask_telluric")
    np.testing.assert_array_equal(block["FullSpectralFit", "wlrange"], [3500.0, 9000.0])
    assert ini.get("runtime", "sampler").split() == ["maxlike", "emcee"]
    assert ini.getfloat("maxlike", "tolerance") == 1e-3
    assert ini.getint("emcee", "walkers") == 32
    assert ini.getboolean("runtime", "resume") is False


def test_the_priors_file_is_named_so_that_cosmosis_finds_it(stage, tmp_path):
    text = render_ini(stage, with_priors=True)
    assert "priors = fit_priors.ini\n" in text  # the folder has blanks, so it runs in the folder
    plain = dataclasses.replace(stage, paths=StagePaths.from_output("fit", tmp_path))
    assert f"priors = {tmp_path / 'fit_priors.ini'}\n" in render_ini(plain, with_priors=True)
    blank = dataclasses.replace(stage, paths=StagePaths.from_output("my fit", tmp_path))
    assert f"priors = {tmp_path / 'my_fit_priors.ini'}\n" in render_ini(blank, with_priors=True)


def test_all_faults_at_once(stage):
    module = ModuleSection("M", None, Path("/m.py"), {"a": "x ;y", "b": {"c": 1}})
    paths = StagePaths.from_output("f #1", Path("/a"))
    changed = dataclasses.replace(stage, modules=(module,), paths=paths)
    with pytest.raises(ConfigError) as caught:
        render_ini(changed)
    assert len(caught.value.faults) == 4  # chain, values, a, b


def test_reading_a_users_file(tmp_path, capsys):
    path = tmp_path / "a.ini"
    path.write_text(
        "[DEFAULT]\nx = 1\n[runtime]\nsampler = emcee\n[emcee]\nwalkers = 10\n"
        "[M]\nFile = m.py\nb = T\nc = 1 2\nd =\n"
    )
    found = read_ini(path)
    assert found == {
        "runtime": {"sampler": "emcee"},
        "emcee": {"walkers": "10"},
        "M": {"file": "m.py", "b": True, "c": [1, 2], "d": None},
    }
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("text", [None, "no section\n", "[a]\nb = %(c)s\n"])
def test_unreadable_files(tmp_path, text):
    path = tmp_path / "a.ini"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=r"cannot read the ini file '.*a\.ini'"):
        read_ini(path)
