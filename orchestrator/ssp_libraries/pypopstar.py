"""Reader of HR-pyPopStar (Millan-Irigoyen et al. 2021, MNRAS 506, 4781).

One FITS table per population, ``SSP-<IMF>_Z<Z>_logt<log10 age/yr>.fits``, with the columns ``wavelength`` [Angstrom],
``flux_stellar`` and ``flux_total`` [Lsun / Angstrom / Msun formed]. Zeros stay zeros.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import LibraryError
from orchestrator.ssp_libraries.arguments import NEBULAR, Argument
from orchestrator.ssp_libraries.catalogue import KNOWN_LIBRARIES
from orchestrator.ssp_libraries.library import SSPLibrary, separate_repeated_wavelengths
from orchestrator.ssp_libraries.medium_check import settled_medium
from orchestrator.ssp_libraries.reader import Reader
from orchestrator.ssp_libraries.resolution import two_steps

__all__ = ["READER", "read_pypopstar"]

_FILE_NAME = re.compile(r"SSP-[A-Z]+_Z(?P<z>\d\.\d+)_logt(?P<age>\d+\.\d+)\.fits$")
_IMF_NAMES = {"KRO": "Kroupa (2002)", "SAL": "Salpeter (1955)", "CHA": "Chabrier (2003)"}
_IMF_NAMES |= {"FER": "Ferrini, Penco & Palla (1990)"}


def _population(path: Path) -> tuple[float, float]:
    match = _FILE_NAME.search(path.name)
    if match is None:
        msg = f"{str(path)!r}: the name does not follow 'SSP-IMF_Z0.ZZZ_logtAA.AA.fits' of PyPopStar"
        raise LibraryError(msg)
    return float(match["z"]), float(match["age"])


def _columns(path: Path, column: str) -> tuple[NDArray[Any], NDArray[Any]]:
    from astropy.io import fits

    try:
        with fits.open(path, memmap=False) as file:
            return file[1].data["wavelength"], file[1].data[column]
    except (OSError, KeyError, ValueError, IndexError, TypeError) as error:
        msg = f"{str(path)!r} is not a PyPopStar file with the columns wavelength and {column} ({error})"
        raise LibraryError(msg) from error


def read_pypopstar(paths: Sequence[Path], *, imf: str, nebular: bool, checksum: str) -> SSPLibrary:
    """Read the library.

    Parameters
    ----------
    paths : sequence of Path
        All files of one mass function.
    imf : {'KRO', 'SAL', 'CHA', 'FER'}
    nebular : bool
        Add the nebular continuum to the stars.
    checksum : str

    Raises
    ------
    LibraryError
        A file that does not follow the layout, wavelengths that differ, or a population that is missing.
    """
    present = {_population(path): path for path in paths}
    metallicity = sorted({z for z, _ in present})
    log_age = sorted({age for _, age in present})
    missing = [(z, age) for z in metallicity for age in log_age if (z, age) not in present]
    if missing:
        msg = (
            f"SSP library 'PyPopStar' is incomplete: found {len(present)} of {len(metallicity)} x {len(log_age)} "
            f"populations, the first missing is Z = {missing[0][0]:g}, log10(age/yr) = {missing[0][1]:g}"
        )
        raise LibraryError(msg)
    column = "flux_total" if nebular else "flux_stellar"
    wavelength, flux = np.empty(0), np.empty(0)
    for i, z in enumerate(metallicity):
        for j, age in enumerate(log_age):
            wave, spectrum = _columns(present[z, age], column)
            if not flux.size:
                kind = np.float32 if spectrum.dtype.itemsize == 4 else np.float64
                wavelength = np.array(wave, dtype=np.float64)
                flux = np.empty((len(metallicity), len(log_age), wave.size), dtype=kind)
            if not np.array_equal(wave, wavelength):
                msg = f"{str(present[z, age])!r}: wavelengths differ from those of the other files of 'PyPopStar'"
                raise LibraryError(msg)
            flux[i, j] = spectrum
    own = separate_repeated_wavelengths(wavelength)
    fwhm = two_steps(own)
    medium, vacuum = settled_medium("PyPopStar", own, np.array(log_age), flux, fwhm, otherwise="vacuum")
    entry = KNOWN_LIBRARIES["PyPopStar"]
    return SSPLibrary(
        name=entry.name,
        wavelength=vacuum,
        log10_age_yr=np.array(log_age),
        metallicity=np.array(metallicity),
        flux=flux,
        lsf_fwhm=fwhm,
        surviving_fraction=None,
        mass_normalised=True,
        citation=entry.citation,
        licence=entry.licence,
        checksum=checksum,
        medium=medium,
        initial_mass_function=_IMF_NAMES[imf],
        resolution=entry.resolution,
    )


READER = Reader(
    arguments=(Argument("IMF", {imf.lower(): imf for imf in _IMF_NAMES}, default="KRO"), NEBULAR),
    patterns=lambda values: (f"SSP-{values['IMF']}_Z*_logt*.fits",),
    read=lambda paths, values, checksum: read_pypopstar(
        paths, imf=values["IMF"], nebular=values["nebular"] == "True", checksum=checksum
    ),
    subfolders=lambda values: (f"PyPopStar/{values['IMF']}", values["IMF"]),
)
