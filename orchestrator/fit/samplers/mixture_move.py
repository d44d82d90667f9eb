"""Independent proposals from a mixture that is fitted to the chain's own past."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from emcee import moves as emcee_moves
from numpy.typing import NDArray
from scipy.special import gammaln, ndtr, ndtri

__all__ = ["MixtureMove", "StudentMixture", "fit_mixture"]

FloatArray = NDArray[np.float64]

COMPONENTS = 6
EXPECTATION_STEPS = 15
MOST_POINTS = 1500
"""Of the past, that a mixture is fitted to: more make it slower and hardly better."""
DEGREES_OF_FREEDOM = 8.0
WIDENING = 1.15
"""Factor on the widths: proposals that are too narrow leave walkers stuck in the wings."""
FROM_THE_PRIOR = 0.05
"""Share of proposals uniform in the ranges: a mode that no walker has found can be."""
_EDGE = 1e-12


@dataclass(frozen=True)
class StudentMixture:
    """A mixture of multivariate t distributions, and a share of a standard normal one.

    Attributes
    ----------
    weights : ndarray, shape (n_components,)
        They add up to one less the share of the standard normal.
    means : ndarray, shape (n_components, n_varied)
    roots : ndarray, shape (n_components, n_varied, n_varied)
        Cholesky factors of the scale matrices.
    """

    weights: FloatArray
    means: FloatArray
    roots: FloatArray

    def draw(self, number: int, random: np.random.RandomState) -> FloatArray:
        """Draw points, shape (number, n_varied)."""
        n_varied = self.means.shape[1]
        shares = np.append(self.weights, 1.0 - self.weights.sum())
        which = random.choice(len(shares), number, p=shares / shares.sum())
        points = random.standard_normal((number, n_varied))
        scale = np.sqrt(DEGREES_OF_FREEDOM / random.chisquare(DEGREES_OF_FREEDOM, number))
        for k in range(len(self.weights)):
            own = which == k
            points[own] = self.means[k] + (points[own] * scale[own, None]) @ self.roots[k].T
        return points

    def log_density(self, points: FloatArray) -> FloatArray:
        """Return the log-density, shape (n_points,)."""
        n_varied = points.shape[1]
        nu = DEGREES_OF_FREEDOM
        whitened = (points - self.means[:, None, :]) @ self.inverse_roots
        square = np.einsum("kij,kij->ki", whitened, whitened)
        terms = self.constants[:, None] - 0.5 * (nu + n_varied) * np.log1p(square / nu)
        normal = np.log(1.0 - self.weights.sum()) - 0.5 * n_varied * np.log(2 * np.pi)
        rest = normal - 0.5 * np.einsum("ij,ij->i", points, points)
        largest = np.maximum(terms.max(axis=0), rest)
        return np.asarray(largest + np.log(np.exp(terms - largest).sum(axis=0) + np.exp(rest - largest)))

    @cached_property
    def inverse_roots(self) -> FloatArray:
        """Transposed inverses of `roots`: ``offset @ inverse_roots`` has unit scale."""
        return np.ascontiguousarray(np.linalg.inv(self.roots).transpose(0, 2, 1))

    @cached_property
    def constants(self) -> FloatArray:
        """Log-density of each component at its centre, its weight included, shape (n_components,)."""
        n_varied, nu = self.means.shape[1], DEGREES_OF_FREEDOM
        height = gammaln(0.5 * (nu + n_varied)) - gammaln(0.5 * nu) - 0.5 * n_varied * np.log(nu * np.pi)
        volumes = np.log(np.diagonal(self.roots, axis1=1, axis2=2)).sum(axis=1)
        return np.asarray(np.log(self.weights) + height - volumes)


def fit_mixture(points: FloatArray, generator: np.random.Generator, n_components: int = COMPONENTS) -> StudentMixture:
    """Fit Gaussians to points by expectation and maximisation, and return them with the wings of a t distribution.

    Covariances are drawn towards that of all points, by as much as n_varied + 2 points, so that none collapses.

    Parameters
    ----------
    points : ndarray, shape (n_points, n_varied)
    generator : numpy.random.Generator
        Chooses the first centres.
    n_components : int
        At most; one for every 10 n_varied points.
    """
    n_points, n_varied = points.shape
    n_components = int(np.clip(n_points // (10 * n_varied), 1, n_components))
    overall = np.cov(points, rowvar=False).reshape(n_varied, n_varied)
    overall = overall + 1e-10 * np.diag(np.maximum(np.diag(overall), 1e-300))
    strength = n_varied + 2.0
    target = overall * n_components ** (-2.0 / n_varied)
    means = points[generator.choice(n_points, n_components, replace=False)]
    covariances = np.repeat(target[None], n_components, axis=0)
    weights = np.full(n_components, 1.0 / n_components)
    for _ in range(EXPECTATION_STEPS if n_components > 1 else 1):
        shares = _responsibilities(points, weights, means, covariances)
        totals = shares.sum(axis=0) + 1e-10
        weights = totals / totals.sum()
        means = (shares.T @ points) / totals[:, None]
        residual = points - means[:, None, :]
        scatter = (shares.T[:, :, None] * residual).transpose(0, 2, 1) @ residual
        covariances = (scatter + strength * target) / (totals + strength)[:, None, None]
    roots = WIDENING * np.linalg.cholesky(covariances)
    return StudentMixture((1.0 - FROM_THE_PRIOR) * weights, means, roots)


def _responsibilities(
    points: FloatArray, weights: FloatArray, means: FloatArray, covariances: FloatArray
) -> FloatArray:
    """Return the share of each Gaussian in each point, shape (n_points, n_components)."""
    roots = np.linalg.cholesky(covariances)
    inverse = np.linalg.inv(roots).transpose(0, 2, 1)
    whitened = (points - means[:, None, :]) @ inverse
    volumes = np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(axis=1)
    logs = np.log(weights) - volumes - 0.5 * np.einsum("kij,kij->ik", whitened, whitened)
    shares = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


class MixtureMove(emcee_moves.RedBlueMove):
    """Independent proposals from a mixture of t distributions, whatever the posterior's shape.

    The mixture lives where each parameter's range is mapped to a standard normal variable, so a posterior that fills
    its range is as good as Gaussian there. It is fitted to the past of the chain a few times, each time to twice as
    long a past, and stays as it is after that (`EnsembleMethods` says when): each step in between keeps the posterior
    exact by the Metropolis-Hastings ratio, and what depends on the past dies out (Roberts & Rosenthal 2007, J. Appl.
    Prob. 44, 458). Before the first fit the proposals are those of `fallback`.

    Parameters
    ----------
    fallback : RedBlueMove
        Provides ``get_proposal`` until there is a mixture.
    """

    def __init__(self, fallback: Any, **keywords: Any) -> None:
        self.fallback = fallback
        self.mixture: StudentMixture | None = None
        self.lower: FloatArray = np.zeros(1)
        self.range: FloatArray = np.ones(1)
        super().__init__(**keywords)

    def set_ranges(self, lower: FloatArray, upper: FloatArray) -> None:
        """Tell the ranges of the parameters, shape (n_varied,) each."""
        self.lower, self.range = lower, upper - lower

    def learn(self, points: FloatArray, generator: np.random.Generator) -> None:
        """Fit the mixture to points of the past, shape (n_points, n_varied)."""
        if len(points) > MOST_POINTS:
            points = points[generator.choice(len(points), MOST_POINTS, replace=False)]
        normal = self._to_normal(points)
        if np.all(np.ptp(normal, axis=0) > 0):
            self.mixture = fit_mixture(normal, generator)

    def get_proposal(
        self, sample: FloatArray, complement: Sequence[FloatArray], random: np.random.RandomState
    ) -> tuple[FloatArray, FloatArray]:
        """Return proposals, shape of `sample`, and the logarithm of the ratio of their densities."""
        if self.mixture is None:
            proposals, ratio = self.fallback.get_proposal(sample, complement, random)
            return proposals, ratio
        normal = self.mixture.draw(len(sample), random)
        proposals = self.lower + self.range * ndtr(normal)
        # what the walkers hold is rounded; both densities are taken at what they hold
        before, after = np.split(self._log_density(np.concatenate([sample, proposals])), 2)
        return proposals, before - after

    def _to_normal(self, points: FloatArray) -> FloatArray:
        return np.asarray(ndtri(np.clip((points - self.lower) / self.range, _EDGE, 1.0 - _EDGE)))

    def _log_density(self, points: FloatArray) -> FloatArray:
        """Log-density of the proposals in the parameters, but for a constant."""
        assert self.mixture is not None
        normal = self._to_normal(points)
        return self.mixture.log_density(normal) + 0.5 * (normal**2).sum(axis=1)
