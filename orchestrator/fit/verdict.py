"""The verdict on a sampler run: whether its posterior is to be trusted, and the sentence that says why not.

An exit code of 0, ``#complete=1`` and many effective samples do not make a posterior: an ensemble that starts from
the prior can stick far from the mode with a thousand of them. The rules below look at it from several sides; each
gives the sentence with the numbers that decided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from orchestrator.fit.chain import Chain
from orchestrator.fit.convergence import LENGTH_IN_AUTOCORRELATION_TIMES, Convergence

__all__ = ["FAILED", "OK", "Evidence", "Verdict", "VerdictWord", "evaluations", "judge", "one_start", "rhat_limit"]

VerdictWord = Literal["ok", "not_converged", "at_bound", "failed"]

LEAST_EFFECTIVE_SAMPLES = 100.0
MAX_RHAT = 1.05
"""Of a chain of 50 autocorrelation times about 1.02 is expected; walkers that disagree exceed this."""
LARGEST_FAILED_FRACTION = 0.5
DEFICIT_FACTOR = 10.0
DEFICIT_OFFSET = 20.0
"""The mean of ln posterior lies n_parameters / 2 below its maximum if the posterior is Gaussian. More than
`DEFICIT_FACTOR` times that plus `DEFICIT_OFFSET` is no posterior that the chain explores: heavy tails, a funnel and
modes of unequal width stay below."""
DISPERSED = 1.2
"""Walkers that begin spread over this many times the posterior's width have looked beyond it."""
_ENOUGH_FOR_A_WIDTH = 4000
COMPARABLE = 3.0
"""Peaks lower than the highest by more than this in ln posterior hold too little to be missed."""
FAR_SQUARED, FAR_SQUARED_PER_PARAMETER = 25.0, 5.0
"""A peak at the squared distance D, in the samples' own covariance, holds a share of them of at most 1 / (1 + D). The
corner of a flat posterior has 3 per parameter."""


@dataclass(frozen=True)
class Verdict:
    """What a run is worth.

    Attributes
    ----------
    word : {'ok', 'not_converged', 'at_bound', 'failed'}
        ``failed``: there is no posterior; ``not_converged``: what is there does not sample it, or too few samples do;
        ``at_bound``: sampled, but the best fit lies at a limit of its range. The first that holds, in this order.
    reason : str
        One sentence with the numbers that decided.
    """

    word: VerdictWord
    reason: str

    @property
    def is_ok(self) -> bool:
        """Whether nothing speaks against the result."""
        return self.word == "ok"


OK = Verdict("ok", "Nothing speaks against this result.")
FAILED = Verdict("failed", "None of the points has a finite posterior.")


@dataclass(frozen=True)
class Evidence:
    """What is known of a run.

    Attributes
    ----------
    chain : Chain
    state : Convergence
        Of that chain.
    at_bound : sequence of str
        Parameters whose best fit lies at a limit.
    optimum : Chain or None
        Of an optimiser that ran before on the same posterior, one row per peak that it found.
    """

    chain: Chain
    state: Convergence
    at_bound: Sequence[str] = ()
    optimum: Chain | None = None

    @cached_property
    def kept(self) -> NDArray[np.bool_]:
        """Rows after the burn-in that have a posterior, shape (n_rows,)."""
        kept = self.chain.finite & (self.chain.weights > 0)
        kept[: self.state.burn_in * max(1, self.chain.n_walkers)] = False
        return kept


def judge(evidence: Evidence) -> Verdict:
    """Return the verdict on a run: that of the first rule that speaks against it.

    Parameters
    ----------
    evidence : Evidence
    """
    for word, rules in _RULES:
        for rule in rules:
            reason = rule(evidence)
            if reason:
                return Verdict(word, reason)
    if one_start(evidence):
        return Verdict("ok", f"{OK.reason} All walkers began in one place, so other modes were not looked for.")
    if not evidence.chain.is_sampled:
        return Verdict("ok", "A best fit alone: no posterior was sampled.")
    return OK


Rule = Callable[[Evidence], str]


def _no_posterior(evidence: Evidence) -> str:
    return "" if evidence.chain.finite.any() else FAILED.reason


