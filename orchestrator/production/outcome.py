"""What a run of a production has done, and what an update has found."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.production.driver import Driven
from orchestrator.production.ledger.targets import AddedTargets
from orchestrator.production.reconcile import Reconciled
from orchestrator.production.records import State

__all__ = ["RunOutcome", "Updated"]


@dataclass(frozen=True)
class Updated:
    """What an update has found.

    Attributes
    ----------
    targets : AddedTargets
    reconciled : Reconciled
    n_taken_in : int
        Records that an earlier run had left in the spool.
    """

    targets: AddedTargets
    reconciled: Reconciled
    n_taken_in: int = 0

    def to_text(self) -> str:
        """Return what is new, in a sentence."""
        parts = [f"{self.targets.n_new} new targets"] if self.targets.n_new else []
        parts += [f"{self.targets.n_changed} changed targets"] if self.targets.n_changed else []
        parts += [f"{self.n_taken_in} records taken in from an earlier run"] if self.n_taken_in else []
        parts += [text] if (text := self.reconciled.to_text()) else []
        return "; ".join(parts) or "nothing has changed"


@dataclass(frozen=True)
class RunOutcome:
    """How a run has ended.

    Attributes
    ----------
    driven : Driven
    counts : dict of str to dict
        Stage to state to number of tasks, after the run.
    updated : Updated
    """

    driven: Driven
    counts: dict[str, dict[State, int]] = field(default_factory=dict)
    updated: Updated | None = None

    @property
    def n_failed(self) -> int:
        """Tasks that have failed, blocked ones included."""
        bad = (State.FAILED, State.BLOCKED, State.HELD)
        return sum(n for by in self.counts.values() for state, n in by.items() if state in bad)

    @property
    def is_complete(self) -> bool:
        """Whether every task is done or has failed for good."""
        open_ = (State.WAITING, State.READY, State.RUNNING)
        return not any(n for by in self.counts.values() for state, n in by.items() if state in open_)

    @property
    def exit_code(self) -> int:
        """0 if everything is done, else 1."""
        return 0 if self.is_complete and not self.n_failed and not self.driven.stopped else 1
