"""Reader of the MIUSCAT library (Vazdekis et al. 2012, MNRAS 424, 157), unimodal IMF of slope 1.30.

One FITS file per population, named ``Iun1.30Z{m,p}X.XXTYY.YYYY.fits``: [M/H] with the sign as a letter and
the age in Gyr; air wavelengths, 0.9 A steps, constant FWHM 2.51 A, Lsun / Angstrom / Msun formed.
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

__all__ = ["FWHM_ANGSTROM", "READER", "read_miuscat"]

FWHM_ANGSTROM = 2.51
_FILE_NAME = re.compile(r"Iun1\.30Z(?P<sign>[mp])(?P<m_h>\d+\.\d+)T(?P<age>\d+\.\d+)\.fits$")


def _population(path: Path) -> PopulationFile:
    match = _FILE_NAME.search(path.name)
    if match is None:
        msg = f"{str(path)!r}: the name does not follow 'Iun1.30Z{{m,p}}X.XXTYY.YYYY.fits' of MIUSCAT"
        raise LibraryError(msg)
    m_h = float(match["m_h"]) * (-1.0 if match["sign"] == "m" else 1.0)
    return PopulationFile(path, metallicity=SOLAR_METALLICITY * 10.0**m_h, age_gyr=float(match["age"]))


def read_miuscat(paths: Sequence[Path], *, checksum: str) -> SSPLibrary:
    """Read the library.

    Parameters
    ----------
    paths : sequence of Path
        All its files.
    checksum : str

    Returns
    -------
    SSPLibrary
        Wavelengths converted from air to vacuum (the flux per Angstrom is left as it is: the step changes by
        3e-4). Z = 0.02 x 10**[M/H]. No surviving fraction: the files do not give one.

    Raises
    ------
    LibraryError
        A file that does not follow the layout, or a population that is missing from the grid.
    """
    from orchestrator.physics.wavelength import air_to_vacuum

    grid = assemble_grid([_population(path) for path in paths], "MIUSCAT")
    air = grid.wavelength
    entry = KNOWN_LIBRARIES["MIUSCAT"]
    return SSPLibrary(
        name=entry.name,
        wavelength=air_to_vacuum(air),
        log10_age_yr=np.log10(grid.age_gyr) + 9.0,
        metallicity=grid.metallicity,
        flux=grid.flux,
        lsf_fwhm=np.full(air.size, FWHM_ANGSTROM),
        surviving_fraction=None,
        mass_normalised=True,
        citation=entry.citation,
        licence=entry.licence,
        checksum=checksum,
        medium="air",
        initial_mass_function=entry.imf,
        resolution=entry.resolution,
    )


READER = Reader(
    arguments=(),
    patterns=lambda _values: (KNOWN_LIBRARIES["MIUSCAT"].file_pattern,),
    read=lambda paths, _values, checksum: read_miuscat(paths, checksum=checksum),
)
