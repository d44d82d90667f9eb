"""Dimming of starlight by a screen of dust."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orchestrator.errors import DataError, nearest_known

__all__ = ["LAWS", "attenuation_curve", "default_r_v", "transmission"]

FloatArray = NDArray[np.float64]

LAWS = ("calzetti00", "ccm89", "fitzpatrick99", "fm07", "odonnell94")
"""Laws of the package `extinction`: Calzetti et al. (2000, ApJ 533, 682), Cardelli, Clayton & Mathis (1989, ApJ 345,
245), Fitzpatrick (1999, PASP 111, 63), Fitzpatrick & Massa (2007, ApJ 663, 320), O'Donnell (1994, ApJ 422, 158)."""

_LYMAN_LIMIT = 912.0  # Angstrom
_FIXED_R_V = {"fm07": 3.1}
_R_V = {"calzetti00": 4.05}
_MILKY_WAY_R_V = 3.1


def default_r_v(law: str) -> float:
    """Return the A_V / E(B-V) that a law is usually used with: 4.05 for calzetti00, 3.1 for the others."""
    return _R_V.get(law, _MILKY_WAY_R_V)


def attenuation_curve(law: str | None, wavelength: ArrayLike, r_v: float | None = None) -> FloatArray:
    """Return ``A(lambda) / A_V``.

    Parameters
    ----------
    law : str or None
        One of `LAWS`; None for no dust, which gives zeros.
    wavelength : array_like, shape (n_wave,)
        Rest frame, Angstrom.
    r_v : float, optional
        ``A_V / E(B-V)``; :func:`default_r_v` if left out.

    Returns
    -------
    ndarray, shape (n_wave,)

    Raises
    ------
    DataError
        If the law is unknown, or has another ``r_v`` than the one asked for and cannot change it.

    Notes
    -----
    Below 912 Angstrom the curve keeps its value at 912 Angstrom, where the laws are not defined and gas absorbs
    what dust leaves. In the infrared a law that falls below zero (calzetti00 beyond 2.2 micron) is held at zero.
    """
    values = np.maximum(np.ascontiguousarray(wavelength, dtype=np.float64), _LYMAN_LIMIT)
    if law is None:
        return np.zeros_like(values)
    if law not in LAWS:
        msg = f"ExtinctionLaw = {law!r} is not an attenuation law{nearest_known(str(law), LAWS)}"
        raise DataError(msg)
    import extinction

    ratio = default_r_v(law) if r_v is None else float(r_v)
    if law in _FIXED_R_V:
        if ratio != _FIXED_R_V[law]:
            msg = f"ExtinctionLaw = {law!r} is defined for r_v = {_FIXED_R_V[law]} only, found r_v = {ratio!r}"
            raise DataError(msg)
        curve = extinction.fm07(values, 1.0)
    else:
        curve = getattr(extinction, law)(values, 1.0, ratio)
    return np.maximum(np.asarray(curve, dtype=np.float64), 0.0)


def transmission(a_v: ArrayLike, curve: FloatArray) -> FloatArray:
    """Return the fraction of light that passes, ``10**(-0.4 A_V curve)``, shape (n_points, n_wave).

    Parameters
    ----------
    a_v : array_like, shape (n_points,)
        mag.
    curve : ndarray, shape (n_wave,)
        From :func:`attenuation_curve`.
    """
    exponent = (-0.4 * np.log(10.0)) * np.asarray(a_v, dtype=np.float64)
    return np.asarray(np.exp(exponent[:, None] * curve))
