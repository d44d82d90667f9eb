"""Wavelengths: air and vacuum, logarithmic grids, exact rebinning, projection of a model onto pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "SPEED_OF_LIGHT_KMS",
    "CubicProjection",
    "air_to_vacuum",
    "apply_projection",
    "log_wavelength_grid",
    "pixel_edges",
    "prepare_projection",
    "rebin_flux_density",
    "rebin_variance",
    "vacuum_to_air",
]

FloatArray = NDArray[np.float64]

SPEED_OF_LIGHT_KMS = 299792.458
"""km/s, exact."""

_SHORTEST_IN_AIR = 2000.0  # Angstrom; by convention shorter wavelengths are always given in vacuum


def _refractive_index(vacuum: FloatArray) -> FloatArray:
    """Return the refractive index of standard air (Ciddor 1996, Applied Optics 35, 1566, equation 1)."""
    wave_number = (1e4 / vacuum) ** 2  # micron^-2
    return 1 + 5.792105e-2 / (238.0185 - wave_number) + 1.67917e-3 / (57.362 - wave_number)


def vacuum_to_air(wavelength: ArrayLike) -> FloatArray:
    """Convert vacuum wavelengths to air; those below 2000 Angstrom stay as they are.

    Parameters
    ----------
    wavelength : array_like
        Vacuum, Angstrom.

    References
    ----------
    Ciddor (1996), Applied Optics 35, 1566, equation 1.
    """
    vacuum = np.asarray(wavelength, dtype=np.float64)
    in_air = vacuum >= _SHORTEST_IN_AIR
    return np.where(in_air, vacuum / _refractive_index(np.where(in_air, vacuum, 5000.0)), vacuum)


def air_to_vacuum(wavelength: ArrayLike) -> FloatArray:
    """Convert air wavelengths to vacuum, the inverse of :func:`vacuum_to_air`.

    Parameters
    ----------
    wavelength : array_like
        Air, Angstrom.
    """
    air = np.asarray(wavelength, dtype=np.float64)
    in_air = air >= _SHORTEST_IN_AIR / 1.0004
    vacuum = np.where(in_air, air, 5000.0)
    target = vacuum
    for _ in range(4):  # each step gains a factor of about 1e5
        vacuum = target * _refractive_index(vacuum)
    return np.where(in_air & (vacuum >= _SHORTEST_IN_AIR), vacuum, air)


def log_wavelength_grid(low: float, high: float, velscale: float) -> FloatArray:
    """Return pixel centres uniform in ln(wavelength), from `low` to at most `high`.

    Parameters
    ----------
    low, high : float
        Angstrom.
    velscale : float
        Step ``c * d ln(wavelength)``, km/s.

    Raises
    ------
    ValueError
        If the range or the step is not positive.
    """
    if not (0 < low < high and velscale > 0):
        msg = f"a grid needs 0 < low < high and velscale > 0, found {low!r}, {high!r}, {velscale!r}"
        raise ValueError(msg)
    step = velscale / SPEED_OF_LIGHT_KMS
    number = int(np.floor(np.log(high / low) / step + 1e-9)) + 1
    return np.asarray(low * np.exp(step * np.arange(number)))


def pixel_edges(wavelength: ArrayLike) -> FloatArray:
    """Return the edges of pixels with these centres, half-way in ln(wavelength), shape (n + 1,)."""
    log_wavelength = np.log(np.asarray(wavelength, dtype=np.float64))
    middle = 0.5 * (log_wavelength[1:] + log_wavelength[:-1])
    first = log_wavelength[0] - (middle[0] - log_wavelength[0])
    last = log_wavelength[-1] + (log_wavelength[-1] - middle[-1])
    return np.asarray(np.exp(np.concatenate([[first], middle, [last]])))


def rebin_flux_density(wavelength: ArrayLike, flux: ArrayLike, edges: ArrayLike) -> FloatArray:
    """Return the average flux density in each output pixel, exactly for the piecewise-linear interpolant.

    Parameters
    ----------
    wavelength : array_like, shape (n_in,)
        Increasing, Angstrom.
    flux : array_like, shape (..., n_in)
        Flux per unit wavelength.
    edges : array_like, shape (n_out + 1,)
        Edges of the output pixels, Angstrom.

    Returns
    -------
    ndarray, shape (..., n_out)
        NaN in pixels that reach beyond the input.

    Notes
    -----
    The integral over wavelength is conserved: pixel average times pixel width adds up to the integral.
    """
    x = np.asarray(wavelength, dtype=np.float64)
    y = np.asarray(flux, dtype=np.float64)
    e = np.asarray(edges, dtype=np.float64)
    widths = np.diff(x)
    cumulative = np.zeros(y.shape)
    np.cumsum(0.5 * widths * (y[..., 1:] + y[..., :-1]), axis=-1, out=cumulative[..., 1:])
    cell = np.clip(np.searchsorted(x, e, side="right") - 1, 0, len(x) - 2)
    fraction = (e - x[cell]) / widths[cell]
    left, right = y[..., cell], y[..., cell + 1]
    at_edges = cumulative[..., cell] + widths[cell] * fraction * (left + 0.5 * fraction * (right - left))
    average = np.diff(at_edges, axis=-1) / np.diff(e)
    # The tolerance forgives rounding of an edge that is meant to be the end of the input.
    tolerance = 1e-10
    outside = (e[:-1] < x[0] * (1 - tolerance)) | (e[1:] > x[-1] * (1 + tolerance))
    average[..., outside] = np.nan
    return average


def rebin_variance(
    edges_in: ArrayLike, variance: ArrayLike, edges_out: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Propagate the noise of pixels through averaging over wider or shifted pixels.

    Parameters
    ----------
    edges_in : array_like, shape (n_in + 1,)
    variance : array_like, shape (n_in,)
        Variance of independent pixels.
    edges_out : array_like, shape (n_out + 1,)

    Returns
    -------
    variance : ndarray, shape (n_out,)
        Variance of ``sum_j w_j flux_j``, which is ``sum_j w_j^2 variance_j`` with overlap fractions ``w_j``.
    correlation : ndarray, shape (n_out - 1,)
        Correlation coefficient of neighbouring output pixels.

    Notes
    -----
    Rebinning makes neighbours share input pixels, so their noise is correlated; a likelihood that treats
    them as independent is wrong by that much.
    """
    source = np.asarray(edges_in, dtype=np.float64)
    target = np.asarray(edges_out, dtype=np.float64)
    values = np.asarray(variance, dtype=np.float64)
    low = np.maximum(source[None, :-1], target[:-1, None])
    high = np.minimum(source[None, 1:], target[1:, None])
    weights = np.maximum(high - low, 0.0) / np.diff(target)[:, None]
    out = (weights**2 * values).sum(axis=1)
    covariance = (weights[1:] * weights[:-1] * values).sum(axis=1)
    return out, covariance / np.sqrt(out[1:] * out[:-1])


