"""Reader of the GRANADA + MILES base of CALIFA (Gonzalez Delgado et al. 2005; Vazdekis et al. 2010).

``gsd01_156.fits``: one image with a spectrum per row, scaled by the card ``NORM<row>`` [Lsun / Angstrom / Msun
formed] of its header, linear wavelengths (``CRVAL1``, ``CDELT1``). ``fits_like_properties.dat`` beside it: age [yr]
and Z of each row.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from orchestrator.errors import LibraryError
from orchestrator.ssp_libraries.catalogue import KNOWN_LIBRARIES
from orchestrator.ssp_libraries.library import SSPLibrary
from orchestrator.ssp_libraries.reader import Reader, Values

__all__ = ["READER", "read_base_gm"]

_PROPERTIES = "fits_like_properties.dat"
_FWHM = 2.51


def read_base_gm(path: Path, *, checksum: str) -> SSPLibrary:
    """Read the library.

    Parameters
    ----------
    path : Path
    checksum : str

    Raises
    ------
    LibraryError
        A file that is missing or does not follow the layout, or a population that is missing from the grid.
    """
    from astropy.io import fits

    from orchestrator.physics.wavelength import air_to_vacuum

    try:
        age, z = np.loadtxt(path.with_name(_PROPERTIES), usecols=(0, 1), unpack=True, ndmin=2)
        ages, metallicity = np.unique(age), np.unique(z)
        with fits.open(path, memmap=False) as file:
            header, spectra = file[0].header, file[0].data
            rows, n_wave = spectra.shape
            if not rows == age.size == ages.size * metallicity.size:
                msg = f"{rows} spectra, {age.size} rows of {_PROPERTIES}, {ages.size} ages x {metallicity.size} Z"
                raise ValueError(msg)
            flux = np.empty((metallicity.size, ages.size, n_wave))
            for row in range(rows):
                place = np.searchsorted(metallicity, z[row]), np.searchsorted(ages, age[row])
                flux[place] = spectra[row] * float(header[f"NORM{row}"])
            air = header["CRVAL1"] + header["CDELT1"] * np.arange(n_wave)
    except (OSError, KeyError, ValueError, IndexError, TypeError) as error:
        msg = f"{str(path)!r} and {_PROPERTIES} beside it are not the base GM of CALIFA ({error})"
        raise LibraryError(msg) from error
    entry = KNOWN_LIBRARIES["BaseGM"]
    return SSPLibrary(
        name=entry.name,
        wavelength=air_to_vacuum(air),
        log10_age_yr=np.log10(ages),
        metallicity=metallicity,
        flux=flux,
        lsf_fwhm=np.full(n_wave, _FWHM),
        surviving_fraction=None,
        mass_normalised=True,
        citation=entry.citation,
        licence=entry.licence,
        checksum=checksum,
        medium="air",
        initial_mass_function=entry.imf,
        resolution=entry.resolution,
    )


def _read(paths: Sequence[Path], _values: Values, checksum: str) -> SSPLibrary:
    return read_base_gm(paths[0], checksum=checksum)


READER = Reader(
    arguments=(),
    patterns=lambda _values: (KNOWN_LIBRARIES["BaseGM"].file_pattern,),
    read=_read,
    subfolders=lambda _values: ("BaseGM",),
    beside=lambda paths: tuple(file for path in paths if (file := path.with_name(_PROPERTIES)).is_file()),
)
