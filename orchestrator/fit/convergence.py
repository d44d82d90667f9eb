"""Burn-in, autocorrelation time and effective sample size of a chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.fit.chain import Chain

__all__ = ["Convergence", "convergence", "load_estimator"]

LENGTH_IN_AUTOCORRELATION_TIMES = 50.0
"""A Markov chain shorter than this is flagged: not even its autocorrelation time is reliable
(Foreman-Mackey et al. 2013, PASP 125, 306)."""
MINIMUM_BURN_IN = 0.25
MAXIMUM_BURN_IN = 0.5


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
    """

    burn_in: int
    n_steps: int
    autocorrelation_time: NDArray[np.float64]
    effective_samples: float
    acceptance: float
    converged: bool

    def to_dict(self) -> dict[str, Any]:
        """Return plain types for JSON."""
        return {
            "burn_in": self.burn_in,
            "n_steps": self.n_steps,
            "autocorrelation_time": self.autocorrelation_time.tolist(),
            "effective_samples": self.effective_samples,
            "acceptance": self.acceptance,
            "converged": self.converged,
        }


def convergence(chain: Chain) -> Convergence:
    """Estimate the state of a chain.

    The burn-in of a Markov chain is twice the longest integrated autocorrelation time, at least a quarter and
    at most half of its steps.
    """
    unknown = np.full(len(chain.parameters), np.nan)
    if not chain.is_markov_chain:
        total = float(np.sum(chain.weights**2))
        effective = 1.0 / total if chain.is_sampled and total > 0 else 0.0
        return Convergence(0, chain.n_rows, unknown, effective, float("nan"), converged=True)
    n_walkers = max(1, chain.n_walkers)
    n_steps = chain.n_rows // n_walkers
    steps = chain.samples[: n_steps * n_walkers].reshape(n_steps, n_walkers, -1)
    first = int(np.ceil(MINIMUM_BURN_IN * n_steps))
    time = _autocorrelation_time(steps[first:])
    longest = float(np.nanmax(time)) if np.isfinite(time).any() else float("nan")
    burn_in = first
    if np.isfinite(longest):
        burn_in = int(np.clip(np.ceil(2.0 * longest), first, MAXIMUM_BURN_IN * n_steps))
    n_left = (n_steps - burn_in) * n_walkers
    effective = n_left / longest if np.isfinite(longest) else 0.0
    return Convergence(
        burn_in=burn_in,
        n_steps=n_steps,
        autocorrelation_time=time,
        effective_samples=float(effective),
        acceptance=_acceptance(steps[burn_in:]),
        converged=bool(np.isfinite(longest) and n_steps >= LENGTH_IN_AUTOCORRELATION_TIMES * longest),
    )


def load_estimator() -> None:
    """Import what `convergence` needs, half a second: for a moment in which this process would only wait."""
    import emcee.autocorr  # noqa: F401


def _autocorrelation_time(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Integrated autocorrelation time per parameter of steps of shape (n_steps, n_walkers, n_parameters)."""
    n_parameters = steps.shape[2]
    if len(steps) < 4:
        return np.full(n_parameters, np.nan)
    from emcee.autocorr import integrated_time

    with np.errstate(all="ignore"):
        # tol=0 keeps emcee from warning about short chains: they are flagged by us, in our words.
        times = np.asarray(integrated_time(steps, tol=0, quiet=True, has_walkers=True), dtype=float)
    moving = np.ptp(steps, axis=0).max(axis=0) > 0
    return np.where(moving & np.isfinite(times), np.maximum(times, 1.0), np.nan)


def _acceptance(steps: NDArray[np.float64]) -> float:
    """Fraction of moves that changed the position: right for a resumed chain too."""
    if len(steps) < 2:
        return float("nan")
    return float(np.mean(np.any(steps[1:] != steps[:-1], axis=2)))
