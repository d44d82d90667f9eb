from __future__ import annotations

import json

import numpy as np
import pytest

from orchestrator.errors import ChainError
from orchestrator.fit.best_fit import best_fit
from orchestrator.fit.chain import read_chain
from orchestrator.fit.moments import weighted_percentiles
from orchestrator.fit.summary import summarize_results


def gaussian_post(samples):
    return -0.5 * np.sum(samples**2, axis=1)


def test_markov_chain_width_is_not_shrunk(write_chain):
    """Weighting MCMC rows by their posterior would give 1/sqrt(2)."""
    samples = np.random.default_rng(3).standard_normal((8000, 2))
    summary = summarize_results(write_chain(samples, gaussian_post(samples), walkers=8))
    for parameter in summary.parameters:
        assert parameter.std == pytest.approx(1.0, abs=0.04)
        assert parameter.upper_68 - parameter.lower_68 == pytest.approx(2.0, abs=0.1)
        assert parameter.upper_95 - parameter.lower_95 == pytest.approx(3.92, abs=0.25)


def test_weights_of_a_nested_sampler_are_honoured(write_chain):
    samples = np.random.default_rng(4).uniform(-6, 6, (40000, 1))
    log_weight = gaussian_post(samples)
    path = write_chain(samples, log_weight, sampler="nautilus", columns={"log_weight": log_weight})
    parameter = summarize_results(path)["a"]
    assert parameter.std == pytest.approx(1.0, abs=0.03)
    assert parameter.lower_68 == pytest.approx(-0.9945, abs=0.05)


def test_covariance_of_weighted_rows_is_the_unbiased_closed_form(write_chain):
    samples = np.random.default_rng(5).standard_normal((50, 2))
    weight = np.arange(1.0, 51.0)
    path = write_chain(samples, np.zeros(50), sampler="multinest", columns={"weight": weight})
    np.testing.assert_allclose(
        summarize_results(path).covariance, np.cov(samples.T, aweights=weight), rtol=1e-10
    )


def test_equal_weights_give_hazen_percentiles():
    samples = np.random.default_rng(6).standard_normal((101, 2))
    expected = np.percentile(samples, [16, 50, 84], axis=0, method="hazen")
    np.testing.assert_allclose(
        weighted_percentiles(samples, np.full(101, 0.3), (16, 50, 84)), expected, rtol=1e-12
    )


def test_burn_in_is_dropped(write_chain):
    rng = np.random.default_rng(7)
    steps = rng.standard_normal((400, 10, 2))
    steps[:60] += 8.0  # the walkers come from afar
    summary = summarize_results(write_chain(steps.reshape(-1, 2), np.zeros(4000), walkers=10))
    assert summary.convergence.burn_in >= 100
    assert summary["a"].mean == pytest.approx(0.0, abs=0.1)
    assert summary.n_used == 10 * (400 - summary.convergence.burn_in)


def autoregressive(n_steps, n_walkers, coefficient, rng):
    steps = np.zeros((n_steps, n_walkers, 1))
    steps[0] = rng.standard_normal((n_walkers, 1))
    for i in range(1, n_steps):
        steps[i] = coefficient * steps[i - 1] + np.sqrt(1 - coefficient**2) * rng.standard_normal(
            (n_walkers, 1)
        )
    return steps


def test_autocorrelation_time_and_effective_samples_of_a_known_process(write_chain):
    """An AR(1) process has the integrated time (1 + c)/(1 - c)."""
    steps = autoregressive(4000, 10, 0.8, np.random.default_rng(8))
    state = summarize_results(write_chain(steps.reshape(-1, 1), np.zeros(40000), walkers=10)).convergence
    assert state.autocorrelation_time[0] == pytest.approx(9.0, rel=0.1)
    assert state.effective_samples == pytest.approx(30000 / 9.0, rel=0.15)
    assert state.converged


def test_short_chain_is_flagged(write_chain):
    steps = autoregressive(200, 10, 0.95, np.random.default_rng(9))
    summary = summarize_results(write_chain(steps.reshape(-1, 1), np.zeros(2000), walkers=10))
    assert "not_converged" in summary.flags


