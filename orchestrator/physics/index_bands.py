"""The band integrals of line indices as weights of pixels, and indices measured with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.physics.line_indices import (
    N_INTEGRALS,
    N_MOMENTS,
    IndexSet,
    LineIndex,
    index_derivatives,
    index_values,
)
from orchestrator.physics.lsf import convolve_variable_gaussian

__all__ = ["IndexMeasurement", "band_weights", "line_in_pixels", "measure_indices"]

FloatArray = NDArray[np.float64]

_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(4)  # exact for moments up to order 7
REACH = 7.0
"""Dispersions of a smoothing kernel beyond the bands of an index that are computed."""
_NEEDED = 3.0  # dispersions beyond the bands that a spectrum must cover to be smoothed
_TOLERATED = 1e-5  # share of a band's weight that may lie on masked pixels: the far wing of a kernel


@dataclass(frozen=True)
class IndexMeasurement:
    """Indices measured in one spectrum.

    Attributes
    ----------
    indices : tuple of LineIndex
    values : ndarray, shape (n_indices,)
        NaN where not measured.
    covariance : ndarray, shape (n_indices, n_indices)
        Of the values, to first order in the noise; NaN in rows and columns of what is not measured.
    reasons : tuple of str
        Why an index is not measured; empty where it is.
    continuum_signal_to_noise : ndarray, shape (n_indices,)
        Signal-to-noise ratio of the poorer of the two side bands; NaN where not measured.
    """

    indices: tuple[LineIndex, ...]
    values: FloatArray
    covariance: FloatArray
    reasons: tuple[str, ...]
    continuum_signal_to_noise: FloatArray

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Which indices are measured, shape (n_indices,)."""
        return np.array([not reason for reason in self.reasons])

    @property
    def errors(self) -> FloatArray:
        """Standard deviations, shape (n_indices,)."""
        return np.sqrt(np.diag(self.covariance))


def band_weights(index: LineIndex, edges: FloatArray) -> FloatArray:
    """Return the weights of pixels in the band integrals of an index.

    A pixel counts with the part of it that lies in a band, exactly; its flux is that of the whole pixel.

    Parameters
    ----------
    index : LineIndex
    edges : ndarray, shape (n_pixels + 1,)
        Of the pixels, rest frame, vacuum, Angstrom, increasing; they must cover the index.

    Returns
    -------
    ndarray, shape (N_INTEGRALS, n_pixels)
        Rows: mean flux in the blue and in the red band, then the Chebyshev moments ``mean of F T_k(x)`` of the
        feature. For a break the first two are means of ``lambda**2 F``, which is proportional to the flux per unit
        frequency, and the moments are zero.
    """
    weights = np.zeros((N_INTEGRALS, len(edges) - 1))
    for row, band in enumerate((index.blue, index.red)):
        x, wavelength, share = _nodes(edges, band)
        per_frequency = wavelength**2 if index.feature is None else np.ones_like(x)
        weights[row] = (per_frequency * share).sum(axis=1)
    if index.feature is not None:
        x, _, share = _nodes(edges, index.feature)
        weights[2:] = (_chebyshev(x) * share).sum(axis=2)
    return weights


