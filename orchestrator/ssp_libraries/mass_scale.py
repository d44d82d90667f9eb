"""The mass scale of a library: whether it has one, and whether it is plausible."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import LibraryError
from orchestrator.ssp_libraries.library import SSPLibrary

__all__ = ["check_mass_scale", "require_mass_scale", "visual_mass_to_light", "warn_without_mass_scale"]

SOLAR_VISUAL = 1.35e-4
"""Luminosity density of the Sun in the V band, Lsun / Angstrom.

M_V = 4.81 (Willmer 2018, ApJS 236, 47) and 3.63e-9 erg/s/cm2/A at V = 0 give 5.17e29 erg/s/A, over 3.828e33 erg/s.
"""

_BAND = (5200.0, 5800.0)
# A population of 1 Myr has about 0.01, one of 14 Gyr with a bottom-heavy mass function 30. Beyond these limits
# the unit is another: erg/s for Lsun is off by 4e33, per 1e6 Msun by 1e6.
_PLAUSIBLE = (1e-3, 1e3)

logger = logging.getLogger(__name__)


def visual_mass_to_light(library: SSPLibrary) -> NDArray[np.float64] | None:
    """Return mass formed over visual luminosity in solar units, shape (n_met, n_age).

    The mean of L_lambda over 5200-5800 A stands for the V band (within 3 % of the band itself for every age).
    None where the library does not cover it, or carries no mass scale.
    """
    inside = (library.wavelength > _BAND[0]) & (library.wavelength < _BAND[1])
    covered = library.wavelength[0] < _BAND[0] and library.wavelength[-1] > _BAND[1]
    if not library.mass_normalised or not covered or np.count_nonzero(inside) < 2:
        return None
    wave = library.wavelength[inside]
    mean = np.trapezoid(np.asarray(library.flux[:, :, inside], dtype=np.float64), wave, axis=-1) / np.ptp(wave)
    with np.errstate(divide="ignore"):
        return np.asarray(SOLAR_VISUAL / mean)


def check_mass_scale(library: SSPLibrary) -> None:
    """Warn where no population of a library has a mass-to-light ratio that stars can have."""
    ratio = visual_mass_to_light(library)
    if ratio is None:
        return
    typical = float(np.median(ratio))
    if not _PLAUSIBLE[0] < typical < _PLAUSIBLE[1]:
        logger.warning(
            "SSP library %s: M/L_V has a median of %.3g solar units, where stars have 0.01 to 30: its flux is not in "
            "Lsun / Angstrom / Msun formed, and masses will be wrong by that factor",
            library.name,
            typical,
        )


def require_mass_scale(library: SSPLibrary, purpose: str = "a stellar mass") -> SSPLibrary:
    """Return the library unchanged, or refuse it where its spectra carry no mass scale.

    Parameters
    ----------
    library : SSPLibrary
    purpose : str
        What needs the scale, for the message.

    Raises
    ------
    LibraryError
        `mass_normalised` is False.
    """
    if not library.mass_normalised:
        raise LibraryError(_without_mass_scale(library, purpose))
    return library


def warn_without_mass_scale(library: SSPLibrary, purpose: str = "stellar masses and histories") -> SSPLibrary:
    """Return the library unchanged; warn where masses are not meaningful with it, be silent for all others."""
    if not library.mass_normalised:
        logger.warning("%s", _without_mass_scale(library, purpose))
    return library


def _without_mass_scale(library: SSPLibrary, purpose: str) -> str:
    return (
        f"{purpose}: not meaningful with the SSP library {library.name!r}, whose spectra are each scaled on their "
        "own and carry no mass per luminosity; ages and metallicities are weighted by light. Use it for kinematics, "
        "or take a library with a mass scale (orchestrator ssp list)"
    )
