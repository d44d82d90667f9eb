"""A Gaussian and a bimodal target with every sampler: right within the Monte-Carlo error, or a verdict against it.

The error of a mean is the width over the root of the effective samples, of a width over the root of twice as many, of
the share of a mode that of a binomial; the evidence has the error that the sampler reports and no less than 0.02.
"""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator import MainPipeline
from orchestrator.config.gaussian_options import GaussianTargetOptions, gaussian_target_parameters
from orchestrator.fit.exports import kept_rows
from orchestrator.forward_model.gaussian_target import prepare_gaussian_target

MOST_SIGMA = 4.0
SIMPLE = {"mean": [1.0, -2.0, 3.0], "sigma": [0.5, 0.1, 2.0], "correlation": [0.6, 0.0, -0.3], "range_sigmas": 6.0}
BIMODAL = {
    "mean": [0.0, 0.0], "sigma": [1.0, 0.5], "second_mean": [8.0, 3.0], "second_sigma": [0.7, 0.5],
    "second_weight": 0.3, "range_sigmas": 6.0,
}  # fmt: skip
BETWEEN_THE_MODES = 4.5

SAMPLERS = {
    "multistart ensemble": ("F", {}),
    "maxlike emcee": ("F", {"emcee": {"walkers": 16, "samples": 3000, "nsteps": 500}}),
    "emcee": ("T", {"emcee": {"walkers": 12, "samples": 600, "nsteps": 200, "random_start": "T"}}),
    "zeus": ("T", {"zeus": {"walkers": 8, "samples": 300, "nsteps": 100, "random_start": "T"}}),
    "multistart metropolis": ("T", {"metropolis": {"samples": 6000, "nsteps": 1000}}),
    "metropolis": ("T", {"metropolis": {"samples": 6000, "nsteps": 1000}}),
    "dynesty": ("T", {"dynesty": {"nlive": 150, "dlogz": 0.1}}),
    "nautilus": ("T", {"nautilus": {"n_live": 200, "n_eff": 600, "n_networks": 0}}),
}
NEVER_OK = {("metropolis", "simple"), ("metropolis", "bimodal")}
"""One chain alone is not enough, whatever it looks like."""
LONG_ENOUGH = {"multistart ensemble", "maxlike emcee", "dynesty", "nautilus"}
"""Of the others a chain that is long enough takes minutes; benchmarks/known_posteriors.py runs those."""


def fit(sampler, options, output, stock, sections):
    config = {
        "runtime": {"sampler": sampler, "seed": 11, "stock_samplers": stock},
        "output": {"filename": str(output)},
        "pipeline": {"modules": "GaussianTarget"},
        "GaussianTarget": options,
        **sections,
    }
    (result,) = MainPipeline([config]).run()
    return result


def faults(result, options):
    """Say what of a result is beyond its Monte-Carlo error."""
    typed = GaussianTargetOptions(**options)
    target = prepare_gaussian_target(typed)
    summary, found = result.summary, []
    each = np.maximum(summary.convergence.effective_each, 1.0)
    width = np.sqrt(np.diag(target.mixture.covariance))
    mean = np.array([p.mean for p in summary.parameters])
    if np.any(np.abs(mean - target.mixture.mean) > MOST_SIGMA * width / np.sqrt(each)):
        found.append(f"mean {mean}")
    ratio = np.array([p.std for p in summary.parameters]) / width
    if np.any(np.abs(ratio - 1) > MOST_SIGMA / np.sqrt(2 * each)):
        found.append(f"width ratio {ratio}")
    true = target.mixture.covariance / np.outer(width, width)
    if np.any(np.abs(summary.correlation - true) > MOST_SIGMA / np.sqrt(each.min())):
        found.append(f"correlation {summary.correlation}")
    if len(target.mixture.weights) == 2:
        share = float(np.mean(result.chain.samples[kept_rows(result.chain, summary), 0] > BETWEEN_THE_MODES))
        if abs(share - 0.3) > MOST_SIGMA * np.sqrt(0.21 / each.min()):
            found.append(f"share of the second mode {share:.3f}")
    if summary.evidence is not None:
        truth = target.log_evidence(
            {(p.section, p.name): (p.lower, p.upper) for p in gaussian_target_parameters(typed)}
        )
        value, error = summary.evidence
        if abs(value - truth) > MOST_SIGMA * max(error, 0.02):
            found.append(f"ln Z {value:.3f} +- {error:.3f}, expected {truth:.3f}")
    return found


SLOW = {("nautilus", "bimodal"), ("zeus", "bimodal"), ("maxlike emcee", "bimodal"), ("emcee", "simple")}
CASES = [
    pytest.param(sampler, target, marks=[pytest.mark.slow] if (sampler, target) in SLOW else [])
    for sampler in SAMPLERS
    for target in ("simple", "bimodal")
]


@pytest.mark.parametrize(("sampler", "target"), CASES)
def test_right_or_said_not_to_be(sampler, target, tmp_path):
    stock, sections = SAMPLERS[sampler]
    options = SIMPLE if target == "simple" else BIMODAL
    result = fit(sampler, options, tmp_path / "fit", stock, sections)
    wrong = faults(result, options)
    if result.verdict == "ok":
        assert not wrong
    if (sampler, target) in NEVER_OK:
        assert result.verdict == "not_converged"
    elif target == "simple" and sampler in LONG_ENOUGH:
        assert result.verdict == "ok", result.verdict_reason


@pytest.mark.parametrize("stock", ["T", "F"])
def test_the_optimum_of_a_gaussian(stock, tmp_path):
    result = fit("maxlike", SIMPLE, tmp_path / "fit", stock, {"maxlike": {"tolerance": 1e-4, "max_posterior": "T"}})
    assert result.verdict == "ok"
    assert "no posterior was sampled" in result.verdict_reason
    found = np.array(list(result.best_fit.values.values()))
    np.testing.assert_allclose((found - SIMPLE["mean"]) / SIMPLE["sigma"], 0.0, atol=0.03)
