"""What happens to a task after an attempt: a pure function of its record and of the attempts before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.production.records import ErrorClass, StagePlan, State, TaskRecord

__all__ = ["DEFAULT_RETRIES", "Decision", "decide"]

DEFAULT_RETRIES: Mapping[str, int] = {
    ErrorClass.LOST: 5,
    ErrorClass.TIMEOUT: 1,
    ErrorClass.OUT_OF_MEMORY: 1,
    ErrorClass.CRASH: 1,
    ErrorClass.NUMERICAL: 0,
    ErrorClass.BAD_INPUT: 0,
    ErrorClass.UNKNOWN: 1,
}
"""Further attempts after the first, by class of error. A numerical failure has one for each further recipe."""

_BUDGET = 2.0
"""More time, or memory, for an attempt that ran out of it."""
_ALONE = frozenset({ErrorClass.TIMEOUT, ErrorClass.OUT_OF_MEMORY, ErrorClass.CRASH})


@dataclass(frozen=True)
class Decision:
    """The next state of a task.

    Attributes
    ----------
    state : State
        ``done``, ``failed``, or ``ready`` for a further attempt.
    not_before : float
        Unix time before which it is not tried again.
    recipe : int
        Recipe of the next attempt.
    budget : float
        Factor on its limits.
    alone : bool
        Whether the target gets a chunk of its own.
    counted : bool
        Whether the attempt counts; that of a lost worker does not.
    """

    state: State
    not_before: float = 0.0
    recipe: int = 0
    budget: float = 1.0
    alone: bool = False
    counted: bool = True


def decide(record: TaskRecord, stage: StagePlan, earlier: Mapping[str, int], budget: float = 1.0) -> Decision:
    """Decide what becomes of a task after an attempt.

    Parameters
    ----------
    record : TaskRecord
        The attempt.
    stage : StagePlan
    earlier : Mapping of str to int
        Error class to failed attempts before this one, since the task was last made ready by hand.
    budget : float
        Factor that this attempt had on its limits.

    Returns
    -------
    Decision
    """
    if record.outcome == "done":
        return Decision(State.DONE, recipe=record.recipe)
    error = ErrorClass(record.error_class or ErrorClass.UNKNOWN)
    if error == ErrorClass.NUMERICAL and record.recipe + 1 <= len(stage.recipes):
        return Decision(State.READY, recipe=record.recipe + 1)
    allowed = {**DEFAULT_RETRIES, **stage.retries}[error]
    counted = error != ErrorClass.LOST
    if earlier.get(error, 0) >= allowed:
        return Decision(State.FAILED, recipe=record.recipe, counted=counted)
    alone = error in _ALONE or (error == ErrorClass.LOST and earlier.get(error, 0) > 0)
    more = error in (ErrorClass.TIMEOUT, ErrorClass.OUT_OF_MEMORY)
    return Decision(
        State.READY, recipe=record.recipe, budget=budget * _BUDGET if more else budget, alone=alone, counted=counted
    )
