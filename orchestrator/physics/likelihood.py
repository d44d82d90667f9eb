"""Log-likelihoods: sums over independent data, with their normalisation."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr

__all__ = ["chi2", "gaussian_log_likelihood", "limit_log_likelihood", "log_normalisation"]

FloatArray = NDArray[np.float64]


def chi2(residual: ArrayLike, inverse_variance: ArrayLike) -> FloatArray:
    """Return the sum of squared residuals in units of their uncertainty.

    Parameters
    ----------
    residual : array_like, shape (n_points, n)
        Data minus model.
    inverse_variance : array_like, shape (n,)
        0 leaves a datum out, whatever its residual is, NaN included.

    Returns
    -------
    ndarray, shape (n_points,)

    Raises
    ------
    ValueError
        If shapes disagree or an inverse variance is negative or not finite.
    """
    values, weights = _check(residual, inverse_variance)
    return _weighted_squares(values, weights)


def log_normalisation(inverse_variance: ArrayLike) -> float:
    r"""Return :math:`\sum \ln (1 / \sqrt{2\pi} \sigma)`, the log-likelihood of a perfect fit.

    Parameters
    ----------
    inverse_variance : array_like, shape (n,)
        Data with 0 do not count.
    """
    weights = np.asarray(inverse_variance, dtype=np.float64)
    return float(0.5 * np.log(weights[weights > 0] / (2 * np.pi)).sum())


def gaussian_log_likelihood(
    residual: ArrayLike,
    inverse_variance: ArrayLike,
    log_norm: float | None = None,
    noise_scale: ArrayLike | None = None,
) -> FloatArray:
    r"""Return the log-likelihood of independent data with Gaussian noise.

    .. math:: \ln L = \sum_i \left[ -\beta w_i r_i^2 / 2 + \ln(\beta w_i / 2\pi) / 2 \right]

    Parameters
    ----------
    residual : array_like, shape (n_points, n)
        Data minus model.
    inverse_variance : array_like, shape (n,)
        :math:`w`; 0 leaves a datum out.
    log_norm : float, optional
        :func:`log_normalisation` of `inverse_variance`, where it is known already.
    noise_scale : array_like, shape (n_points,), optional
        :math:`\beta`, a factor on every inverse variance. Its term :math:`n \ln\beta / 2` keeps the fit from
        inflating the noise for nothing.

    Returns
    -------
    ndarray, shape (n_points,)
        A sum over the data, never a mean; -inf where beta is not positive.

    Raises
    ------
    ValueError
        If shapes disagree or an inverse variance is negative or not finite.
    """
    values, weights = _check(residual, inverse_variance)
    constant = log_normalisation(weights) if log_norm is None else log_norm
    squares = _weighted_squares(values, weights)
    if noise_scale is None:
        return constant - 0.5 * squares
    beta = np.asarray(noise_scale, dtype=np.float64)
    inside = beta > 0
    beta = np.where(inside, beta, 1.0)
    n_data = np.count_nonzero(weights)
    return np.where(inside, constant + 0.5 * n_data * np.log(beta) - 0.5 * beta * squares, -np.inf)


def limit_log_likelihood(
    model: ArrayLike, limit: ArrayLike, uncertainty: ArrayLike, is_upper: ArrayLike
) -> FloatArray:
    """Return the log-likelihood of upper and lower limits.

    The probability that a measurement with Gaussian noise falls below (above) the limit, given the model.

    Parameters
    ----------
    model : array_like, shape (n_points, n)
    limit, uncertainty : array_like, shape (n,)
        The limit and the standard deviation of the noise, in the unit of `model`.
    is_upper : array_like of bool, shape (n,)
        True for an upper limit, False for a lower one.

    Returns
    -------
    ndarray, shape (n_points,)
        Sum over the limits; accurate also where the model is many standard deviations on the wrong side.

    Raises
    ------
    ValueError
        If an uncertainty is not positive.
    """
    width = np.asarray(uncertainty, dtype=np.float64)
    if not (width > 0).all():
        msg = f"uncertainty contains {float(width[~(width > 0)][0])!r}; a limit needs a positive one"
        raise ValueError(msg)
    sign = np.where(np.asarray(is_upper, dtype=bool), 1.0, -1.0)
    room = sign * (np.asarray(limit, dtype=np.float64) - np.atleast_2d(np.asarray(model, dtype=np.float64)))
    return np.asarray(log_ndtr(room / width).sum(axis=1))


def _check(residual: ArrayLike, inverse_variance: ArrayLike) -> tuple[FloatArray, FloatArray]:
    values = np.asarray(residual, dtype=np.float64)
    weights = np.ascontiguousarray(inverse_variance, dtype=np.float64)
    if values.ndim != 2 or weights.shape != values.shape[1:]:
        msg = (
            f"residual has shape {values.shape} and inverse_variance {weights.shape}; "
            "expected (n_points, n) and (n,)"
        )
        raise ValueError(msg)
    if not ((weights >= 0) & (weights < np.inf)).all():
        wrong = weights[~((weights >= 0) & (weights < np.inf))]
        msg = f"inverse_variance contains {float(wrong[0])!r}; expected finite values, 0 for a datum left out"
        raise ValueError(msg)
    return values, weights


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _weighted_squares(residual: FloatArray, inverse_variance: FloatArray) -> FloatArray:
    result = np.empty(len(residual))
    for i in range(len(residual)):
        total = 0.0
        for j in range(residual.shape[1]):
            # A choice of values, not a branch around the sum: it can be vectorised, and NaN stays out.
            value = residual[i, j] if inverse_variance[j] > 0.0 else 0.0
            total += value * value * inverse_variance[j]
        result[i] = total
    return result
