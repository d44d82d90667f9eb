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
from orchestrator.fit.verdict import OK, Evidence, Verdict, VerdictWord, evaluations, judge

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["ParameterSummary", "ResultsSummary", "summarize_results", "used_rows", "weighted_percentiles"]

AT_BOUND_SIGMA = 1.0
"""A best fit nearer than this to a limit, in standard deviations, is flagged."""
ON_BOUND = 1e-4
"""The same in units of the range, where no standard deviation is known."""
CONSTRAINED = 0.5
"""A posterior narrower than this, in units of the width of a flat one, is one that the data have narrowed."""
LEAST_EFFECTIVE_SAMPLES = 100.0


@dataclass(frozen=True)
class ParameterSummary:
    """Posterior of one parameter; NaN where nothing was sampled.

    Attributes
    ----------
    section, name : str
    best_fit, mean, median, std : float
    lower_68, upper_68, lower_95, upper_95 : float
        16th, 84th, 2.5th and 97.5th percentiles.
    hdi_lower_68, hdi_upper_68, hdi_lower_95, hdi_upper_95 : float
        Ends of the shortest intervals that hold 68 and 95 % (highest density).
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
    hdi_lower_68: float = float("nan")
    hdi_upper_68: float = float("nan")
    hdi_lower_95: float = float("nan")
    hdi_upper_95: float = float("nan")

    @property
    def key(self) -> str:
        """Name as ``section--name``."""
        return f"{self.section}--{self.name}"

    @property
    def at_bound(self) -> bool:
        """True if the best fit lies on a limit, or within `AT_BOUND_SIGMA` of it where the data say something.

        A parameter of which the data say nothing fills its range, and its best fit lies anywhere in it.
        """
        width = self.upper_limit - self.lower_limit
        near = min(self.best_fit - self.lower_limit, self.upper_limit - self.best_fit)
        if near < ON_BOUND * width:
            return True
        if not self.std < CONSTRAINED * width / np.sqrt(12.0):
            return False
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
        ``at_bound: section--name``, ``not_converged``, ``few_samples``, ``failed_points``,
        ``failed_evaluations``; empty if all is well.
    verdict : {'ok', 'not_converged', 'at_bound', 'failed'}
        See `orchestrator.fit.verdict.Verdict`.
    verdict_reason : str
        The sentence that explains it.
    n_evaluations, n_successes : int or None
        Evaluations of the model, and those that gave a number; None where the file does not say.
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
    n_evaluations: int | None = None
    n_successes: int | None = None

    @property
    def correlation(self) -> NDArray[np.float64]:
        """Correlation coefficients, shape (n_parameters, n_parameters); NaN where nothing was sampled or moved."""
        widths = np.sqrt(np.diag(self.covariance))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.covariance / np.outer(widths, widths))

    def __getitem__(self, name: str) -> ParameterSummary:
        """Return a parameter by ``section--name``, or by its bare name where that is unique."""
        matches = [p for p in self.parameters if name in (p.key, p.name)]
        if len(matches) != 1:
            known = [p.key for p in self.parameters]
            msg = f"{name!r} names {len(matches)} parameters; known: {', '.join(known)}"
            raise KeyError(msg)
        return matches[0]

    def to_text(self) -> str:
        """Return a short table, one line per parameter."""
        lines = [f"{'parameter':<40} {'best fit':>12} {'median':>12} {'-1 sigma':>11} {'+1 sigma':>11}"]
        for p in self.parameters:
            line = f"{p.key:<40} {p.best_fit:12.6g}"
            if np.isfinite(p.median):
                line += f" {p.median:12.6g} {p.lower_68 - p.median:11.4g} {p.upper_68 - p.median:+11.4g}"
            lines.append(f"{line}  at_bound" if p.at_bound else line)
        lines.append(f"best fit: {self.best_fit.kind}, ln posterior {self.best_fit.log_posterior:.6g}")
        if self.evidence:
            value, error = self.evidence
            lines.append(f"ln evidence {value:.4g} +- {error:.2g}, as {self.sampler} reports it")
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
            p.key: {
                key: plain(getattr(p, key)) for key in list(ParameterSummary.__dataclass_fields__)[2:]
            }
            for p in self.parameters
        }
        return {
            "best_fit": plain(self.best_fit.to_dict()),
            "parameters": parameters,
            "covariance": plain(self.covariance.tolist()),
            "correlation": plain(self.correlation.tolist()),
            "sampler": self.sampler,
            "n_rows": self.n_rows,
            "n_infinite": self.n_infinite,
            "n_used": self.n_used,
            "convergence": plain(self.convergence.to_dict()),
            "evidence": plain(list(self.evidence)) if self.evidence else None,
            "flags": list(self.flags),
            "verdict": self.verdict,
            "verdict_reason": self.verdict_reason,
            "n_evaluations": self.n_evaluations,
            "n_successes": self.n_successes,
        }

    def write_json(self, path: str | Path) -> Path:
        """Write `to_dict` to a file and return its path."""
        path = Path(path)
        path.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")
        return path


def plain(value: Any) -> Any:
    """JSON has no NaN: replace what is not finite by None."""
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value


def summarize_results(results: Any, *, optimum: Chain | None = None) -> ResultsSummary:
    """Summarise a chain.

    Parameters
    ----------
    results : Chain, Reader, StageResult, str or Path
        A chain, anything with an attribute ``chain``, or the path of a results file.
    optimum : Chain, optional
        What an optimiser found of the same posterior; samples that miss its peaks have not converged.

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
    bounds = [p.key for p in parameters if p.at_bound]
    verdict = judge(Evidence(chain, state, bounds, optimum))
    n_tried, n_good = evaluations(chain)
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
        flags=_flags(chain, state, parameters, verdict),
        verdict=verdict.word,
        verdict_reason=verdict.reason,
        n_evaluations=n_tried,
        n_successes=n_good,
    )


