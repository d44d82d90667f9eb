"""Line-spread functions of libraries put together from several stellar libraries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from orchestrator.physics.constants import SPEED_OF_LIGHT_KMS

__all__ = ["FWHM_PER_SIGMA", "MILES_FWHM", "STELIB_FWHM", "fwhm_of_dispersion", "fwhm_of_pieces", "two_steps"]

FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
MILES_FWHM = 2.54
"""Angstrom; Beifiori et al. 2011, A&A 531, A109."""
STELIB_FWHM = 3.0
"""Angstrom; Le Borgne et al. 2003, A&A 402, 433, as Bruzual & Charlot 2003 use it."""


def two_steps(wavelength: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return two sampling steps, Angstrom: nothing narrower can be told from a single point."""
    return 2.0 * np.gradient(wavelength)


def fwhm_of_pieces(
    wavelength: NDArray[np.float64], pieces: Sequence[tuple[float, float, float]]
) -> NDArray[np.float64]:
    """Return the FWHM at each wavelength.

    Parameters
    ----------
    wavelength : ndarray, shape (n_wave,)
        Angstrom.
    pieces : sequence of (low, high, fwhm)
        Angstrom. Outside of all pieces two sampling steps are taken.
    """
    fwhm = two_steps(wavelength)
    for low, high, value in pieces:
        fwhm[(wavelength >= low) & (wavelength <= high)] = value
    return np.asarray(fwhm)


def fwhm_of_dispersion(
    wavelength: NDArray[np.float64], sigma_kms: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Return the FWHM in Angstrom of a Gaussian of dispersion `sigma_kms`."""
    return np.asarray(FWHM_PER_SIGMA * np.asarray(sigma_kms) / SPEED_OF_LIGHT_KMS * wavelength)