def _most_evaluations_failed(evidence: Evidence) -> str:
    n_tried, n_good = evaluations(evidence.chain)
    if n_tried is None or n_good is None or n_tried - n_good <= LARGEST_FAILED_FRACTION * n_tried:
        return ""
    return f"{n_tried - n_good} of {n_tried} evaluations of the model failed; the posterior is that of the rest."


def _stopped_early(evidence: Evidence) -> str:
    if evidence.chain.complete:
        return ""
    return f"The run was stopped before its end: {evidence.chain.n_rows} rows and no '#complete=1'."


def _stuck_walkers(evidence: Evidence) -> str:
    n_walkers, n_stuck = max(1, evidence.chain.n_walkers), evidence.state.n_stuck
    if not n_stuck:
        return ""
    acceptance = f"acceptance {evidence.state.acceptance:.3f}"
    return f"{n_stuck} of {n_walkers} walkers never moved after the burn-in ({acceptance})."


def _walkers_without_posterior(evidence: Evidence) -> str:
    chain = evidence.chain
    if not chain.is_markov_chain or not chain.n_infinite:
        return ""
    n_late = int(np.count_nonzero(~chain.finite[evidence.state.burn_in * max(1, chain.n_walkers) :]))
    if not n_late:
        return ""
    return f"{n_late} rows after the burn-in have no finite posterior: walkers are stuck outside it."


def _too_short(evidence: Evidence) -> str:
    state = evidence.state
    if state.converged:
        return ""
    if not np.isfinite(state.longest_time):
        return f"The chain of {state.n_steps} steps is too short to know its autocorrelation time."
    return (
        f"The chain of {state.n_steps} steps has {state.n_steps / state.longest_time:.0f} autocorrelation times; at "
        f"least {LENGTH_IN_AUTOCORRELATION_TIMES:.0f} are needed, {_enough_steps(state)} steps."
    )


def _enough_steps(state: Convergence) -> int:
    return int(np.ceil(LENGTH_IN_AUTOCORRELATION_TIMES * state.longest_time))


def _far_below_the_peak(evidence: Evidence) -> str:
    chain = evidence.chain
    if not chain.is_markov_chain:
        return ""
    kept = chain.log_posterior[evidence.kept]
    if not len(kept):
        return ""
    peak = max(_highest(chain), -np.inf if evidence.optimum is None else _highest(evidence.optimum))
    expected = 0.5 * len(chain.parameters)
    deficit = peak - float(kept.mean())
    if deficit <= DEFICIT_FACTOR * expected + DEFICIT_OFFSET:
        return ""
    return (
        f"The samples lie on average {deficit:.3g} in ln posterior below the highest point found; a posterior of "
        f"{len(chain.parameters)} parameters expects about {expected:.3g}: the walkers have not found the mode."
    )


def _mode_without_samples(evidence: Evidence) -> str:
    """Compare with the peaks that a search from several starts found: what no walker has seen, no chain tells."""
    chain, optimum = evidence.chain, evidence.optimum
    if optimum is None or optimum.parameters != chain.parameters or not chain.is_sampled:
        return ""
    kept = chain.samples[evidence.kept]
    high = optimum.log_posterior > _highest(optimum) - COMPARABLE
    if len(kept) <= 2 * kept.shape[1] or not high.any():
        return ""
    weights = chain.weights[evidence.kept]
    mean = np.average(kept, axis=0, weights=weights)
    precision = np.linalg.pinv(np.atleast_2d(np.cov(kept, rowvar=False, aweights=weights)), hermitian=True)
    offset = optimum.samples[high] - mean
    far = np.einsum("ij,jk,ik->i", offset, precision, offset)
    n_missed = np.count_nonzero(far > max(FAR_SQUARED, FAR_SQUARED_PER_PARAMETER * kept.shape[1]))
    if not n_missed:
        return ""
    return (
        f"{n_missed} of the {len(far)} peaks of comparable height that the optimiser found hold hardly a sample; the "
        f"farthest lies {np.sqrt(far.max()):.0f} standard deviations from the samples' mean."
    )


def _highest(chain: Chain) -> float:
    return float(np.max(chain.log_posterior, where=chain.finite, initial=-np.inf))


