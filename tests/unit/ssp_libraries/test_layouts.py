"""Every layout of a library that the user or a package brings, against small files written in it."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from orchestrator.errors import LibraryError
from orchestrator.physics.wavelength import air_to_vacuum, vacuum_to_air
from orchestrator.ssp_libraries.load import load_library

from .layouts import (
    LEVEL,
    write_bagpipes,
    write_bc03_table,
    write_colours,
    write_image,
    write_ised,
    write_pypopstar,
    young_spectrum,
)

AIR = np.arange(4000.0, 4950.0, 1.0)
AGES = np.array([0.0, 1e8, 1e9, 1e10])


@pytest.fixture(autouse=True)
def no_warnings(caplog):
    """Neither the medium nor the mass scale of a right library is doubted."""
    yield
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


def populations(scale=1.0):
    return np.array([scale * (k + 1) * young_spectrum(AIR, "air") for k in range(AGES.size)])


@pytest.mark.parametrize("ending", ["ised_ASCII", "ised_ASCII.gz"])
@pytest.mark.parametrize("words", [5, 6])
def test_bc03_text(folders, ending, words):
    stems = {0.008: "bc2003_hr_stelib_m52_chab_ssp", 0.02: "bc2003_hr_stelib_m62_chab_ssp"}
    for k, stem in enumerate(stems.values()):
        write_ised(folders / "bc03" / f"{stem}.{ending}", AGES, AIR, populations(1 + 10 * k), words)
        write_colours(folders / "bc03" / f"{stem}.4color", [7.0, 8.0, 9.0, 10.0], [0.0, 0.1, 0.3, 0.4 + 0.1 * k])
    library = load_library("BC03_2013", folders / "bc03", "model=stelib, imf=Chabrier")
    np.testing.assert_allclose(library.wavelength, air_to_vacuum(AIR))
    np.testing.assert_allclose(library.log10_age_yr, [8.0, 9.0, 10.0])
    np.testing.assert_allclose(library.metallicity, list(stems))
    np.testing.assert_allclose(library.flux[1, 2], 11 * 4 * young_spectrum(AIR, "air"), rtol=1e-6)
    np.testing.assert_allclose(library.surviving_fraction, [[0.9, 0.7, 0.6], [0.9, 0.7, 0.5]])
    assert library.with_remnants
    assert np.all(library.lsf_fwhm == 3.0)
    assert (library.medium, library.initial_mass_function) == ("air", "Chabrier")
    assert library.mass_normalised


def test_names_of_the_three_releases(folders):
    names = {
        ("BC03_2003", "Padova1994, stelib, salpeter"): "bc2003_hr_m62_salp_ssp",
        ("BC03_2003", "imf=kroupa"): "bc2003_lr_m62_kroup_ssp",
        ("BC03_2013", "model=BaSeL"): "bc2003_lr_BaSeL_m62_chab_ssp",
        ("BC03_2016", "MILES, cha"): "bc2003_hr_xmiless_m62_chab_ssp",
        ("BC03_2016", ""): "bc2003_lr_BaSeL_m62_kroup_ssp",
    }
    for k, stem in enumerate(names.values()):
        write_ised(folders / "bc03" / f"{stem}.ised_ASCII", AGES, AIR, populations(1 + k))
    for k, (name, args) in enumerate(names):
        library = load_library(name, folders / "bc03", args)
        np.testing.assert_allclose(library.flux[0, 0], (1 + k) * 2 * young_spectrum(AIR, "air"), rtol=1e-6)
        assert library.metallicity.tolist() == [0.02]
        assert library.surviving_fraction is None


def test_bc03_resolution_by_stellar_library(folders):
    wave = np.arange(3000.0, 9000.0, 2.0)
    for stem in ("hr_xmiless", "lr_BaSeL"):
        path = folders / "bc03" / f"bc2003_{stem}_m62_kroup_ssp.ised_ASCII"
        write_ised(path, AGES, wave, np.full((4, wave.size), LEVEL))
    miles = load_library("BC03_2016", folders / "bc03", "xmiless")
    at = np.interp([3300.0, 5000.0, 8000.0, 8900.0], miles.wavelength, miles.lsf_fwhm)
    np.testing.assert_allclose(at, [4.0, 2.54, 3.0, 4.0])
    basel = load_library("BC03_2016", folders / "bc03", "BaSeL")
    np.testing.assert_allclose(basel.lsf_fwhm, 4.0)
    np.testing.assert_array_equal(basel.wavelength, wave)


@pytest.mark.parametrize("header", ["", "4\n", "# age [yr]\n"])
def test_bc03_tables_of_the_toolkit(folders, header):
    place = folders / "ssp" / "BC03" / "bc03_2016ver" / "Miles_Atlas" / "Chabrier_IMF"
    write_bc03_table(place / "bc2003_hr_xmiless_m62_chab_ssp.fits", AIR, populations())
    time_scale = folders / "ssp" / "BC03" / "TIME_SCALE.DAT"
    time_scale.write_text(header + "".join(f"  {age:.5E}\n" for age in AGES))
    library = load_library("BC03_2016", folders / "ssp", "MILES, chabrier")
    np.testing.assert_allclose(library.log10_age_yr, [8.0, 9.0, 10.0])
    np.testing.assert_allclose(library.flux[0, 1], 3 * young_spectrum(AIR, "air"), rtol=1e-6)


def test_bc03_faults(folders):
    folder = folders / "bc03"
    path = write_ised(folder / "bc2003_lr_m62_chab_ssp.ised_ASCII", AGES, AIR, populations())
    write_ised(folder / "bc2003_lr_m52_chab_ssp.ised_ASCII", AGES, AIR + 1.0, populations())
    with pytest.raises(LibraryError, match="ages or wavelengths differ"):
        load_library("BC03_2003", folder)
    with pytest.raises(LibraryError, match="holds no file .*m.2_salp.*for isochrone=Padova1994"):
        load_library("BC03_2003", folder, "imf=sal")
    with pytest.raises(LibraryError, match="model is 'MILES'; expected BaSeL or stelib"):
        load_library("BC03_2003", folder, "model=MILES")
    (folder / "bc2003_lr_m52_chab_ssp.ised_ASCII").unlink()
    whole = path.read_text()
    for damaged in (whole[: len(whole) // 2], "nothing", whole.replace(str(AIR.size), "9999999")):
        path.write_text(damaged)
        with pytest.raises(LibraryError, match="cannot be read as an ised_ASCII file"):
            load_library("BC03_2003", folder)
    path.unlink()
    write_bc03_table(path.with_name("bc2003_lr_m62_chab_ssp.fits"), AIR, populations())
    with pytest.raises(LibraryError, match="no TIME_SCALE.DAT"):
        load_library("BC03_2003", folder)
    (folder / "TIME_SCALE.DAT").write_text("1.0\n2.0\n")
    with pytest.raises(LibraryError, match="has 2 ages; expected 4"):
        load_library("BC03_2003", folder)


@pytest.mark.parametrize("medium", ["air", "vacuum"])
def test_pypopstar_whose_lines_tell_the_medium(folders, medium):
    write_pypopstar(folders / "ssp" / "PyPopStar" / "KRO", AIR, young_spectrum(AIR, medium))
    library = load_library("PyPopStar", folders / "ssp")
    assert library.medium == medium
    np.testing.assert_allclose(library.wavelength, air_to_vacuum(AIR) if medium == "air" else AIR)
    assert library.flux.dtype == np.float32
    np.testing.assert_allclose(library.log10_age_yr, [8.0, 8.6])
    np.testing.assert_allclose(library.flux[1, 1] / young_spectrum(AIR, medium), 12.0, rtol=1e-6)
    assert library.metallicity.tolist() == [0.004, 0.02]
    with_gas = load_library("PyPopStar", folders / "ssp", "KRO, True")
    np.testing.assert_allclose(with_gas.flux, 2 * library.flux, rtol=1e-6)


def test_pypopstar_faults(folders):
    write_pypopstar(folders / "a", AIR, young_spectrum(AIR))
    (folders / "a" / "SSP-KRO_Z0.004_logt08.00.fits").unlink()
    with pytest.raises(LibraryError, match="found 3 of 2 x 2 populations, the first missing is Z = 0.004"):
        load_library("PyPopStar", folders / "a")
    write_pypopstar(folders / "a", AIR + 1.0, young_spectrum(AIR), z=("0.004",), ages=("08.00",))
    with pytest.raises(LibraryError, match="wavelengths differ"):
        load_library("PyPopStar", folders / "a")
    with pytest.raises(LibraryError, match="IMF is 'CHABRIER'; expected KRO or SAL or CHA or FER"):
        load_library("PyPopStar", folders / "a", "CHABRIER")


def xsl_cards(start=400.0, step=1e-5):
    return {"CRVAL1": np.log10(start), "CDELT1": step, "CRPIX1": 1}


@pytest.mark.parametrize(("imf", "mass"), [("Kroupa", 0.562), ("Salpeter", 0.319)])
def test_xsl(folders, imf, mass):
    n_wave = 9000
    air = 4000.0 * 10 ** (1e-5 * np.arange(n_wave))
    # A cluster of `mass` Msun at 10 pc, in erg/s/cm2/A.
    flux = young_spectrum(air, "air") * mass * 3.828e33 / (4 * np.pi * (10 * 3.0856776e18) ** 2)
    for log_age in ("8.3", "10.0"):
        for m_h in ("-0.2", "0.0"):
            write_image(folders / f"XSL_SSP_logT{log_age}_MH{m_h}_{imf}_PC.fits", flux, **xsl_cards())
    library = load_library("XSL", folders, imf)
    np.testing.assert_allclose(library.flux[1, 1], young_spectrum(air, "air"), rtol=1e-4)
    np.testing.assert_allclose(library.wavelength, air_to_vacuum(air), rtol=1e-10)
    np.testing.assert_allclose(library.metallicity, [0.019 * 10**-0.2, 0.019])
    np.testing.assert_allclose(library.log10_age_yr, [8.3, 10.0])
    dispersion = library.lsf_fwhm / library.wavelength * 299792.458 / 2.3548
    np.testing.assert_allclose(dispersion, 13.0, rtol=1e-3)
    with pytest.raises(LibraryError, match="holds no file .*P00"):
        load_library("XSL", folders, f"{imf}, P00")


def test_xsl_of_padova(folders):
    for age in ("8.91e+08", "1.00e+09"):
        write_image(folders / f"XSL_SSP_T{age}_Z0.019_Kroupa_P00.fits", np.ones(100) * 1e-11, **xsl_cards())
    library = load_library("XSL", folders, "ISO=P00")
    np.testing.assert_allclose(10**library.log10_age_yr, [8.91e8, 1e9])
    assert library.metallicity.tolist() == [0.019]


def write_emiles(folder, imf="ku", slope="1.30", isochrone="iTp", m_h=("m0.25", "p0.06")):
    wave = 1680.2 + 0.9 * np.arange(9000)
    for k, metal in enumerate(m_h):
        for age in ("00.3000", "10.0000"):
            path = folder / f"E{imf}{slope}Z{metal}T{age}_{isochrone}0.00_baseFe.fits"
            data = ((1 + k) * young_spectrum(wave, "air")).astype(np.float32)
            write_image(path, data, CRVAL1=1680.2, CDELT1=0.9, CRPIX1=1)
    return wave


def test_emiles(folders):
    wave = write_emiles(folders / "EMILES")
    library = load_library("EMILES", folders)
    np.testing.assert_allclose(library.wavelength, air_to_vacuum(wave))
    np.testing.assert_allclose(library.metallicity, [0.01, 0.0198])
    assert library.flux.dtype == np.float32
    np.testing.assert_allclose(library.flux[1, 0], 2 * young_spectrum(wave, "air"), rtol=1e-6)
    np.testing.assert_allclose(np.interp([2000.0, 3200.0, 5000.0], wave, library.lsf_fwhm), [3.0, 5.0, 2.51])
    at_9000 = np.interp(9000.0, wave, library.lsf_fwhm)
    assert at_9000 == pytest.approx(9000.0 * 60.0 * 2.3548 / 299792.458, rel=1e-4)
    assert library.surviving_fraction is None
    for args, message in {"padova00": "iPp", "BASTI, UNIMODAL, 2.3": "Eun2.30"}.items():
        with pytest.raises(LibraryError, match=f"holds no file .*{message}"):
            load_library("EMILES", folders, args)
    write_emiles(folders / "EMILES", imf="un", slope="2.30")
    assert "slope 2.30" in load_library("EMILES", folders, "BASTI, UNIMODAL, 2.3").initial_mass_function


def test_emiles_with_the_table_of_masses(folders):
    write_emiles(folders)
    without = load_library("EMILES", folders)
    rows = ["#IMF slope [M/H] Age Mtotal M(*+remn) M* Mremn Mgas"]
    for k, metal in enumerate((-0.25, 0.06)):
        for j, age in enumerate((0.3, 10.0)):
            rows.append(f"Ku 1.30 {metal} {age:.4f} 1.0000 {0.8 - 0.1 * k - 0.2 * j:.4f} 0.5 0.1 0.3")
    (folders / "out_mass_KU_BASTI.txt").write_text("\n".join(rows))
    library = load_library("EMILES", folders)
    np.testing.assert_allclose(library.surviving_fraction, [[0.8, 0.6], [0.7, 0.5]])
    assert library.checksum != without.checksum
    (folders / "out_mass_KU_BASTI.txt").write_text("\n".join(rows[:-1]))
    with pytest.raises(LibraryError, match="lacks the mass of some population"):
        load_library("EMILES", folders)


def test_base_gm(folders):
    ages, metals = np.array([1e6, 3e8, 1e10]), np.array([0.008, 0.02])
    rows = [(age, z) for age in ages[::-1] for z in metals]
    cards = {"CRVAL1": 4000.0, "CDELT1": 1.0} | {f"NORM{k}": (k + 1.0) * LEVEL for k in range(6)}
    write_image(folders / "gsd01_156.fits", np.array([young_spectrum(AIR, "air", 1.0)] * 6), **cards)
    (folders / "fits_like_properties.dat").write_text("".join(f"{age} {z}\n" for age, z in rows))
    library = load_library("BaseGM", folders)
    assert library.flux.shape == (2, 3, AIR.size)
    np.testing.assert_allclose(library.flux[1, 0], 6 * young_spectrum(AIR, "air"))
    np.testing.assert_allclose(library.flux[0, 2], 1 * young_spectrum(AIR, "air"))
    (folders / "fits_like_properties.dat").write_text("1e6 0.02\n")
    with pytest.raises(LibraryError, match="6 spectra, 1 rows"):
        load_library("BaseGM", folders)


def test_bc03_miles_of_bagpipes(folders):
    living = np.array([[1.0, 1.0], [0.8, 0.82], [0.6, 0.62], [0.5, 0.52]])
    flux = [populations(), populations(2.0)]
    write_bagpipes(folders / "bc03_miles_stellar_grids.fits", AIR, AGES, flux, living)
    library = load_library("bc03_miles", folders)
    np.testing.assert_allclose(library.metallicity, [0.008, 0.02])
    np.testing.assert_allclose(library.log10_age_yr, [8.0, 9.0, 10.0])
    np.testing.assert_allclose(library.surviving_fraction, living[1:].T)
    assert not library.with_remnants
    np.testing.assert_allclose(library.flux[1, 0], 4 * young_spectrum(AIR, "air"))
    np.testing.assert_allclose(vacuum_to_air(library.wavelength), AIR, rtol=1e-9)
    (folders / "bc03_miles_stellar_grids.fits").write_text("no")
    with pytest.raises(LibraryError, match="is not the stellar grid of bagpipes"):
        load_library("BC03-MILES", folders)


def test_m11_takes_the_ages_that_all_metallicities_have(folders):
    ages = {"0.01": ("0.10000000", "1.0000000"), "0.02": ("0.0065000000", "0.10000000", "1.0000000")}
    for z, names in ages.items():
        for age in names:
            data = float(z) * 100 * young_spectrum(AIR, "air") * 3.828e33
            name = f"M11_STELIB_res3.40_imf_ss_age_{age}_z_{z}.fits"
            write_image(folders / name, data, CRVAL1=4000.0, CDELT1=1.0, CRPIX1=1)
    # A resampled copy, as sdss-mangadap has beside the original, is not another population.
    write_image(folders / "M11_STELIB_res3.40_imf_ss_age_1.0000000_z_0.02_s.fits", np.ones(3), CRVAL1=1.0)
    library = load_library("M11-STELIB", folders)
    np.testing.assert_allclose(library.log10_age_yr, [8.0, 9.0])
    np.testing.assert_allclose(library.flux[1, 1], 2 * young_spectrum(AIR, "air"))
    assert np.all(library.lsf_fwhm == 3.4)
    with pytest.raises(LibraryError, match="takes no arguments"):
        load_library("M11-STELIB", folders, "MILES")


def test_folder_of_the_toolkit_is_searched(folders, monkeypatch):
    monkeypatch.setenv("PST_SSP_DIR", str(folders / "ssp"))
    with pytest.raises(LibraryError, match="is not on this machine"):
        load_library("PyPopStar")
    write_pypopstar(folders / "ssp" / "PyPopStar" / "KRO", AIR, young_spectrum(AIR))
    assert load_library("PyPopStar").flux.shape == (2, 2, AIR.size)
