"""The diagnostics of a sampler run: in the stage's result, its log, and a file that a program reads."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from orchestrator.config.text_files import write_atomically
from orchestrator.fit.summary import ResultsSummary, plain
from orchestrator.fit.verdict import Verdict, VerdictWord
from orchestrator.stage import StagePaths

__all__ = ["Diagnostics", "ParameterDiagnostics", "diagnostics_of", "write_failure"]


@dataclass(frozen=True)
class ParameterDiagnostics:
    """How well one parameter is sampled; NaN where the sampler leaves the question open.

    Attributes
    ----------
    autocorrelation_time : float
        Integrated, in steps.
    effective_samples : float
    rhat : float
        Rank-normalised split R-hat.
    sigma_to_lower, sigma_to_upper : float
        Distance of the best fit from its limits in standard deviations.
    at_bound : bool
    """

    autocorrelation_time: float
    effective_samples: float
    rhat: float
    sigma_to_lower: float
    sigma_to_upper: float
    at_bound: bool


@dataclass(frozen=True)
class Diagnostics:
    """State of one run.

    Attributes
    ----------
    verdict : {'ok', 'not_converged', 'at_bound', 'failed'}
    verdict_reason : str
    sampler : str
    parameters : dict of str to ParameterDiagnostics
        By ``section--name``.
    effective_samples : float
        Of the worst parameter.
    rhat_log_posterior : float
    acceptance : float
    n_steps, burn_in, thinning, n_stuck : int
        Steps of the chain, steps left out at its start, steps between samples that are all but independent, walkers
        that never moved.
    n_rows, n_infinite : int
    finite_fraction : float
        Fraction of the rows with a finite posterior.
    n_evaluations, n_successes : int or None
        Evaluations of the model, and those that gave a number.
    seconds : float
        Wall time; NaN if unknown.
    evidence : tuple of float or None
    flags : tuple of str
    """

    verdict: VerdictWord
    verdict_reason: str
    sampler: str
    parameters: dict[str, ParameterDiagnostics]
    effective_samples: float
    rhat_log_posterior: float
    acceptance: float
    n_steps: int
    burn_in: int
    thinning: int
    n_stuck: int
    n_rows: int
    n_infinite: int
    finite_fraction: float
    n_evaluations: int | None
    n_successes: int | None
    seconds: float
    evidence: tuple[float, float] | None
    flags: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain types for JSON; NaN becomes None."""
        return dict(plain(asdict(self)))

    def to_text(self) -> str:
        """Return a line of figures and the verdict."""
        words = []
        times = [p.autocorrelation_time for p in self.parameters.values() if np.isfinite(p.autocorrelation_time)]
        rhats = [p.rhat for p in self.parameters.values() if np.isfinite(p.rhat)]
        if self.effective_samples:
            words.append(f"{self.effective_samples:.0f} effective samples")
        if times:
            words.append(f"{self.n_steps} steps, autocorrelation time {max(times):.3g}")
        if rhats:
            words.append(f"R-hat {max([*rhats, self.rhat_log_posterior]):.3f}")
        if np.isfinite(self.acceptance):
            words.append(f"acceptance {self.acceptance:.2f}")
        if self.n_evaluations is not None:
            words.append(f"{self.n_evaluations} evaluations")
        if np.isfinite(self.seconds):
            words.append(f"{self.seconds:.1f} s")
        return f"{', '.join(words)}\nverdict: {self.verdict}. {self.verdict_reason}".lstrip("\n")

    def write(self, paths: StagePaths) -> None:
        """Write the record beside the chain."""
        write_atomically(paths.diagnostics, json.dumps(self.to_dict(), indent=1) + "\n")


def diagnostics_of(
    summary: ResultsSummary, *, seconds: float = float("nan"), flags: tuple[str, ...] | None = None
) -> Diagnostics:
    """Gather the diagnostics of a run.

    Parameters
    ----------
    summary : ResultsSummary
    seconds : float
        Wall time.
    flags : tuple of str, optional
        In place of those of the summary, for example with those of the modules.
    """
    state = summary.convergence
    columns = zip(
        summary.parameters, state.autocorrelation_time, state.effective_each, state.rhat, strict=True
    )
    return Diagnostics(
        verdict=summary.verdict,
        verdict_reason=summary.verdict_reason,
        sampler=summary.sampler,
        parameters={
            p.key: ParameterDiagnostics(
                float(time), float(effective), float(rhat), p.sigma_to_lower, p.sigma_to_upper, p.at_bound
            )
            for p, time, effective, rhat in columns
        },
        effective_samples=state.effective_samples,
        rhat_log_posterior=state.rhat_log_posterior,
        acceptance=state.acceptance,
        n_steps=state.n_steps,
        burn_in=state.burn_in,
        thinning=state.thinning,
        n_stuck=state.n_stuck,
        n_rows=summary.n_rows,
        n_infinite=summary.n_infinite,
        finite_fraction=1.0 - summary.n_infinite / max(1, summary.n_rows),
        n_evaluations=summary.n_evaluations,
        n_successes=summary.n_successes,
        seconds=seconds,
        evidence=summary.evidence,
        flags=summary.flags if flags is None else flags,
    )


def write_failure(paths: StagePaths, verdict: Verdict) -> None:
    """Record that a run has left no posterior, and why."""
    record = {"verdict": verdict.word, "verdict_reason": verdict.reason}
    write_atomically(paths.diagnostics, json.dumps(record, indent=1) + "\n")
