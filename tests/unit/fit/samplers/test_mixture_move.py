"""Proposals fitted to the past: their density is the one they are drawn from, and they keep any posterior."""

from __future__ import annotations

import emcee
import numpy as np
import pytest
from scipy import stats

from orchestrator.fit.samplers.mixture_move import DEGREES_OF_FREEDOM, FROM_THE_PRIOR, MixtureMove, fit_mixture
from orchestrator.fit.samplers.moves import EnsembleGaussianMove

LOWER, UPPER = np.array([-4.0, 0.0]), np.array([6.0, 2.0])


def curved(points: np.ndarray) -> np.ndarray:
    """A banana that two of the limits cut off."""
    x, y = points.T
    inside = np.all((points >= LOWER) & (points <= UPPER), axis=1)
    return np.where(inside, -0.5 * ((x - 1) / 1.5) ** 2 - 0.5 * ((y - 0.25 * (x - 1) ** 2) / 0.2) ** 2, -np.inf)


def exact_draws(number: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = 1 + 1.5 * rng.standard_normal(20 * number)
    y = 0.25 * (x - 1) ** 2 + 0.2 * rng.standard_normal(20 * number)
    points = np.column_stack([x, y])
    return points[np.isfinite(curved(points))][:number]


def learned_move() -> MixtureMove:
    move = MixtureMove(EnsembleGaussianMove())
    move.set_ranges(LOWER, UPPER)
    move.learn(exact_draws(1000, 1), np.random.default_rng(2))
    return move


def test_density_of_the_mixture_is_that_of_its_components():
    rng = np.random.default_rng(3)
    mixture = fit_mixture(rng.normal(size=(400, 3)) + np.repeat([[0, 0, 0], [4, 1, -2]], 200, axis=0), rng)
    points = rng.normal(size=(20, 3))
    expected = FROM_THE_PRIOR * stats.multivariate_normal(np.zeros(3)).pdf(points)
    for weight, mean, root in zip(mixture.weights, mixture.means, mixture.roots, strict=True):
        expected += weight * stats.multivariate_t(mean, root @ root.T, df=DEGREES_OF_FREEDOM).pdf(points)
    np.testing.assert_allclose(mixture.log_density(points), np.log(expected), rtol=1e-10)


def test_draws_follow_the_density():
    rng = np.random.default_rng(3)
    mixture = fit_mixture(rng.normal(size=(300, 1)) * 0.3 + np.repeat([[-1.0], [2.0]], 150, axis=0), rng)
    draws = np.sort(mixture.draw(20000, np.random.RandomState(4))[:, 0])
    grid = np.linspace(-30, 30, 60001)
    density = np.exp(mixture.log_density(grid[:, None]))
    assert np.trapezoid(density, grid) == pytest.approx(1.0, abs=1e-3)
    cumulative = np.cumsum(density) * (grid[1] - grid[0])
    assert stats.kstest(np.interp(draws, grid, cumulative), "uniform").pvalue > 0.01


@pytest.mark.timeout(60)
def test_it_keeps_a_curved_posterior_that_limits_cut_off():
    """From exact draws, by itself: every quantile stays, and steps are nearly independent."""
    np.random.seed(1)  # noqa: NPY002 - what emcee draws from
    sampler = emcee.EnsembleSampler(80, 2, curved, vectorize=True, moves=learned_move())
    sampler.run_mcmc(exact_draws(80, 5), 800)
    chain = sampler.get_chain(discard=50)
    time = sampler.get_autocorr_time(discard=50, quiet=True).max()
    assert time < 6
    reference = exact_draws(200_000, 6)
    effective = chain[..., 0].size / time
    for column in range(2):
        for probability in (0.025, 0.16, 0.5, 0.84, 0.975):
            found = (chain[..., column] < np.quantile(reference[:, column], probability)).mean()
            assert abs(found - probability) < 4.5 * np.sqrt(probability * (1 - probability) / effective)


def test_before_it_has_learned_it_proposes_as_its_fallback():
    move = MixtureMove(EnsembleGaussianMove())
    move.set_ranges(LOWER, UPPER)
    walkers = exact_draws(20, 1)
    found = move.get_proposal(walkers[:10], [walkers[10:]], np.random.RandomState(1))
    expected = EnsembleGaussianMove().get_proposal(walkers[:10], [walkers[10:]], np.random.RandomState(1))
    np.testing.assert_array_equal(found[0], expected[0])


def test_a_past_that_never_moved_teaches_nothing():
    move = MixtureMove(EnsembleGaussianMove())
    move.set_ranges(LOWER, UPPER)
    move.learn(np.ones((50, 2)), np.random.default_rng(1))
    assert move.mixture is None
