"""Age of the universe and luminosity distance in a flat universe of matter and a cosmological constant.

The default constants, H0 = 70 km/s/Mpc and Omega_m = 0.28 without radiation, are those of BESTA; they
give an age of 13.7279 Gyr at redshift 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orchestrator.errors import DataError
from orchestrator.physics.constants import CM_PER_MEGAPARSEC, SPEED_OF_LIGHT_KMS

__all__ = [
    "HUBBLE_CONSTANT",
    "OMEGA_MATTER",
    "age_of_universe",
    "luminosity_distance_cm",
]

HUBBLE_CONSTANT = 70.0
"""Default Hubble constant, km/s/Mpc."""
OMEGA_MATTER = 0.28
"""Default matter density in units of the critical density."""
_SECONDS_PER_GIGAYEAR = 3.15576e16
# 32 nodes leave nothing but rounding for redshift 0 to 1000: the integrand has no structure in (1+z)^(-1/2).
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(32)


def age_of_universe(
    redshift: ArrayLike, h0: float = HUBBLE_CONSTANT, omega_m: float = OMEGA_MATTER
) -> NDArray[np.float64]:
    """Return the age of the universe at a redshift.

    Closed form for a flat universe of matter and a cosmological constant (Peebles 1993, Principles of
    Physical Cosmology, eq. 13.20).

    Parameters
    ----------
    redshift : array_like
        Redshift, larger than -1.
    h0 : float
        Hubble constant, km/s/Mpc.
    omega_m : float
        Matter density, in (0, 1].

    Returns
    -------
    ndarray, shape of `redshift`
        Age in Gyr.

    Raises
    ------
    DataError
        A redshift is not a finite number above -1.
    ValueError
        `h0` or `omega_m` is out of range.
    """
    one_plus_z = 1.0 + _checked_redshift(redshift, -1.0, strict=True)
    _check_constants(h0, omega_m)
    hubble_time = CM_PER_MEGAPARSEC * 1e-5 / h0 / _SECONDS_PER_GIGAYEAR
    if omega_m == 1.0:
        return np.asarray(2.0 / 3.0 * hubble_time * one_plus_z**-1.5)
    omega_lambda = 1.0 - omega_m
    argument = np.sqrt(omega_lambda / omega_m) * one_plus_z**-1.5
    return np.asarray(2.0 / 3.0 * hubble_time / np.sqrt(omega_lambda) * np.arcsinh(argument))


def luminosity_distance_cm(
    redshift: ArrayLike, h0: float = HUBBLE_CONSTANT, omega_m: float = OMEGA_MATTER
) -> NDArray[np.float64]:
    """Return the luminosity distance.

    The comoving distance (Hogg 1999, arXiv:astro-ph/9905116, eq. 15) is integrated over
    u = (1+z)^(-1/2), where the integrand 2 / sqrt(omega_m + omega_lambda u^6) is smooth.

    Parameters
    ----------
    redshift : array_like
        Redshift, not negative.
    h0, omega_m : float
        As for `age_of_universe`.

    Returns
    -------
    ndarray, shape of `redshift`
        Distance in cm; 0 at redshift 0.

    Raises
    ------
    DataError
        A redshift is negative or not finite.
    ValueError
        `h0` or `omega_m` is out of range.
    """
    z = _checked_redshift(redshift, 0.0, strict=False)
    _check_constants(h0, omega_m)
    # 1 - u without cancellation at small redshift
    width = -np.expm1(-0.5 * np.log1p(z))[..., None]
    u = 1.0 - width * 0.5 * (1.0 + _NODES)
    integrand = 2.0 / np.sqrt(omega_m + (1.0 - omega_m) * u**6)
    comoving = SPEED_OF_LIGHT_KMS / h0 * np.sum(integrand * 0.5 * width * _NODE_WEIGHTS, axis=-1)
    return np.asarray(comoving * (1.0 + z) * CM_PER_MEGAPARSEC)


def _checked_redshift(redshift: ArrayLike, lowest: float, *, strict: bool) -> NDArray[np.float64]:
    z = np.asarray(redshift, dtype=np.float64)
    good = np.isfinite(z) & ((z > lowest) if strict else (z >= lowest))
    if not good.all():
        relation = "above" if strict else "not below"
        msg = f"redshift {z[~good].flat[0]!r} found where a finite number {relation} {lowest:g} is expected"
        raise DataError(msg)
    return z


def _check_constants(h0: float, omega_m: float) -> None:
    if not (np.isfinite(h0) and h0 > 0.0 and 0.0 < omega_m <= 1.0):
        msg = f"h0={h0!r} must be positive and omega_m={omega_m!r} in (0, 1]"
        raise ValueError(msg)
