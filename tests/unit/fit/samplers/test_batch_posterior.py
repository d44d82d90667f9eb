from __future__ import annotations

import numpy as np
import pytest

from orchestrator.fit.samplers.batch_posterior import BatchPosterior, evaluate_share, share_with_workers
from orchestrator.fit.samplers.vector_prior import VectorPrior

VALUES = {
    "uniform": "-1 0 2",
    "narrow": "-3 0 3",
    "gaussian": "-1 0.5 2",
    "exponential": "0 0.5 4",
    "logarithmic": "0.1 1 10",
    "tabulated": "0 1 5",
    "fixed": "2.5",
}


@pytest.fixture
def priors(tmp_path):
    table = tmp_path / "table.txt"
    x = np.linspace(0.5, 4.0, 30)
    np.savetxt(table, np.column_stack([x, x * np.exp(-x)]))
    return {
        "narrow": "uniform -0.5 1.5",
        "gaussian": "gaussian 0.2 0.7",
        "exponential": "exponential 1.3",
        "logarithmic": "oneoverx 0.2 8",
        "tabulated": f"tabulated {table}",
    }


def wide_points(pipeline, n_points, seed=3):
    """Points within and beyond the limits, on them, and not numbers."""
    rng = np.random.default_rng(seed)
    low, high = pipeline.min_vector(), pipeline.max_vector()
    points = low + (high - low) * rng.uniform(-0.02, 1.02, (n_points, len(low)))
    # The tabulated prior ends at 4: most points should pass it.
    points[: n_points // 2, -1] = rng.uniform(0.5, 4.0, n_points // 2)
    points[: n_points // 2, 1] = rng.uniform(-0.5, 1.5, n_points // 2)
    points[0], points[1] = low, high
    return points


def curved(points):
    return -0.5 * ((points - 0.7) ** 2).sum(axis=1) + np.sin(points[:, 0])


def test_priors_are_those_of_cosmosis(make_pipeline, priors):
    pipeline, _, _ = make_pipeline(curved, VALUES, priors)
    points = wide_points(pipeline, 400)
    expected = np.array([pipeline.prior(point) for point in points])
    found = VectorPrior(pipeline.varied_params)(points)
    assert np.isfinite(expected).sum() > 50
    assert (~np.isfinite(expected)).sum() > 50
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_draws_follow_the_priors(make_pipeline, priors):
    pipeline, _, _ = make_pipeline(curved, VALUES, priors)
    prior = VectorPrior(pipeline.varied_params)
    draws = prior.draw(4000, np.random.default_rng(1))
    assert np.isfinite(prior(draws)).all()
    np.testing.assert_allclose(np.log(draws[:, 4]).mean(), np.log(0.2 * 8) / 2, atol=0.05)  # uniform in ln x
    assert draws[:, 0].mean() == pytest.approx(0.5, abs=0.05)
    x = np.linspace(0.5, 4.0, 30)
    density = x * np.exp(-x)
    assert draws[:, 5].mean() == pytest.approx(np.trapezoid(x * density, x) / np.trapezoid(density, x), abs=0.05)


@pytest.mark.parametrize("batched", [True, False])
def test_results_are_those_of_cosmosis(make_pipeline, priors, batched):
    pipeline, _, module = make_pipeline(curved, VALUES, priors, batched=batched)
    posterior = BatchPosterior(pipeline)
    assert posterior.batched is batched
    points = wide_points(pipeline, 300)
    results = [pipeline.run_results(point) for point in points]
    batch = posterior(points)
    np.testing.assert_allclose(batch.log_posterior, [r.post for r in results], rtol=1e-9)
    np.testing.assert_allclose(batch.log_prior, [r.prior for r in results], rtol=1e-9)
    np.testing.assert_allclose(batch.log_likelihood, [r.like for r in results], rtol=1e-9)
    np.testing.assert_allclose(batch.extra, [r.extra for r in results], rtol=1e-9)
    if batched:
        # Only points within the prior reach the model, in blocks of no more than 64.
        assert sum(module.batches) == np.isfinite(batch.log_prior).sum()
        assert max(module.batches) == 64
        # Once by CosmoSIS, once in batches, and one point to compare.
        assert pipeline.run_count == pipeline.run_count_ok == 2 * sum(module.batches) + 1


def test_nan_and_infinite_likelihoods_and_points_count_as_impossible(make_pipeline):
    def broken(points):
        return np.where(points[:, 0] > 0.5, np.nan, np.where(points[:, 0] < -0.5, np.inf, -1.0))

    pipeline, _, _ = make_pipeline(broken, {"a": "-1 0 1", "b": "-1 0 1"})
    points = np.array([[0.0, 0.0], [0.7, 0.0], [-0.7, 0.0], [np.nan, 0.0], [0.0, np.inf]])
    batch = BatchPosterior(pipeline)(points)
    np.testing.assert_array_equal(np.isfinite(batch.log_posterior), [True, False, False, False, False])
    assert not np.isnan(batch.log_posterior).any()
    assert batch.log_posterior[0] == pytest.approx(-1 - 2 * np.log(2))


def test_a_batch_that_disagrees_with_cosmosis_is_given_up(make_pipeline, caplog):
    pipeline, _, module = make_pipeline(curved, {"a": "-1 0 1", "b": "-1 0 1"}, fault=0.01)
    posterior = BatchPosterior(pipeline)
    points = np.random.default_rng(0).uniform(-1, 1, (10, 2))
    expected = [pipeline.run_results(point).post for point in points]
    np.testing.assert_allclose(posterior.log_posterior(points), expected, rtol=1e-12)
    assert not posterior.batched
    assert module.batches == [10]
    assert "one by one" in caplog.text


def test_a_batch_that_raises_costs_only_the_point_that_does(make_pipeline):
    def fragile(points):
        if (points[:, 0] > 0.9).any():
            msg = "too far"
            raise ValueError(msg)
        return -points[:, 0]

    pipeline, _, _ = make_pipeline(fragile, {"a": "-1 0 1", "b": "-1 0 1"})
    batch = BatchPosterior(pipeline)(np.array([[0.1, 0.0], [0.95, 0.0], [0.3, 0.0]]))
    np.testing.assert_allclose(batch.log_likelihood, [-0.1, -np.inf, -0.3])


class SquarePool:
    """Three workers in this process."""

    size = 3

    def map(self, function, tasks):
        return [function(task) for task in tasks]


def test_a_pool_gets_equal_shares_of_what_lies_within_the_prior(make_pipeline, priors):
    pipeline, _, module = make_pipeline(curved, VALUES, priors)
    points = wide_points(pipeline, 120)
    alone = BatchPosterior(pipeline)(points)
    share_with_workers(pipeline)
    module.batches.clear()
    shared = BatchPosterior(pipeline, SquarePool())(points)
    np.testing.assert_array_equal(shared.log_posterior, alone.log_posterior)
    np.testing.assert_array_equal(shared.extra, alone.extra)
    assert len(module.batches) == 3
    assert max(module.batches) - min(module.batches) <= 1
    inside = points[np.isfinite(alone.log_prior)]
    np.testing.assert_array_equal(evaluate_share(inside)[0], alone.log_likelihood[np.isfinite(alone.log_prior)])