def _parameter_summaries(chain: Chain, best: BestFit, moments: Moments) -> tuple[ParameterSummary, ...]:
    limits = parameter_limits(chain)
    summaries = []
    for index, key in enumerate(chain.parameters):
        lower, upper = limits.get(key, (float("nan"), float("nan")))
        value = best.values[key]
        std = float(moments.std[index])
        width = std if std > 0 else float("nan")
        low_95, low_68, median, high_68, high_95 = (float(p) for p in moments.percentiles[:, index])
        densest = [float(end) for end in moments.highest_density[:, :, index].ravel()]
        summaries.append(
            ParameterSummary(
                *key, value, float(moments.mean[index]), median, std, low_68, high_68, low_95, high_95,
                lower, upper, float((value - lower) / width), float((upper - value) / width), *densest,
            )
        )  # fmt: skip
    return tuple(summaries)


def _evidence(chain: Chain) -> tuple[float, float] | None:
    if "log_z" not in chain.metadata:
        return None
    return float(chain.metadata["log_z"]), float(chain.metadata.get("log_z_error", "nan"))


def _flags(
    chain: Chain, state: Convergence, parameters: tuple[ParameterSummary, ...], verdict: Verdict
) -> tuple[str, ...]:
    flags = [f"at_bound: {p.key}" for p in parameters if p.at_bound]
    if not state.converged or verdict.word == "not_converged":
        flags.append("not_converged")
    if chain.is_sampled and state.effective_samples < LEAST_EFFECTIVE_SAMPLES:
        flags.append("few_samples")
    if chain.n_infinite:
        flags.append(f"failed_points: {chain.n_infinite} of {chain.n_rows}")
    n_tried, n_good = evaluations(chain)
    if n_tried is not None and n_good is not None and n_good < n_tried:
        flags.append(f"failed_evaluations: {n_tried - n_good} of {n_tried}")
    return tuple(flags)
