"""Coverage of the joint posterior by tests of accuracy with random points (TARP).

Lemos, Coogan, Hezaveh & Perreault-Levasseur 2023 (ICML 202, PMLR; arXiv:2302.03026), algorithm 2: the share of
posterior samples that are nearer to a reference point than the truth is, is uniform over mocks if, and for reference
points that may depend on the data only if, the posterior is right. Two kinds of points are used: uniform in the prior
(theirs), which looks at the posterior from afar, and near the posterior's centre in its own metric, of which the
region nearer than the truth is a ball about the centre: widths that are wrong in every parameter add up there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["expected_coverage", "reference_points", "share_within"]

FloatArray = NDArray[np.float64]


def reference_points(
    samples: FloatArray, generator: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return a point uniform in the unit cube, one drawn from the Gaussian of the posterior, and its metric.

    Parameters
    ----------
    samples : ndarray, shape (n_samples, n_parameters)
    generator : numpy.random.Generator

    Returns
    -------
    anywhere, nearby : ndarray, shape (n_parameters,)
        In the unit cube, and in the unit of the samples.
    root : ndarray, shape (n_parameters, n_parameters)
        ``x @ root`` has unit covariance.
    """
    n = samples.shape[1]
    covariance = np.cov(samples, rowvar=False).reshape(n, n)
    values, vectors = np.linalg.eigh(covariance + np.diag(1e-12 * np.diag(covariance) + 1e-300))
    widths = np.sqrt(np.maximum(values, 1e-10 * values.max()))
    nearby = samples.mean(axis=0) + vectors @ (widths * generator.standard_normal(n))
    return np.asarray(generator.random(n)), nearby, vectors / widths


def share_within(draws: FloatArray, truth: FloatArray, reference: FloatArray) -> float:
    """Return the share of draws that are nearer to the reference point than the truth is."""
    distance = np.linalg.norm(draws - reference, axis=1)
    return float((distance < np.linalg.norm(truth - reference)).mean())


def expected_coverage(shares: FloatArray, credibility: FloatArray) -> FloatArray:
    """Return the fraction of mocks whose truth lies in the TARP region of each credibility, its algorithm's curve."""
    return np.asarray((shares[:, None] < credibility).mean(axis=0))