def _one_chain(evidence: Evidence) -> str:
    if not evidence.chain.is_markov_chain or evidence.chain.n_walkers > 1 or _looked_elsewhere(evidence.optimum):
        return ""
    return (
        "One chain cannot tell whether it has found every mode: run several (n_cores > 1), or our optimiser with "
        "several starts before it (sampler = multistart metropolis)."
    )


def _looked_elsewhere(optimum: Chain | None) -> bool:
    """Whether an optimiser has started from more than one place."""
    if optimum is None:
        return False
    options = optimum.metadata
    return any(float(options.get(key, "0")) > least for key, least in (("starts", 0), ("repeats", 1)))


def one_start(evidence: Evidence) -> bool:
    """Say whether all walkers of an ensemble began in one place and nothing has looked for modes elsewhere.

    Parameters
    ----------
    evidence : Evidence
    """
    chain = evidence.chain
    if not chain.is_markov_chain or chain.n_walkers < 2 or _looked_elsewhere(evidence.optimum):
        return False
    with np.errstate(invalid="ignore"):
        late = chain.samples[evidence.kept][-_ENOUGH_FOR_A_WIDTH:]
        spread = chain.samples[: chain.n_walkers].std(axis=0) / late.std(axis=0)
    return bool(np.all(spread < DISPERSED))


def _walkers_disagree(evidence: Evidence) -> str:
    chain, state = evidence.chain, evidence.state
    if not chain.is_markov_chain:
        return ""
    values = dict(zip((*chain.names, "ln posterior"), (*state.rhat, state.rhat_log_posterior), strict=True))
    limit = rhat_limit(state, max(1, chain.n_walkers))
    worst = max(values, key=lambda name: values[name] if np.isfinite(values[name]) else -np.inf)
    if not values[worst] > limit:
        return ""
    who = "walkers" if chain.n_walkers > 1 else "halves of the chain"
    found = f"rank-normalised split R-hat {values[worst]:.3f}, at most {limit:.2f} expected"
    return f"The {who} disagree on {worst}: {found}."


def rhat_limit(state: Convergence, n_walkers: int) -> float:
    """Return the largest R-hat that a sampled posterior has: `MAX_RHAT`, or more for few walkers.

    The variance of the mean of a half chain is that of the posterior times autocorrelation time over length, and its
    estimate from 2 n_walkers half chains scatters by sqrt(2 / (2 n_walkers - 1)); three times that is allowed.
    """
    half = 0.5 * (state.n_steps - state.burn_in)
    if not half > 0 or not np.isfinite(state.longest_time):
        return MAX_RHAT
    scatter = 1.0 + 3.0 * np.sqrt(2.0 / (2.0 * n_walkers - 1.0))
    return max(MAX_RHAT, float(np.sqrt(1.0 + scatter * state.longest_time / half)))


def _few_samples(evidence: Evidence) -> str:
    chain, found = evidence.chain, evidence.state.effective_samples
    if not chain.is_sampled or chain.sampler in ("grid", "snake") or found >= LEAST_EFFECTIVE_SAMPLES:
        return ""
    return f"It holds {found:.0f} effective samples; at least {LEAST_EFFECTIVE_SAMPLES:.0f} are needed."


def _at_bound(evidence: Evidence) -> str:
    if not evidence.at_bound:
        return ""
    return f"The best fit lies at a limit of the range of {', '.join(evidence.at_bound)}."


_RULES: tuple[tuple[VerdictWord, tuple[Rule, ...]], ...] = (
    ("failed", (_no_posterior, _most_evaluations_failed)),
    (
        "not_converged",
        (
            _stopped_early,
            _walkers_without_posterior,
            _far_below_the_peak,
            _mode_without_samples,
            _stuck_walkers,
            _too_short,
            _walkers_disagree,
            _few_samples,
            _one_chain,
        ),
    ),
    ("at_bound", (_at_bound,)),
)


def evaluations(chain: Chain) -> tuple[int | None, int | None]:
    """Return the evaluations of the model that CosmoSIS counted, and those that gave a result; None if unknown.

    Of the last process that worked on the chain: a resumed one counts its own.
    """
    counts = [chain.metadata.get(key) for key in ("evaluations", "successes")]
    try:
        tried, good = (None if count is None else int(float(count)) for count in counts)
    except ValueError:
        return None, None
    return tried, good
