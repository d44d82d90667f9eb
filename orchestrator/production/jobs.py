"""How every stage stands, as one word: complete, partially failed, failed, running, waiting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.production.ledger.reader import LedgerReader
from orchestrator.production.records import State

__all__ = ["STATES", "Job", "jobs_of", "verdict_of"]

STATES = ("waiting", "ready", "running", "done", "failed")
"""The status vector; blocked and held tasks wait."""


@dataclass(frozen=True)
class Job:
    """A stage with the state of its tasks.

    Attributes
    ----------
    stage : str
    counts : Mapping of str to int
        The status vector, by `STATES`.
    verdict : str
    is_good : bool
        Whether it is complete, or as good as that.
    """

    stage: str
    counts: Mapping[str, int]
    verdict: str
    is_good: bool

    @property
    def total(self) -> int:
        """Number of tasks."""
        return sum(self.counts.values())


def jobs_of(ledger: LedgerReader, tolerance: float = 0.0) -> list[Job]:
    """Return the stages of a production, in order.

    Parameters
    ----------
    ledger : LedgerReader
    tolerance : float
        Fraction of the tasks of a stage that may have failed.
    """
    return [_job(stage, by, tolerance) for stage, by in ledger.counts().items()]


def _job(stage: str, by: Mapping[State, int], tolerance: float) -> Job:
    counts = {state: by.get(State(state), 0) for state in STATES}
    blocked, held = by.get(State.BLOCKED, 0), by.get(State.HELD, 0)
    verdict, good = verdict_of(counts, blocked, held, tolerance)
    return Job(stage, {**counts, "waiting": counts["waiting"] + blocked + held}, verdict, good)


def verdict_of(counts: Mapping[str, int], blocked: int, held: int, tolerance: float) -> tuple[str, bool]:
    """Return a word for the tasks of a stage, and whether it is a good one."""
    total = sum(counts.values()) + blocked + held
    bad = counts["failed"] + blocked
    if held:
        return "stopped: it failed everywhere", False
    if counts["running"]:
        return "running", False
    if counts["waiting"] or counts["ready"]:
        begun = counts["done"] or counts["failed"]
        return "unfinished" if begun else "waiting", False
    if not bad:
        return "complete", True
    if bad == total:
        return "blocked" if blocked == total else "failed", False
    words = f"partially failed ({bad / total:.1%})"
    return (f"{words}, tolerated", True) if bad <= tolerance * total else (words, False)
