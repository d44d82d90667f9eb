"""What is still to be done of a target after some of its stages have been answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from orchestrator.production.plan import Plan
from orchestrator.production.records import TaskOrder, TaskRecord, Work

__all__ = ["open_tasks", "work_left"]


def open_tasks(plan: Plan, tasks: Iterable[TaskOrder], outcomes: Mapping[str, str]) -> tuple[TaskOrder, ...]:
    """Return the tasks that have no answer and wait for none that has failed, directly or through others.

    Parameters
    ----------
    plan : Plan
    tasks : iterable of TaskOrder
        Of one target, in the order of the pipeline.
    outcomes : Mapping of str to str
        Stage that has been answered to the outcome of its record.
    """
    without_result = {stage for stage, outcome in outcomes.items() if outcome != "done"}
    found = []
    for task in tasks:
        if without_result.intersection(plan.stage(task.stage).needs):
            without_result.add(task.stage)
        elif task.stage not in outcomes:
            found.append(task)
    return tuple(found)


def work_left(plan: Plan, work: Work, records: Mapping[str, TaskRecord]) -> Work:
    """Return a target with its open tasks, and with what others of its tasks have given.

    Parameters
    ----------
    plan : Plan
    work : Work
    records : Mapping of str to TaskRecord
        Answers by stage; their samples are places, as in ``Work.upstream``.
    """
    done = {stage: record for stage, record in records.items() if record.outcome == "done"}
    return replace(
        work,
        tasks=open_tasks(plan, work.tasks, {stage: record.outcome for stage, record in records.items()}),
        upstream={**work.upstream, **{stage: record.samples for stage, record in done.items() if record.samples}},
        upstream_keys={**work.upstream_keys, **{stage: record.key for stage, record in done.items()}},
        upstream_columns={**work.upstream_columns, **{stage: record.columns for stage, record in done.items()}},
    )
