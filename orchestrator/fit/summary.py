"""Summary of a posterior: means, widths, intervals, covariance, and whether they are to be trusted.

Rows count equally for Markov chains (they are already distributed as the posterior) and by their weights
for samplers that weight. Weighting Markov-chain rows by the posterior again would shrink every width by
the square root of two.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ChainError
from orchestrator.fit.best_fit import BestFit, best_fit
from orchestrator.fit.chain import Chain, read_chain
from orchestrator.fit.convergence import Convergence, convergence
from orchestrator.fit.embedded import parameter_limits
from orchestrator.fit.moments import Moments, posterior_moments, used_rows, weighted_percentiles
from orchestrator.fit.verdict import OK, Verdict, VerdictWord

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["ParameterSummary", "ResultsSummary", "summarize_results", "used_rows", "weighted_percentiles"]

AT_BOUND_SIGMA = 1.0
"""A best fit nearer than this to a limit, in standard deviations, is flagged."""
ON_BOUND = 1e-4
"""The same in units of the range, where no standard deviation is known."""


@dataclass(frozen=True)
class ParameterSummary:
    """Posterior of one parameter; NaN where nothing was sampled.

    Attributes
    ----------
    section, name : str
    best_fit, mean, median, std : float
    lower_68, upper_68, lower_95, upper_95 : float
        16th, 84th, 2.5th and 97.5th percentiles.
    lower_limit, upper_limit : float
        Range that was sampled; NaN if unknown.
    sigma_to_lower, sigma_to_upper : float
        Distance of the best fit from its limits in standard deviations.
    """

    section: str
    name: str
    best_fit: float
    mean: float
    median: float
    std: float
    lower_68: float
    upper_68: float
    lower_95: float
    upper_95: float
    lower_limit: float = float("nan")
    upper_limit: float = float("nan")
    sigma_to_lower: float = float("nan")
    sigma_to_upper: float = float("nan")

    @property
    def at_bound(self) -> bool:
        """True if the best fit lies within `AT_BOUND_SIGMA` of a limit, or on it if no width is known."""
        near = min(self.best_fit - self.lower_limit, self.upper_limit - self.best_fit)
        if near < ON_BOUND * (self.upper_limit - self.lower_limit):
            return True
        return self.sigma_to_lower < AT_BOUND_SIGMA or self.sigma_to_upper < AT_BOUND_SIGMA


@dataclass(frozen=True)
class ResultsSummary:
    """Summary of one chain.

    Attributes
    ----------
    parameters : tuple of ParameterSummary
    covariance : ndarray, shape (n_parameters, n_parameters)
        NaN where nothing was sampled.
    best_fit : BestFit
    sampler : str
    n_rows, n_infinite, n_used : int
        Rows in the file, without a finite posterior, and used after the burn-in.
    convergence : Convergence
        Burn-in, autocorrelation time, effective sample size, acceptance.
    evidence : tuple of float or None
        ln Z and its error, as a nested sampler reports them.
    flags : tuple of str
        ``at_bound: section--name``, ``not_converged``, ``few_samples``, ``failed_points``; empty if all is
        well.
    verdict : {'ok', 'not_converged', 'at_bound', 'failed'}
        See `orchestrator.fit.verdict.Verdict`.
    verdict_reason : str
        The sentence that explains it.
    """

    parameters: tuple[ParameterSummary, ...]
    covariance: NDArray[np.float64]
    best_fit: BestFit
    sampler: str
    n_rows: int
    n_infinite: int
    n_used: int
    convergence: Convergence
    evidence: tuple[float, float] | None = None
    flags: tuple[str, ...] = field(default_factory=tuple)
    verdict: VerdictWord = "ok"
    verdict_reason: str = OK.reason

    def __getitem__(self, name: str) -> ParameterSummary:
        """Return a parameter by ``section--name``, or by its bare name where that is unique."""
        matches = [p for p in self.parameters if name in (f"{p.section}--{p.name}", p.name)]
        if len(matches) != 1:
            known = [f"{p.section}--{p.name}" for p in self.parameters]
            msg = f"{name!r} names {len(matches)} parameters; known: {', '.join(known)}"
            raise KeyError(msg)
        return matches[0]

    def to_text(self) -> str:
        """Return a short table, one line per parameter."""
        lines = [f"{'parameter':<40} {'best fit':>12} {'median':>12} {'-1 sigma':>11} {'+1 sigma':>11}"]
        for p in self.parameters:
            line = f"{p.section + '--' + p.name:<40} {p.best_fit:12.6g}"
            if np.isfinite(p.median):
                line += f" {p.median:12.6g} {p.lower_68 - p.median:11.4g} {p.upper_68 - p.median:+11.4g}"
            lines.append(f"{line}  at_bound" if p.at_bound else line)
        lines.append(f"best fit: {self.best_fit.kind}, ln posterior {self.best_fit.log_posterior:.6g}")
        if self.flags:
            lines.append(f"flags: {', '.join(self.flags)}")
        return "\n".join(lines)

    def to_table(self) -> Table:
        """Return an astropy table, one row per parameter."""
        from astropy.table import Table

        names = list(ParameterSummary.__dataclass_fields__)
        table = Table({name: [getattr(p, name) for p in self.parameters] for name in names})
        table["at_bound"] = [p.at_bound for p in self.parameters]
        table.meta.update(
            sampler=self.sampler, n_rows=self.n_rows, n_used=self.n_used, flags=list(self.flags)
        )
        return table

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain types; NaN and infinity become None."""
        parameters = {
            f"{p.section}--{p.name}": {
                key: _plain(getattr(p, key)) for key in list(ParameterSummary.__dataclass_fields__)[2:]
            }
            for p in self.parameters
        }
        return {
            "best_fit": _plain(self.best_fit.to_dict()),
            "parameters": parameters,
            "covariance": _plain(self.covariance.tolist()),
            "sampler": self.sampler,
            "n_rows": self.n_rows,
            "n_infinite": self.n_infinite,
            "n_used": self.n_used,
            "convergence": _plain(self.convergence.to_dict()),
            "evidence": _plain(list(self.evidence)) if self.evidence else None,
            "flags": list(self.flags),
            "verdict": self.verdict,
            "verdict_reason": self.verdict_reason,
        }

    def write_json(self, path: str | Path) -> Path:
        """Write `to_dict` to a file and return its path."""
        path = Path(path)
        path.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")
        return path


