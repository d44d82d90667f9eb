"""Targets and records for tests of the ledger."""

from __future__ import annotations

from typing import Any

from orchestrator.production.ledger.ledger import Ledger
from orchestrator.production.records import StagePlan, State, Target, TaskRecord
from orchestrator.production.retry import Decision

STAGES = (
    StagePlan("kinematics"),
    StagePlan("Stellar_history", needs=("kinematics",)),
    StagePlan("colours", kind="function"),
)


def register(ledger: Ledger, stages: tuple[StagePlan, ...] = STAGES) -> None:
    """Make these the stages of the pipeline."""
    ledger.register_plan("plan", [(stage, f"hash of {stage}") for stage in stages])


def galaxy(number: int, **values: Any) -> Target:
    """Return target NGC<number>."""
    own = {"redshift": number / 10, "n_good": number, "kind": "spiral" if number % 2 else "elliptical"}
    return Target(f"NGC{number}", {**own, "barred": number > 5, **values})


def done(
    target_id: int, stage: str = "kinematics", key: str = "", attempt: int = 1, columns: Any = None, **fields: Any
) -> tuple[TaskRecord, Decision]:
    """Return a result, as the driver commits it."""
    values = {"verdict": "ok", "flags": 0, "seconds": 0.5, **(columns or {})}
    key = key or f"{stage}-{target_id}"
    record = TaskRecord(target_id, stage, attempt, 0, "done", key, columns=values, started=100.0, **fields)
    return record, Decision(State.DONE)


def failed(
    target_id: int, stage: str = "kinematics", state: str = "failed", attempt: int = 1, error: str = "unknown",
    **decided: Any,
) -> tuple[TaskRecord, Decision]:  # fmt: skip
    """Return a failure; `decided` are fields of its decision."""
    message = f"no convergence after {target_id} steps"
    record = TaskRecord(target_id, stage, attempt, 0, "failed", error_class=error, message=message, log="a\0b")
    return record, Decision(State(state), **decided)


def states(ledger: Ledger, stage: str) -> list[str]:
    """Return the states of a stage in the order of the targets."""
    return [str(task.state) for task in ledger.tasks() if task.stage == stage]