@dataclass(frozen=True)
class CubicProjection:
    """Interpolation from a logarithmic grid to pixels, by the cubic through the four nearest grid points.

    Attributes
    ----------
    first : ndarray of int, shape (n_out,)
        First of the four grid points (the only one, where `identity`).
    weights : ndarray, shape (n_out, 4)
    identity : bool
        Whether every pixel lies on a grid point, so that nothing is interpolated.
    """

    first: NDArray[np.int64]
    weights: FloatArray
    identity: bool


def prepare_projection(grid: ArrayLike, wavelength: ArrayLike) -> CubicProjection:
    """Prepare the interpolation from a grid uniform in ln(wavelength).

    Parameters
    ----------
    grid : array_like, shape (n_grid,)
        Uniform in the logarithm, Angstrom.
    wavelength : array_like, shape (n_out,)
        Where the model is wanted, Angstrom.

    Raises
    ------
    ValueError
        If a pixel lies beyond the grid.
    """
    x = np.asarray(grid, dtype=np.float64)
    out = np.asarray(wavelength, dtype=np.float64)
    step = np.log(x[-1] / x[0]) / (len(x) - 1)
    position = np.log(out / x[0]) / step
    nearest = np.rint(position)
    # Wavelengths stored in single precision are off by about 1e-3 pixels; that is no interpolation either.
    on_grid = np.all(np.abs(position - nearest) < 2e-3)
    if len(out) and (position.min() < -1e-2 or position.max() > len(x) - 1 + 1e-2):
        msg = f"pixels {out.min():.2f}-{out.max():.2f} A reach beyond the grid {x[0]:.2f}-{x[-1]:.2f} A"
        raise ValueError(msg)
    if on_grid:
        return CubicProjection(nearest.astype(np.int64), np.zeros((len(out), 4)), True)
    first = np.clip(np.floor(position).astype(np.int64) - 1, 0, len(x) - 4)
    t = position - first
    weights = np.empty((len(out), 4))
    weights[:, 0] = -(t - 1) * (t - 2) * (t - 3) / 6
    weights[:, 1] = t * (t - 2) * (t - 3) / 2
    weights[:, 2] = -t * (t - 1) * (t - 3) / 2
    weights[:, 3] = t * (t - 1) * (t - 2) / 6
    return CubicProjection(first, weights, False)


def apply_projection(projection: CubicProjection, spectra: FloatArray) -> FloatArray:
    """Interpolate spectra on the grid to the pixels.

    Parameters
    ----------
    spectra : ndarray, shape (n_points, n_grid)

    Returns
    -------
    ndarray, shape (n_points, n_out)
    """
    if projection.identity:
        return spectra[:, projection.first]
    return np.asarray(_interpolate(projection.first, projection.weights, spectra))


@njit(cache=True, nogil=True, error_model="numpy")
def _interpolate(first: NDArray[np.int64], weights: FloatArray, spectra: FloatArray) -> FloatArray:
    n_points, n_out = spectra.shape[0], first.shape[0]
    result = np.empty((n_points, n_out))
    for p in range(n_points):
        row = spectra[p]
        for i in range(n_out):
            k = first[i]
            result[p, i] = (
                weights[i, 0] * row[k]
                + weights[i, 1] * row[k + 1]
                + weights[i, 2] * row[k + 2]
                + weights[i, 3] * row[k + 3]
            )
    return result
