"""The best point of a chain, with its kind named: maximum posterior or maximum likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from orchestrator.errors import ChainError
from orchestrator.fit.chain import Chain

__all__ = ["BestFit", "BestFitKind", "best_fit", "best_row"]

BestFitKind = Literal["max_posterior", "max_likelihood"]


@dataclass(frozen=True)
class BestFit:
    """The best row of a chain.

    Attributes
    ----------
    kind : {'max_posterior', 'max_likelihood'}
    values : Mapping of (str, str) to float
        Section and name of each sampled parameter, and its value.
    log_posterior : float
    log_likelihood : float or None
        None where the chain does not hold it.
    log_prior : float
    row : int
        Its row in the chain.
    extra : Mapping of str to float
        Extra outputs at that point, as ``section--name``.
    """

    kind: BestFitKind
    values: Mapping[tuple[str, str], float]
    log_posterior: float
    log_likelihood: float | None
    log_prior: float
    row: int
    extra: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain types for JSON; names as ``section--name``."""
        return {
            "kind": self.kind,
            "values": {f"{section}--{name}": value for (section, name), value in self.values.items()},
            "log_posterior": self.log_posterior,
            "log_likelihood": self.log_likelihood,
            "log_prior": self.log_prior,
            "row": self.row,
            "extra": dict(self.extra),
        }


def best_row(chain: Chain, kind: BestFitKind = "max_posterior") -> int:
    """Return the row of the best point.

    Raises
    ------
    ChainError
        If no row has a finite posterior, or the likelihood is asked for and not in the file.
    """
    if not chain.finite.any():
        msg = (
            f"None of the {chain.n_rows} rows of {str(chain.path)!r} has a finite posterior; "
            "every evaluation failed or lay outside the priors. See the log of the run."
        )
        raise ChainError(msg)
    target = chain.log_posterior if kind == "max_posterior" else chain.log_likelihood
    if target is None:
        msg = (
            f"{str(chain.path)!r} holds no likelihood (no column 'like' or 'prior'); ask for the "
            "maximum posterior."
        )
        raise ChainError(msg)
    return int(np.argmax(np.where(chain.finite & ~np.isnan(target), target, -np.inf)))


def best_fit(chain: Chain, kind: BestFitKind = "max_posterior") -> BestFit:
    """Return the best point of a chain.

    Parameters
    ----------
    chain : Chain
    kind : {'max_posterior', 'max_likelihood'}
        What is maximised.

    Returns
    -------
    BestFit

    Raises
    ------
    ChainError
        As `best_row`.
    """
    row = best_row(chain, kind)
    likelihood = chain.log_likelihood
    return BestFit(
        kind=kind,
        values={key: float(value) for key, value in zip(chain.parameters, chain.samples[row], strict=True)},
        log_posterior=float(chain.log_posterior[row]),
        log_likelihood=None if likelihood is None else float(likelihood[row]),
        log_prior=float(chain.log_prior[row]),
        row=row,
        extra={name: float(values[row]) for name, values in chain.extra.items() if "--" in name},
    )
