"""Burn-in, autocorrelation time, effective sample size and agreement of the walkers of a chain."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from orchestrator.fit.autocorrelation import autocorrelation
from orchestrator.fit.chain import Chain
from orchestrator.fit.rhat import rank_rhat

__all__ = [
    "LENGTH_IN_AUTOCORRELATION_TIMES",
    "BurnIn",
    "Convergence",
    "acceptance_of",
    "burn_in_of",
    "convergence",
]

LENGTH_IN_AUTOCORRELATION_TIMES = 50.0
"""A Markov chain shorter than this is flagged: not even its autocorrelation time is reliable
(Foreman-Mackey et al. 2013, PASP 125, 306)."""
MINIMUM_BURN_IN = 0.25
MAXIMUM_BURN_IN = 0.5
_NOTHING = np.empty(0)


@dataclass(frozen=True)
class Convergence:
    """State of a chain.

    Attributes
    ----------
    burn_in : int
        Steps left out at the start (steps of the ensemble, not rows).
    n_steps : int
        Steps in the file.
    autocorrelation_time : ndarray, shape (n_parameters,)
        Integrated, in steps; NaN where it cannot be estimated.
    effective_samples : float
        Of the least well sampled parameter (Markov chains) or from the weights (Kish 1965).
    acceptance : float
        Mean acceptance fraction; NaN if unknown.
    converged : bool
        False for a Markov chain shorter than 50 autocorrelation times; True where the question does not
        arise.
    effective_each : ndarray, shape (n_parameters,)
        Effective samples of each parameter; walkers that stay apart reduce them, see `Autocorrelation`.
    rhat : ndarray, shape (n_parameters,)
        Rank-normalised split R-hat; NaN where no chain was sampled.
    rhat_log_posterior : float
        The same of ln posterior: it sees a chain that still climbs, and walkers at different heights.
    n_stuck : int
        Walkers that never moved after the burn-in.
    """

    burn_in: int
    n_steps: int
    autocorrelation_time: NDArray[np.float64]
    effective_samples: float
    acceptance: float
    converged: bool
    effective_each: NDArray[np.float64] = field(default_factory=_NOTHING.copy)
    rhat: NDArray[np.float64] = field(default_factory=_NOTHING.copy)
    rhat_log_posterior: float = float("nan")
    n_stuck: int = 0

    @property
    def longest_time(self) -> float:
        """The longest autocorrelation time; NaN if none is known."""
        known = self.autocorrelation_time[np.isfinite(self.autocorrelation_time)]
        return float(known.max()) if len(known) else float("nan")

    @property
    def thinning(self) -> int:
        """Steps between samples that are all but independent: half the longest autocorrelation time, at least 1."""
        return max(1, int(0.5 * self.longest_time)) if np.isfinite(self.longest_time) else 1

    def to_dict(self) -> dict[str, Any]:
        """Return plain types for JSON."""
        return {
            "burn_in": self.burn_in,
            "n_steps": self.n_steps,
            "thinning": self.thinning,
            "autocorrelation_time": self.autocorrelation_time.tolist(),
            "effective_samples": self.effective_samples,
            "effective_each": self.effective_each.tolist(),
            "rhat": self.rhat.tolist(),
            "rhat_log_posterior": self.rhat_log_posterior,
            "acceptance": self.acceptance,
            "n_stuck": self.n_stuck,
            "converged": self.converged,
        }


def convergence(chain: Chain) -> Convergence:
    """Estimate the state of a chain; see `burn_in_of` for the steps that are left out."""
    unknown = np.full(len(chain.parameters), np.nan)
    if not chain.is_markov_chain:
        total = float(np.sum(chain.weights**2))
        effective = 1.0 / total if chain.is_sampled and total > 0 else 0.0
        each = np.full(len(unknown), effective)
        return Convergence(0, chain.n_rows, unknown, effective, float("nan"), True, each, unknown)  # noqa: FBT003
    n_walkers = max(1, chain.n_walkers)
    n_steps = chain.n_rows // n_walkers
    steps = chain.samples[: n_steps * n_walkers].reshape(n_steps, n_walkers, -1)
    start = burn_in_of(steps)
    kept = steps[start.burn_in :]
    each = start.effective_each if start.is_last else autocorrelation(kept).effective_samples
    height = chain.log_posterior[: n_steps * n_walkers].reshape(n_steps, n_walkers, 1)[start.burn_in :]
    height = np.where(np.isfinite(height), height, np.min(height[np.isfinite(height)], initial=0.0))
    rhat = rank_rhat(np.concatenate([kept, height], axis=2))
    moved = np.any(kept[1:] != kept[:-1], axis=2)
    by_length = len(kept) * n_walkers / start.longest_time if np.isfinite(start.longest_time) else 0.0
    return Convergence(
        burn_in=start.burn_in,
        n_steps=n_steps,
        autocorrelation_time=start.time,
        effective_samples=float(np.nanmin([by_length, *each])),
        acceptance=acceptance_of(kept),
        converged=bool(n_steps >= LENGTH_IN_AUTOCORRELATION_TIMES * start.longest_time),
        effective_each=each,
        rhat=rhat[:-1],
        rhat_log_posterior=float(rhat[-1]),
        n_stuck=int(np.count_nonzero(~moved.any(axis=0))) if len(moved) else 0,
    )


class BurnIn(NamedTuple):
    """What the start of an ensemble says.

    Attributes
    ----------
    burn_in : int
        Steps to leave out.
    time : ndarray, shape (n_parameters,)
        Integrated autocorrelation time, of the last three quarters of the chain.
    longest_time : float
        NaN if none is known.
    effective_each : ndarray, shape (n_parameters,)
        Effective samples of the last three quarters.
    is_last : bool
        Whether those are what is left after the burn-in.
    """

    burn_in: int
    time: NDArray[np.float64]
    longest_time: float
    effective_each: NDArray[np.float64]
    is_last: bool


def burn_in_of(steps: NDArray[np.float64]) -> BurnIn:
    """Find the burn-in of an ensemble: twice its longest autocorrelation time, a quarter to a half of its steps.

    Parameters
    ----------
    steps : ndarray, shape (n_steps, n_walkers, n_parameters)
    """
    first = int(np.ceil(MINIMUM_BURN_IN * len(steps)))
    time, effective = autocorrelation(steps[first:])
    longest = float(np.nanmax(time)) if np.isfinite(time).any() else float("nan")
    burn_in = first
    if np.isfinite(longest):
        burn_in = int(np.clip(np.ceil(2.0 * longest), first, MAXIMUM_BURN_IN * len(steps)))
    return BurnIn(burn_in, time, longest, effective, burn_in == first)


def acceptance_of(kept: NDArray[np.float64]) -> float:
    """Return the fraction of moves that changed the position: right for a resumed chain too.

    Parameters
    ----------
    kept : ndarray, shape (n_steps, n_walkers, n_parameters)
        After the burn-in.
    """
    return float(np.mean(np.any(kept[1:] != kept[:-1], axis=2))) if len(kept) > 1 else float("nan")
