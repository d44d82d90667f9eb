"""Compression of SSP templates: few basis spectra stand for many, to a stated error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

__all__ = ["TemplateBasis", "compress"]

FloatArray = NDArray[np.float64]

_WORTHWHILE = 0.8  # a basis larger than this fraction of the templates saves nothing
_GRAM_LIMIT = 1e-7  # rounding errors hide singular values of a Gram matrix below 1e-8 of the largest


@dataclass(frozen=True)
class TemplateBasis:
    """Templates as linear combinations of basis spectra.

    Attributes
    ----------
    coefficients : ndarray, shape (n_t, rank)
    basis : ndarray, shape (rank, n_pix)
    relative_error : float
        Measured on the templates: the largest deviation of any pixel, in units of the mean absolute flux of
        its template. 0 where the basis is the templates themselves.
    """

    coefficients: FloatArray
    basis: FloatArray
    relative_error: float

    def reconstruct(self) -> FloatArray:
        """Return the templates, shape (n_t, n_pix), to within `relative_error`."""
        return np.asarray(self.coefficients @ self.basis)


def compress(templates: ArrayLike, max_relative_error: float = 1e-5) -> TemplateBasis:
    """Find the smallest basis that represents every pixel of every template to the given error.

    Parameters
    ----------
    templates : array_like, shape (n_t, n_pix)
        Each is normalised to unit mean absolute flux before the decomposition, so that faint (old) templates
        are represented as well as bright ones.
    max_relative_error : float
        Largest allowed deviation in any pixel, in units of the mean absolute flux of the template; 0 keeps
        the templates as they are.

    Returns
    -------
    TemplateBasis
        The exact templates with unit coefficients where 80 % of their number would not suffice.

    Raises
    ------
    ValueError
        If the templates are not a two-dimensional array of finite numbers, or the error is negative.

    Notes
    -----
    Truncated singular value decomposition. The criterion is the largest error, not the root mean square that
    a decomposition minimises, so the rank is found by trial, upwards from the rank that the root mean square
    rules out.
    """
    values = np.ascontiguousarray(templates, dtype=np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        msg = f"templates have shape {values.shape}; expected (n_t, n_pix) with finite numbers only"
        raise ValueError(msg)
    if not max_relative_error >= 0:
        msg = f"max_relative_error is {max_relative_error!r}; expected 0 or a positive number"
        raise ValueError(msg)
    mean_flux = np.abs(values).mean(axis=1)
    mean_flux[mean_flux == 0] = 1.0
    normalised = values / mean_flux[:, None]
    rank, directions = 0, np.zeros((len(values), 0))
    if max_relative_error > 0:
        directions, singular = _principal_directions(normalised, max_relative_error)
        rank = _smallest_rank(normalised, directions, singular, max_relative_error)
    if not 0 < rank < _WORTHWHILE * len(values):
        return TemplateBasis(np.eye(len(values)), values.copy(), 0.0)
    basis = directions[:, :rank].T @ normalised
    coefficients = mean_flux[:, None] * directions[:, :rank]
    deviation = np.abs(coefficients @ basis - values).max(axis=1)
    return TemplateBasis(coefficients, basis, float((deviation / mean_flux).max()))


def _principal_directions(normalised: FloatArray, max_relative_error: float) -> tuple[FloatArray, FloatArray]:
    """Return the left singular vectors as columns, and the singular values, both by decreasing value."""
    n_t, n_pix = normalised.shape
    if max_relative_error < _GRAM_LIMIT or n_pix < n_t:
        directions, singular, _ = linalg.svd(normalised, full_matrices=False, check_finite=False)
        return directions, singular
    # Three times as fast. The directions are orthonormal to rounding whatever their order, and the error is
    # measured on the templates, so the lost digits of small singular values cannot cost accuracy.
    squared, directions = linalg.eigh(normalised @ normalised.T, driver="evd", check_finite=False)
    return directions[:, ::-1], np.sqrt(np.maximum(squared[::-1], 0.0))


def _smallest_rank(
    normalised: FloatArray, directions: FloatArray, singular: FloatArray, max_relative_error: float
) -> int:
    """Return the smallest sufficient rank, or the number of templates if it would exceed the useful one."""
    n_t, n_pix = normalised.shape
    limit = min(int(np.ceil(_WORTHWHILE * n_t)), directions.shape[1])
    rank = max(_rank_ruled_out(directions, singular, n_pix, max_relative_error), 1)
    if rank >= limit:
        return n_t
    spectra = directions[:, :limit].T @ normalised
    residual = normalised - directions[:, :rank] @ spectra[:rank]
    while True:
        largest = np.maximum(residual.max(axis=1), -residual.min(axis=1))
        worst = int(np.argmax(largest))
        if largest[worst] <= max_relative_error:
            return rank
        # One failing template rules out a rank, so only the worst one is followed until it passes.
        checked, one = rank, residual[worst].copy()
        while np.abs(one).max() > max_relative_error:
            if rank >= limit:
                return n_t
            one -= directions[worst, rank] * spectra[rank]
            rank += 1
        residual -= directions[:, checked:rank] @ spectra[checked:rank]


def _rank_ruled_out(
    directions: FloatArray, singular: FloatArray, n_pix: int, max_relative_error: float
) -> int:
    """Return the rank up to which the root-mean-square error of some template already exceeds the limit."""
    energy = (directions * singular) ** 2
    left_out = np.cumsum(energy[:, ::-1], axis=1)[:, ::-1] / n_pix  # from this rank on, per template
    # Rounding errors of the Gram matrix must not rule out a rank that suffices.
    rms = np.sqrt(left_out.max(axis=0)) - 1e-7 * singular[0] / np.sqrt(n_pix)
    return int(np.count_nonzero(rms > max_relative_error))
