"""GaussianTarget: from options to a likelihood with a known evidence."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from orchestrator.config.module_options import parse_options
from orchestrator.forward_model.gaussian_target import prepare_gaussian_target


def test_likelihood_in_batches():
    options = parse_options(
        "GaussianTarget", {"mean": [1, 2, 3], "sigma": [1, 2, 0.1], "correlation": [0.5, 0.0, -0.2]}
    )
    target = prepare_gaussian_target(options)
    points = np.random.default_rng(0).normal(2, 1, (20, 3))
    found = target.log_likelihood({name: points[:, i] for i, name in enumerate(target.names)}).log_likelihood
    covariance = np.array([[1, 1.0, 0], [1.0, 4, -0.04], [0, -0.04, 0.01]])
    assert found == pytest.approx(stats.multivariate_normal([1, 2, 3], covariance).logpdf(points), rel=1e-9)
    points[4, 1] = np.nan
    found = target.log_likelihood({name: points[:, i] for i, name in enumerate(target.names)}).log_likelihood
    assert np.flatnonzero(np.isneginf(found)).tolist() == [4]


def test_two_modes_and_their_evidence():
    options = parse_options(
        "GaussianTarget", {"mean": [0], "second_mean": [50], "second_weight": 0.2, "second_sigma": 2}
    )
    target = prepare_gaussian_target(options)
    top = target.log_likelihood({("gaussian", "x_1"): np.array([0.0, 50.0])}).log_likelihood
    assert np.exp(top) == pytest.approx([0.8 / np.sqrt(2 * np.pi), 0.1 / np.sqrt(2 * np.pi)])
    ranges = {("gaussian", "x_1"): (-20.0, 80.0)}
    assert target.log_evidence(ranges) == pytest.approx(-np.log(100.0))
    assert target.log_evidence({("gaussian", "x_1"): (-20.0, 50.0)}) == pytest.approx(np.log(0.9 / 70.0))
    assert target.mixture.mean == pytest.approx([10.0])
    assert target.mixture.covariance[0, 0] == pytest.approx(0.8 + 0.2 * 4 + 0.8 * 100 + 0.2 * 1600)
