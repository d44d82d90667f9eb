"""CosmoSIS's priors, evaluated for many points at once.

The numbers are those of ``cosmosis.runtime.prior``, normalisation included; a kind of prior that is not known
here (a tabulated one) is evaluated by its own function, value by value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from cosmosis.runtime import prior as kinds
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

__all__ = ["VectorPrior"]

FloatArray = NDArray[np.float64]
Density = Callable[[FloatArray], FloatArray]


class VectorPrior:
    """The prior of a pipeline's sampled parameters.

    Parameters
    ----------
    parameters : sequence of cosmosis.runtime.parameter.Parameter
        The sampled ones, in order.

    Attributes
    ----------
    lower, upper : ndarray, shape (n_varied,)
        Limits of the values file.
    """

    def __init__(self, parameters: Sequence[Any]) -> None:
        self.lower = np.array([float(p.limits[0]) for p in parameters])
        self.upper = np.array([float(p.limits[1]) for p in parameters])
        self._priors = [p.prior for p in parameters]
        self._densities = [_density(p.prior) for p in parameters]

    def __call__(self, points: FloatArray) -> FloatArray:
        """Return the log-density.

        Parameters
        ----------
        points : ndarray, shape (n_points, n_varied)

        Returns
        -------
        ndarray, shape (n_points,)
            -inf outside the limits and where a value is not a number.
        """
        inside = np.all((points >= self.lower) & (points <= self.upper), axis=1)
        total = np.full(len(points), -np.inf)
        selected = points[inside]
        value = np.zeros(len(selected))
        # From the first parameter to the last, as CosmoSIS adds them up: the same rounding.
        for column, density in zip(selected.T, self._densities, strict=True):
            value = value + density(column)
        total[inside] = np.where(np.isfinite(value), value, -np.inf)
        return total

    def draw(self, n_points: int, generator: np.random.Generator) -> FloatArray:
        """Draw points from the prior.

        Returns
        -------
        ndarray, shape (n_points, n_varied)
        """
        columns = [_quantiles(prior, generator.random(n_points)) for prior in self._priors]
        return np.clip(np.column_stack(columns), self.lower, self.upper)


def _density(prior: Any) -> Density:
    """Return the log-density of one parameter for an array of its values."""
    kind = type(prior)
    if prior is None:
        return np.zeros_like
    if kind is kinds.UniformPrior:
        return lambda x: np.where((x >= prior.a) & (x <= prior.b), prior.norm, -np.inf)
    if kind is kinds.GaussianPrior:
        return lambda x: -0.5 * (x - prior.mu) ** 2 / prior.sigma2 - prior.norm
    if kind is kinds.TruncatedGaussianPrior:
        return _truncated(prior, lambda x: -0.5 * (x - prior.mu) ** 2 / prior.sigma2 - prior.norm)
    if kind is kinds.ExponentialPrior:
        return lambda x: np.where(x >= 0, -x / prior.beta - prior.log_beta, -np.inf)
    if kind is kinds.TruncatedExponentialPrior:
        return _truncated(prior, lambda x: -x / prior.beta - prior.norm)
    if kind is kinds.TruncatedOneoverxPrior:
        return _truncated(prior, lambda x: -np.log(np.maximum(x, prior.lower)) - prior.ln_norm)

    def one_by_one(x: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.array([float(prior(value)) for value in x])

    return one_by_one


def _quantiles(prior: Any, probability: FloatArray) -> FloatArray:
    """Return the quantiles of one parameter's prior; CosmoSIS looks for those of a truncated Gaussian one by one."""
    if type(prior) is kinds.TruncatedGaussianPrior:
        sigma = np.sqrt(prior.sigma2)
        low, high = ndtr((prior.lower - prior.mu) / sigma), ndtr((prior.upper - prior.mu) / sigma)
        return np.asarray(prior.mu + sigma * ndtri(low + probability * (high - low)))
    return np.array([float(prior.denormalize_from_prior(u)) for u in probability])


def _truncated(prior: Any, density: Density) -> Density:
    return lambda x: np.where((x >= prior.lower) & (x <= prior.upper), density(x), -np.inf)