def test_chain_that_never_moves_is_flagged(write_chain):
    summary = summarize_results(write_chain(np.ones((200, 2)), np.zeros(200), walkers=10))
    assert "not_converged" in summary.flags
    assert summary.convergence.acceptance == 0.0


def test_best_fit_at_a_bound_is_flagged_with_its_distance(write_chain):
    rng = np.random.default_rng(10)
    samples = np.column_stack([10.0 - np.abs(rng.standard_normal(4000)), rng.standard_normal(4000)])
    post = -0.5 * ((samples[:, 0] - 10.0) ** 2 + samples[:, 1] ** 2)
    summary = summarize_results(write_chain(samples, post, walkers=8))
    assert "at_bound: toy--a" in summary.flags
    assert "at_bound: toy--b" not in summary.flags
    assert summary["a"].sigma_to_upper < 1.0
    assert summary["b"].sigma_to_lower == pytest.approx((summary["b"].best_fit + 10) / summary["b"].std)


def test_infinite_rows_are_left_out_and_counted(write_chain):
    samples = np.random.default_rng(11).standard_normal((4000, 2))
    post = gaussian_post(samples)
    samples[::10], post[::10] = 1e6, -np.inf
    summary = summarize_results(write_chain(samples, post, walkers=8))
    assert summary["a"].std == pytest.approx(1.0, abs=0.06)
    assert "failed_points: 400 of 4000" in summary.flags


def test_optimiser_has_a_best_fit_and_no_width(write_chain):
    summary = summarize_results(write_chain([[1.0, 2.0]], [-3.0], sampler="maxlike"))
    assert summary.best_fit.values["toy", "a"] == 1.0
    assert np.isnan(summary["a"].std)
    assert summary.n_used == 0
    assert "nan" not in summary.to_text()


def test_maximum_likelihood_and_maximum_posterior_differ(write_chain):
    chain = read_chain(write_chain([[1.0, 0.0], [2.0, 0.0]], [-3.0, -4.0], prior=np.array([-1.0, -3.5])))
    assert best_fit(chain).values["toy", "a"] == 1.0
    assert best_fit(chain, "max_likelihood").values["toy", "a"] == 2.0
    assert best_fit(chain, "max_likelihood").log_likelihood == pytest.approx(-0.5)


def test_no_finite_row_is_an_error_not_a_nan(write_chain):
    with pytest.raises(ChainError, match="None of the 2 rows"):
        summarize_results(write_chain(np.zeros((2, 2)), [-np.inf, np.nan]))


def test_names_that_two_sections_share_do_not_collide(write_chain):
    path = write_chain(np.random.default_rng(1).standard_normal((40, 2)), np.zeros(40), walkers=4)
    path.write_text(path.read_text().replace("#toy--a\ttoy--b", "#one--x\ttwo--x"))
    summary = summarize_results(path)
    assert len(summary.to_dict()["parameters"]) == 2
    with pytest.raises(KeyError, match="names 2 parameters"):
        summary["x"]


def test_json_and_table_hold_the_summary(write_chain, tmp_path):
    samples = np.random.default_rng(12).standard_normal((400, 2))
    summary = summarize_results(write_chain(samples, gaussian_post(samples), walkers=4))
    record = json.loads(summary.write_json(tmp_path / "s.json").read_text())
    assert record["parameters"]["toy--a"]["std"] == summary["a"].std
    table = summary.to_table()
    assert table["name"].tolist() == ["a", "b"]
    np.testing.assert_array_equal(table["median"], [p.median for p in summary.parameters])


def test_evidence_is_reported_as_the_sampler_gives_it(write_chain):
    path = write_chain(
        np.zeros((3, 2)), np.zeros(3), sampler="dynesty", columns={"log_weight": np.zeros(3)},
        tail="#log_z=-12.5\n#log_z_error=0.25\n#complete=1\n",
    )  # fmt: skip
    assert summarize_results(path).evidence == (-12.5, 0.25)
