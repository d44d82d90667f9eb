r"""Maps between free numbers and positive parts that add up to one.

A piece-wise star-formation history is a division: of the mass among bins of time, or of time among parts of the
mass. Boxes in the parts themselves are mostly outside the simplex (of six ordered times one point in 720 is inside);
a map from free numbers never is. Each map here is one to one, with its exact inverse.

`softmax`
    ``x_i = exp(y_i) / (1 + sum_j exp(y_j))``, the last part being the rest.
`dirichlet`
    Numbers in (0, 1) that are uniform if the parts are distributed as Dirichlet(alpha, ..., alpha), by breaking a
    stick: each break is a quantile of a Beta distribution (Connor & Mosimann 1969, J. Am. Stat. Assoc. 64, 194; used
    for histories by Leja et al. 2017, ApJ 837, 170).
`continuity`
    Numbers in (0, 1) that are uniform if the logarithms of the ratios of the rates in neighbouring bins follow
    Student's t distribution (Leja et al. 2019, ApJ 876, 3, section 3.2: width 0.3, 2 degrees of freedom).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = [
    "continuity_parts",
    "continuity_quantiles",
    "dirichlet_parts",
    "dirichlet_quantiles",
    "softmax_logits",
    "softmax_parts",
]

FloatArray = NDArray[np.float64]


def softmax_parts(logits: FloatArray) -> FloatArray:
    """Return the parts that belong to free numbers.

    Parameters
    ----------
    logits : ndarray, shape (n_points, n)

    Returns
    -------
    ndarray, shape (n_points, n + 1)
        Positive, adding up to one; the last is the one with the logit zero.
    """
    full = np.concatenate([logits, np.zeros((len(logits), 1))], axis=1)
    weights = np.exp(full - full.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def softmax_logits(parts: FloatArray) -> FloatArray:
    """Return the free numbers of parts, shape (n_points, n), the inverse of `softmax_parts`."""
    return np.log(parts[:, :-1]) - np.log(parts[:, -1:])


def _stick_shapes(n: int, alpha: float) -> tuple[float, FloatArray]:
    """Return the parameters of the Beta distributions of the n breaks."""
    return alpha, alpha * np.arange(n, 0, -1, dtype=float)


def dirichlet_parts(quantiles: FloatArray, alpha: float = 1.0) -> FloatArray:
    """Return parts that follow Dirichlet(alpha, ..., alpha) where the quantiles are uniform in (0, 1).

    Parameters
    ----------
    quantiles : ndarray, shape (n_points, n)
    alpha : float
        Concentration; 1 is uniform over the simplex, smaller values prefer few large parts.

    Returns
    -------
    ndarray, shape (n_points, n + 1)
    """
    first, second = _stick_shapes(quantiles.shape[1], alpha)
    # the complement of a quantile keeps its digits where little of the stick is left
    beta_quantile = special.betaincinv(second, first, 1.0 - quantiles) if alpha != 1.0 else None
    left = (1.0 - quantiles) ** (1.0 / second) if beta_quantile is None else beta_quantile
    rest = np.cumprod(left, axis=1)
    before = np.concatenate([np.ones((len(quantiles), 1)), rest[:, :-1]], axis=1)
    return np.concatenate([before * (1.0 - left), rest[:, -1:]], axis=1)


def dirichlet_quantiles(parts: FloatArray, alpha: float = 1.0) -> FloatArray:
    """Return the quantiles of parts, shape (n_points, n), the inverse of `dirichlet_parts`."""
    first, second = _stick_shapes(parts.shape[1] - 1, alpha)
    # what is left after each break over what was left before it, summed from the end for the sake of its digits
    rest = np.cumsum(parts[:, ::-1], axis=1)[:, ::-1]
    left = rest[:, 1:] / rest[:, :-1]
    return np.asarray(1.0 - special.betainc(second, first, left))


def continuity_parts(quantiles: FloatArray, widths: FloatArray, scale: float = 0.3, nu: float = 2.0) -> FloatArray:
    """Return the masses of bins whose rates differ from bin to bin by Student-t steps in the logarithm.

    Parameters
    ----------
    quantiles : ndarray, shape (n_points, n)
        Uniform in (0, 1) under the prior; of ``log10(rate_i / rate_(i+1))``.
    widths : ndarray, shape (n + 1,)
        Durations of the bins, any unit.
    scale, nu : float
        Width in dex and degrees of freedom.

    Returns
    -------
    ndarray, shape (n_points, n + 1)
        Fractions of the mass.
    """
    steps = scale * special.stdtrit(nu, quantiles)
    # log10 of each rate over that of the last bin
    relative = np.concatenate([np.cumsum(steps[:, ::-1], axis=1)[:, ::-1], np.zeros((len(steps), 1))], axis=1)
    relative -= relative.max(axis=1, keepdims=True)
    masses = widths * 10.0**relative
    return masses / masses.sum(axis=1, keepdims=True)


def continuity_quantiles(parts: FloatArray, widths: FloatArray, scale: float = 0.3, nu: float = 2.0) -> FloatArray:
    """Return the quantiles of masses, shape (n_points, n), the inverse of `continuity_parts`."""
    rate = np.log10(parts / widths)
    return np.asarray(special.stdtr(nu, (rate[:, :-1] - rate[:, 1:]) / scale))
