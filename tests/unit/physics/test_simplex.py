"""Maps onto the simplex: inverses, and the distributions that they promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from orchestrator.physics.simplex import (
    continuity_parts,
    continuity_quantiles,
    dirichlet_parts,
    dirichlet_quantiles,
    softmax_logits,
    softmax_parts,
)

WIDTHS = np.array([0.03, 0.07, 0.9, 4.0, 8.7])


@pytest.fixture
def uniform():
    return np.random.default_rng(3).random((4000, 4))


def test_softmax_and_its_inverse():
    logits = np.random.default_rng(1).normal(0, 4, (500, 5))
    parts = softmax_parts(logits)
    assert parts.shape == (500, 6)
    np.testing.assert_allclose(parts.sum(axis=1), 1.0, rtol=1e-14)
    np.testing.assert_allclose(softmax_logits(parts), logits, rtol=1e-12, atol=1e-12)
    by_hand = np.exp([0.3, -1.0, 0.0])
    np.testing.assert_allclose(softmax_parts(np.array([[0.3, -1.0]]))[0], by_hand / by_hand.sum(), rtol=1e-15)


@pytest.mark.parametrize("alpha", [0.3, 1.0, 2.5])
def test_dirichlet_and_its_inverse(uniform, alpha):
    parts = dirichlet_parts(uniform, alpha)
    np.testing.assert_allclose(parts.sum(axis=1), 1.0, rtol=1e-12)
    assert (parts >= 0).all()
    resolved = (parts > 1e-9).all(axis=1)
    assert resolved.mean() > 0.9
    np.testing.assert_allclose(dirichlet_quantiles(parts[resolved], alpha), uniform[resolved], atol=1e-7)


@pytest.mark.parametrize("alpha", [0.3, 1.0, 2.5])
def test_every_part_has_the_beta_distribution_of_dirichlet(uniform, alpha):
    """The margin of each part of Dirichlet(alpha, ...) with five parts is Beta(alpha, 4 alpha)."""
    for part in dirichlet_parts(uniform, alpha).T:
        assert stats.kstest(part, stats.beta(alpha, 4 * alpha).cdf).pvalue > 1e-3


@pytest.mark.parametrize("nu", [1.5, 2.0, 5.0])
def test_continuity_steps_follow_student(uniform, nu):
    parts = continuity_parts(uniform, WIDTHS, 0.3, nu)
    np.testing.assert_allclose(parts.sum(axis=1), 1.0, rtol=1e-13)
    rate = np.log10(parts / WIDTHS)
    for step in (rate[:, :-1] - rate[:, 1:]).T:
        assert stats.kstest(step / 0.3, stats.t(nu).cdf).pvalue > 1e-3


def test_continuity_and_its_inverse(uniform):
    parts = continuity_parts(uniform, WIDTHS)
    np.testing.assert_allclose(continuity_quantiles(parts, WIDTHS), uniform, rtol=1e-9)


def test_the_middle_of_continuity_is_a_constant_rate():
    parts = continuity_parts(np.full((1, 4), 0.5), WIDTHS)
    np.testing.assert_allclose(parts[0], WIDTHS / WIDTHS.sum(), rtol=1e-14)
