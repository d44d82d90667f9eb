"""Which tasks of a target are still to be done after some of them have been answered."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from orchestrator.production.records import StagePlan, TaskOrder

__all__ = ["open_tasks"]


def open_tasks(
    stages: Mapping[str, StagePlan], tasks: Iterable[TaskOrder], answered: Collection[str], failed: Collection[str]
) -> tuple[TaskOrder, ...]:
    """Return the tasks that have no answer and wait for none that has failed.

    Parameters
    ----------
    stages : Mapping of str to StagePlan
    tasks : iterable of TaskOrder
        Of one target, in the order of the pipeline.
    answered : collection of str
        Stages that have a result or have failed.
    failed : collection of str
        Stages that have failed; those that need them, directly or through others, cannot be done now.
    """
    without_result = set(failed)
    found = []
    for task in tasks:
        if without_result.intersection(stages[task.stage].needs):
            without_result.add(task.stage)
        elif task.stage not in answered:
            found.append(task)
    return tuple(found)
