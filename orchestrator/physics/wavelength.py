"""Wavelengths: air and vacuum, logarithmic grids, exact rebinning, projection of a model onto pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from orchestrator.physics.constants import SPEED_OF_LIGHT_KMS

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
    nodes, borders = _increasing(wavelength, "wavelength"), _increasing(edges, "edges")
    values = _on_nodes(flux, nodes, "flux")
    start, offset, weights = _rebin_weights(nodes, borders)
    average = _apply_rebinning(start, offset, weights, values.reshape(-1, len(nodes)))
    return average.reshape(*values.shape[:-1], len(borders) - 1)


def rebin_variance(
    wavelength: ArrayLike, variance: ArrayLike, edges: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    r"""Propagate independent noise through :func:`rebin_flux_density`.

    An output pixel is :math:`\sum_k w_{jk} f_k`: its variance is :math:`\sum_k w_{jk}^2 \sigma_k^2`, its
    covariance with the next :math:`\sum_k w_{jk} w_{j+1,k} \sigma_k^2`.

    Parameters
    ----------
    wavelength : array_like, shape (n_in,)
    variance : array_like, shape (..., n_in)
    edges : array_like, shape (n_out + 1,)

    Returns
    -------
    variance : ndarray, shape (..., n_out)
        NaN in pixels that reach beyond the input.
    correlation : ndarray, shape (..., n_out - 1)
        Correlation coefficient of neighbouring output pixels; a likelihood that treats them as independent is
        wrong by that much.
    """
    nodes, borders = _increasing(wavelength, "wavelength"), _increasing(edges, "edges")
    values = _on_nodes(variance, nodes, "variance")
    start, offset, weights = _rebin_weights(nodes, borders)
    own, shared = _propagate_variance(start, offset, weights, values.reshape(-1, len(nodes)))
    scale = np.sqrt(own[:, :-1] * own[:, 1:])
    correlation = np.divide(shared, scale, out=np.zeros_like(shared), where=scale != 0)
    leading, n_out = values.shape[:-1], len(borders) - 1
    return own.reshape(*leading, n_out), correlation.reshape(*leading, n_out - 1)


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
    n_grid : int
        Number of grid points.
    """

    first: NDArray[np.int64]
    weights: FloatArray
    identity: bool
    n_grid: int


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
        If the grid is not uniform, or a pixel lies beyond it or less than two grid pixels from its ends.
    """
    x = _increasing(grid, "grid")
    out = np.asarray(wavelength, dtype=np.float64)
    step = np.log(x[-1] / x[0]) / (len(x) - 1)
    position = np.log(out / x[0]) / step
    deviation = np.abs(np.log(x / x[0]) - step * np.arange(len(x))).max() / step
    if len(x) < 5 or deviation > 1e-3:
        msg = f"a grid of {len(x)} pixels, {deviation:.2g} off uniform steps in ln; expected 5+, uniform"
        raise ValueError(msg)
    # Written so that a NaN counts as outside; the margin forgives wavelengths stored in single precision.
    outside = ~((position >= 2 - 2e-3) & (position <= len(x) - 3 + 2e-3))
    if outside.any():
        msg = (
            f"{int(outside.sum())} of {len(out)} pixels, one at {float(out[outside][0])!r} A, reach beyond "
            f"the grid, which serves {x[2]:.3f}-{x[-3]:.3f} A, two pixels inside its ends; extend or drop"
        )
        raise ValueError(msg)
    nearest = np.rint(position)
    # Wavelengths stored in single precision are off by about 1e-3 pixels; that is no interpolation either.
    on_grid = np.all(np.abs(position - nearest) < 2e-3)
    if on_grid:
        return CubicProjection(nearest.astype(np.int64), np.zeros((len(out), 4)), True, len(x))
    first = np.clip(np.floor(position).astype(np.int64) - 1, 0, len(x) - 4)
    t = position - first
    weights = np.empty((len(out), 4))
    weights[:, 0] = -(t - 1) * (t - 2) * (t - 3) / 6
    weights[:, 1] = t * (t - 2) * (t - 3) / 2
    weights[:, 2] = -t * (t - 1) * (t - 3) / 2
    weights[:, 3] = t * (t - 1) * (t - 2) / 6
    return CubicProjection(first, weights, False, len(x))


def apply_projection(projection: CubicProjection, spectra: FloatArray) -> FloatArray:
    """Interpolate spectra on the grid to the pixels.

    Parameters
    ----------
    spectra : ndarray, shape (n_points, n_grid)

    Returns
    -------
    ndarray, shape (n_points, n_out)

    Raises
    ------
    ValueError
        If the spectra are not on the grid of the projection.
    """
    if spectra.ndim != 2 or spectra.shape[1] != projection.n_grid:
        msg = f"spectra have shape {spectra.shape}; expected (n_points, {projection.n_grid})"
        raise ValueError(msg)
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


def _increasing(wavelength: ArrayLike, name: str) -> FloatArray:
    values = np.ascontiguousarray(wavelength, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2 or not np.all(np.diff(values) > 0):
        msg = f"{name} has shape {values.shape}; expected two or more values that increase and are not NaN"
        raise ValueError(msg)
    return values


def _on_nodes(values: ArrayLike, nodes: FloatArray, name: str) -> FloatArray:
    result = np.ascontiguousarray(values, dtype=np.float64)
    if result.ndim == 0 or result.shape[-1] != len(nodes):
        msg = f"{name} has shape {result.shape}; expected (..., {len(nodes)}) as the wavelengths"
        raise ValueError(msg)
    return result


@njit(cache=True, nogil=True)
def _rebin_weights(
    nodes: FloatArray, edges: FloatArray
) -> tuple[NDArray[np.int64], NDArray[np.int64], FloatArray]:
    """Return first node, offset into the weights, and the weights of each output pixel; none if uncovered."""
    n_out, n_in = len(edges) - 1, len(nodes)
    # The tolerance forgives rounding of an edge that is meant to be the end of the input.
    lowest, highest = nodes[0] * (1 - 1e-10), nodes[-1] * (1 + 1e-10)
    start = np.zeros(n_out, dtype=np.int64)
    offset = np.zeros(n_out + 1, dtype=np.int64)
    for j in range(n_out):
        offset[j + 1] = offset[j]
        if edges[j] >= lowest and edges[j + 1] <= highest:
            start[j] = min(max(np.searchsorted(nodes, edges[j], side="right") - 1, 0), n_in - 2)
            last = max(min(np.searchsorted(nodes, edges[j + 1], side="left"), n_in - 1), start[j] + 1)
            offset[j + 1] += last - start[j] + 1
    weights = np.zeros(offset[n_out])
    for j in range(n_out):
        low_edge, high_edge = max(edges[j], nodes[0]), min(edges[j + 1], nodes[-1])
        for k in range(offset[j + 1] - offset[j] - 1):
            left, right = nodes[start[j] + k], nodes[start[j] + k + 1]
            low, high = max(left, low_edge), min(right, high_edge)
            # The integral of a line over [low, high] is its value in the middle times the length.
            length = (high - low) / (high_edge - low_edge)
            share = (0.5 * (low + high) - left) / (right - left)
            weights[offset[j] + k] += length * (1.0 - share)
            weights[offset[j] + k + 1] += length * share
    return start, offset, weights


@njit(cache=True, nogil=True)
def _apply_rebinning(
    start: NDArray[np.int64], offset: NDArray[np.int64], weights: FloatArray, values: FloatArray
) -> FloatArray:
    result = np.full((len(values), len(start)), np.nan)
    for i in range(len(values)):
        for j in range(len(start)):
            if offset[j + 1] > offset[j]:
                total = 0.0
                for k in range(offset[j + 1] - offset[j]):
                    total += weights[offset[j] + k] * values[i, start[j] + k]
                result[i, j] = total
    return result


@njit(cache=True, nogil=True)
def _propagate_variance(
    start: NDArray[np.int64], offset: NDArray[np.int64], weights: FloatArray, variance: FloatArray
) -> tuple[FloatArray, FloatArray]:
    n_out = len(start)
    own = np.full((len(variance), n_out), np.nan)
    shared = np.full((len(variance), n_out - 1), np.nan)
    for i in range(len(variance)):
        for j in range(n_out):
            count = offset[j + 1] - offset[j]
            following = offset[j + 2] - offset[j + 1] if j + 1 < n_out else 0
            if count == 0:
                continue
            total, common = 0.0, 0.0
            for k in range(count):
                weighted = weights[offset[j] + k] * variance[i, start[j] + k]
                total += weights[offset[j] + k] * weighted
                other = start[j] + k - start[j + 1] if following else -1
                if 0 <= other < following:
                    common += weights[offset[j + 1] + other] * weighted
            own[i, j] = total
            if following:
                shared[i, j] = common
    return own, shared
