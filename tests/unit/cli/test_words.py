from __future__ import annotations

import pytest
import typer

from orchestrator.cli.words import sort_words
from orchestrator.errors import ConfigError
from orchestrator.production.production_folder import find_production, ledger_url


def make_production(folder):
    (folder / "plan").mkdir(parents=True)
    (folder / "run.yaml").write_text("name: x\nledger: sqlite\n")
    return folder


def test_words_in_any_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_production(tmp_path / "old survey")
    words = sort_words(["NGC*", "seed=3", "old survey", "IC 3/seed=1", "a.b.c=[1, 2]"])
    assert str(words.place) == "old survey"
    assert words.settings == ("seed=3", "a.b.c=[1, 2]")
    assert words.targets == ("NGC*", "IC 3/seed=1")


def test_a_folder_without_run_file_is_a_target(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "M31").mkdir()
    assert sort_words(["M31"]).targets == ("M31",)


def test_the_production_around(tmp_path, monkeypatch):
    production = make_production(tmp_path / "production")
    (production / "logs" / "failed").mkdir(parents=True)
    monkeypatch.chdir(production / "logs" / "failed")
    assert sort_words([]).folder() == production
    assert find_production(production) == production


def test_a_run_file_called_run_yaml_is_no_production(tmp_path, monkeypatch):
    (tmp_path / "run.yaml").write_text("output: elsewhere\n")
    monkeypatch.chdir(tmp_path)
    assert sort_words([]).run_file() == tmp_path / "run.yaml"
    with pytest.raises(typer.BadParameter, match="holds no production yet"):
        sort_words([]).folder()
    make_production(tmp_path / "elsewhere")
    assert sort_words([]).folder() == tmp_path / "elsewhere"
    assert sort_words([str(tmp_path)]).folder() == tmp_path / "elsewhere"


def test_two_run_files_have_to_be_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("output: o\n")
    with pytest.raises(typer.BadParameter, match="not inside a production"):
        sort_words([]).run_file()
    assert sort_words(["a.yaml"]).run_file().name == "a.yaml"


def test_a_run_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        sort_words([str(tmp_path / "none.yaml")]).folder()


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("sqlite", "sqlite:///{folder}/ledger.sqlite"),
        ("postgresql+psycopg://me@host/base", "postgresql+psycopg://me@host/base"),
        ("postgresql://me@host/base", "postgresql+psycopg://me@host/base"),
        ('"sqlite:////data/x.sqlite"', "sqlite:////data/x.sqlite"),
    ],
)
def test_the_ledger_of_a_folder(tmp_path, entry, url):
    (tmp_path / "run.yaml").write_text(f"name: x\nledger: {entry}\nsite: {{}}\n")
    assert ledger_url(tmp_path) == url.format(folder=tmp_path)
