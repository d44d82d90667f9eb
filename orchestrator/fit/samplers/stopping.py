"""When an ensemble has run long enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.fit.chain import Chain
from orchestrator.fit.convergence import convergence

__all__ = ["EnsembleProgress", "assess", "split_rhat"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class EnsembleProgress:
    """State of an ensemble.

    Attributes
    ----------
    n_steps : int
        Steps so far.
    burn_in : int
        Steps at the start that statistics leave out.
    autocorrelation_time : float
        Of the slowest parameter, in steps; NaN where it cannot be estimated.
    split_rhat : float
        Of the worst parameter, after the burn-in; NaN for a chain too short.
    acceptance : float
        Fraction of accepted moves after the burn-in.
    effective_samples : float
        After the burn-in.
    """

    n_steps: int
    burn_in: int
    autocorrelation_time: float
    split_rhat: float
    acceptance: float
    effective_samples: float

    def has_converged(self, autocorrelation_times: float, max_rhat: float) -> bool:
        """Say whether the chain is that many autocorrelation times long and its walkers agree."""
        return bool(
            self.n_steps > autocorrelation_times * self.autocorrelation_time and self.split_rhat < max_rhat
        )


def assess(steps: FloatArray, names: Sequence[tuple[str, str]]) -> EnsembleProgress:
    """Measure an ensemble with the same rules as the summary of the finished chain.

    Parameters
    ----------
    steps : ndarray, shape (n_steps, n_walkers, n_varied)
    names : sequence of (section, name)
    """
    n_steps, n_walkers, n_varied = steps.shape
    rows = steps.reshape(-1, n_varied)
    unknown = np.zeros(len(rows))
    chain = Chain(
        path=Path(),
        parameters=tuple(names),
        samples=rows,
        log_prior=unknown,
        log_posterior=unknown,
        log_likelihood=None,
        weights=unknown,
        sampler="emcee",
        n_walkers=n_walkers,
    )
    state = convergence(chain)
    times = state.autocorrelation_time
    # A parameter whose time is unknown never moved: then nothing can be said of the whole.
    longest = float(times.max()) if np.isfinite(times).all() else float("nan")
    kept = steps[state.burn_in :]
    return EnsembleProgress(
        n_steps=n_steps,
        burn_in=state.burn_in,
        autocorrelation_time=longest,
        split_rhat=float(split_rhat(kept).max()) if len(kept) >= 4 else float("nan"),
        acceptance=state.acceptance,
        effective_samples=state.effective_samples,
    )


def split_rhat(steps: FloatArray) -> FloatArray:
    """Split R-hat of each parameter, the walkers taken as chains (Vehtari et al. 2021, equations 1 to 4).

    The walkers of an ensemble are not independent, but one that stays in a mode of its own, which the
    autocorrelation time does not see, raises it as it should.

    Parameters
    ----------
    steps : ndarray, shape (n_steps, n_walkers, n_varied)
        At least 4 steps.

    Returns
    -------
    ndarray, shape (n_varied,)
        inf for a parameter in which walkers differ but never moved.
    """
    half = len(steps) // 2
    chains = np.concatenate([steps[:half], steps[-half:]], axis=1)
    within = chains.var(axis=0, ddof=1).mean(axis=0)
    between = chains.mean(axis=0).var(axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(between > 0, between / within, 0.0)
    return np.asarray(np.sqrt((half - 1) / half + ratio))
