"""Density, moments and evidence of a mixture against scipy and quadrature."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from orchestrator.physics.gaussian_mixture import GaussianMixture, correlation_matrix


def mixture(correlation=0.6):
    matrix = correlation_matrix([correlation], 2)
    sigmas = np.array([[0.5, 2.0], [0.3, 1.0]])
    covariances = np.array([matrix * np.outer(s, s) for s in sigmas])
    return GaussianMixture(np.array([0.7, 0.3]), np.array([[1.0, -2.0], [4.0, 3.0]]), covariances)


def test_density_is_scipys():
    target = mixture()
    points = np.random.default_rng(0).normal(0, 4, (50, 2))
    expected = sum(
        w * stats.multivariate_normal(m, c).pdf(points)
        for w, m, c in zip(target.weights, target.means, target.covariances, strict=True)
    )
    assert np.exp(target.log_density(points)) == pytest.approx(expected, rel=1e-10)
    assert np.isfinite(target.log_density(np.array([[300.0, -500.0]]))).all()  # far out, but no underflow


@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_moments_and_evidence_are_those_of_quadrature(correlation):
    target = mixture(correlation)
    lower, upper = np.array([0.7, -9.0]), np.array([7.0, 9.0])  # cuts through the first mode
    x, y = (np.linspace(low, high, 1501) for low, high in zip(lower, upper, strict=True))
    density = np.exp(target.log_density(np.stack(np.meshgrid(x, y, indexing="ij"), -1).reshape(-1, 2))).reshape(
        1501, 1501
    )
    integral = np.trapezoid(np.trapezoid(density, y, axis=1), x)
    expected = np.log(integral) - np.log(6.3 * 18.0)
    assert target.log_evidence(lower, upper) == pytest.approx(expected, abs=2e-4)
    rng = np.random.default_rng(1)
    modes = rng.random(400_000) < 0.3
    draws = np.where(
        modes[:, None],
        rng.multivariate_normal(target.means[1], target.covariances[1], 400_000),
        rng.multivariate_normal(target.means[0], target.covariances[0], 400_000),
    )
    assert target.mean == pytest.approx(draws.mean(axis=0), abs=0.02)
    assert target.covariance == pytest.approx(np.cov(draws.T), abs=0.05)


def test_correlations_of_pairs_in_order():
    matrix = correlation_matrix([0.1, 0.2, 0.3], 3)
    assert (matrix[0, 1], matrix[0, 2], matrix[1, 2]) == (0.1, 0.2, 0.3)
    assert np.array_equal(matrix, matrix.T)


def test_shapes_and_weights_are_checked():
    with pytest.raises(ValueError, match="add up to one"):
        GaussianMixture(np.array([0.5]), np.zeros((1, 2)), np.eye(2)[None])
    with pytest.raises(ValueError, match="do not agree"):
        GaussianMixture(np.array([1.0]), np.zeros((1, 2)), np.eye(3)[None])
