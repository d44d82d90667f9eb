"""The tasks of the targets of a selection, target by target, with the input files of each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from orchestrator.production.ledger.reader import LedgerReader
from orchestrator.production.ledger.reading import TaskRow
from orchestrator.production.ledger.schema import task
from orchestrator.production.records import InputFile, Target
from orchestrator.production.selection import Selection

__all__ = ["SelectedTarget", "selected_targets"]


@dataclass(frozen=True)
class SelectedTarget:
    """A target with its selected tasks.

    Attributes
    ----------
    target_id : int
    target : Target
    tasks : tuple of TaskRow
        In the order of the stages.
    files : dict of str to tuple of InputFile
        Stage to the files that its last finished task has read.
    """

    target_id: int
    target: Target
    tasks: tuple[TaskRow, ...]
    files: dict[str, tuple[InputFile, ...]]


def selected_targets(ledger: LedgerReader, selection: Selection) -> Iterator[SelectedTarget]:
    """Yield the targets of a selection that have a selected task, in the order of the table."""
    for number, rows in itertools.groupby(ledger.tasks(selection), key=lambda row: row.target_id):
        tasks = tuple(rows)
        found = ledger.target(tasks[0].target)
        if found is not None:
            yield SelectedTarget(number, found[1], tasks, _files(ledger, number))


def _files(ledger: LedgerReader, target_id: int) -> dict[str, tuple[InputFile, ...]]:
    with ledger.database.reading() as connection:
        rows = connection.execute(sa.select(task.c.stage, task.c.files).where(task.c.target_id == target_id)).all()
    return {stage: tuple(InputFile(*file) for file in files or ()) for stage, files in rows}
