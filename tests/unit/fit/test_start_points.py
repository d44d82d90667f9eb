from __future__ import annotations

import numpy as np
import pytest

from orchestrator.errors import StageError
from orchestrator.fit.start_points import ball_of_walkers, curvature_scales, prior_walkers

LOWER, UPPER = np.array([-10.0, -10.0, 0.0]), np.array([10.0, 10.0, 100.0])
CENTRE = np.array([1.0, 2.0, 50.0])
SIGMA = np.array([1e-3, 2.0, 5.0])


def log_posterior(point):
    if np.any(point < LOWER) or np.any(point > UPPER):
        return -np.inf
    return float(-0.5 * np.sum(((point - CENTRE) / SIGMA) ** 2))


def test_scales_are_the_conditional_widths():
    np.testing.assert_allclose(curvature_scales(log_posterior, CENTRE, LOWER, UPPER), SIGMA, rtol=1e-6)


def test_scales_at_an_edge_use_the_side_that_exists():
    peak = np.array([1.0, 2.0, 0.0])
    scales = curvature_scales(
        lambda p: log_posterior(p) + 10 * p[2] if p[2] < 0 else -p[2], peak, LOWER, UPPER
    )
    assert np.all(np.isfinite(scales))
    assert np.all(scales > 0)


def test_flat_direction_gets_a_quarter_of_the_range():
    scales = curvature_scales(lambda p: 0.0, CENTRE, LOWER, UPPER)
    np.testing.assert_allclose(scales, 0.25 * (UPPER - LOWER))


def test_walkers_near_an_edge_all_have_a_finite_posterior():
    edge = np.array([10.0, -10.0, 0.0])
    calls = []

    def counted(point):
        calls.append(point)
        return log_posterior(point)

    walkers = ball_of_walkers(counted, edge, SIGMA, LOWER, UPPER, 40, np.random.default_rng(1))
    assert walkers.shape == (40, 3)
    assert all(np.isfinite(log_posterior(walker)) for walker in walkers)
    assert np.linalg.matrix_rank(walkers - walkers.mean(axis=0)) == 3


def test_ball_has_the_asked_widths():
    walkers = ball_of_walkers(log_posterior, CENTRE, SIGMA, LOWER, UPPER, 3000, np.random.default_rng(2))
    np.testing.assert_allclose(walkers.std(axis=0), SIGMA, rtol=0.06)


def test_no_finite_point_is_an_error_that_counts():
    with pytest.raises(StageError, match="Only 0 of 800 points near the start"):
        ball_of_walkers(lambda p: -np.inf, CENTRE, SIGMA, LOWER, UPPER, 4, np.random.default_rng(3))


def test_prior_walkers_reject_infinite_posteriors():
    rng = np.random.default_rng(4)
    walkers = prior_walkers(lambda p: 0.0 if p[0] > 0 else -np.inf, lambda: rng.uniform(-1, 1, 2), 50)
    assert walkers.shape == (50, 2)
    assert np.all(walkers[:, 0] > 0)
