r"""Line-strength indices: equivalent widths, molecular indices and breaks, with exact errors.

An index compares the flux in the band of a feature with a straight pseudo-continuum through the mean fluxes of two
bands beside it (Worthey et al. 1994, ApJS 94, 687, equations 1-3)::

    EW = integral of (1 - F / F_c) dlambda,        mag = -2.5 log10(mean of F / F_c),

a break is the ratio of two mean fluxes per unit frequency (Bruzual 1983, ApJ 273, 105).

Everything here is a function of a few *band integrals*, linear in the spectrum (:mod:`index_bands`). The division
by the sloping continuum is a series in the Chebyshev moments of the flux in the band,

.. math:: \frac{1}{1 + s x} = \frac{1}{\sqrt{1-s^2}} \Bigl[1 + 2 \sum_k (-q)^k T_k(x)\Bigr],
          \qquad q = \frac{s}{1 + \sqrt{1-s^2}},

with x in [-1, 1] across the band and s the relative change of the continuum from its middle to its end. It converges
as q^k: with eight moments it is exact to 1e-10 for s = 0.1 and to 1e-4 for s = 0.5. A fit therefore needs the
integrals of its templates only, and errors follow from first derivatives for every pixel of the data (the formulae
of Cardiel et al. 1998, A&AS 127, 597, are the same propagation without covariances).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "N_INTEGRALS",
    "N_MOMENTS",
    "IndexSet",
    "LineIndex",
    "index_derivatives",
    "index_values",
]

FloatArray = NDArray[np.float64]

N_MOMENTS = 8
"""Chebyshev moments of the flux in the band of a feature."""
N_INTEGRALS = 2 + N_MOMENTS
"""Band integrals of one index: means in the blue and the red band, then the moments."""

_MAGNITUDES = 2.5 / np.log(10.0)


@dataclass(frozen=True)
class LineIndex:
    """Definition of one index.

    Attributes
    ----------
    name : str
    unit : {'Angstrom', 'mag', 'ratio'}
        Equivalent width, molecular index, or a break.
    blue, red : (float, float)
        Bands of the pseudo-continuum, or of the break; vacuum, Angstrom.
    feature : (float, float) or None
        Band of the feature, vacuum, Angstrom; None for a break.
    width : float
        Width of the feature's band in the medium of the definition, Angstrom; 0 for a break.
    source : str
        Where the definition is from.
    """

    name: str
    unit: str
    blue: tuple[float, float]
    red: tuple[float, float]
    feature: tuple[float, float] | None
    width: float
    source: str = ""

    @property
    def bands(self) -> tuple[tuple[float, float], ...]:
        """Every band, vacuum, Angstrom."""
        middle = () if self.feature is None else (self.feature,)
        return (self.blue, *middle, self.red)

    @property
    def limits(self) -> tuple[float, float]:
        """First and last wavelength that the index needs, vacuum, Angstrom."""
        return min(band[0] for band in self.bands), max(band[1] for band in self.bands)


@dataclass(frozen=True)
class IndexSet:
    """Indices that are evaluated together.

    Attributes
    ----------
    indices : tuple of LineIndex
    is_break, is_magnitude : ndarray of bool, shape (n_indices,)
    width : ndarray, shape (n_indices,)
        Angstrom.
    position : ndarray, shape (n_indices,)
        Middle of the feature on the line from the middle of the blue band (0) to that of the red one (1).
    reach : ndarray, shape (n_indices,)
        Half the width of the feature on the same scale.
    """

    indices: tuple[LineIndex, ...]
    is_break: NDArray[np.bool_]
    is_magnitude: NDArray[np.bool_]
    width: FloatArray
    position: FloatArray
    reach: FloatArray

    @classmethod
    def of(cls, indices: Sequence[LineIndex]) -> IndexSet:
        """Prepare the geometry of some indices."""
        position, reach = np.zeros(len(indices)), np.zeros(len(indices))
        for i, index in enumerate(indices):
            if index.feature is not None:
                blue, red = sum(index.blue) / 2, sum(index.red) / 2
                position[i] = (sum(index.feature) / 2 - blue) / (red - blue)
                reach[i] = (index.feature[1] - index.feature[0]) / 2 / (red - blue)
        return cls(
            indices=tuple(indices),
            is_break=np.array([index.feature is None for index in indices]),
            is_magnitude=np.array([index.unit == "mag" for index in indices]),
            width=np.array([index.width for index in indices]),
            position=position,
            reach=reach,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names in order."""
        return tuple(index.name for index in self.indices)

    @property
    def units(self) -> tuple[str, ...]:
        """Units in order."""
        return tuple(index.unit for index in self.indices)


