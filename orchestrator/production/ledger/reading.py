"""What a ledger says of its tasks: counts, errors, rates, attempts. Short transactions, a page at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

import sqlalchemy as sa

from orchestrator.production.ledger.database import Database
from orchestrator.production.ledger.result_tables import declared_columns
from orchestrator.production.ledger.schema import attempt, literal, target, target_column, task
from orchestrator.production.ledger.states import read_graph
from orchestrator.production.records import InputFile, State, Target
from orchestrator.production.selection import KnownColumns, Selection, task_conditions
from orchestrator.production.status_records import ErrorLine

__all__ = [
    "AttemptRow",
    "Rate",
    "TargetTasks",
    "TaskRow",
    "TaskState",
    "attempts",
    "counts",
    "errors",
    "known_columns",
    "rates",
    "selected_targets",
    "targets_with_tasks",
    "tasks",
]

_PAGE = 2000
_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|\S*/\S+|[-+]?\d[\d.e+-]*")


@dataclass(frozen=True)
class Rate:
    """Attempts of a stage that were taken in of late.

    Attributes
    ----------
    n : int
    per_second : float
    mean_seconds : float
        Mean wall time of the stage itself, 0 if unknown.
    """

    n: int
    per_second: float
    mean_seconds: float


@dataclass(frozen=True)
class TaskRow:
    """A task, for people."""

    task_id: int
    target_id: int
    target: str
    stage: str
    state: State
    key: str | None
    attempt: int
    recipe: int
    not_before: float
    error_class: str
    reason: str
    chunk: str


@dataclass(frozen=True)
class TaskState:
    """A task, for the comparison of its key with what it would be now."""

    task_id: int
    stage: str
    state: State
    key: str | None
    error_class: str
    files: tuple[InputFile, ...]


@dataclass(frozen=True)
class TargetTasks:
    """A target with its tasks by stage, in the order of execution."""

    target_id: int
    target: Target
    tasks: dict[str, TaskState] = field(default_factory=dict)


@dataclass(frozen=True)
class AttemptRow:
    """One attempt at a task; fields as in `TaskRecord`."""

    stage: str
    number: int
    run_id: int
    chunk: str
    recipe: int
    started: float
    seconds: float | None
    cpu_seconds: float | None
    peak_memory: float | None
    committed: float
    outcome: str
    counted: bool
    error_class: str
    message: str
    log: str
    host: str
    process: int


def known_columns(connection: sa.Connection) -> KnownColumns:
    """Return the columns that a selection may name."""
    own = {row.name: row.kind for row in connection.execute(sa.select(target_column))}
    stages = {
        stage: {column.name: column.kind for column in declared_columns(connection, stage)}
        for stage in read_graph(connection).stages
    }
    return KnownColumns(own, stages)


def counts(connection: sa.Connection, selection: Selection) -> dict[str, dict[State, int]]:
    """Return stage to state to number of tasks; every selected stage is there, in order, without its zeros."""
    known = known_columns(connection)
    conditions = task_conditions(selection, known)
    found: dict[str, dict[State, int]] = {
        stage: {} for stage in known.stages if not selection.stages or stage in selection.stages
    }
    if selection.targets or selection.where or selection.limit is not None:
        number = sa.select(task.c.stage, task.c.state, sa.func.count()).where(*conditions)
        statements = [number.group_by(task.c.stage, task.c.state)]
    else:
        # One stretch of the index after the other takes half of the time that forming groups does.
        states = [state for state in State if not selection.states or state in selection.states]
        statements = [_n_tasks(stage, state) for stage in found for state in states]
    if statements:  # all in one: of PostgreSQL, two would not see the same moment
        for stage, state, n in connection.execute(sa.union_all(*statements)):
            if n:
                found[stage][State(state)] = n
    return {stage: {state: by[state] for state in State if state in by} for stage, by in found.items()}


def _n_tasks(stage: str, state: State) -> sa.Select[*tuple[Any, ...]]:
    place = sa.literal(stage), sa.literal(str(state))
    return sa.select(*place, sa.func.count()).select_from(task).where(task.c.stage == stage, task.c.state == state)


def errors(connection: sa.Connection, selection: Selection) -> list[ErrorLine]:
    """Return the failures of tasks that have failed, or wait for another try, those alike together, most first."""
    conditions = task_conditions(selection, known_columns(connection))
    source = task.join(attempt, (attempt.c.task_id == task.c.task_id) & (attempt.c.number == task.c.attempt))
    grouped = (
        sa.select(
            task.c.stage,
            attempt.c.error_class,
            attempt.c.message,
            sa.func.count().label("n"),
            sa.func.min(task.c.target_id).label("first"),
        )
        .select_from(source)
        .where(*conditions, attempt.c.outcome != "done", task.c.error_class != sa.text("''"))
        .where(task.c.state.in_([State.FAILED, State.READY, State.RUNNING, State.HELD]))
        .group_by(task.c.stage, attempt.c.error_class, attempt.c.message)
        .subquery()
    )
    rows = connection.execute(
        sa.select(grouped, target.c.name).join_from(grouped, target, target.c.target_id == grouped.c.first)
    )
    alike: dict[tuple[str, str, str], ErrorLine] = {}
    for row in sorted(rows, key=lambda row: row.first):
        key = (row.stage, row.error_class, _VARYING.sub("*", row.message))
        before = alike.get(key)
        alike[key] = (
            ErrorLine(row.stage, row.error_class, row.message, row.n, row.name)
            if before is None
            else ErrorLine(before.stage, before.error_class, before.message, before.n + row.n, before.example)
        )
    return sorted(alike.values(), key=lambda group: -group.n)


def rates(connection: sa.Connection, seconds: float, now: float) -> dict[str, Rate]:
    """Return how fast each stage has gone in the last `seconds`."""
    rows = connection.execute(
        sa.select(task.c.stage, sa.func.count(), sa.func.avg(attempt.c.seconds))
        .join_from(attempt, task, task.c.task_id == attempt.c.task_id)
        .where(attempt.c.committed > now - seconds)
        .group_by(task.c.stage)
    )
    return {stage: Rate(n, n / seconds, float(mean or 0.0)) for stage, n, mean in rows}


def tasks(database: Database, selection: Selection) -> Iterator[TaskRow]:
    """Yield the tasks of a selection, in the order of targets and stages."""
    columns = [task.c[entry.name] for entry in fields(TaskRow) if entry.name != "target"]
    known = database.read(known_columns)
    conditions = task_conditions(selection, known)
    order = {stage: position for position, stage in enumerate(known.stages)}
    statement = (
        sa.select(*columns, target.c.name)
        .join_from(task, target, target.c.target_id == task.c.target_id)
        .where(*conditions)
        .order_by(task.c.target_id)
    )
    for page in target_pages(database, statement, task.c.target_id):
        for row in sorted(page, key=lambda row: (row.target_id, order[row.stage])):
            values = dict(row._mapping)
            name = values.pop("name")
            values["state"] = State(values["state"])
            yield TaskRow(target=name, **values)


def target_pages(
    database: Database, statement: sa.Select[Any], number: sa.ColumnElement[int], size: int = _PAGE
) -> Iterator[Sequence[Any]]:
    """Yield the rows of a statement that is ordered by target; each page holds whole targets.

    Each page is read in a transaction of its own, so that a slow reader keeps nothing from the writer.
    """
    last = -1  # the pseudo-target over all has the number 0
    full = True

    def read(connection: sa.Connection) -> tuple[Sequence[Any], bool]:
        rows = connection.execute(statement.where(number > last).limit(size)).all()
        if len(rows) < size:
            return rows, False
        # The last target may go on in the next page; it is read again there, unless it fills this one.
        end = rows[-1].target_id
        whole = [row for row in rows if row.target_id != end]
        return whole or connection.execute(statement.where(number == end)).all(), True

    while full:
        rows, full = database.read(read)
        if rows:
            last = rows[-1].target_id
            yield rows


def targets_with_tasks(database: Database, states: Sequence[State]) -> Iterator[TargetTasks]:
    """Yield targets that have a task in one of these states, with all their tasks, in the order of the table."""
    own = task.alias("own")
    wanted = sa.exists().where(
        own.c.target_id == target.c.target_id, own.c.state.in_([literal(state) for state in states])
    )
    return _targets(database, wanted)


def selected_targets(database: Database, selection: Selection) -> Iterator[TargetTasks]:
    """Yield the targets of a selection with all their tasks, in the order of the table."""
    conditions = task_conditions(selection, database.read(known_columns))
    return _targets(database, target.c.target_id.in_(sa.select(task.c.target_id).where(*conditions)))


def _targets(database: Database, wanted: sa.ColumnElement[bool]) -> Iterator[TargetTasks]:
    stages = database.read(read_graph).stages
    numbers = sa.select(target).where(wanted).order_by(target.c.target_id)
    names = ("task_id", "target_id", "stage", "state", "key", "error_class", "files")
    for page in target_pages(database, numbers, target.c.target_id):
        found = {
            row.target_id: TargetTasks(row.target_id, Target(row.name, row._mapping["values"], row.overrides))
            for row in page
        }
        theirs = sa.select(*(task.c[name] for name in names)).where(
            task.c.target_id.in_(list(found)), task.c.stage.in_(stages)
        )
        rows = database.read(partial(_rows, statement=theirs))
        by_stage = {(row.target_id, row.stage): row for row in rows}
        for number, entry in found.items():
            for stage in stages:
                row = by_stage.get((number, stage))
                if row is not None:
                    files = tuple(InputFile(*file) for file in row.files or ())
                    entry.tasks[stage] = TaskState(
                        row.task_id, stage, State(row.state), row.key, row.error_class, files
                    )
            yield entry


def _rows(connection: sa.Connection, statement: sa.Select[Any]) -> Sequence[Any]:
    return connection.execute(statement).all()


def attempts(connection: sa.Connection, name: str, stage: str | None) -> list[AttemptRow]:
    """Return the attempts at the tasks of a target, in order."""
    columns = [column for column in attempt.c if column.name != "task_id"]
    statement = (
        sa.select(task.c.stage, *columns)
        .select_from(target.join(task, task.c.target_id == target.c.target_id))
        .join(attempt, attempt.c.task_id == task.c.task_id)
        .where(target.c.name == name)
        .order_by(attempt.c.started, task.c.task_id, attempt.c.number)
    )
    if stage is not None:
        statement = statement.where(task.c.stage == stage)
    return [AttemptRow(**row._mapping) for row in connection.execute(statement)]
