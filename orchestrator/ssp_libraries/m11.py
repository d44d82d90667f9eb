"""Reader of the models of Maraston & Stromback (2011, MNRAS 418, 2785) as sdss-mangadap carries them.

One FITS file per population, ``M11_<stars>_res<FWHM>_imf_ss_age_<Gyr>_z_<Z>.fits``: air wavelengths in linear
steps, erg / s / Angstrom per Msun formed (the README of the models: normalised to one solar mass), Salpeter. The
youngest age differs between metallicities; the ages that all of them have are read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from orchestrator.errors import LibraryError
from orchestrator.ssp_libraries.catalogue import KNOWN_LIBRARIES
from orchestrator.ssp_libraries.grid import PopulationFile, assemble_grid, of_common_ages
from orchestrator.ssp_libraries.library import SSPLibrary
from orchestrator.ssp_libraries.reader import Reader

__all__ = ["READER_OF", "read_m11"]

_FILE_NAME = re.compile(
    r"M11_(?P<stars>[A-Z]+)_res(?P<fwhm>\d+\.\d+)_imf_ss_age_(?P<age>\d+\.\d+)_z_(?P<z>\d\.\d+)\.fits$"
)
_LONGEST_COMPLETE = {"STELIB": 7900.0}


def _parts(path: Path) -> re.Match[str]:
    match = _FILE_NAME.search(path.name)
    if match is None:
        msg = f"{str(path)!r}: the name does not follow 'M11_STARS_resF.FF_imf_ss_age_GYR_z_Z.fits' of M11"
        raise LibraryError(msg)
    return match


def read_m11(paths: Sequence[Path], *, checksum: str) -> SSPLibrary:
    """Read one of the M11 libraries.

    Parameters
    ----------
    paths : sequence of Path
        All files of one stellar library.
    checksum : str

    Returns
    -------
    SSPLibrary
        In Lsun (3.828e33 erg/s), wavelengths converted from air to vacuum. No surviving fraction.

    Raises
    ------
    LibraryError
        A file that does not follow the layout, or no age that all metallicities have.
    """
    from orchestrator.physics.constants import SOLAR_LUMINOSITY
    from orchestrator.physics.wavelength import air_to_vacuum

    parts = [(path, _parts(path)) for path in paths]
    files = [PopulationFile(path, float(match["z"]), float(match["age"])) for path, match in parts]
    stars, fwhm = parts[0][1]["stars"], float(parts[0][1]["fwhm"])
    entry = KNOWN_LIBRARIES[f"M11-{stars}"]
    grid = assemble_grid(of_common_ages(files), entry.name)
    air = grid.wavelength
    complete = air <= _LONGEST_COMPLETE.get(stars, np.inf)
    flux = grid.flux[:, :, complete]
    flux /= SOLAR_LUMINOSITY
    return SSPLibrary(
        name=entry.name,
        wavelength=air_to_vacuum(air[complete]),
        log10_age_yr=np.log10(grid.age_gyr) + 9.0,
        metallicity=grid.metallicity,
        flux=flux,
        lsf_fwhm=np.full(flux.shape[-1], fwhm),
        surviving_fraction=None,
        mass_normalised=True,
        citation=entry.citation,
        licence=entry.licence,
        checksum=checksum,
        medium="air",
        initial_mass_function=entry.imf,
        resolution=entry.resolution,
    )


def _reader(stars: str) -> Reader:
    return Reader(
        arguments=(),
        patterns=lambda _values: (KNOWN_LIBRARIES[f"M11-{stars}"].file_pattern,),
        read=lambda paths, _values, checksum: read_m11(paths, checksum=checksum),
    )


READER_OF = {f"M11-{stars}": _reader(stars) for stars in ("MILES", "ELODIE", "STELIB")}
