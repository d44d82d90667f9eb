"""Results read back: the columns of a stage as they were declared, and rows, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from orchestrator.errors import ConfigError, nearest_known
from orchestrator.production.columns import COMMON_COLUMNS, Column
from orchestrator.production.ledger.database import Database
from orchestrator.production.ledger.reading import known_columns, target_pages
from orchestrator.production.ledger.result_links import joined
from orchestrator.production.ledger.result_tables import declared_columns
from orchestrator.production.ledger.schema import result_table, sample_file, target, task
from orchestrator.production.records import State
from orchestrator.production.selection import Selection, target_condition

__all__ = ["LEDGER_COLUMNS", "Results", "read_results"]

TARGET = Column("target", "text", "", "name of the target", "Target")
LEDGER_COLUMNS = (
    Column("key", "text", "", "identity of the result", "Provenance"),
    Column("created", "float", "s", "Unix time when the result was first taken in", "Provenance"),
    Column("modified", "float", "s", "Unix time when it was last taken in", "Provenance"),
    Column("run_id", "int", "", "run that made it", "Provenance"),
    Column("attempt", "int", "", "attempt that gave it", "Provenance"),
    Column("samples", "text", "", "place of chain and best fit", "Provenance"),
)
"""Columns that the ledger adds to every result."""


@dataclass(frozen=True)
class Results:
    """Results of a stage.

    Attributes
    ----------
    stage : str
    columns : tuple of Column
        ``target`` first, then those of the stage, those that every result has, and the ledger's own.
    batches : iterator of list of (int, tuple)
        Number of the target and values in the order of `columns`, None where missing; read as it is needed, in the
        order of the targets, all results of a target in one batch.
    """

    stage: str
    columns: tuple[Column, ...]
    batches: Iterator[list[tuple[int, tuple[Any, ...]]]]

    @property
    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The values, row by row; can be gone through once."""
        return (values for batch in self.batches for _, values in batch)


def read_results(database: Database, stage: str, selection: Selection, *, history: bool = False) -> Results:
    """Return the results of a stage.

    Parameters
    ----------
    database : Database
    stage : str
    selection : Selection
        Its stages and states are not asked for: only what is done has a result.
    history : bool
        Results of former configurations too; otherwise those that are current.

    Raises
    ------
    ConfigError
        If the stage does not exist, or the selection is faulty.
    """
    asked = Selection(selection.targets, (stage,), (str(State.DONE),), selection.where, selection.limit)
    known = database.read(known_columns)
    if stage not in known.stages:
        msg = f"There is no stage {stage!r}{nearest_known(stage, known.stages)}"
        raise ConfigError(msg)
    declared = database.read(lambda connection: declared_columns(connection, stage))
    common = {column.name for column in COMMON_COLUMNS}
    columns = tuple(sorted(declared, key=lambda column: column.name in common))
    chosen = target_condition(asked, known, target.c.target_id)
    table = result_table(stage, columns)
    own = [table.c[name] for name in ("key", "created", "modified", "run_id", "attempt")]
    source = target.join(table, table.c.target_id == target.c.target_id)
    if not history:
        present = (task.c.target_id == table.c.target_id) & (task.c.key == table.c.key)
        source = source.join(task, present & (task.c.stage == stage) & (task.c.state == State.DONE))
    source = source.outerjoin(sample_file, sample_file.c.file_id == table.c.sample_file)
    statement = (
        sa.select(
            target.c.target_id,
            target.c.name,
            *[table.c[column.name] for column in columns],
            *own,
            table.c.sample_entry,
            sample_file.c.path,
        )
        .select_from(source)
        .order_by(target.c.target_id, table.c.created)
    )
    if chosen is not None:
        statement = statement.where(chosen)
    floats = [index for index, column in enumerate(columns, 1) if column.kind == "float"]

    def batches() -> Iterator[list[tuple[int, tuple[Any, ...]]]]:
        for page in target_pages(database, statement, target.c.target_id):
            yield [(row[0], _values(row, floats)) for row in page]

    return Results(stage, (TARGET, *columns, *LEDGER_COLUMNS), batches())


def _values(row: Any, floats: list[int]) -> tuple[Any, ...]:
    """Return the values of a row; SQLite gives whole numbers of a widened column as int."""
    values = [*row[1:-2], joined(row[-1], row[-2]) or None]
    for index in floats:
        if values[index] is not None:
            values[index] = float(values[index])
    return tuple(values)
