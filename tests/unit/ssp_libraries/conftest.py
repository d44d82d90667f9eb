"""Small synthetic libraries in the layouts of the real ones, in folders of the test."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orchestrator.ssp_libraries.catalogue import KNOWN_LIBRARIES, known_library
from orchestrator.ssp_libraries.checksum import checksum_of_files
from orchestrator.ssp_libraries.load import find_library_folder, load_library

MIUSCAT_PIXELS = 20


def load_if_fetched(name: str):
    """Load a real library, or skip: not every machine that tests has fetched all of them."""
    if find_library_folder(known_library(name)) is None:
        pytest.skip(f"{name} has not been fetched: orchestrator ssp fetch {name}")
    return load_library(name)



@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Send the data and cache folders of the user into the test's folder."""
    monkeypatch.setenv("ORCHESTRATOR_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("ORCHESTRATOR_CACHE", str(tmp_path / "cache"))
    return tmp_path


def write_miuscat(folder: Path, m_h=("m0.40", "p0.00"), ages=("00.1000", "01.0000", "10.0000")) -> list[Path]:
    """Write populations whose flux is 1 + index of metallicity + 10 index of age."""
    from astropy.io import fits

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i, metal in enumerate(m_h):
        for j, age in enumerate(ages):
            unit = fits.PrimaryHDU(np.full(MIUSCAT_PIXELS, 1.0 + i + 10.0 * j, dtype=np.float32))
            unit.header["CRVAL1"], unit.header["CDELT1"], unit.header["CRPIX1"] = 5000.0, 0.9, 1
            paths.append(folder / f"Iun1.30Z{metal}T{age}.fits")
            unit.writeto(paths[-1], overwrite=True)
    return paths


def write_mastar(folder: Path, resolution=2000.0, ages=("00.003", "01.000")) -> list[Path]:
    from astropy.io import fits

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for metal in ("-1.00", "+0.35"):
        for age in ages:
            primary = fits.PrimaryHDU(np.linspace(0.5, 1.5, 30))
            primary.header["CRVAL1"], primary.header["CDELT1"], primary.header["CRPIX1"] = 3.7, 1e-4, 1
            units = [primary]
            if resolution is not None:
                units.append(fits.ImageHDU(np.full(30, resolution), name="SRES"))
            paths.append(folder / f"MaStar-SSP-A{age}-Z{metal}.fits.gz")
            fits.HDUList(units).writeto(paths[-1], overwrite=True)
    return paths


def write_popstar(folder: Path, imf="cha") -> Path:
    """Write two metallicities, three ages, and the Lyman limit twice."""
    from astropy.io import fits

    folder.mkdir(parents=True, exist_ok=True)
    wavelength = np.array([900.0, 912.4, 912.4, 1000.0, 5000.0, 5010.0, 5030.0])
    units = [
        fits.PrimaryHDU(),
        fits.BinTableHDU.from_columns([fits.Column("wavelength", "D", array=wavelength)]),
    ]
    units[1].name = "WAVELENGTH"
    for k, z in enumerate(("0.0200", "0.0004")):
        columns = []
        for age in ("6.00", "8.30", "10.15"):
            stellar = np.full(wavelength.size, float(age) + 100.0 * k)
            columns.append(fits.Column(f"logage_yr_{age}_stellar", "D", array=stellar))
            columns.append(fits.Column(f"logage_yr_{age}_total", "D", array=stellar + 0.5))
        units.append(fits.BinTableHDU.from_columns(columns, name=f"SED_Z_{z}"))
    path = folder / f"popstar_{imf}_0.15_100.fits.gz"
    fits.HDUList(units).writeto(path, overwrite=True)
    return path


def write_wheel(path: Path, member_folder: str, files: list[Path]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in files:
            archive.write(file, member_folder + file.name)
        archive.writestr(member_folder + "unrelated.txt", "not wanted")
        archive.writestr("package-1.0.dist-info/licenses/LICENSE.md", "the terms")
        archive.writestr("package/code.py", "raise SystemExit")
    return path


@pytest.fixture
def miuscat_wheel(folders, monkeypatch):
    """A wheel with a small MIUSCAT, whose checksum is taken for the known one."""
    files = write_miuscat(folders / "source")
    entry = KNOWN_LIBRARIES["MIUSCAT"]
    known = replace(entry, wheel=replace(entry.wheel, content_sha256=checksum_of_files(files)))
    monkeypatch.setitem(KNOWN_LIBRARIES, "MIUSCAT", known)
    return write_wheel(folders / "sdss_mangadap.whl", entry.wheel.member_folder, files)


def simple_arrays() -> dict[str, np.ndarray]:
    """Two metallicities, three ages, five wavelengths in vacuum."""
    generator = np.random.default_rng(3)
    return {
        "wavelength": np.array([4000.0, 4500.0, 5000.0, 5500.0, 6000.0]),
        "log10_age_yr": np.array([7.0, 8.0, 10.0]),
        "metallicity": np.array([0.004, 0.02]),
        "flux": generator.uniform(1.0, 2.0, (2, 3, 5)),
        "lsf_fwhm": np.full(5, 2.5),
        "surviving_fraction": np.full((2, 3), 0.6),
    }
