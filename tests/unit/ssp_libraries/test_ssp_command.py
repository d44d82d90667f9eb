"""``orchestrator ssp`` as a user types it."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from orchestrator.cli.main import app


@pytest.fixture
def run(folders):
    return lambda *words: CliRunner().invoke(app, list(words))


def test_fetch_list_info(run, miuscat_wheel):
    assert "fetch it with: orchestrator ssp fetch MIUSCAT" in run("ssp", "list").stdout
    assert "not here" in run("ssp", "info", "MIUSCAT").stdout
    fetched = run("ssp", "fetch", "MIUSCAT", "--from-wheel", str(miuscat_wheel))
    assert fetched.exit_code == 0
    text = " ".join(fetched.stdout.split())
    assert "fetched from sdss-mangadap 4.5.0" in text
    assert "Vazdekis" in text
    assert "for non-commercial purposes" in text
    assert "is already here" in run("ssp", "fetch", "miuscat").stdout
    assert str(miuscat_wheel.parent / "data") in run("ssp", "list").stdout
    info = run("ssp", "info", "MIUSCAT").stdout
    assert "3, 0.1 - 10 Gyr" in info
    assert "5001.39" in info


def test_a_mistake_is_one_message_without_traceback(run):
    result = run("ssp", "info", "MIUSCATT")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: unknown SSP library 'MIUSCATT'")
    assert "did you mean 'MIUSCAT'" in result.stderr
    assert "Traceback" not in result.output


def test_the_last_name_is_checked_before_the_first_download(run, monkeypatch):
    monkeypatch.setattr("subprocess.run", lambda *a, **k: pytest.fail("a download was started"))
    assert run("ssp", "fetch", "PopStar", "Nonsense").exit_code == 1


def test_wrong_usage_and_version(run):
    assert run("ssp", "nonsense").exit_code == 2
    assert run("ssp", "fetch").exit_code == 2
    version = run("version")
    assert version.exit_code == 0
    assert version.stdout[0].isdigit()


def test_list_and_info_tell_everything_of_a_library_that_is_not_here(run):
    listed = " ".join(run("ssp", "list").stdout.split())
    for name in ("PopStar", "PyPopStar", "BC03_2003", "BC03_2013", "BC03_2016", "XSL", "EMILES", "M11-MILES", "FSPS"):
        assert f"{name} grid " in listed
    info = " ".join(run("ssp", "info", "e-miles").stdout.split())
    for words in ("53 ages", "1680 - 50000 A", "2.51 A", "medium air", "Kroupa", "Non-commercial", "miles", "SSPDir"):
        assert words in info, words
    assert "iso=BASTI|PADOVA00" in info


def test_info_of_files_that_are_not_those_of_the_default_arguments(run, folders):
    folder = folders / "data" / "ssp_libraries" / "BC03_2003"
    folder.mkdir(parents=True)
    (folder / "bc2003_hr_m62_salp_ssp.ised_ASCII").write_text("")
    result = run("ssp", "info", "BC03_2003")
    assert result.exit_code == 0
    assert "cannot be loaded" in " ".join(result.stdout.split())


def test_fetch_of_what_no_package_carries(run):
    result = run("ssp", "fetch", "XSL")
    assert result.exit_code == 1
    assert "xsl.u-strasbg.fr" in result.stderr
