"""A ledger for those who only look: status, tables, questions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

from orchestrator.production.columns import Column
from orchestrator.production.ledger import reading
from orchestrator.production.ledger.database import Database
from orchestrator.production.ledger.products import Product, input_digest, made_by, products_of
from orchestrator.production.ledger.result_links import sample_references
from orchestrator.production.ledger.result_tables import declared_columns
from orchestrator.production.ledger.results import Results, read_results
from orchestrator.production.ledger.schema import production, result_table, run, sample_file, target, task
from orchestrator.production.ledger.schema import stage as stage_table
from orchestrator.production.ledger.sql import Answer, select_sql
from orchestrator.production.ledger.states import ALL_NUMBER, Graph, pages, read_graph
from orchestrator.production.records import ALL_TARGETS, State, Target
from orchestrator.production.selection import EVERYTHING, KnownColumns, Selection
from orchestrator.production.status_records import ErrorLine

__all__ = ["LedgerReader"]


class LedgerReader:
    """The reading side of a ledger; every method is one or more short transactions.

    Parameters
    ----------
    database : Database
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self.database.close()

    @property
    def name(self) -> str:
        """Name of the production."""
        return self.database.read(lambda connection: str(connection.scalar(sa.select(production.c.name))))

    def graph(self) -> Graph:
        """Return the stages of the pipeline, as they are now."""
        return self.database.read(read_graph)

    def known_columns(self) -> KnownColumns:
        """Return the columns that a selection may name."""
        return self.database.read(reading.known_columns)

    def columns(self, stage: str) -> tuple[Column, ...]:
        """Return the declared columns of a stage."""
        return self.database.read(lambda connection: declared_columns(connection, stage))

    def n_targets(self) -> int:
        """Return the number of targets."""
        number = sa.select(sa.func.count()).select_from(target).where(target.c.target_id != ALL_NUMBER)
        return self.database.read(lambda connection: int(connection.scalar(number) or 0))

    def target(self, name: str) -> tuple[int, Target] | None:
        """Return number and content of a target, or None if there is none of that name."""
        named = sa.select(target).where(target.c.name == name)
        row = self.database.read(lambda connection: connection.execute(named).one_or_none())
        return None if row is None else (row.target_id, Target(row.name, row._mapping["values"], row.overrides))

    def counts(self, selection: Selection = EVERYTHING) -> dict[str, dict[State, int]]:
        """Return stage to state to number of tasks.

        Raises
        ------
        ConfigError
            If the selection names what does not exist.
        """
        return self.database.read(lambda connection: reading.counts(connection, selection))

    def errors(self, selection: Selection = EVERYTHING) -> list[ErrorLine]:
        """Return failures, those alike together, most first."""
        return self.database.read(lambda connection: reading.errors(connection, selection))

    def rate(self, seconds: float = 300.0, now: float | None = None) -> dict[str, reading.Rate]:
        """Return how fast each stage has gone in the last `seconds`."""
        at = time.time() if now is None else now
        return self.database.read(lambda connection: reading.rates(connection, seconds, at))

    def tasks(self, selection: Selection = EVERYTHING) -> Iterator[reading.TaskRow]:
        """Yield tasks in the order of targets and stages."""
        return reading.tasks(self.database, selection)

    def attempts(self, name: str, stage: str | None = None) -> list[reading.AttemptRow]:
        """Return the attempts at the tasks of a target."""
        return self.database.read(lambda connection: reading.attempts(connection, name, stage))

    def results(self, stage: str, selection: Selection = EVERYTHING, *, history: bool = False) -> Results:
        """Return the results of a stage, streamed; with `history` those of former configurations too."""
        return read_results(self.database, stage, selection, history=history)

    def samples(self, stage: str, target_ids: list[int]) -> dict[int, str]:
        """Return where the samples of present results are: target to reference relative to the production."""

        def read(connection: sa.Connection) -> dict[int, str]:
            found: dict[int, str] = {}
            for page in pages(target_ids):
                done = connection.execute(
                    sa.select(task.c.stage, task.c.target_id, task.c.key).where(
                        task.c.target_id.in_(page), task.c.stage == stage, task.c.state == State.DONE
                    )
                )
                references = sample_references(connection, [(row.stage, row.target_id, row.key) for row in done])
                found.update({number: reference for (_, number), reference in references.items()})
            return found

        return self.database.read(read)

    def keys_over_all(self) -> dict[str, str]:
        """Return the keys of the finished tasks over all targets, by stage."""

        def read(connection: sa.Connection) -> dict[str, str]:
            stages = list(read_graph(connection).over_all)
            rows = connection.execute(
                sa.select(task.c.stage, task.c.key).where(
                    task.c.target_id == ALL_NUMBER, task.c.stage.in_(stages), task.c.state == State.DONE
                )
            )
            return {row.stage: row.key for row in rows if row.key}

        return self.database.read(read)

    def tasks_over_all(self) -> dict[str, reading.TaskRow]:
        """Return the tasks over all targets, by stage."""
        return {row.stage: row for row in self.tasks(Selection((ALL_TARGETS,)))}

    def input_digest(self, stage: str) -> str:
        """Return the identity of all finished results of a stage together, with the rows of their targets."""
        return self.database.read(lambda connection: input_digest(connection, stage))

    def open_over_all(self, stage: str) -> bool:
        """Whether targets have tasks of a stage that have not ended."""
        ended = (State.DONE, State.FAILED, State.BLOCKED)
        found = sa.select(task.c.task_id).where(task.c.stage == stage, task.c.state.not_in(ended)).limit(1)
        return self.database.read(lambda connection: connection.scalar(found)) is not None

    def products(self) -> Iterator[Product]:
        """Yield the files that the present results have published."""
        return products_of(self.database)

    def made_by(self, path: str, checksum: str) -> list[Product]:
        """Return who has published a file: by its path relative to the production, or by its content."""
        return self.database.read(lambda connection: made_by(connection, path, checksum))

    def select_sql(self, text: str, limit: int = 1000) -> Answer:
        """Return the answer to one SELECT; nothing can be changed.

        Raises
        ------
        ProductionError
            If the database refuses the statement.
        """
        return select_sql(self.database, text, limit)

    def runs(self) -> list[dict[str, Any]]:
        """Return the runs of the production, first to last."""
        rows = self.database.read(lambda connection: connection.execute(sa.select(run).order_by(run.c.run_id)).all())
        return [dict(row._mapping) for row in rows]

    def targets_with_results(self) -> Iterator[reading.TargetTasks]:
        """Yield targets that have a task that is done or has failed, with all their tasks, in order."""
        return reading.targets_with_tasks(self.database, (State.DONE, State.FAILED))

    def selected_targets(self, selection: Selection) -> Iterator[reading.TargetTasks]:
        """Yield the targets of a selection with all their tasks, in the order of the table."""
        return reading.selected_targets(self.database, selection)

    def sample_files(self) -> list[str]:
        """Return the files that hold samples, relative to the production."""
        paths = sa.select(sample_file.c.path).order_by(sample_file.c.path)
        return list(self.database.read(lambda connection: connection.scalars(paths).all()))

    def tasks_with_samples_in(self, paths: list[str]) -> list[int]:
        """Return the finished tasks whose present result has its samples in these files."""

        def read(connection: sa.Connection) -> list[int]:
            found: list[int] = []
            stages = connection.scalars(sa.select(stage_table.c.name)).all()
            for first in range(0, len(paths), 1000):
                for stage in stages:
                    table = result_table(stage, ())
                    present = (task.c.target_id == table.c.target_id) & (task.c.key == table.c.key)
                    found += connection.scalars(
                        sa.select(task.c.task_id)
                        .select_from(sample_file.join(table, table.c.sample_file == sample_file.c.file_id))
                        .join(task, present & (task.c.stage == stage) & (task.c.state == State.DONE))
                        .where(sample_file.c.path.in_(paths[first : first + 1000]))
                    ).all()
            return sorted(found)

        return self.database.read(read)
