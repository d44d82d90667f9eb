"""Air or vacuum from the Balmer lines."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from orchestrator.physics.wavelength import air_to_vacuum
from orchestrator.ssp_libraries.load import load_library
from orchestrator.ssp_libraries.medium_check import balmer_offset, settled_medium

from .conftest import load_if_fetched, simple_arrays
from .layouts import young_spectrum

WAVE = np.arange(4000.0, 6700.0, 0.9)
AGE = np.array([8.5])


def save(path, medium, own="vacuum", **changes):
    arrays = simple_arrays()
    flux = np.tile(young_spectrum(WAVE, own), (2, 3, 1))
    arrays.update(wavelength=WAVE, lsf_fwhm=np.full(WAVE.size, 2.5), flux=flux, **changes)
    arrays["log10_age_yr"] = np.array([7.0, 8.5, 10.0])
    np.savez(path, **arrays, medium=medium)


@pytest.mark.parametrize(("medium", "offset"), [("vacuum", 0.0), ("air", -1.3)])
@pytest.mark.parametrize("shift", [0.0, 0.3, 0.45])
def test_offset(medium, offset, shift):
    wave = WAVE + shift
    found = balmer_offset(wave, young_spectrum(wave, medium), np.full(WAVE.size, 2.5))
    assert found == pytest.approx(offset, abs=0.1)


def test_no_offset_where_lines_cannot_tell():
    good = young_spectrum(WAVE)
    assert balmer_offset(WAVE, good, np.full(WAVE.size, 20.0)) is None
    assert balmer_offset(WAVE, np.ones(WAVE.size), np.full(WAVE.size, 2.5)) is None
    assert balmer_offset(WAVE[::30], good[::30], np.full(WAVE[::30].size, 2.5)) is None


def test_a_slope_does_not_move_the_lines():
    sloped = young_spectrum(WAVE) * (WAVE / 5000.0) ** -3
    assert abs(balmer_offset(WAVE, sloped, np.full(WAVE.size, 2.5))) < 0.1


@pytest.mark.parametrize("medium", ["air", "vacuum"])
def test_settled_medium(medium):
    fwhm = np.full(WAVE.size, 2.5)
    found, wave = settled_medium("x", WAVE, AGE, young_spectrum(WAVE, medium)[None, None], fwhm, otherwise="air")
    assert found == medium
    np.testing.assert_allclose(wave, air_to_vacuum(WAVE) if medium == "air" else WAVE)


@pytest.mark.parametrize(("stated", "own"), [("air", "vacuum"), ("vacuum", "air")])
def test_a_wrong_statement_is_doubted(folders, caplog, stated, own):
    save(folders / "mine.npz", stated, own)
    load_library("mine", folders)
    assert "Balmer lines lie" in caplog.text
    caplog.clear()
    load_library("mine", folders, f"medium={own}")
    assert caplog.text == ""


@pytest.mark.parametrize("name", ["MIUSCAT", "MaStar", "BC03-MILES", "M11-MILES", "M11-ELODIE"])
def test_real_libraries(name, caplog):
    library = load_if_fetched(name)
    young = np.argmin(np.abs(library.log10_age_yr - 8.5))
    flux = library.flux[library.metallicity.size // 2, young]
    with caplog.at_level(logging.WARNING):
        offset = balmer_offset(library.wavelength, flux, library.lsf_fwhm)
    assert offset is not None
    assert abs(offset) < 0.3
