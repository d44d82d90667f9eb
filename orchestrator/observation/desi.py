"""DESI coadded spectra: three arms, their resolution matrices, and the photometry of the target catalogue."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import DataError
from orchestrator.observation.file_content import (
    FileContent,
    choose_row,
    existing_file,
    inverse_variance_to_error,
    logged_warnings,
)
from orchestrator.observation.photometry import Photometry
from orchestrator.observation.units import AB_ZERO_POINT
from orchestrator.physics.constants import FWHM_PER_SIGMA

__all__ = ["is_desi_coadd", "lsf_fwhm_pixels", "photometry_from_desi", "read_desi_coadd"]

logger = logging.getLogger(__name__)

_ALIGNMENT_TOLERANCE_PIXELS = 0.02

EXTINCTION_PER_EBV = {"G": 3.214, "R": 2.165, "Z": 1.211, "W1": 0.184, "W2": 0.113}
"""A_band / E(B-V) with E(B-V) of Schlegel et al. 1998: Legacy Surveys DR9,
https://www.legacysurvey.org/dr9/catalogs/
(section Galactic extinction coefficients; the law of Fitzpatrick 1999 as calibrated by Schlafly & Finkbeiner
2011)."""

_FILTERS = {
    "N": {"G": "BASS-g", "R": "BASS-r", "Z": "MzLS-z", "W1": "wise2010-W1", "W2": "wise2010-W2"},
    "S": {
        "G": "decam2014-g",
        "R": "decam2014-r",
        "Z": "decam2014-z",
        "W1": "wise2010-W1",
        "W2": "wise2010-W2",
    },
}


@dataclass(frozen=True)
class _Arm:
    wavelength: NDArray[np.float64]
    flux: NDArray[np.float64]
    inverse_variance: NDArray[np.float64]
    lsf_variance: NDArray[np.float64]  # Angstrom squared


def is_desi_coadd(extensions: Collection[str]) -> bool:
    """Return True where the names of the extensions are those of a DESI coadd."""
    return bool(_arms(extensions))


def _arms(extensions: Collection[str]) -> list[str]:
    """Return the arms of a file: B, R and Z, or whatever else it calls them."""
    arms = [name.removesuffix("_WAVELENGTH") for name in extensions if name.endswith("_WAVELENGTH")]
    return sorted(arm for arm in arms if {f"{arm}_FLUX", f"{arm}_IVAR"} <= set(extensions))


def lsf_fwhm_pixels(resolution: NDArray[Any]) -> NDArray[np.float64]:
    """Return the FWHM of the line-spread function in pixels, from the second moment of the resolution matrix.

    Column j of the matrix is the image of a line in pixel j. The moments of extracted, decorrelated spectra
    (Bolton & Schlegel 2010, PASP 122, 248) include their negative wings, as they should.

    Parameters
    ----------
    resolution : ndarray (n_diagonals, n)
        Diagonals in DESI's order: row d holds what pixel j sends to pixel j + d - n_diagonals // 2.

    Returns
    -------
    ndarray (n,)
        Interpolated where the second moment is not positive; NaN throughout if it nowhere is.
    """
    values = np.asarray(resolution, dtype=np.float64)
    offset = np.arange(values.shape[0], dtype=np.float64) - values.shape[0] // 2
    total = values.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = offset @ values / total
        variance = offset**2 @ values / total - mean**2
    pixel = np.arange(values.shape[1], dtype=np.float64)
    known = np.isfinite(variance) & (variance > 0.0) & (total > 0.0)
    if not known.any():
        return np.full(pixel.shape, np.nan)
    return FWHM_PER_SIGMA * np.sqrt(np.interp(pixel, pixel[known], variance[known]))


def _read_arm(file: Any, arm: str, index: int) -> _Arm:
    wavelength = np.array(file[f"{arm}_WAVELENGTH"].data, dtype=np.float64)
    flux = np.array(file[f"{arm}_FLUX"].data[index], dtype=np.float64)
    inverse_variance = np.array(file[f"{arm}_IVAR"].data[index], dtype=np.float64)
    usable = np.isfinite(flux) & (inverse_variance > 0.0)
    if f"{arm}_MASK" in file:
        usable &= np.asarray(file[f"{arm}_MASK"].data[index]) == 0
    # Bad pixels go before the arms are combined, where they would reach the good ones.
    inverse_variance = np.where(usable, inverse_variance, 0.0)
    lsf_variance = np.full(wavelength.shape, np.nan)
    if f"{arm}_RESOLUTION" in file:
        fwhm = lsf_fwhm_pixels(file[f"{arm}_RESOLUTION"].data[index]) * np.gradient(wavelength)
        lsf_variance = fwhm**2
    return _Arm(wavelength, np.where(usable, flux, 0.0), inverse_variance, lsf_variance)


def _combine(arms: list[_Arm], path: Path) -> tuple[NDArray[Any], ...]:
    """Return wavelength, flux, inverse variance and LSF FWHM of all arms on their common pixels."""
    step = float(np.median(np.diff(arms[0].wavelength)))
    start = min(float(arm.wavelength[0]) for arm in arms)
    n_pixels = 1 + max(round((float(arm.wavelength[-1]) - start) / step) for arm in arms)
    weight, weighted_flux = np.zeros(n_pixels), np.zeros(n_pixels)
    lsf_weight, weighted_lsf = np.zeros(n_pixels), np.zeros(n_pixels)
    covered = np.zeros(n_pixels, dtype=bool)
    for arm in arms:
        position = (arm.wavelength - start) / step
        pixel = np.rint(position).astype(int)
        if np.max(np.abs(position - pixel)) > _ALIGNMENT_TOLERANCE_PIXELS:
            msg = (
                f"inputSpectrum: the arms of {str(path)!r} do not share one grid of {step:g} A; cannot "
                "combine them"
            )
            raise DataError(msg)
        np.add.at(weight, pixel, arm.inverse_variance)
        np.add.at(weighted_flux, pixel, arm.inverse_variance * arm.flux)
        # The combined profile is the weighted sum of the two; a tiny floor serves pixels that no arm
        # measures.
        factor = arm.inverse_variance + 1e-30
        np.add.at(lsf_weight, pixel, factor)
        np.add.at(weighted_lsf, pixel, factor * arm.lsf_variance)
        covered[pixel] = True
    flux = np.divide(weighted_flux, weight, out=np.zeros(n_pixels), where=weight > 0.0)
    lsf = np.sqrt(np.divide(weighted_lsf, lsf_weight, out=np.full(n_pixels, np.nan), where=covered))
    wavelength = start + step * np.arange(n_pixels)
    return wavelength[covered], flux[covered], weight[covered], lsf[covered]


def read_desi_coadd(file: Any, path: Path, row: int | None) -> FileContent:
    """Read one target of a DESI coadd file.

    Parameters
    ----------
    file : astropy.io.fits.HDUList
    path : Path
    row : int or None

    Returns
    -------
    FileContent
        Arms combined with their inverse variances where they overlap.

    Raises
    ------
    DataError
        A row that is not there, or arms on different grids.
    """
    names = _arms([unit.name.upper() for unit in file])
    index = choose_row(row, file[f"{names[0]}_FLUX"].data.shape[0], path)
    wavelength, flux, inverse_variance, lsf = _combine([_read_arm(file, arm, index) for arm in names], path)
    meta: dict[str, Any] = {"format": "DESI coadd", "row": index}
    if "FIBERMAP" in file and "TARGETID" in file["FIBERMAP"].columns.names:
        meta["target_id"] = int(file["FIBERMAP"].data["TARGETID"][index])
    return FileContent(
        wavelength=wavelength,
        flux=flux,
        uncertainty=inverse_variance_to_error(inverse_variance),
        name=f"DESI {meta['target_id']}" if "target_id" in meta else f"{path.name} row {index}",
        good_pixels=inverse_variance > 0.0,
        lsf_fwhm=lsf if np.all(np.isfinite(lsf)) else None,
        wavelength_unit="Angstrom",
        flux_unit=file[f"{names[0]}_FLUX"].header.get("BUNIT") or "1e-17 erg / (s cm2 Angstrom)",
        medium="vacuum",
        meta=meta,
    )


def photometry_from_desi(
    path: str | os.PathLike[str], row: int = 0, correct_extinction: bool = True, *, redshift: float = 0.0
) -> Photometry:
    """Read the total g, r, z, W1 and W2 fluxes of a target from the fibermap of a DESI file.

    Parameters
    ----------
    path : path
        Coadd file with an extension ``FIBERMAP``.
    row : int
    correct_extinction : bool
        Correct for the dust of the Galaxy with ``EBV`` of the file and `EXTINCTION_PER_EBV`.
    redshift : float

    Returns
    -------
    Photometry
        Filters of BASS and MzLS where ``PHOTSYS`` is N, of DECam elsewhere.

    Raises
    ------
    DataError
        No fibermap, a column that is missing, a row that is not there, or no band with a measurement.
    """
    from astropy.io import fits

    source = existing_file(path, "photometry")
    try:
        with logged_warnings(source), fits.open(source, memmap=False) as file:
            if "FIBERMAP" not in file:
                msg = f"photometry: {str(source)!r} has no extension FIBERMAP; expected a DESI coadd file"
                raise DataError(msg)
            table = file["FIBERMAP"].data
            index = choose_row(row, len(table), source)
            values = {name: table[name][index] for name in table.names}
    except OSError as error:
        msg = f"photometry: {str(source)!r} cannot be read as FITS: {error}"
        raise DataError(msg) from error
    needed = [f"FLUX_{band}" for band in EXTINCTION_PER_EBV] + [
        f"FLUX_IVAR_{band}" for band in EXTINCTION_PER_EBV
    ]
    missing = [name for name in [*needed, "EBV"] if name not in values]
    if missing:
        msg = f"photometry: FIBERMAP of {str(source)!r} lacks {', '.join(missing)}"
        raise DataError(msg)
    filters = _FILTERS["N" if str(values.get("PHOTSYS", "")).strip() == "N" else "S"]
    bands = [band for band in EXTINCTION_PER_EBV if float(values[f"FLUX_IVAR_{band}"]) > 0.0]
    if not bands:
        msg = f"photometry: no band of row {index} in {str(source)!r} has a positive inverse variance"
        raise DataError(msg)
    if len(bands) < len(EXTINCTION_PER_EBV):
        logger.warning("%s row %d: %d bands without measurement are left out", source, index, 5 - len(bands))
    ebv = float(values["EBV"]) if correct_extinction else 0.0
    scale = np.array(
        [AB_ZERO_POINT * 1e-9 * 10.0 ** (0.4 * EXTINCTION_PER_EBV[band] * ebv) for band in bands]
    )
    return Photometry(
        filter_names=tuple(filters[band] for band in bands),
        flux=scale * np.array([float(values[f"FLUX_{band}"]) for band in bands]),
        uncertainty=scale * np.array([float(values[f"FLUX_IVAR_{band}"]) ** -0.5 for band in bands]),
        is_upper_limit=np.zeros(len(bands), dtype=bool),
        is_lower_limit=np.zeros(len(bands), dtype=bool),
        redshift=redshift,
        name=f"DESI {int(values['TARGETID'])}" if "TARGETID" in values else source.name,
    )
