r"""The line-of-sight velocity distribution (LOSVD): Gauss-Hermite, applied through its analytic transform.

.. math::

   L(v) \propto \frac{e^{-y^2/2}}{\sigma\sqrt{2\pi}} [1 + h_3 H_3(y) + h_4 H_4(y)], \quad y = (v - V)/\sigma,

with :math:`H_3 = (2 y^3 - 3 y)/\sqrt{3}` and :math:`H_4 = (4 y^4 - 12 y^2 + 3)/\sqrt{24}`, the convention of
van der Marel & Franx (1993, ApJ 407, 525). Its transform is known in closed form (Cappellari 2017, MNRAS 466,
798, eq. 38), so that it stays exact where sigma is smaller than a pixel and sampling the profile is not.

Velocities are in pixels of a spectrum that is uniform in ln(wavelength): ``v / velscale``. A positive
velocity moves features to longer wavelengths.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy import fft

__all__ = [
    "LOWEST_H4",
    "convolve_batch",
    "convolve_templates",
    "gauss_hermite_losvd",
    "good_fft_size",
    "losvd_rfft",
    "pad_edges",
    "rfft_templates",
]

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

DEFAULT_PAD = 256
"""Length of the bridge between the two ends of a template, pixels."""

_AREA_PER_H4 = np.sqrt(6.0) / 4.0  # H4(y) integrates to 3 / sqrt(24) under the Gaussian
LOWEST_H4 = -1 / _AREA_PER_H4
"""Below it the area of the LOSVD is negative and no LOSVD of unit area exists."""
_BLOCK = 16  # frequencies per exact evaluation of exponentials; the recurrence between is good to a few 1e-15
_NEGLIGIBLE = 80.0  # exp(-80) is 2e-35, and the polynomials stay below 1e6 there


def losvd_rfft(
    n_fft: int,
    velocity_pixels: ArrayLike,
    sigma_pixels: ArrayLike,
    h3: ArrayLike = 0.0,
    h4: ArrayLike = 0.0,
    *,
    unit_area: bool = True,
) -> ComplexArray:
    """Return the Fourier transform of LOSVDs, at the frequencies of ``scipy.fft.rfft``.

    Parameters
    ----------
    n_fft : int
        Length of the real sequences that are transformed.
    velocity_pixels, sigma_pixels : array_like, shape (n_points,)
        Velocity and velocity dispersion divided by the velocity step of a pixel.
    h3, h4 : array_like, shape (n_points,)
        Gauss-Hermite coefficients.
    unit_area : bool
        Divide by the area ``1 + h4 sqrt(6)/4``, so that a convolution conserves flux, and with it the stellar
        mass, whatever h4 is; h3 and h4 keep their meaning. False gives eq. 38 as printed.

    Returns
    -------
    ndarray of complex, shape (n_points, n_fft // 2 + 1)

    Raises
    ------
    ValueError
        If a dispersion is negative, or h4 so negative that the profile has no positive area.

    Notes
    -----
    Cappellari (2017, MNRAS 466, 798), eq. 38.
    """
    given = (velocity_pixels, sigma_pixels, h3, h4)
    rows = [np.atleast_1d(np.asarray(value, dtype=np.float64)) for value in given]
    parameters = np.empty((4, *np.broadcast_shapes(*(row.shape for row in rows))))
    for i, row in enumerate(rows):
        parameters[i] = row
    sigma, kurtosis = parameters[1], parameters[3]
    if (sigma < 0).any():
        msg = f"sigma_pixels contains {float(sigma.min())!r}; a velocity dispersion must not be negative"
        raise ValueError(msg)
    if unit_area and (kurtosis <= LOWEST_H4).any():
        lowest = -1 / _AREA_PER_H4
        msg = (
            f"h4 contains {float(kurtosis.min())!r}; the profile has no positive area at {lowest:.3f} or less"
        )
        raise ValueError(msg)
    return _transform(n_fft, parameters, unit_area)


def gauss_hermite_losvd(
    velocity: ArrayLike,
    los_vel: float,
    los_sigma: float,
    h3: float = 0.0,
    h4: float = 0.0,
    *,
    unit_area: bool = True,
) -> FloatArray:
    """Return the LOSVD itself, for figures and tests.

    Parameters
    ----------
    velocity : array_like, shape (n,)
        km/s, or any unit shared with `los_vel` and `los_sigma`.
    los_vel, los_sigma : float
        Velocity and velocity dispersion (> 0).
    h3, h4 : float
        Gauss-Hermite coefficients of van der Marel & Franx (1993, ApJ 407, 525).
    unit_area : bool
        As in :func:`losvd_rfft`.

    Returns
    -------
    ndarray, shape (n,)
        Density per unit of `velocity`; its integral is 1, or ``1 + h4 sqrt(6)/4`` without `unit_area`.

    Raises
    ------
    ValueError
        If `los_sigma` is not positive.
    """
    if not los_sigma > 0:
        msg = f"los_sigma is {los_sigma!r}; the profile needs a positive velocity dispersion"
        raise ValueError(msg)
    y = (np.asarray(velocity, dtype=np.float64) - los_vel) / los_sigma
    series = 1.0 + h3 * (2 * y**3 - 3 * y) / np.sqrt(3.0) + h4 * (4 * y**4 - 12 * y**2 + 3) / np.sqrt(24.0)
    profile = np.exp(-0.5 * y**2) / (los_sigma * np.sqrt(2 * np.pi)) * series
    return np.asarray(profile / (1.0 + _AREA_PER_H4 * h4) if unit_area else profile)


def good_fft_size(n_pix: int, n_pad: int = DEFAULT_PAD) -> int:
    """Return a length of at least ``n_pix + n_pad`` whose transform is fast.

    Parameters
    ----------
    n_pix : int
        Pixels of a spectrum.
    n_pad : int
        Wanted padding.
    """
    return int(fft.next_fast_len(n_pix + n_pad, real=True))


def pad_edges(templates: ArrayLike, n_fft: int) -> FloatArray:
    """Append a straight bridge from the last value of each template to its first.

    The discrete transform sees a sequence as periodic. The bridge makes it continuous, so that nothing rings,
    and keeps the two ends apart: a kernel that reaches less than ``n_fft - n_pix`` pixels mixes no pixel with
    the opposite end. Pixels closer to an end than the kernel reaches see the bridge, a guess, and must not be
    fitted; all others are as if the template went on for ever: to 1e-6 for a dispersion above 1.5 pixels,
    to 2e-5 for 0.6 pixels, which the grid does not resolve, so that the bends of the bridge ring a little.

    Parameters
    ----------
    templates : array_like, shape (..., n_pix)
    n_fft : int
        Length with the bridge, at least n_pix.

    Returns
    -------
    ndarray, shape (..., n_fft)

    Raises
    ------
    ValueError
        If `n_fft` is less than n_pix.
    """
    values = np.asarray(templates, dtype=np.float64)
    n_pad = n_fft - values.shape[-1]
    if n_pad < 0:
        msg = f"n_fft is {n_fft!r}; the templates have {values.shape[-1]} pixels and need at least as many"
        raise ValueError(msg)
    last, first = values[..., -1:], values[..., :1]
    bridge = last + (first - last) * (np.arange(1, n_pad + 1) / (n_pad + 1))
    return np.concatenate([values, bridge], axis=-1)


def rfft_templates(templates: ArrayLike, n_pad: int = DEFAULT_PAD) -> tuple[ComplexArray, int]:
    """Pad and transform templates.

    Parameters
    ----------
    templates : array_like, shape (n_t, n_pix)
        On a grid uniform in ln(wavelength).
    n_pad : int
        Padding, at least the reach of the kernel: ``|V| + 6 sigma`` in pixels.

    Returns
    -------
    transform : ndarray of complex, shape (n_t, n_fft // 2 + 1)
    n_fft : int
        The length used, for :func:`losvd_rfft` and the convolutions.
    """
    values = np.asarray(templates, dtype=np.float64)
    n_fft = good_fft_size(values.shape[-1], n_pad)
    return np.asarray(fft.rfft(pad_edges(values, n_fft), workers=1)), n_fft


def convolve_templates(
    templates_rfft: ComplexArray, losvd_rfft: ComplexArray, n_fft: int, n_pix: int
) -> FloatArray:
    """Convolve many templates with one LOSVD.

    Parameters
    ----------
    templates_rfft : ndarray of complex, shape (n_t, n_freq)
        From :func:`rfft_templates`.
    losvd_rfft : ndarray of complex, shape (n_freq,)
        One row of what :func:`losvd_rfft` returns.
    n_fft, n_pix : int
        Length of the transform and of the templates.

    Returns
    -------
    ndarray, shape (n_t, n_pix)

    Raises
    ------
    ValueError
        If shapes disagree.
    """
    if losvd_rfft.ndim != 1:
        msg = f"losvd_rfft has shape {losvd_rfft.shape}; expected one LOSVD, shape ({n_fft // 2 + 1},)"
        raise ValueError(msg)
    return convolve_batch(templates_rfft, losvd_rfft[None, :], n_fft, n_pix)


def convolve_batch(spectra_rfft: ComplexArray, losvd: ComplexArray, n_fft: int, n_pix: int) -> FloatArray:
    """Convolve each spectrum with its own LOSVD.

    Parameters
    ----------
    spectra_rfft : ndarray of complex, shape (n_points, n_freq)
        Transformed spectra.
    losvd : ndarray of complex, shape (n_points, n_freq) or (1, n_freq)
        From :func:`losvd_rfft`.
    n_fft, n_pix : int
        Length of the transform and of the spectra.

    Returns
    -------
    ndarray, shape (n_points, n_pix)
        A view into a longer array; the padding is cut off.

    Raises
    ------
    ValueError
        If shapes disagree.
    """
    n_freq = n_fft // 2 + 1
    same_length = spectra_rfft.shape[-1] == losvd.shape[-1] == n_freq
    if not same_length or len(losvd) not in (1, len(spectra_rfft)):
        msg = (
            f"spectra_rfft has shape {spectra_rfft.shape} and losvd {losvd.shape}; for n_fft {n_fft} "
            f"expected (n_points, {n_freq}) and (n_points or 1, {n_freq})"
        )
        raise ValueError(msg)
    convolved = fft.irfft(spectra_rfft * losvd, n_fft, workers=1, overwrite_x=True)
    return np.asarray(convolved[:, :n_pix])


@njit(cache=True, nogil=True, error_model="numpy")
def _transform(n_fft: int, parameters: FloatArray, unit_area: bool) -> ComplexArray:
    n_points = parameters.shape[1]
    result = np.zeros((n_points, n_fft // 2 + 1), dtype=np.complex128)
    for i in range(n_points):
        velocity, sigma, h3, h4 = parameters[0, i], parameters[1, i], parameters[2, i], parameters[3, i]
        area = 1.0 + _AREA_PER_H4 * h4 if unit_area else 1.0
        _transform_one(result[i], 2 * np.pi / n_fft, velocity, sigma, h3, h4, area)
    return result


@njit(cache=True, nogil=True, error_model="numpy")
def _transform_one(
    result: ComplexArray, step: float, velocity: float, sigma: float, h3: float, h4: float, area: float
) -> None:
    """Write exp(-i w V - u^2/2) [1 + i h3 H3(u) + h4 H4(u)] / area, u = sigma w, for w = 0, step, 2 step, ...

    Within a block that starts at w = K step, exp(-u^2/2) = exp(-a K^2) exp(-a j^2) exp(-2 a K)^j: one table
    for all blocks, and three exponentials per block.
    """
    n_freq = len(result)
    u_step, phase_step = sigma * step, -velocity * step
    a = 0.5 * u_step * u_step
    table = np.empty(_BLOCK, dtype=np.complex128)
    for j in range(_BLOCK):
        table[j] = np.exp(-a * j * j) * complex(np.cos(phase_step * j), np.sin(phase_step * j))
    c3, c4 = h3 / np.sqrt(3.0), h4 / np.sqrt(24.0)
    for start in range(0, n_freq, _BLOCK):
        exponent = a * float(start) * float(start)
        if exponent > _NEGLIGIBLE:
            break  # the rest stays zero
        height, ratio = np.exp(-exponent) / area, np.exp(-2.0 * a * start)
        cosine, sine = np.cos(phase_step * start), np.sin(phase_step * start)
        for j in range(min(_BLOCK, n_freq - start)):
            u = u_step * (start + j)
            u2 = u * u
            even = height * (1.0 + c4 * (4.0 * u2 * u2 - 12.0 * u2 + 3.0))
            odd = height * c3 * u * (2.0 * u2 - 3.0)
            real = table[j].real * cosine - table[j].imag * sine
            imaginary = table[j].real * sine + table[j].imag * cosine
            result[start + j] = complex(real * even - imaginary * odd, imaginary * even + real * odd)
            height *= ratio
