"""The line-spread function (LSF): bring templates to the resolution of the data, pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

__all__ = ["convolve_variable_gaussian", "lsf_difference"]

FloatArray = NDArray[np.float64]

_REACH = 6.0  # dispersions on either side that are computed; what lies beyond is 2e-9 of the area
_SMALLEST_SIGMA = 1e-3  # pixels; a narrower Gaussian moves no flux to a neighbour in double precision


def convolve_variable_gaussian(flux: ArrayLike, sigma_pixels: ArrayLike) -> FloatArray:
    """Convolve spectra with a Gaussian whose width varies along them.

    Parameters
    ----------
    flux : array_like, shape (n_t, n_pix) or (n_pix,)
        Flux density on any grid whose pixels change in width only slowly: linear, logarithmic.
    sigma_pixels : array_like, shape (n_pix,)
        Dispersion seen by each pixel of the result, in pixels; 0 leaves a pixel as it is, exactly.

    Returns
    -------
    ndarray, shape of `flux`

    Raises
    ------
    ValueError
        If shapes disagree or a dispersion is negative or not finite.

    Notes
    -----
    The kernel is the Gaussian integrated over pixels (differences of the error function). Integration over a
    pixel widens a Gaussian, so a correspondingly narrower one is integrated: the second moment of the kernel
    is ``sigma_pixels**2`` at every width, and widths of lines add in quadrature.

    Weights of each output pixel sum to one: a flat spectrum stays flat across any jump in resolution, as in
    data stitched from several arms. The sum over pixels is conserved where the width is constant, and
    otherwise to half the second derivative of ``sigma_pixels**2`` per pixel. Beyond its ends a spectrum is
    continued by its outermost values.
    """
    values = np.ascontiguousarray(flux, dtype=np.float64)
    sigma = np.ascontiguousarray(sigma_pixels, dtype=np.float64)
    if values.ndim not in (1, 2) or sigma.shape != values.shape[-1:]:
        msg = (
            f"flux has shape {values.shape} and sigma_pixels {sigma.shape}; "
            "expected (n_t, n_pix) and (n_pix,)"
        )
        raise ValueError(msg)
    wrong = ~(np.isfinite(sigma) & (sigma >= 0))
    if wrong.any():
        msg = (
            f"sigma_pixels is {float(sigma[wrong][0])!r} in pixel {int(np.argmax(wrong))} and wrong in "
            f"{int(wrong.sum())} of {len(sigma)}; expected finite and not negative"
        )
        raise ValueError(msg)
    return _convolve(np.atleast_2d(values), _integrated_width(sigma)).reshape(values.shape)


def lsf_difference(fwhm_data: ArrayLike, fwhm_templates: ArrayLike) -> tuple[FloatArray, int]:
    """Return the Gaussian that takes templates to the resolution of the data.

    Parameters
    ----------
    fwhm_data, fwhm_templates : array_like, shape (n_pix,)
        FWHM of both line-spread functions in the same frame and unit.

    Returns
    -------
    fwhm_needed : ndarray, shape (n_pix,)
        Difference in quadrature, same unit; 0 where the templates are coarser than the data.
    n_where_templates_are_coarser : int
        Number of such pixels.
    """
    data, templates = np.broadcast_arrays(
        np.asarray(fwhm_data, dtype=np.float64), np.asarray(fwhm_templates, dtype=np.float64)
    )
    # The product keeps the digits of a small difference, which the difference of two squares loses.
    squared = (data - templates) * (data + templates)
    return np.sqrt(np.maximum(squared, 0.0)), int(np.count_nonzero(templates > data))


@njit(cache=True, nogil=True)
def _area_left_of(x: float, width: float) -> float:
    return 0.5 * math.erfc(-x / (width * math.sqrt(2.0)))


@njit(cache=True, nogil=True)
def _integrated_variance(width: float) -> float:
    """Return the variance of a Gaussian of dispersion `width` integrated over pixels."""
    # Integer j contributes j^2 to the variance, or 1 + 3 + ... + (2j - 1) for each tail it belongs to.
    total = 0.0
    for j in range(1, int(8.5 * width) + 3):
        total += 2.0 * (2 * j - 1) * _area_left_of(0.5 - j, width)
    return total


@njit(cache=True, nogil=True)
def _integrated_width(sigma: FloatArray) -> FloatArray:
    """Return the dispersion whose pixel-integrated Gaussian has the variance sigma**2."""
    result = np.zeros_like(sigma)
    for i in range(len(sigma)):
        variance = sigma[i] * sigma[i]
        if sigma[i] < _SMALLEST_SIGMA:
            continue
        if sigma[i] > 1.5:
            result[i] = math.sqrt(variance - 1.0 / 12.0)  # Sheppard's correction, here exact to 1e-16
            continue
        low, high = 0.0, 1.5
        for _ in range(54):
            middle = 0.5 * (low + high)
            if _integrated_variance(middle) < variance:
                low = middle
            else:
                high = middle
        result[i] = high
    return result


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _convolve(flux: FloatArray, width: FloatArray) -> FloatArray:
    n_spectra, n_pix = flux.shape
    reach = int(_REACH * width.max()) + 1
    result = np.empty_like(flux)
    weights = np.empty(2 * reach + 1)
    for i in range(n_pix):
        if width[i] == 0.0:
            for t in range(n_spectra):
                result[t, i] = flux[t, i]
            continue
        first, count = _pixel_weights(weights, width[i], i, n_pix)
        for t in range(n_spectra):
            total = 0.0
            for k in range(count):
                total += weights[k] * flux[t, first + k]
            result[t, i] = total
    return result


@njit(cache=True, nogil=True)
def _pixel_weights(weights: FloatArray, width: float, centre: int, n_pix: int) -> tuple[int, int]:
    """Write the weights of one output pixel; return its first input pixel and their number."""
    reach = int(_REACH * width) + 1
    first, last = max(centre - reach, 0), min(centre + reach, n_pix - 1)
    before = 0.0  # the outermost pixels take the tails, so that the weights sum to one
    for k in range(last - first):
        until = _area_left_of(first + k + 0.5 - centre, width)
        weights[k] = until - before
        before = until
    weights[last - first] = 1.0 - before
    return first, last - first + 1
