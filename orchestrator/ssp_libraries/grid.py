"""Put single-population FITS files together into one grid of metallicity and age."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import LibraryError

__all__ = ["PopulationFile", "PopulationGrid", "assemble_grid"]


@dataclass(frozen=True)
class PopulationFile:
    """The file of one population: where it is, its mass fraction of metals and its age [Gyr]."""

    path: Path
    metallicity: float
    age_gyr: float


@dataclass(frozen=True)
class PopulationGrid:
    """All populations of a library.

    Attributes
    ----------
    metallicity : ndarray (n_met,)
    age_gyr : ndarray (n_age,)
    flux : ndarray (n_met, n_age, n_wave)
        As stored in the files.
    header : Mapping
        Primary header of the first file; `assemble_grid` made sure that all have its wavelength solution.
    resolution : ndarray (n_wave,) or None
        The ``SRES`` extension of the first file (R = wavelength / FWHM), the same in all files.
    """

    metallicity: NDArray[np.float64]
    age_gyr: NDArray[np.float64]
    flux: NDArray[np.float64]
    header: Mapping[str, Any]
    resolution: NDArray[np.float64] | None


_WAVELENGTH_KEYS = ("NAXIS1", "CRVAL1", "CDELT1", "CRPIX1")


def _read_population(path: Path) -> tuple[NDArray[np.float64], dict[str, Any], NDArray[np.float64] | None]:
    from astropy.io import fits

    try:
        with fits.open(path, memmap=False) as file:
            header = {key: file[0].header[key] for key in _WAVELENGTH_KEYS}
            resolution = np.array(file["SRES"].data, dtype=np.float64) if "SRES" in file else None
            return np.array(file[0].data, dtype=np.float64), header, resolution
    except (OSError, KeyError, ValueError, TypeError) as error:
        msg = f"{str(path)!r} cannot be read as the spectrum of one population ({error})"
        raise LibraryError(msg) from error


def assemble_grid(files: Sequence[PopulationFile], name: str) -> PopulationGrid:
    """Read the files of a library onto its grid.

    Parameters
    ----------
    files : sequence of PopulationFile
        In any order.
    name : str
        The library, for messages.

    Returns
    -------
    PopulationGrid

    Raises
    ------
    LibraryError
        A file that cannot be read, wavelengths or resolutions that differ between files, or a hole in the
        grid.
    """
    metallicity = np.unique([file.metallicity for file in files])
    age_gyr = np.unique([file.age_gyr for file in files])
    present = {(file.metallicity, file.age_gyr): file.path for file in files}
    missing = [(z, age) for z in metallicity for age in age_gyr if (float(z), float(age)) not in present]
    if missing or not files:
        found = f"{len(present)} of {metallicity.size} x {age_gyr.size} populations"
        first = f", the first missing is Z = {missing[0][0]:g}, age {missing[0][1]:g} Gyr" if missing else ""
        msg = f"SSP library {name!r} is incomplete: found {found}{first}; fetch it again"
        raise LibraryError(msg)
    spectra = []
    reference: tuple[dict[str, Any], NDArray[np.float64] | None] | None = None
    for z in metallicity:
        for age in age_gyr:
            path = present[float(z), float(age)]
            flux, header, resolution = _read_population(path)
            if reference is None:
                reference = header, resolution
            same_resolution = (resolution is None) == (reference[1] is None) and (
                resolution is None or np.array_equal(resolution, np.asarray(reference[1]))
            )
            if header != reference[0] or not same_resolution:
                msg = (
                    f"{str(path)!r}: wavelengths or resolution differ from those of the other files of "
                    f"{name!r}"
                )
                raise LibraryError(msg)
            spectra.append(flux)
    assert reference is not None
    shape = (metallicity.size, age_gyr.size, -1)
    return PopulationGrid(metallicity, age_gyr, np.array(spectra).reshape(shape), reference[0], reference[1])
