"""When an ensemble has run long enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.fit.convergence import acceptance_of, burn_in_of
from orchestrator.fit.rhat import split_rhat

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


def assess(steps: FloatArray) -> EnsembleProgress:
    """Measure an ensemble with the same rules as the summary of the finished chain.

    Parameters
    ----------
    steps : ndarray, shape (n_steps, n_walkers, n_varied)
    """
    start = burn_in_of(steps)
    kept = steps[start.burn_in :]
    # A parameter whose time is unknown never moved: then nothing can be said of the whole.
    longest = float(start.time.max()) if np.isfinite(start.time).all() else float("nan")
    return EnsembleProgress(
        n_steps=len(steps),
        burn_in=start.burn_in,
        autocorrelation_time=longest,
        split_rhat=float(split_rhat(kept).max()) if len(kept) >= 4 else float("nan"),
        acceptance=acceptance_of(kept),
        effective_samples=len(kept) * steps.shape[1] / longest if np.isfinite(longest) else 0.0,
    )
