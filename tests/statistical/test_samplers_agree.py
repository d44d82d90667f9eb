"""Our samplers and CosmoSIS's own emcee see the same posterior, within the Monte-Carlo error of both.

Stock emcee evaluates the same likelihood point by point through the DataBlock. The Monte-Carlo error of a mean is the
width over the root of the effective samples; that of a width, the width over the root of twice as many (Gaussian).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from orchestrator import MainPipeline
from orchestrator.fit.chain import Chain, read_chain
from orchestrator.fit.convergence import convergence

TOY = Path(__file__).parents[1] / "integration" / "toy_modules" / "gaussian.py"
MOST_SIGMA = 4.5
"""Of the Monte-Carlo error: some ten figures are compared, and an autocorrelation time is known to a quarter."""


def moments(chain: Chain) -> tuple[np.ndarray, np.ndarray, float]:
    state = convergence(chain)
    kept = chain.samples[state.burn_in * chain.n_walkers :]
    return kept.mean(axis=0), kept.std(axis=0), state.effective_samples


def compare(ours: Chain, stock: Chain) -> None:
    mean, width, effective = moments(ours)
    stock_mean, stock_width, stock_effective = moments(stock)
    assert min(effective, stock_effective) > 250
    error = np.sqrt(1 / effective + 1 / stock_effective)
    assert np.abs((mean - stock_mean) / stock_width).max() < MOST_SIGMA * error
    # a skewed or flat posterior has a width less certain than a Gaussian's: never more than twice
    assert np.abs(width / stock_width - 1).max() < 2 * MOST_SIGMA * error / np.sqrt(2)


def run(config: dict, sampler: str, output: Path, **sections) -> Chain:
    config = {**config, "runtime": {"sampler": sampler, "seed": 5}, "output": {"filename": str(output)}}
    for name, entries in sections.items():
        config[name] = {**config.get(name, {}), **entries}
    (result,) = MainPipeline([config]).run()
    return read_chain(result.stage.paths.chain)


def test_on_a_gaussian_of_known_moments(tmp_path):
    config = {
        "pipeline": {"modules": "Toy", "likelihoods": "gaussian"},
        "Toy": {"file": str(TOY), "parameters": "toy/a toy/b", "centre": [2.0, -3.0], "sigma": [0.5, 0.1]},
        "values": {"toy": {"a": "-10 1 10", "b": "-10 -1 10"}},
    }
    stock = run(
        config, "emcee", tmp_path / "stock", runtime={"stock_samplers": "T"},
        emcee={"walkers": 32, "samples": 1000, "nsteps": 100},
    )  # fmt: skip
    ours = run(config, "ensemble", tmp_path / "ours", ensemble={"walkers": 64, "nsteps": 50})
    for chain in (stock, ours):
        mean, width, effective = moments(chain)
        error = MOST_SIGMA / np.sqrt(effective)
        np.testing.assert_allclose((mean - [2.0, -3.0]) / [0.5, 0.1], 0.0, atol=error)
        np.testing.assert_allclose(width / [0.5, 0.1], 1.0, atol=error)
    compare(ours, stock)


@pytest.mark.library("MIUSCAT")
def test_on_a_galaxy(tmp_path):
    from recovery import CASES, write_data

    case = CASES["FullSpectralFit"]
    truth = {key: 0.5 * (low + high) for key, (low, high) in case.ranges.items()}
    options = {**case.options, **write_data(case, truth, tmp_path, np.random.default_rng(8))}
    values: dict[str, dict[str, str]] = {}
    for key, (low, high) in case.ranges.items():
        section, _, name = key.partition("/")
        values.setdefault(section, {})[name] = f"{low} {truth[key]} {high}" if low < high else str(low)
    config = {"pipeline": {"modules": "FullSpectralFit"}, "FullSpectralFit": options, "values": values}
    ours = run(config, "multistart ensemble", tmp_path / "ours", ensemble={"walkers": 64, "nsteps": 100})
    # From the peak with its covariance: from a ball of its own, stock emcee spends most of its steps on the way.
    stock = run(
        config, "emcee", tmp_path / "stock", runtime={"stock_samplers": "T"},
        emcee={"walkers": 32, "samples": 1500, "nsteps": 100, "covmat": str(tmp_path / "ours_covariance.txt")},
    )  # fmt: skip
    compare(ours, stock)