def _nodes(edges: FloatArray, band: tuple[float, float]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return nodes of an exact quadrature in the part of each pixel in `band`, each (n_pixels, n_nodes).

    As positions from -1 to 1 across the band, as wavelengths, and their shares of a mean over the band.
    """
    low, high = np.clip(edges[:-1], *band)[:, None], np.clip(edges[1:], *band)[:, None]
    middle, width = 0.5 * (band[0] + band[1]), band[1] - band[0]
    wavelength = 0.5 * (low + high) + 0.5 * (high - low) * _NODES
    share = 0.5 * (high - low) / width * _NODE_WEIGHTS
    return (wavelength - middle) / (0.5 * width), wavelength, share


def _chebyshev(x: FloatArray) -> FloatArray:
    """Return T_0 ... T_(N_MOMENTS - 1) of `x`, in a new first axis."""
    result = np.empty((N_MOMENTS, *x.shape))
    result[0], result[1] = 1.0, x
    for order in range(2, N_MOMENTS):
        result[order] = 2.0 * x * result[order - 1] - result[order - 2]
    return result


def line_in_pixels(edges: FloatArray, wavelength: float, dispersion: float) -> FloatArray:
    """Return the flux density that a Gaussian line of unit flux has in each pixel, per Angstrom.

    Parameters
    ----------
    edges : ndarray, shape (n_pixels + 1,)
        Angstrom.
    wavelength, dispersion : float
        Of the line, Angstrom.
    """
    from scipy.special import ndtr

    cumulative = ndtr((edges - wavelength) / max(dispersion, 1e-6))
    return np.asarray(np.diff(cumulative) / np.diff(edges))


def measure_indices(
    indices: Sequence[LineIndex],
    edges: FloatArray,
    flux: FloatArray,
    variance: FloatArray,
    good: NDArray[np.bool_],
    smoothing: FloatArray | None = None,
) -> IndexMeasurement:
    """Measure indices in a spectrum, with their covariance.

    Parameters
    ----------
    indices : sequence of LineIndex
    edges : ndarray, shape (n_pixels + 1,)
        Of the pixels, rest frame, vacuum, Angstrom.
    flux, variance : ndarray, shape (n_pixels,)
        Independent noise. Values of pixels that are not good do not matter.
    good : ndarray of bool, shape (n_pixels,)
    smoothing : ndarray, shape (n_pixels,), optional
        Dispersion in pixels of a Gaussian that the spectrum is smoothed with first. The noise of the smoothed
        spectrum is correlated; the covariance given is exact all the same, because it goes back to the pixels.

    Returns
    -------
    IndexMeasurement
        An index that needs a pixel that is not good, or lies partly outside the spectrum, is not measured.
    """
    clean_flux, clean_variance = np.where(good, flux, 0.0), np.where(good, variance, 0.0)
    number = len(indices)
    values, signal = np.full(number, np.nan), np.full(number, np.nan)
    gradients = np.zeros((number, len(flux)))
    reasons = []
    for i, index in enumerate(indices):
        pixels, weights, reason = _weights_in(index, edges, good, smoothing)
        if not reason:
            index_set = IndexSet.of([index])
            integrals = (weights @ clean_flux[pixels])[None, None]
            value = float(index_values(index_set, integrals)[0, 0])
            reason = "" if np.isfinite(value) else "its continuum or its flux is not positive"
        if not reason:
            values[i] = value
            gradients[i, pixels] = index_derivatives(index_set, integrals)[0, 0] @ weights
            noise = np.sqrt(weights[:2] ** 2 @ clean_variance[pixels])
            signal[i] = (integrals[0, 0, :2] / noise).min()
        reasons.append(reason)
    covariance = (gradients * clean_variance) @ gradients.T
    missing = np.isnan(values)
    covariance[missing], covariance[:, missing] = np.nan, np.nan
    return IndexMeasurement(tuple(indices), values, covariance, tuple(reasons), signal)


def _weights_in(
    index: LineIndex, edges: FloatArray, good: NDArray[np.bool_], smoothing: FloatArray | None
) -> tuple[slice, FloatArray, str]:
    """Return the pixels that an index needs, its weights there, and why it cannot be measured."""
    low, high = index.limits
    nothing = slice(0, 0), np.zeros((N_INTEGRALS, 0)), f"the spectrum covers {edges[0]:.0f}-{edges[-1]:.0f} A only"
    if low < edges[0] or high > edges[-1]:
        return nothing
    width = np.diff(edges)
    first, last = int(np.searchsorted(edges, low, "right")) - 1, int(np.searchsorted(edges, high, "left"))
    if smoothing is not None:
        reach = float((smoothing * width)[first:last].max())
        if low - _NEEDED * reach < edges[0] or high + _NEEDED * reach > edges[-1]:
            return nothing
        first = max(int(np.searchsorted(edges, low - REACH * reach)) - 1, 0)
        last = min(int(np.searchsorted(edges, high + REACH * reach)) + 1, len(width))
    pixels = slice(first, last)
    weights = band_weights(index, edges[first : last + 1])
    if smoothing is not None:
        # Row t of the smoothed identity is what pixel t gives to every pixel: the transpose acts on weights.
        weights = weights @ convolve_variable_gaussian(np.eye(last - first), smoothing[pixels]).T
    rows = np.abs(weights[: 2 if index.feature is None else 3])
    needed = rows > _TOLERATED * rows.max(axis=1, keepdims=True)
    masked = int((needed.any(axis=0) & ~good[pixels]).sum())
    return pixels, weights, f"{masked} of its {int(needed.any(axis=0).sum())} pixels are masked" if masked else ""
