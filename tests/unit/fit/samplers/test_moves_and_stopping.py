from __future__ import annotations

import numpy as np
import pytest

from orchestrator.errors import ConfigError, StageError
from orchestrator.fit.rhat import split_rhat
from orchestrator.fit.samplers.moves import MOVES, EnsembleGaussianMove, parse_moves
from orchestrator.fit.samplers.stopping import assess
from orchestrator.fit.samplers.walkers import (
    read_covariance,
    replace_infinite_walkers,
    walkers_from_gaussian,
    walkers_from_prior,
    with_least_widths,
)


def test_moves_by_name():
    moves = parse_moves("de:0.8 snooker:0.2")
    assert [type(move).__name__ for move, _ in moves] == ["DEMove", "SnookerMove"]
    assert [weight for _, weight in moves] == [0.8, 0.2]
    assert parse_moves("stretch", 3.0)[0][0].a == 3.0
    assert len(parse_moves(" ".join(MOVES))) == len(MOVES)


@pytest.mark.parametrize(
    ("text", "message"),
    [("strech", "did you mean|nearest|'stretch'"), ("de:x", "positive"), ("de:-1", "positive"), (" ", "no move")],
)
def test_wrong_moves(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_moves(text)


def test_ratio_of_the_gaussian_move_is_that_of_a_t_distribution():
    from scipy.stats import multivariate_t

    rng = np.random.RandomState(3)
    others = rng.normal(size=(40, 3)) @ np.array([[1, 0, 0], [0.5, 0.2, 0], [0, 0.3, 2.0]])
    walkers = rng.normal(size=(5, 3))
    proposals, ratio = EnsembleGaussianMove(7.0).get_proposal(walkers, [others[:20], others[20:]], rng)
    reference = multivariate_t(others.mean(axis=0), np.cov(others, rowvar=False), df=7.0)
    np.testing.assert_allclose(ratio, reference.logpdf(walkers) - reference.logpdf(proposals), atol=1e-6)


def test_every_move_keeps_a_gaussian(gaussian_density):
    """From exact draws: the variances of 4 parameters stay, for each move by itself."""
    import emcee

    covariance = np.diag([1.0, 4.0, 0.01, 1.0])
    density = gaussian_density(np.zeros(4), covariance)
    for name in set(MOVES) - {"mixture"}:  # which needs ranges and a past: test_mixture_move.py
        np.random.seed(1)  # noqa: NPY002 - what CosmoSIS's samplers draw from
        sampler = emcee.EnsembleSampler(100, 4, density, vectorize=True, moves=parse_moves(name))
        start = np.random.default_rng(3).normal(size=(100, 4)) * np.sqrt(np.diag(covariance))
        sampler.run_mcmc(start, 700)
        chain = sampler.get_chain(discard=100)
        effective = chain[..., 0].size / sampler.get_autocorr_time(discard=100, quiet=True).max()
        assert effective > 1000, name
        relative = chain.reshape(-1, 4).var(axis=0) / np.diag(covariance)
        np.testing.assert_allclose(relative, 1.0, atol=5 * np.sqrt(2 / effective), err_msg=name)


def test_split_rhat_against_its_definition():
    rng = np.random.default_rng(5)
    steps = rng.normal(size=(200, 10, 2))
    steps[:, 0, 1] += 3.0
    halves = np.concatenate([steps[:100, :, 1], steps[100:, :, 1]], axis=1)
    between = 100 * halves.mean(axis=0).var(ddof=1)
    within = np.mean([chain.var(ddof=1) for chain in halves.T])
    expected = np.sqrt((99 / 100 * within + between / 100) / within)
    assert split_rhat(steps)[1] == pytest.approx(expected)
    assert split_rhat(steps)[0] < 1.01
    assert expected > 1.2


def test_autocorrelation_time_of_an_autoregressive_process():
    rng = np.random.default_rng(6)
    phi = 0.8
    steps = np.empty((4000, 16, 2))
    steps[0] = rng.normal(size=(16, 2)) / np.sqrt(1 - phi**2)
    for i in range(1, len(steps)):
        steps[i] = phi * steps[i - 1] + rng.normal(size=(16, 2))
    found = assess(steps)
    assert found.autocorrelation_time == pytest.approx((1 + phi) / (1 - phi), rel=0.15)
    assert found.has_converged(50, 1.02)
    assert not assess(steps[:300]).has_converged(50, 1.02)


def test_walkers_that_stay_in_two_modes_have_not_converged():
    """The autocorrelation time of each walker is short; only R-hat tells."""
    rng = np.random.default_rng(7)
    steps = rng.normal(size=(2000, 16, 2))
    steps[:, :8, 0] += 10.0
    found = assess(steps)
    assert found.autocorrelation_time < 2
    assert not found.has_converged(50, 1.02)


def test_a_parameter_that_never_moves_has_not_converged():
    steps = np.random.default_rng(7).normal(size=(2000, 16, 2))
    steps[:, :, 1] = np.arange(16)
    found = assess(steps)
    assert np.isnan(found.autocorrelation_time)
    assert not found.has_converged(50, 1.02)


def half_plane(points):
    return np.where(points[:, 0] > 0, -0.5 * (points**2).sum(axis=1), -np.inf)


def test_walkers_of_a_singular_covariance_fill_all_directions():
    covariance = np.ones((2, 2))
    walkers = walkers_from_gaussian(
        lambda points: np.zeros(len(points)), np.zeros(2), covariance, 200, np.random.default_rng(1)
    )
    assert np.linalg.cond(np.corrcoef(walkers, rowvar=False)) < 100


def test_a_parameter_without_width_gets_one():
    covariance = np.array([[4.0, 1e-12], [1e-12, 1e-20]])
    widened = with_least_widths(covariance, np.array([0.1, 0.1]))
    np.testing.assert_allclose(widened, [[4.0, 0.0], [0.0, 0.01]])
    np.testing.assert_array_equal(with_least_widths(np.eye(2), np.array([0.1, 0.1])), np.eye(2))


def test_walkers_have_the_covariance_and_a_finite_posterior():
    rng = np.random.default_rng(1)
    covariance = np.array([[1.0, 0.8], [0.8, 1.0]])
    free = walkers_from_gaussian(lambda x: np.zeros(len(x)), np.ones(2), covariance, 20000, rng, overdispersion=2.0)
    np.testing.assert_allclose(np.cov(free, rowvar=False), 4 * covariance, rtol=0.05)
    cut = walkers_from_gaussian(half_plane, np.zeros(2), covariance, 500, rng)
    assert cut.shape == (500, 2)
    assert np.isfinite(half_plane(cut)).all()


def test_walkers_close_in_on_a_support_much_smaller_than_the_covariance():
    def needle(points):
        return np.where(np.abs(points).max(axis=1) < 1e-4, 0.0, -np.inf)

    rng = np.random.default_rng(1)
    walkers = walkers_from_gaussian(needle, np.zeros(3), np.eye(3), 20, rng)
    assert np.abs(walkers).max() < 1e-4


def test_no_support_is_an_error():
    rng = np.random.default_rng(1)
    with pytest.raises(StageError, match="Only 0 of .* drawn from the prior .* 4 walkers are needed"):
        walkers_from_prior(lambda x: np.full(len(x), -np.inf), lambda n, g: g.uniform(size=(n, 2)), 4, rng)


def test_infinite_walkers_are_replaced_and_the_others_kept():
    rng = np.random.default_rng(2)
    given = rng.normal(size=(30, 2))
    n_bad = int((given[:, 0] <= 0).sum())
    walkers, n_replaced = replace_infinite_walkers(half_plane, given, rng)
    assert n_replaced == n_bad > 5
    np.testing.assert_array_equal(walkers[: 30 - n_bad], given[given[:, 0] > 0])
    assert np.isfinite(half_plane(walkers)).all()
    with pytest.raises(StageError, match="30 of the 30"):
        replace_infinite_walkers(lambda x: np.full(len(x), -np.inf), given, rng)


def test_covariance_file(tmp_path):
    path = tmp_path / "cov.txt"
    np.savetxt(path, [0.5, 2.0])
    np.testing.assert_array_equal(read_covariance(str(path), 2), np.diag([0.25, 4.0]))
    np.savetxt(path, np.eye(3))
    with pytest.raises(ConfigError, match=r"shape \(3, 3\); expected 2 x 2"):
        read_covariance(str(path), 2)
