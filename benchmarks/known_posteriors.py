"""A Gaussian and a bimodal target with every sampler of the installed CosmoSIS: what comes out, and the verdict.

::

    python benchmarks/known_posteriors.py OUTPUT_FOLDER

Both targets and the settings are below; the seed is 3. Prints one line per sampler. Some ten minutes on one core.
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

import numpy as np

from orchestrator import MainPipeline
from orchestrator.config.gaussian_options import GaussianTargetOptions, gaussian_target_parameters
from orchestrator.errors import OrchestratorError
from orchestrator.fit.exports import kept_rows
from orchestrator.forward_model.gaussian_target import prepare_gaussian_target

TARGETS = {
    "gaussian": {"mean": [1.0, -2.0, 3.0], "sigma": [0.5, 0.1, 2.0], "correlation": [0.6, 0.0, -0.3]},
    "bimodal": {
        "mean": [0.0, 0.0], "sigma": [1.0, 0.5], "second_mean": [8.0, 3.0], "second_sigma": [0.7, 0.5],
        "second_weight": 0.3,
    },
}  # fmt: skip
SETTINGS = {
    "emcee": {"walkers": 32, "samples": 2000, "nsteps": 500, "random_start": "T"},
    "ensemble": {"max_samples": 4000, "random_start": "T"},
    "zeus": {"walkers": 16, "samples": 1500, "random_start": "T"},
    "metropolis": {"samples": 60000, "nsteps": 1000},
    "dynesty": {"nlive": 300},
    "nautilus": {"n_live": 500, "n_eff": 3000},
    "multinest": {"live_points": 300, "max_iterations": 50000, "multinest_outfile_root": ""},
}
RUNS = (
    ("emcee", "T"), ("emcee", "F"), ("ensemble", "F"), ("multistart ensemble", "F"), ("zeus", "T"),
    ("metropolis", "T"), ("multistart metropolis", "T"), ("dynesty", "T"), ("nautilus", "T"), ("multinest", "T"),
    ("maxlike", "T"), ("maxlike", "F"),
)  # fmt: skip


def run(folder: Path, target: str, sampler: str, stock: str) -> None:
    """Fit one target with one sampler and print what came out."""
    options = TARGETS[target]
    words = sampler.split()
    config = {
        "runtime": {"sampler": sampler, "seed": 3, "stock_samplers": stock},
        "output": {"filename": str(folder / f"{target}_{'_'.join(words)}_{stock}")},
        "pipeline": {"modules": "GaussianTarget"},
        "GaussianTarget": options,
        **{word: dict(SETTINGS.get(word, {})) for word in words},
    }
    begun = time.monotonic()
    (result,) = MainPipeline([config]).run()
    summary, chain = result.summary, result.chain
    assert summary is not None
    assert chain is not None
    text = [f"{target} {sampler} stock={stock}: {time.monotonic() - begun:.1f} s"]
    if chain.is_sampled:
        share = np.mean(chain.samples[kept_rows(chain, summary), 0] > 4.5)
        mean, std = ([round(getattr(p, name), 3) for p in summary.parameters] for name in ("mean", "std"))
        text.append(f"mean {mean} std {std} second mode {share:.3f}")
        text.append(f"{summary.convergence.effective_samples:.0f} effective samples")
    if summary.evidence:
        text.append("ln Z {:.3f} +- {:.3f}".format(*summary.evidence))
    text.append(f"verdict {result.verdict}: {result.verdict_reason}")
    print(", ".join(text), flush=True)


def main() -> None:
    """Run everything."""
    logging.basicConfig(level=logging.CRITICAL)
    folder = Path(sys.argv[1])
    for target, options in TARGETS.items():
        typed = GaussianTargetOptions(**options)
        known = prepare_gaussian_target(typed)
        ranges = {(p.section, p.name): (p.lower, p.upper) for p in gaussian_target_parameters(typed)}
        widths = np.sqrt(np.diag(known.mixture.covariance)).round(3)
        print(f"{target}: mean {known.mixture.mean}, std {widths}, ln Z {known.log_evidence(ranges):.3f}")
        for sampler, stock in RUNS:
            try:
                run(folder, target, sampler, stock)
            except OrchestratorError as error:
                print(f"{target} {sampler}: {str(error).splitlines()[-1]}", flush=True)


if __name__ == "__main__":
    main()
