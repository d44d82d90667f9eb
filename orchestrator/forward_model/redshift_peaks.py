"""Peaks of the log-likelihood as a function of redshift, found on a grid and refined between its points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Peaks", "highest_peaks", "lagrange_weights", "refined"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

@dataclass(frozen=True)
class Peaks:
    """Local maxima of profiles, the highest first.

    Attributes
    ----------
    index : ndarray of int, shape (n_points, n_peaks)
        Grid points.
    exists : ndarray of bool, shape (n_points, n_peaks)
        False where a profile has fewer maxima; the first always exists.
    """

    index: IntArray
    exists: NDArray[np.bool_]


def highest_peaks(profile: FloatArray, n_peaks: int) -> Peaks:
    """Find the highest local maxima of profiles; an end of the grid counts as one where it is above its neighbour.

    Parameters
    ----------
    profile : ndarray, shape (n_points, n_z)
        No NaN; -inf where impossible.
    n_peaks : int
    """
    padded = np.pad(profile, ((0, 0), (1, 1)), constant_values=-np.inf)
    is_peak = (profile >= padded[:, :-2]) & (profile > padded[:, 2:])
    heights = np.where(is_peak, profile, -np.inf)
    n_peaks = min(n_peaks, profile.shape[1])
    index = np.argpartition(-heights, n_peaks - 1, axis=1)[:, :n_peaks]
    order = np.argsort(-np.take_along_axis(heights, index, axis=1), axis=1, kind="stable")
    index = np.take_along_axis(index, order, axis=1)
    exists = np.isfinite(np.take_along_axis(heights, index, axis=1))
    exists[:, 0] = True
    return Peaks(index, exists)


@lru_cache(maxsize=4)
def _powers_to_weights(n_nodes: int) -> FloatArray:
    """Return the inverse Vandermonde matrix of nodes centred on zero."""
    return np.asarray(np.linalg.inv(np.vander(_centred(n_nodes), increasing=True)))


def _centred(n_nodes: int) -> FloatArray:
    return np.arange(n_nodes, dtype=np.float64) - 0.5 * (n_nodes - 1)


def lagrange_weights(place: FloatArray, n_nodes: int) -> FloatArray:
    """Return the weights of the nodes 0 ... n_nodes - 1 of the polynomial through them, shape (..., n_nodes)."""
    powers = (place - 0.5 * (n_nodes - 1))[..., None] ** np.arange(n_nodes)
    return np.asarray(powers @ _powers_to_weights(n_nodes))


def refined(
    value: Callable[[FloatArray], FloatArray],
    start: FloatArray,
    lowest: FloatArray,
    highest: FloatArray,
    distance: float,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Improve maxima of a smooth function by a parabola through three points.

    Parameters
    ----------
    value : callable
        Takes places, shape (n, 3), and returns the function there.
    start : ndarray, shape (n,)
        Places near the maxima.
    lowest, highest : ndarray, shape (n,)
        Bounds of the maxima; the function is evaluated within them only.
    distance : float
        Of the three points.

    Returns
    -------
    place : ndarray, shape (n,)
    curvature : ndarray, shape (n,)
        Minus the second derivative there.
    height : ndarray, shape (n,)
        The function there, by the parabola.
    """
    step = np.minimum(distance, 0.5 * (highest - lowest))
    middle = np.clip(start, lowest + step, highest - step)
    left, centre, right = value(middle[:, None] + step[:, None] * np.array([-1.0, 0.0, 1.0])).T
    with np.errstate(invalid="ignore"):
        curvature = (2 * centre - left - right) / step**2
        slope = 0.5 * (right - left) / step
        concave = curvature > 0
        offset = np.where(concave, slope / np.where(concave, curvature, 1.0), np.sign(slope) * 2 * step)
        # not further than where the parabola has been looked at
        offset = np.clip(np.where(np.isfinite(offset), offset, 0.0), -2 * step, 2 * step)
        place = np.clip(middle + offset, lowest, highest)
        offset = place - middle
        height = centre + offset * (slope - 0.5 * curvature * offset)
    return place, curvature, height
