"""Put single-population FITS files together into one grid of metallicity and age."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import LibraryError

__all__ = ["PopulationFile", "PopulationGrid", "assemble_grid", "of_common_ages"]


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
        As stored in the files, float32 where they are.
    header : Mapping
        Primary header of the first file; `assemble_grid` made sure that all have its wavelength solution.
    resolution : ndarray (n_wave,) or None
        The ``SRES`` extension of the first file (R = wavelength / FWHM), the same in all files.
    """

    metallicity: NDArray[np.float64]
    age_gyr: NDArray[np.float64]
    flux: NDArray[Any]
    header: Mapping[str, Any]
    resolution: NDArray[np.float64] | None

    @property
    def wavelength(self) -> NDArray[np.float64]:
        """Linear wavelengths of the header, shape (n_wave,), in its own unit."""
        start, step, pixel = (float(self.header[key]) for key in ("CRVAL1", "CDELT1", "CRPIX1"))
        return np.asarray(start + step * (np.arange(self.flux.shape[-1]) + 1.0 - pixel), dtype=np.float64)


_WAVELENGTH_KEYS = ("NAXIS1", "CRVAL1", "CDELT1", "CRPIX1")


def _read_population(path: Path) -> tuple[NDArray[Any], dict[str, Any], NDArray[np.float64] | None]:
    from astropy.io import fits

    try:
        with fits.open(path, memmap=False) as file:
            header = {key: file[0].header[key] for key in _WAVELENGTH_KEYS}
            resolution = np.array(file["SRES"].data, dtype=np.float64) if "SRES" in file else None
            return file[0].data, header, resolution
    except (OSError, KeyError, ValueError, TypeError) as error:
        msg = f"{str(path)!r} cannot be read as the spectrum of one population ({error})"
        raise LibraryError(msg) from error


def _as_stored(data: NDArray[Any]) -> type[np.floating]:
    return np.float32 if data.dtype.kind == "f" and data.dtype.itemsize <= 4 else np.float64


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
    reference: tuple[dict[str, Any], NDArray[np.float64] | None] | None = None
    flux = np.empty(0)
    for i, z in enumerate(metallicity):
        for j, age in enumerate(age_gyr):
            path = present[float(z), float(age)]
            spectrum, header, resolution = _read_population(path)
            if reference is None:
                reference = header, resolution
                # One array from the start: a list of spectra would hold the library twice.
                flux = np.empty((metallicity.size, age_gyr.size, spectrum.size), dtype=_as_stored(spectrum))
            same_resolution = (resolution is None) == (reference[1] is None) and (
                resolution is None or np.array_equal(resolution, np.asarray(reference[1]))
            )
            if header != reference[0] or not same_resolution:
                msg = f"{str(path)!r}: wavelengths or resolution differ from those of the other files of {name!r}"
                raise LibraryError(msg)
            flux[i, j] = spectrum
    assert reference is not None
    return PopulationGrid(metallicity, age_gyr, flux, reference[0], reference[1])


def of_common_ages(files: Sequence[PopulationFile]) -> list[PopulationFile]:
    """Return the files of the ages that every metallicity has."""
    ages = [{file.age_gyr for file in files if file.metallicity == z} for z in {file.metallicity for file in files}]
    common = set.intersection(*ages) if ages else set()
    return [file for file in files if file.age_gyr in common]
