"""Air or vacuum: the Balmer lines of young populations tell, whatever a file says."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.physics.constants import SPEED_OF_LIGHT_KMS
from orchestrator.ssp_libraries.library import SSPLibrary

__all__ = ["balmer_offset", "check_medium", "settled_medium"]

_BALMER_VACUUM = (4102.89, 4341.68, 4862.69, 6564.61)
_HALF_WINDOW = 12.0
_FEWEST_PIXELS = 8
_WORST_FWHM = 6.0
_SHALLOWEST = 0.1
# Between them the Balmer lines rule the optical spectrum.
_LOG_AGE_RANGE = (7.9, 9.05)
# Air and vacuum differ by 1.2 to 1.8 Angstrom at these lines.
_HALF_WAY = 0.65

logger = logging.getLogger(__name__)


def balmer_offset(
    wavelength: NDArray[np.float64], flux: NDArray[Any], lsf_fwhm: NDArray[np.float64]
) -> float | None:
    """Return by how much the Balmer absorption lines lie above their vacuum wavelengths, Angstrom.

    Parameters
    ----------
    wavelength : ndarray, shape (n_wave,)
    flux : ndarray, shape (n_wave,)
        A population of 0.1 to 1 Gyr.
    lsf_fwhm : ndarray, shape (n_wave,)
        Angstrom.

    Returns
    -------
    float or None
        The median over H-alpha to H-delta of the centroids of the lower halves of the lines: near 0 in vacuum, near
        -1.4 in air. None where fewer than two of them are covered, resolved and deep.
    """
    offsets = []
    for line in _BALMER_VACUUM:
        near = np.abs(wavelength - line) < _HALF_WINDOW
        if np.count_nonzero(near) < _FEWEST_PIXELS or float(lsf_fwhm[near].max()) > _WORST_FWHM:
            continue
        wave, spectrum = wavelength[near], np.asarray(flux[near], dtype=np.float64)
        top, bottom = float(spectrum.max()), float(spectrum.min())
        edge = 0.5 * (spectrum[0] + spectrum[-1])
        if top <= 0 or edge - bottom < _SHALLOWEST * edge:
            continue
        depth = np.clip(0.5 * (top + bottom) - spectrum, 0.0, None) * np.gradient(wave)
        offsets.append(float(np.average(wave, weights=depth)) - line)
    return float(np.median(offsets)) if len(offsets) >= 2 else None


def _offset_of(
    wavelength: NDArray[np.float64],
    log10_age_yr: NDArray[np.float64],
    flux: NDArray[Any],
    lsf_fwhm: NDArray[np.float64],
) -> float | None:
    young = np.flatnonzero((log10_age_yr > _LOG_AGE_RANGE[0]) & (log10_age_yr < _LOG_AGE_RANGE[1]))
    if not young.size:
        return None
    return balmer_offset(wavelength, flux[flux.shape[0] // 2, young[young.size // 2]], lsf_fwhm)


def settled_medium(
    name: str,
    wavelength: NDArray[np.float64],
    log10_age_yr: NDArray[np.float64],
    flux: NDArray[Any],
    lsf_fwhm: NDArray[np.float64],
    *,
    otherwise: str,
) -> tuple[str, NDArray[np.float64]]:
    """Find the medium of a library whose files do not state it.

    Parameters
    ----------
    name : str
        For messages.
    wavelength, log10_age_yr, flux, lsf_fwhm : ndarray
        As in `SSPLibrary`, but for the medium.
    otherwise : {'air', 'vacuum'}
        Taken, with a warning, where the lines do not tell.

    Returns
    -------
    medium : str
    wavelength : ndarray, shape (n_wave,)
        In vacuum.
    """
    from orchestrator.physics.wavelength import air_to_vacuum

    offset = _offset_of(wavelength, log10_age_yr, flux, lsf_fwhm)
    if offset is not None and -2.0 < offset < _HALF_WAY:
        medium = "vacuum" if offset > -_HALF_WAY else "air"
        logger.info("%s: its Balmer lines show that its wavelengths are in %s", name, medium)
    else:
        medium = otherwise
        logger.warning(
            "%s does not say whether its wavelengths are in air or vacuum, and its lines do not tell: taken as %s "
            "(for a file, SSPModelArgs = medium=air or medium=vacuum decides)",
            name,
            medium,
        )
    return medium, air_to_vacuum(wavelength) if medium == "air" else wavelength


def check_medium(library: SSPLibrary) -> None:
    """Warn where the Balmer lines of a library are not at their vacuum wavelengths."""
    offset = _offset_of(library.wavelength, library.log10_age_yr, library.flux, library.lsf_fwhm)
    if offset is not None and abs(offset) > _HALF_WAY:
        logger.warning(
            "SSP library %s: its Balmer lines lie %+.2f A from their vacuum wavelengths (air and vacuum differ by "
            "1.4 A there), although its wavelengths were taken to be in %s: velocities will be off by %.0f km/s",
            library.name,
            offset,
            library.medium,
            SPEED_OF_LIGHT_KMS * offset / 4862.69,
        )
