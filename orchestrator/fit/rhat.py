"""R-hat: whether the walkers of an ensemble, and the halves of its chain, agree with each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

__all__ = ["rank_rhat", "split_rhat"]

FloatArray = NDArray[np.float64]

_MOST_VALUES = 4096
"""Values of a parameter that are ranked; a longer chain is thinned evenly, walkers are never left out."""


def split_rhat(steps: FloatArray) -> FloatArray:
    """Split R-hat of each parameter, the walkers taken as chains (Vehtari et al. 2021, equations 1 to 4).

    The walkers of an ensemble are not independent, but one that stays in a mode of its own, which the
    autocorrelation time does not see, raises it as it should.

    Parameters
    ----------
    steps : ndarray, shape (n_steps, n_walkers, n_varied)
        At least 4 steps.

    Returns
    -------
    ndarray, shape (n_varied,)
        inf for a parameter in which walkers differ but never moved.
    """
    half = len(steps) // 2
    chains = np.concatenate([steps[:half], steps[-half:]], axis=1)
    within = chains.var(axis=0, ddof=1).mean(axis=0)
    between = chains.mean(axis=0).var(axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(between > 0, between / within, 0.0)
    return np.asarray(np.sqrt((half - 1) / half + ratio))


def rank_rhat(steps: FloatArray) -> FloatArray:
    """Rank-normalised split R-hat, the larger of the bulk's and the tails' (Vehtari et al. 2021, section 4).

    Ranks see walkers that differ in location whatever the tails of the posterior; folded about the median they see
    walkers that differ in width.

    Parameters
    ----------
    steps : ndarray, shape (n_steps, n_walkers, n_varied)
        After the burn-in.

    Returns
    -------
    ndarray, shape (n_varied,)
        NaN for a chain of fewer than 4 steps.
    """
    n_steps, n_walkers, n_varied = steps.shape
    stride = max(1, min(-(-n_steps * n_walkers // _MOST_VALUES), n_steps // 16))
    thinned = steps[::stride]
    if len(thinned) < 4:
        return np.full(n_varied, np.nan)
    half = len(thinned) // 2
    thinned = np.concatenate([thinned[:half], thinned[-half:]])  # of an odd number the middle is left out
    folded = np.abs(thinned - np.median(thinned, axis=(0, 1)))
    ranked = _normal_scores(np.concatenate([thinned, folded], axis=2))
    return np.maximum(*np.split(split_rhat(ranked), 2))


def _normal_scores(values: FloatArray) -> FloatArray:
    """Replace each value by the normal quantile of its rank among those of its parameter (equation 14)."""
    flat = values.reshape(-1, values.shape[2])
    ranks = np.column_stack([_average_ranks(column) for column in flat.T])
    return np.asarray(ndtri((ranks - 0.375) / (len(flat) + 0.25)).reshape(values.shape))


def _average_ranks(values: FloatArray) -> FloatArray:
    """Ranks from 1; equal values, as every refused move leaves them, share their mean rank."""
    order = np.argsort(values)
    ordered = values[order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    edges = np.append(np.flatnonzero(first), len(values))
    ranks = np.empty(len(values))
    ranks[order] = (0.5 * (edges[:-1] + edges[1:] + 1))[np.cumsum(first) - 1]
    return ranks
