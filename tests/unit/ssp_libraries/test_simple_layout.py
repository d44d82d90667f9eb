"""Any library from one FITS, HDF5 or npz file, pPXF's layout included."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.errors import LibraryError
from orchestrator.physics.wavelength import air_to_vacuum
from orchestrator.ssp_libraries.load import load_library

from .conftest import simple_arrays

WORDS = {"medium": "vacuum", "name": "mine", "citation": "Somebody 2020", "licence": "free"}


def save_npz(path, arrays, words):
    np.savez(path, **arrays, **words)


def save_hdf5(path, arrays, words):
    import h5py

    with h5py.File(path, "w") as file:
        for key, value in arrays.items():
            file[key] = value
        file.attrs.update(words)


def save_fits(path, arrays, words):
    from astropy.io import fits

    spelling = {"log10_age_yr": "LOG10AGE", "surviving_fraction": "SURVIVING"}
    primary = fits.PrimaryHDU()
    for key, value in words.items():
        primary.header[{"mass_normalised": "MASSNORM"}.get(key, key.upper())] = value
    images = [fits.ImageHDU(value, name=spelling.get(key, key.upper())) for key, value in arrays.items()]
    fits.HDUList([primary, *images]).writeto(path)


FORMATS = {
    "mine.npz": save_npz,
    "mine.h5": save_hdf5,
    "mine.hdf5": save_hdf5,
    "mine.fits": save_fits,
    "mine.fits.gz": save_fits,
}


@pytest.mark.parametrize("file_name", FORMATS)
def test_every_format(folders, file_name):
    arrays = simple_arrays()
    FORMATS[file_name](folders / file_name, arrays, WORDS)
    library = load_library(str(folders / file_name))
    for key, value in arrays.items():
        np.testing.assert_allclose(getattr(library, key), value, err_msg=key)
    assert (library.name, library.citation, library.licence) == ("mine", "Somebody 2020", "free")
    assert library.mass_normalised
    # found by its name in SSPDir, and as SSPDir itself
    assert load_library("mine", folders).checksum == library.checksum
    assert load_library("whatever", folders / file_name).checksum == library.checksum


@pytest.mark.parametrize("file_name", ["mine.npz", "mine.h5", "mine.fits"])
def test_without_masses_in_air_with_one_resolution(folders, file_name):
    arrays = simple_arrays()
    del arrays["surviving_fraction"]
    arrays["lsf_fwhm"] = np.array([2.0])
    FORMATS[file_name](folders / file_name, arrays, {"medium": "air", "mass_normalised": False})
    library = load_library(file_name, folders)
    assert not library.mass_normalised
    assert library.surviving_fraction is None
    assert np.all(library.lsf_fwhm == 2.0)
    np.testing.assert_allclose(library.wavelength, air_to_vacuum(arrays["wavelength"]))


def test_argument_overrules_the_medium(folders):
    save_npz(folders / "mine.npz", simple_arrays(), {"medium": "air"})
    wavelength = load_library("mine", folders, "medium=vacuum").wavelength
    np.testing.assert_array_equal(wavelength, simple_arrays()["wavelength"])
    with pytest.raises(LibraryError, match="expected 'medium=air' or 'medium=vacuum'"):
        load_library("mine", folders, "medium=water")


def ppxf_arrays():
    generator = np.random.default_rng(4)
    return {
        "templates": generator.uniform(1.0, 2.0, (5, 3, 2)),
        "masses": generator.uniform(0.4, 0.9, (3, 2)),
        "lam": np.linspace(4000.0, 4400.0, 5),
        "ages": np.array([0.1, 1.0, 10.0]),
        "metals": np.array([-0.4, 0.0]),
        "fwhm": np.full(5, 2.51),
    }


def test_ppxf_layout(folders, caplog):
    arrays = ppxf_arrays()
    np.savez(folders / "spectra.npz", **arrays)
    library = load_library("spectra", folders)
    assert "taken as air" in caplog.text
    np.testing.assert_allclose(library.wavelength, air_to_vacuum(arrays["lam"]))
    np.testing.assert_allclose(library.log10_age_yr, [8.0, 9.0, 10.0])
    np.testing.assert_allclose(library.metallicity, [0.02 * 10**-0.4, 0.02])
    assert library.flux[1, 2, 3] == arrays["templates"][3, 2, 1]
    assert library.surviving_fraction[1, 2] == arrays["masses"][2, 1]


def test_ppxf_layout_in_vacuum_without_masses(folders, caplog):
    arrays = ppxf_arrays()
    del arrays["masses"]
    arrays["fwhm"] = np.float64(2.0)
    np.savez(folders / "spectra.npz", **arrays)
    library = load_library("spectra.npz", folders, ["medium=vacuum"])
    assert caplog.text == ""
    np.testing.assert_array_equal(library.wavelength, arrays["lam"])
    assert np.all(library.lsf_fwhm == 2.0)
    assert library.surviving_fraction is None


@pytest.mark.parametrize(
    ("changes", "words", "message"),
    [
        ({"flux": None, "metallicity": None}, WORDS, "lacks metallicity, flux; found"),
        ({}, {}, "lacks medium"),
        ({}, {"medium": "water"}, "medium is 'water'; expected 'vacuum' or 'air'"),
        ({}, {"medium": "vacuum", "mass_normalised": "maybe"}, "mass_normalised is 'maybe'"),
        ({"metallicity": np.array([0.02, 0.004])}, WORDS, "metallicity must increase strictly"),
        ({"flux": np.ones((3, 2, 5))}, WORDS, r"flux has shape \(3, 2, 5\); expected \(2, 3, 5\)"),
        ({"lsf_fwhm": np.ones(4)}, WORDS, "lsf_fwhm has shape"),
    ],
)
def test_faulty_content_is_refused(folders, changes, words, message):
    arrays = {key: value for key, value in {**simple_arrays(), **changes}.items() if value is not None}
    save_npz(folders / "mine.npz", arrays, words)
    with pytest.raises(LibraryError, match=message):
        load_library("mine", folders)


@pytest.mark.parametrize("file_name", FORMATS)
def test_damaged_files_are_refused(folders, file_name):
    (folders / file_name).write_bytes(b"nothing of the kind")
    with pytest.raises(LibraryError, match="cannot be read"):
        load_library(file_name, folders)


def test_pickled_arrays_are_refused(folders):
    arrays = simple_arrays()
    np.savez(folders / "mine.npz", **arrays, **WORDS, extra=np.array([{"code": 1}], dtype=object))
    with pytest.raises(LibraryError, match="cannot be read"):
        load_library("mine", folders)
