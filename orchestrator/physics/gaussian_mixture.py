"""A weighted sum of multivariate normal densities: its logarithm, moments, and its integral over a box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import logsumexp, ndtr

__all__ = ["GaussianMixture", "correlation_matrix", "smallest_eigenvalue"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class GaussianMixture:
    """Sum of normal densities.

    Attributes
    ----------
    weights : ndarray, shape (n_modes,)
        They add up to one.
    means : ndarray, shape (n_modes, n)
    covariances : ndarray, shape (n_modes, n, n)
    """

    weights: FloatArray
    means: FloatArray
    covariances: FloatArray

    def __post_init__(self) -> None:
        """Check that shapes and weights belong together."""
        n_modes, n = self.means.shape
        if self.weights.shape != (n_modes,) or self.covariances.shape != (n_modes, n, n):
            msg = f"shapes {self.weights.shape}, {self.means.shape} and {self.covariances.shape} do not agree"
            raise ValueError(msg)
        if (self.weights <= 0).any() or abs(self.weights.sum() - 1) > 1e-9:
            msg = f"weights {self.weights.tolist()} must be positive and add up to one"
            raise ValueError(msg)

    def log_density(self, points: FloatArray) -> FloatArray:
        """Return the logarithm of the density.

        Parameters
        ----------
        points : ndarray, shape (n_points, n)

        Returns
        -------
        ndarray, shape (n_points,)
            It integrates to one over all space; NaN where a coordinate is.
        """
        n = self.means.shape[1]
        terms = []
        for weight, mean, covariance in zip(self.weights, self.means, self.covariances, strict=True):
            root = np.linalg.cholesky(covariance)
            residual = solve_triangular(root, (points - mean).T, lower=True, check_finite=False)
            norm = np.log(weight) - np.log(np.diag(root)).sum() - 0.5 * n * np.log(2 * np.pi)
            terms.append(norm - 0.5 * (residual**2).sum(axis=0))
        return np.asarray(terms[0] if len(terms) == 1 else logsumexp(terms, axis=0))

    @property
    def mean(self) -> FloatArray:
        """Mean over all modes, shape (n,)."""
        return np.asarray(self.weights @ self.means)

    @property
    def covariance(self) -> FloatArray:
        """Covariance over all modes, shape (n, n): that within the modes and that of their means."""
        offset = self.means - self.mean
        within = np.einsum("k,kij->ij", self.weights, self.covariances)
        return np.asarray(within + np.einsum("k,ki,kj->ij", self.weights, offset, offset))

    def log_evidence(self, lower: FloatArray, upper: FloatArray) -> float:
        """Return the logarithm of the evidence for a uniform prior in a box: ln (probability inside / volume).

        Closed form without correlation; with it the probability inside is Genz's integral (Genz 1992, J. Comput.
        Graph. Stat. 1, 141), as scipy computes it, good to about 1e-5.

        Parameters
        ----------
        lower, upper : ndarray, shape (n,)
            Ends of the box.
        """
        inside = sum(
            weight * _probability(lower, upper, mean, covariance)
            for weight, mean, covariance in zip(self.weights, self.means, self.covariances, strict=True)
        )
        return float(np.log(inside) - np.log(np.asarray(upper) - np.asarray(lower)).sum())


def _probability(lower: FloatArray, upper: FloatArray, mean: FloatArray, covariance: FloatArray) -> float:
    sigma = np.sqrt(np.diag(covariance))
    low, high = (np.asarray(lower) - mean) / sigma, (np.asarray(upper) - mean) / sigma
    if np.count_nonzero(covariance - np.diag(np.diag(covariance))) == 0:
        return float(np.prod(ndtr(high) - ndtr(low)))
    from scipy.stats import multivariate_normal

    correlation = covariance / np.outer(sigma, sigma)
    # a limit far out changes nothing and spoils the accuracy of the integral
    low, high = np.maximum(low, -9.0), np.minimum(high, 9.0)
    return float(multivariate_normal.cdf(high, np.zeros(len(mean)), correlation, lower_limit=low))


def correlation_matrix(coefficients: Sequence[float], n: int) -> FloatArray:
    """Return the correlation matrix of `n` dimensions.

    Parameters
    ----------
    coefficients : sequence of float
        Of the pairs 1-2, 1-3, ..., 2-3, ...; one number serves for all.
    n : int
    """
    matrix = np.eye(n)
    rows, columns = np.triu_indices(n, 1)
    if len(rows):
        matrix[rows, columns] = matrix[columns, rows] = np.asarray(coefficients, dtype=float)
    return matrix


def smallest_eigenvalue(matrix: FloatArray) -> float:
    """Return the smallest eigenvalue of a symmetric matrix."""
    return float(np.linalg.eigvalsh(matrix)[0])
