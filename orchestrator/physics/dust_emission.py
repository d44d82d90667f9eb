"""Infrared emission of dust: a modified blackbody with a power law in the mid-infrared (Casey 2012)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["EMISSION_PARAMETERS", "EMISSION_SECTION", "casey2012", "emission_grid", "integral_weights"]

FloatArray = NDArray[np.float64]

EMISSION_SECTION = "dust.dust_sed_component"

EMISSION_PARAMETERS: dict[str, tuple[float, float, float, str, str]] = {
    "t_dust": (10.0, 35.0, 100.0, "K", "temperature of the dust"),
    "alpha": (0.5, 2.0, 4.0, "", "slope of the mid-infrared power law of the dust"),
    "beta": (0.5, 1.5, 3.0, "", "emissivity index of the dust"),
    "lam0": (50.0, 200.0, 500.0, "um", "wavelength where the dust becomes optically thick"),
}
"""Parameters of the emission: lower limit, usual value, upper limit, unit, meaning."""

SHORTEST = 1e4
"""Angstrom; dust emits nothing bluewards, where stars outshine it by far."""

_LONGEST = 1e8  # Angstrom
_N_GRID = 800
_H_C_OVER_K = 14387.768775  # micron K, CODATA 2018


def emission_grid() -> FloatArray:
    """Return the wavelengths on which the emission is computed, Angstrom: 1 micron to 1 cm."""
    return np.geomspace(SHORTEST, _LONGEST, _N_GRID)


def integral_weights(wavelength: ArrayLike) -> FloatArray:
    """Return w with ``flux @ w`` the integral over wavelength of a spectrum that is linear between its points."""
    width = np.diff(np.asarray(wavelength, dtype=np.float64))
    return 0.5 * (np.append(width, 0.0) + np.insert(width, 0, 0.0))


def casey2012(
    wavelength: ArrayLike, t_dust: ArrayLike, alpha: ArrayLike, beta: ArrayLike, lam0: ArrayLike
) -> FloatArray:
    """Return the emission per unit of wavelength, with an integral over `wavelength` of one.

    Parameters
    ----------
    wavelength : array_like, shape (n_wave,)
        Rest frame, Angstrom, increasing; :func:`emission_grid` holds all of the emission.
    t_dust, alpha, beta, lam0 : array_like, shape (n_points,)
        Temperature in K, slope of the power law, emissivity index, and wavelength of optical depth one in micron.

    Returns
    -------
    ndarray, shape (n_points, n_wave)
        1/Angstrom.

    Notes
    -----
    Casey (2012, MNRAS 425, 3094), eq. 1 to 3, per unit of frequency,

        S = (1 - exp(-(lam0 / lam)^beta)) nu^3 / (exp(h nu / k T) - 1) + N (lam / lam_c)^alpha exp(-(lam / lam_c)^2)

    with N the first term at lam_c = 3/4 / ((26.68 + 6.246 alpha)^-2 + (1.905e-4 + 7.243e-5 alpha) T). The integral
    is over the whole grid, not from 8 to 1000 micron: what is absorbed is emitted.
    """
    micron = np.asarray(wavelength, dtype=np.float64) * 1e-4
    temperature, slope, index, thick = (
        np.reshape(np.asarray(value, dtype=np.float64), (-1, 1)) for value in (t_dust, alpha, beta, lam0)
    )
    turn = 0.75 / ((26.68 + 6.246 * slope) ** -2 + (1.905e-4 + 7.243e-5 * slope) * temperature)
    relative = micron / turn
    power_law = relative**slope * np.exp(-(relative**2))
    per_frequency = _modified_blackbody(micron, temperature, index, thick) + power_law * _modified_blackbody(
        turn, temperature, index, thick
    )
    per_wavelength = per_frequency / micron**2
    return np.asarray(per_wavelength / (per_wavelength @ integral_weights(wavelength))[:, None])


def _modified_blackbody(
    micron: FloatArray, temperature: FloatArray, index: FloatArray, thick: FloatArray
) -> FloatArray:
    opacity = -np.expm1(-((thick / micron) ** index))
    # beyond 700 the blackbody is zero in double precision
    exponent = np.minimum(_H_C_OVER_K / (micron * temperature), 700.0)
    return np.asarray(opacity / micron**3 / np.expm1(exponent))
