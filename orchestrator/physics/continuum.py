"""The multiplicative polynomial that absorbs errors of the flux calibration."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["legendre_basis", "legendre_degrees", "legendre_products"]

FloatArray = NDArray[np.float64]


def legendre_degrees(
    degree: int, bounds: tuple[float, float], scale: float | None = None
) -> NDArray[np.int64]:
    """Return which degrees are fitted: 0 and 1 ... `degree`, or higher ones where a scale is given.

    Parameters
    ----------
    degree : int
        Number of polynomials besides the constant.
    bounds : (float, float)
        Range of the polynomials, Angstrom.
    scale : float, optional
        Largest scale in Angstrom that the polynomials follow: the degrees after the constant start at
        ``range / scale``, rounded, instead of 1. What varies more slowly is left to the model.

    Raises
    ------
    ValueError
        If the scale is not positive.
    """
    lowest = 1
    if scale is not None:
        if not scale > 0:
            msg = f"scale is {scale!r}; expected a positive length in Angstrom"
            raise ValueError(msg)
        lowest = max(round((bounds[1] - bounds[0]) / scale), 1)
    return np.concatenate([[0], np.arange(lowest, lowest + degree)]).astype(np.int64)


def legendre_basis(
    wavelength: ArrayLike,
    degree: int,
    bounds: tuple[float, float] | None = None,
) -> FloatArray:
    """Return Legendre polynomials over a range of wavelength.

    Parameters
    ----------
    wavelength : array_like, shape (n,)
        Angstrom.
    degree : int
        Highest degree.
    bounds : (float, float), optional
        Wavelengths that become x = -1 and x = 1; by default the smallest and the largest of `wavelength`.
        Outside, a polynomial keeps its value at the bound.

    Returns
    -------
    ndarray, shape (degree + 1, n)
        P_0 = 1 first.

    Raises
    ------
    ValueError
        If degree or bounds make no sense.
    """
    wave = np.asarray(wavelength, dtype=np.float64)
    if degree < 0:
        msg = f"degree is {degree!r}; expected 0 or more"
        raise ValueError(msg)
    low, high = (float(bound) for bound in ((wave.min(), wave.max()) if bounds is None else bounds))
    if not (np.isfinite(high - low) and high > low):
        msg = f"bounds are {low!r}, {high!r}; expected two finite wavelengths, the smaller one first"
        raise ValueError(msg)
    x = np.clip(2 * (wave - low) / (high - low) - 1, -1.0, 1.0)
    return _legendre(x, degree)


def _legendre(x: FloatArray, degree: int) -> FloatArray:
    """Return P_0 ... P_degree by Bonnet's recurrence, which is stable on [-1, 1]."""
    result = np.ones((degree + 1, len(x)))
    if degree:
        result[1] = x
    for n in range(2, degree + 1):
        result[n] = ((2 * n - 1) * x * result[n - 1] - (n - 1) * result[n - 2]) / n
    return result


def legendre_products(degrees: NDArray[np.int64]) -> FloatArray:
    """Return products of Legendre polynomials as combinations of such, by exact quadrature.

    Parameters
    ----------
    degrees : ndarray of int, shape (n,)

    Returns
    -------
    ndarray, shape (n, n, 2 * highest degree + 1)
        c with ``P_i P_j = sum_k c[i, j, k] P_k`` for these degrees i and j.
    """
    highest = int(degrees.max())
    nodes, weights = np.polynomial.legendre.leggauss(2 * highest + 2)
    values = np.polynomial.legendre.legvander(nodes, 2 * highest)
    norm = (2 * np.arange(2 * highest + 1) + 1) / 2
    factors = values[:, degrees]
    return np.asarray(np.einsum("n,ni,nj,nk,k->ijk", weights, factors, factors, values, norm))
