"""Weighted moments and percentiles of posterior samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.fit.chain import Chain
from orchestrator.fit.convergence import Convergence

__all__ = [
    "PERCENTILES",
    "Moments",
    "highest_density",
    "posterior_moments",
    "used_rows",
    "weighted_percentiles",
]

FloatArray = NDArray[np.float64]

PERCENTILES = (2.5, 16.0, 50.0, 84.0, 97.5)
HIGHEST_DENSITY = (0.68, 0.95)


@dataclass(frozen=True)
class Moments:
    """Moments of each parameter; NaN where nothing was sampled.

    Attributes
    ----------
    mean, std : ndarray, shape (n_parameters,)
    percentiles : ndarray, shape (5, n_parameters)
        At `PERCENTILES`.
    covariance : ndarray, shape (n_parameters, n_parameters)
    highest_density : ndarray, shape (2, 2, n_parameters)
        Lower and upper end of the shortest intervals that hold the shares `HIGHEST_DENSITY`.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    percentiles: NDArray[np.float64]
    covariance: NDArray[np.float64]
    highest_density: NDArray[np.float64]


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
    wanted = np.asarray(percentiles) / 100.0
    columns = [_ordered(column, weights) for column in samples.T]
    return np.stack([np.interp(wanted, upto, values) for values, upto in columns], axis=1)


def _ordered(values: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sort one parameter; return its values and the share of the weight up to the middle of each."""
    if np.ptp(weights) == 0:  # without the weights a sort is several times as fast
        return np.sort(values), (np.arange(len(values)) + 0.5) / len(values)
    order = np.argsort(values)
    weight = weights[order]
    return values[order], (np.cumsum(weight) - 0.5 * weight) / weight.sum()


def highest_density(
    values: NDArray[np.float64], upto: NDArray[np.float64], share: float
) -> tuple[float, float]:
    """Return the shortest interval that holds a share of the posterior of one parameter.

    Of several modes it is one interval over all that it needs, as ArviZ's.

    Parameters
    ----------
    values : ndarray, shape (n_rows,)
        Sorted.
    upto : ndarray, shape (n_rows,)
        Share of the weight up to the middle of each.
    share : float
        Between 0 and 1.
    """
    last = np.searchsorted(upto, upto + share * (1.0 - 1e-12))
    first = np.flatnonzero(last < len(values))
    if len(first) == 0:
        return float(values[0]), float(values[-1])
    best = first[int(np.argmin(values[last[first]] - values[first]))]
    return float(values[best]), float(values[last[best]])


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
        intervals = np.full((len(HIGHEST_DENSITY), 2, n_parameters), np.nan)
        return Moments(nothing[0], nothing[1], nothing[2:7], nothing[7:], intervals)
    samples, weights = chain.samples[used], chain.weights[used] / chain.weights[used].sum()
    mean = weights @ samples
    # The factor 1/(1 - sum w^2) makes the estimate unbiased; with equal weights it is n/(n - 1).
    unbiased = max(1.0 - float(np.sum(weights**2)), np.finfo(float).tiny)
    residual = samples - mean
    covariance = (residual * weights[:, None]).T @ residual / unbiased
    columns = [_ordered(column, weights) for column in samples.T]
    wanted = np.asarray(PERCENTILES) / 100.0
    percentiles = np.stack([np.interp(wanted, upto, values) for values, upto in columns], axis=1)
    intervals = np.array(
        [[highest_density(values, upto, share) for values, upto in columns] for share in HIGHEST_DENSITY]
    ).transpose(0, 2, 1)
    return Moments(mean, np.sqrt(np.diag(covariance)), percentiles, covariance, intervals)
