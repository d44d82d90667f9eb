"""Each way in which a chain can mislead gets its verdict, and our fast figures are those of emcee and ArviZ."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from emcee.autocorr import integrated_time

from orchestrator.fit.autocorrelation import autocorrelation
from orchestrator.fit.chain import read_chain
from orchestrator.fit.rhat import rank_rhat
from orchestrator.fit.summary import summarize_results

N_WALKERS = 16


@pytest.fixture(scope="module")
def arviz():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import arviz

        yield arviz


def autoregressive(n_steps, n_walkers=N_WALKERS, n=2, memory=0.6, seed=3):
    rng = np.random.default_rng(seed)
    steps = np.empty((n_steps, n_walkers, n))
    steps[0] = rng.standard_normal((n_walkers, n))
    for i in range(1, n_steps):
        steps[i] = memory * steps[i - 1] + np.sqrt(1 - memory**2) * rng.standard_normal((n_walkers, n))
    return steps


def summary_of(write_chain, steps, post=None, **keywords):
    n_walkers = steps.shape[1]
    rows = steps.reshape(-1, steps.shape[2])
    post = -0.5 * (rows**2).sum(axis=1) if post is None else np.reshape(post, -1)
    return summarize_results(write_chain(rows, post, walkers=n_walkers, **keywords))


def test_autocorrelation_time_is_that_of_emcee():
    steps = autoregressive(400, n=3)
    expected = integrated_time(steps, tol=0, quiet=True, has_walkers=True)
    np.testing.assert_allclose(autocorrelation(steps).time, expected, rtol=1e-10)


def test_effective_samples_and_rhat_are_those_of_arviz(arviz):
    steps = autoregressive(200)
    found = autocorrelation(steps).effective_samples
    expected = [float(arviz.ess(steps[:, :, i].T, method="mean")) for i in range(2)]
    np.testing.assert_allclose(found, expected, rtol=0.1)
    for chosen in (steps, steps[1:]):  # of an odd number the middle one is left out
        rounded = np.round(chosen, 1)  # ties share their rank
        expected = [float(arviz.rhat(rounded[:, :, i].T, method="rank")) for i in range(2)]
        np.testing.assert_allclose(rank_rhat(rounded), expected, atol=1e-10)


def test_walkers_apart_reduce_the_effective_samples():
    steps = autoregressive(400)
    apart = steps.copy()
    apart[:, : N_WALKERS // 2, 0] += 6.0
    assert autocorrelation(steps).effective_samples[0] > 1000
    assert autocorrelation(apart).effective_samples[0] < 40
    assert rank_rhat(apart)[0] > 1.5


def test_a_good_chain_is_ok(write_chain):
    summary = summary_of(write_chain, autoregressive(600))
    assert summary.verdict == "ok"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("short", "autocorrelation times; at least 50"),
        ("killed", "stopped before its end"),
        ("modes", "walkers disagree on toy--a"),
        ("climbs", "walkers disagree on ln posterior"),
        ("stuck", "3 of 16 walkers never moved"),
        ("far", "below the highest point found"),
        ("outside", "have no finite posterior"),
        ("one chain", "One chain cannot tell"),
    ],
)
def test_what_is_not_converged_says_so(write_chain, fault, words):
    steps = autoregressive(600)
    post = -0.5 * (steps**2).sum(axis=2)
    keywords = {}
    if fault == "short":
        steps, post = steps[:60], post[:60]
    elif fault == "killed":
        keywords["tail"] = ""
    elif fault == "modes":
        steps[:, : N_WALKERS // 2, 0] += 2.0
    elif fault == "climbs":
        post = post + np.linspace(0.0, 8.0, 600)[:, None]
    elif fault == "stuck":
        steps[:, :3] = steps[0, :3]
    elif fault == "far":
        post = post - np.linspace(0.0, 900.0, N_WALKERS)
    elif fault == "outside":
        post[300:, 4] = -np.inf
    elif fault == "one chain":
        keywords["sampler"] = "metropolis"
        steps = autoregressive(4000, 1)
        post = None
    summary = summary_of(write_chain, steps, post, **keywords)
    assert summary.verdict == "not_converged"
    assert words in summary.verdict_reason
    assert "not_converged" in summary.flags


def test_most_evaluations_failed(write_chain):
    summary = summary_of(write_chain, autoregressive(600), tail="#evaluations=900\n#successes=300\n#complete=1\n")
    assert summary.verdict == "failed"
    assert summary.verdict_reason.startswith("600 of 900 evaluations")
    few = summary_of(write_chain, autoregressive(600), tail="#evaluations=900\n#successes=899\n#complete=1\n")
    assert few.verdict == "ok"
    assert "failed_evaluations: 1 of 900" in few.flags


def test_a_best_fit_at_a_bound(write_chain):
    steps = autoregressive(600)
    steps[..., 0] = -10.0 + np.abs(steps[..., 0])  # the range of a ends at -10
    post = -0.5 * ((steps[..., 0] + 10.0) ** 2 + steps[..., 1] ** 2)
    summary = summary_of(write_chain, steps, post)
    assert summary.verdict == "at_bound"
    assert "toy--a" in summary.verdict_reason
    assert "toy--b" not in summary.verdict_reason


def test_a_parameter_that_fills_its_range_is_not_at_a_bound(write_chain):
    """Of such a parameter the data say nothing, and its best fit lies anywhere."""
    steps = autoregressive(600)
    rng = np.random.default_rng(5)
    steps[..., 0] = rng.uniform(-10.0, 10.0, steps.shape[:2])
    steps[300, 0, 0] = -9.0
    post = -0.5 * steps[..., 1] ** 2
    post[300, 0] = 0.1
    assert summary_of(write_chain, steps, post).verdict == "ok"


def test_few_effective_samples_of_a_weighted_chain(write_chain):
    rng = np.random.default_rng(1)
    samples = rng.standard_normal((400, 2))
    weights = np.where(np.arange(400) < 20, 0.0, -6.0)
    path = write_chain(samples, np.zeros(400), sampler="dynesty", columns={"log_weight": weights})
    summary = summarize_results(path)
    assert summary.verdict == "not_converged"
    assert "effective samples; at least 100" in summary.verdict_reason


def test_a_peak_without_samples(write_chain):
    """The optimiser knows two peaks, and the walkers stayed in one."""
    steps = autoregressive(600)
    optimum = read_chain(
        write_chain(
            [[0.0, 0.0], [8.0, 0.0]], [0.0, -0.5], name="o.txt", sampler="maxlike", metadata="#starts=4\n"
        )
    )
    rows = steps.reshape(-1, 2)
    path = write_chain(rows, -0.5 * (rows**2).sum(axis=1), walkers=N_WALKERS)
    assert summarize_results(path).verdict == "ok"
    summary = summarize_results(path, optimum=optimum)
    assert summary.verdict == "not_converged"
    assert "1 of the 2 peaks" in summary.verdict_reason


def test_an_optimum_far_above_all_samples(write_chain):
    steps = autoregressive(600)
    optimum = read_chain(write_chain([[0.0, 0.0]], [500.0], name="o.txt", sampler="maxlike"))
    rows = steps.reshape(-1, 2)
    path = write_chain(rows, -0.5 * (rows**2).sum(axis=1), walkers=N_WALKERS)
    assert "below the highest point" in summarize_results(path, optimum=optimum).verdict_reason


def test_the_shortest_interval_is_that_of_arviz(write_chain, arviz):
    rng = np.random.default_rng(8)
    samples = np.column_stack([rng.exponential(1.0, 4000), rng.standard_normal(4000)])
    found = summarize_results(write_chain(samples, np.zeros(4000), sampler="dynesty"))["a"]
    low, high = arviz.hdi(samples[:, 0], hdi_prob=0.68)
    assert (found.hdi_lower_68, found.hdi_upper_68) == pytest.approx((low, high), abs=0.01)
    assert found.hdi_lower_95 < 0.01 < found.lower_95