def index_values(index_set: IndexSet, integrals: FloatArray) -> FloatArray:
    """Return indices from band integrals.

    Parameters
    ----------
    index_set : IndexSet
    integrals : ndarray, shape (n_points, n_indices, N_INTEGRALS)
        From the weights of :func:`orchestrator.physics.index_bands.band_weights`, on any scale of flux.

    Returns
    -------
    ndarray, shape (n_points, n_indices)
        Angstrom, mag or ratio; NaN where the pseudo-continuum is not positive throughout the feature.
    """
    blue, red = integrals[..., 0], integrals[..., 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = _mean_ratio(index_set, integrals)
        line = np.where(
            index_set.is_magnitude, -_MAGNITUDES * np.log(ratio), index_set.width * (1.0 - ratio)
        )
        values = np.where(index_set.is_break, red / blue, line)
    positive = (blue > 0) & (red > 0)
    return np.asarray(np.where(positive, values, np.nan))


def index_derivatives(index_set: IndexSet, integrals: FloatArray) -> FloatArray:
    """Return the derivatives of indices with respect to their own band integrals.

    Parameters
    ----------
    index_set : IndexSet
    integrals : ndarray, shape (n_points, n_indices, N_INTEGRALS)

    Returns
    -------
    ndarray, shape (n_points, n_indices, N_INTEGRALS)
        NaN where the index is.
    """
    blue, red = integrals[..., 0], integrals[..., 1]
    result = np.zeros_like(integrals)
    with np.errstate(divide="ignore", invalid="ignore"):
        middle, slope, root, q = _continuum(index_set, integrals)
        terms = _series(root, q)
        ratio = np.einsum("...k,...k->...", terms, integrals[..., 2:]) / middle
        # dq/ds = (1 + q^2) / (2 root) and d(1/root)/ds = s / root^3.
        orders = np.arange(N_MOMENTS)
        by_q = orders * np.divide(terms, q[..., None], out=np.zeros_like(terms), where=q[..., None] != 0)
        by_q[..., 1] = -2.0 / root
        by_slope = terms * (slope / root**2)[..., None] + by_q * ((1 + q**2) / (2 * root))[..., None]
        ratio_by_slope = np.einsum("...k,...k->...", by_slope, integrals[..., 2:]) / middle
        outer = np.where(
            index_set.is_magnitude, -_MAGNITUDES / ratio, -np.broadcast_to(index_set.width, ratio.shape)
        )
        result[..., 2:] = outer[..., None] * terms / middle[..., None]
        for column, share, sign in ((0, 1 - index_set.position, -1.0), (1, index_set.position, 1.0)):
            slope_by_band = (sign * index_set.reach - slope * share) / middle
            result[..., column] = outer * (ratio_by_slope * slope_by_band - ratio * share / middle)
        breaks = np.broadcast_to(index_set.is_break, blue.shape)
        result[..., 0] = np.where(breaks, -red / blue**2, result[..., 0])
        result[..., 1] = np.where(breaks, 1.0 / blue, result[..., 1])
    result[..., 2:] = np.where(breaks[..., None], 0.0, result[..., 2:])
    usable = (blue > 0) & (red > 0)
    return np.asarray(np.where(usable[..., None], result, np.nan))


def _continuum(
    index_set: IndexSet, integrals: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return the continuum in the middle of the feature, its relative slope s, sqrt(1 - s^2) and q."""
    blue, red = integrals[..., 0], integrals[..., 1]
    step = red - blue
    middle = blue + step * index_set.position
    slope = step * index_set.reach / middle
    # A feature may reach a little into its own side bands; the continuum is positive there if |s| < 1.
    root = np.sqrt(1.0 - slope**2)
    return middle, slope, root, slope / (1.0 + root)


def _series(root: FloatArray, q: FloatArray) -> FloatArray:
    """Return the coefficients of the moments in the mean of F / F_c, times the continuum in the middle."""
    terms = np.empty((*q.shape, N_MOMENTS))
    terms[..., 0] = 1.0 / root
    power = 2.0 / root
    for order in range(1, N_MOMENTS):
        power = -power * q
        terms[..., order] = power
    return terms


def _mean_ratio(index_set: IndexSet, integrals: FloatArray) -> FloatArray:
    """Return the mean of F / F_c over the feature by Horner's rule, which needs no array of coefficients."""
    middle, _, root, q = _continuum(index_set, integrals)
    total = integrals[..., N_INTEGRALS - 1]
    for order in range(N_MOMENTS - 2, 0, -1):
        total = integrals[..., 2 + order] - q * total
    return np.asarray((integrals[..., 2] - 2.0 * q * total) / (root * middle))
