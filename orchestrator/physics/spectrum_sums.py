"""From spectra on a model grid to the two sums of a fit with a free amplitude, in one pass over the pixels.

The flux in the observed pixels is never stored: interpolation, dust and polynomial are applied to a few pixels
at a time, which stay in the processor's registers and first cache. The exponential of the dust is computed once
per block of neighbouring pixels and continued by its series, as A(lambda) changes little from pixel to pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orchestrator.physics.wavelength import CubicProjection

__all__ = ["DustBlocks", "dust_blocks", "everything", "slope_and_curvature"]

FloatArray = NDArray[np.float64]

_BLOCK = 32
_SERIES_REACH = 0.03  # there the seventh term of the exponential series is 4e-15
_SIXTH, _C4, _C5, _C6 = 1 / 6, 1 / 24, 1 / 120, 1 / 720
_MAGNITUDE = -0.4 * np.log(10.0)


@dataclass(frozen=True)
class DustBlocks:
    """A(lambda) / A_V of pixels, in blocks of neighbours.

    Attributes
    ----------
    middle : ndarray, shape (n_blocks,)
        Its value in the middle of the range of each block.
    offset : ndarray, shape (n_good,)
        Its difference from that value.
    reach : ndarray, shape (n_blocks,)
        Largest absolute difference in each block.
    """

    middle: FloatArray
    offset: FloatArray
    reach: FloatArray


def dust_blocks(curve: FloatArray | None, n_good: int) -> DustBlocks:
    """Prepare an attenuation curve, shape (n_good,), for :func:`slope_and_curvature`; None is no dust."""
    values = np.zeros(n_good) if curve is None else np.asarray(curve, dtype=np.float64)
    starts = np.arange(0, n_good, _BLOCK)
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    middle = 0.5 * (low + high)
    return DustBlocks(middle, values - np.repeat(middle, _BLOCK)[:n_good], 0.5 * (high - low))


@lru_cache(maxsize=4)
def everything(n_good: int) -> CubicProjection:
    """Return the projection that takes every pixel as it is."""
    return CubicProjection(np.arange(n_good), np.zeros((n_good, 4)), True, n_good)


def slope_and_curvature(
    spectra: FloatArray,
    projection: CubicProjection,
    a_v: FloatArray | None,
    blocks: DustBlocks,
    factor: FloatArray | None,
    weighted_data: FloatArray,
    inverse_variance: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Return the products of models with the data and with themselves.

    Parameters
    ----------
    spectra : ndarray, shape (n_points, n_grid)
        On the grid of the projection.
    projection : CubicProjection
        Onto the n_good pixels of the data.
    a_v : ndarray, shape (n_points,), or None
        mag; None for no dust.
    blocks : DustBlocks
    factor : ndarray, shape (n_points, n_good), or None
        Multiplies the model.
    weighted_data, inverse_variance : ndarray, shape (n_good,)
        Data times inverse variance, and inverse variance.

    Returns
    -------
    slope, curvature : ndarray, shape (n_points,)
        Sums over pixels of model * `weighted_data` and of model^2 * `inverse_variance`.
    """
    exponent = np.zeros(0) if a_v is None else _MAGNITUDE * a_v
    factors = np.zeros((0, 0)) if factor is None else factor
    taps = np.zeros((0, 4)) if projection.identity else projection.weights
    sums = _sums(
        spectra, projection.first, taps, exponent, blocks.middle, blocks.offset, blocks.reach, factors,
        weighted_data, inverse_variance,
    )  # fmt: skip
    return sums[0], sums[1]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _sums(
    spectra: FloatArray,
    first: NDArray[np.int64],
    taps: FloatArray,
    exponent: FloatArray,
    middle: FloatArray,
    offset: FloatArray,
    reach: FloatArray,
    factors: FloatArray,
    weighted_data: FloatArray,
    inverse_variance: FloatArray,
) -> FloatArray:
    n_good = len(weighted_data)
    result = np.zeros((2, len(spectra)))
    flux = np.empty(_BLOCK)
    for i in range(len(spectra)):
        row = spectra[i]
        slope = curvature = 0.0
        for block in range(len(middle)):
            start = block * _BLOCK
            count = min(_BLOCK, n_good - start)
            if len(taps):
                for j in range(count):
                    k, tap = first[start + j], taps[start + j]
                    flux[j] = tap[0] * row[k] + tap[1] * row[k + 1] + tap[2] * row[k + 2] + tap[3] * row[k + 3]
            else:
                for j in range(count):
                    flux[j] = row[first[start + j]]
            if len(exponent):
                c = exponent[i]
                height = np.exp(c * middle[block])
                if abs(c) * reach[block] < _SERIES_REACH:
                    for j in range(count):
                        x = c * offset[start + j]
                        series = _SIXTH + x * (_C4 + x * (_C5 + x * _C6))
                        flux[j] *= height * (1.0 + x * (1.0 + x * (0.5 + x * series)))
                else:
                    for j in range(count):
                        flux[j] *= height * np.exp(c * offset[start + j])
            if len(factors):
                for j in range(count):
                    flux[j] *= factors[i, start + j]
            for j in range(count):
                slope += flux[j] * weighted_data[start + j]
                curvature += flux[j] * flux[j] * inverse_variance[start + j]
        result[0, i], result[1, i] = slope, curvature
    return result
