"""Reader of the MaStar library, version 1.0 (Maraston et al. 2020, MNRAS 496, 2962).

One FITS file per population, ``MaStar-SSP-A<age/Gyr>-Z<[Z/H]>.fits.gz``: vacuum wavelengths in steps of 1e-4
dex, the resolution R = wavelength / FWHM in the extension ``SRES``, and each spectrum scaled to median 1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from orchestrator.errors import LibraryError
from orchestrator.ssp_libraries.catalogue import KNOWN_LIBRARIES
from orchestrator.ssp_libraries.grid import PopulationFile, assemble_grid
from orchestrator.ssp_libraries.library import SOLAR_METALLICITY, SSPLibrary
from orchestrator.ssp_libraries.reader import Reader

__all__ = ["READER", "read_mastar"]

_FILE_NAME = re.compile(r"MaStar-SSP-A(?P<age>\d+\.\d+)-Z(?P<z_h>[+-]\d+\.\d+)\.fits\.gz$")
# Ages whose three decimals in the file name are rounded from half-dex steps.
_UNROUNDED_AGE_GYR = {0.003: 10.0**-2.5, 0.032: 10.0**-1.5}


def _population(path: Path) -> PopulationFile:
    match = _FILE_NAME.search(path.name)
    if match is None:
        msg = f"{str(path)!r}: the name does not follow 'MaStar-SSP-AYY.YYY-Z+X.XX.fits.gz' of MaStar"
        raise LibraryError(msg)
    age = float(match["age"])
    metallicity = SOLAR_METALLICITY * 10.0 ** float(match["z_h"])
    return PopulationFile(path, metallicity=metallicity, age_gyr=_UNROUNDED_AGE_GYR.get(age, age))


def read_mastar(paths: Sequence[Path], *, checksum: str) -> SSPLibrary:
    """Read the library.

    Parameters
    ----------
    paths : sequence of Path
        All its files.
    checksum : str

    Returns
    -------
    SSPLibrary
        With `mass_normalised` False: the spectra have no common mass scale. Z = 0.02 x 10**[Z/H].

    Raises
    ------
    LibraryError
        A file that does not follow the layout, or a population that is missing from the grid.
    """
    grid = assemble_grid([_population(path) for path in paths], "MaStar")
    if grid.resolution is None:
        msg = f"{str(paths[0])!r}: no extension SRES (resolution); expected a MaStar file of version 1.0"
        raise LibraryError(msg)
    wavelength = np.asarray(10.0**grid.wavelength, dtype=np.float64)
    entry = KNOWN_LIBRARIES["MaStar"]
    return SSPLibrary(
        name=entry.name,
        wavelength=wavelength,
        log10_age_yr=np.log10(grid.age_gyr) + 9.0,
        metallicity=grid.metallicity,
        flux=grid.flux,
        lsf_fwhm=wavelength / grid.resolution,
        surviving_fraction=None,
        mass_normalised=False,
        citation=entry.citation,
        licence=entry.licence,
        checksum=checksum,
        medium="vacuum",
        initial_mass_function=entry.imf,
        resolution="the extension SRES of its files",
    )


READER = Reader(
    arguments=(),
    patterns=lambda _values: (KNOWN_LIBRARIES["MaStar"].file_pattern,),
    read=lambda paths, _values, checksum: read_mastar(paths, checksum=checksum),
)
