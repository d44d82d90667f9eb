"""Weighted moments and percentiles of posterior samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.fit.chain import Chain
from orchestrator.fit.convergence import Convergence

__all__ = ["PERCENTILES", "Moments", "posterior_moments", "used_rows", "weighted_percentiles"]

PERCENTILES = (2.5, 16.0, 50.0, 84.0, 97.5)


@dataclass(frozen=True)
class Moments:
    """Moments of each parameter; NaN where nothing was sampled.

    Attributes
    ----------
    mean, std : ndarray, shape (n_parameters,)
    percentiles : ndarray, shape (5, n_parameters)
        At `PERCENTILES`.
    covariance : ndarray, shape (n_parameters, n_parameters)
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    percentiles: NDArray[np.float64]
    covariance: NDArray[np.float64]


def used_rows(chain: Chain, state: Convergence) -> NDArray[np.bool_]:
    """Return the rows that count: after the burn-in, of finite posterior, of weight above zero.

    Parameters
    ----------
    chain : Chain
    state : Convergence
        Of the same chain.

    Returns
    -------
    ndarray of bool, shape (n_rows,)
    """
    used = chain.finite & (chain.weights > 0)
    used[: state.burn_in * max(1, chain.n_walkers)] = False
    return used


def weighted_percentiles(
    samples: NDArray[np.float64], weights: NDArray[np.float64], percentiles: tuple[float, ...]
) -> NDArray[np.float64]:
    """Return weighted percentiles of each column.

    The cumulated weight is taken at the middle of each sample's own weight and interpolated between
    samples; equal weights give the usual definition (Hazen).

    Parameters
    ----------
    samples : ndarray, shape (n_rows, n_parameters)
    weights : ndarray, shape (n_rows,)
    percentiles : tuple of float
        In per cent.

    Returns
    -------
    ndarray, shape (n_percentiles, n_parameters)
    """
    order = np.argsort(samples, axis=0)
    wanted = np.asarray(percentiles) / 100.0
    result = np.empty((len(wanted), samples.shape[1]))
    for index in range(samples.shape[1]):
        weight = weights[order[:, index]]
        cumulative = (np.cumsum(weight) - 0.5 * weight) / weight.sum()
        result[:, index] = np.interp(wanted, cumulative, samples[order[:, index], index])
    return result


def posterior_moments(chain: Chain, used: NDArray[np.bool_]) -> Moments:
    """Return the moments of the rows in use.

    Parameters
    ----------
    chain : Chain
    used : ndarray of bool, shape (n_rows,)
    """
    n_parameters = len(chain.parameters)
    if not chain.is_sampled or np.count_nonzero(used) < 2 or n_parameters == 0:
        nothing = np.full((len(PERCENTILES) + 2 + n_parameters, n_parameters), np.nan)
        return Moments(nothing[0], nothing[1], nothing[2:7], nothing[7:])
    samples, weights = chain.samples[used], chain.weights[used] / chain.weights[used].sum()
    mean = weights @ samples
    # The factor 1/(1 - sum w^2) makes the estimate unbiased; with equal weights it is n/(n - 1).
    unbiased = max(1.0 - float(np.sum(weights**2)), np.finfo(float).tiny)
    residual = samples - mean
    covariance = (residual * weights[:, None]).T @ residual / unbiased
    percentiles = weighted_percentiles(samples, weights, PERCENTILES)
    return Moments(mean, np.sqrt(np.diag(covariance)), percentiles, covariance)