def _plain(value: Any) -> Any:
    """JSON has no NaN: replace what is not finite by None."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value


def summarize_results(results: Any) -> ResultsSummary:
    """Summarise a chain.

    Parameters
    ----------
    results : Chain, Reader, StageResult, str or Path
        A chain, anything with an attribute ``chain``, or the path of a results file.

    Returns
    -------
    ResultsSummary

    Raises
    ------
    ChainError
        If the chain cannot be read or has no row with a finite posterior.
    """
    if isinstance(results, (str, Path)):
        chain = read_chain(results)
    else:
        chain = results if isinstance(results, Chain) else results.chain
    if not isinstance(chain, Chain):
        msg = (
            "summarize_results takes a chain, a Reader, a stage's result or a path, not "
            f"{type(results).__name__!r}."
        )
        raise ChainError(msg)
    best = best_fit(chain)
    state = convergence(chain)
    used = used_rows(chain, state)
    moments = posterior_moments(chain, used)
    parameters = _parameter_summaries(chain, best, moments)
    verdict = _verdict(chain, state, parameters)
    return ResultsSummary(
        parameters=parameters,
        covariance=moments.covariance,
        best_fit=best,
        sampler=chain.sampler,
        n_rows=chain.n_rows,
        n_infinite=chain.n_infinite,
        n_used=int(np.count_nonzero(used)) if chain.is_sampled else 0,
        convergence=state,
        evidence=_evidence(chain),
        flags=_flags(chain, state, parameters),
        verdict=verdict.word,
        verdict_reason=verdict.reason,
    )


def _verdict(chain: Chain, state: Convergence, parameters: tuple[ParameterSummary, ...]) -> Verdict:
    if not state.converged:
        return Verdict("not_converged", f"The chain of {state.n_steps} steps is too short.")
    if chain.is_sampled and state.effective_samples < 100:
        return Verdict("not_converged", f"It holds {state.effective_samples:.0f} effective samples, expected 100.")
    bounds = [f"{p.section}--{p.name}" for p in parameters if p.at_bound]
    if bounds:
        return Verdict("at_bound", f"The best fit lies at a limit of the range of {', '.join(bounds)}.")
    return OK


def _parameter_summaries(chain: Chain, best: BestFit, moments: Moments) -> tuple[ParameterSummary, ...]:
    limits = parameter_limits(chain)
    summaries = []
    for index, key in enumerate(chain.parameters):
        lower, upper = limits.get(key, (float("nan"), float("nan")))
        value = best.values[key]
        std = float(moments.std[index])
        width = std if std > 0 else float("nan")
        low_95, low_68, median, high_68, high_95 = (float(p) for p in moments.percentiles[:, index])
        summaries.append(
            ParameterSummary(
                *key, value, float(moments.mean[index]), median, std, low_68, high_68, low_95, high_95,
                lower, upper, float((value - lower) / width), float((upper - value) / width),
            )
        )  # fmt: skip
    return tuple(summaries)


def _evidence(chain: Chain) -> tuple[float, float] | None:
    if "log_z" not in chain.metadata:
        return None
    return float(chain.metadata["log_z"]), float(chain.metadata.get("log_z_error", "nan"))


def _flags(chain: Chain, state: Convergence, parameters: tuple[ParameterSummary, ...]) -> tuple[str, ...]:
    flags = [f"at_bound: {p.section}--{p.name}" for p in parameters if p.at_bound]
    if not state.converged:
        flags.append("not_converged")
    if chain.is_sampled and state.effective_samples < 100:
        flags.append("few_samples")
    if chain.n_infinite:
        flags.append(f"failed_points: {chain.n_infinite} of {chain.n_rows}")
    return tuple(flags)
