"""Records into the ledger: each is taken in once, with everything that follows from it, in one transaction."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import sqlalchemy as sa

from orchestrator.errors import ProductionError
from orchestrator.production.columns import Column
from orchestrator.production.ledger.json_text import clean_text
from orchestrator.production.ledger.result_links import file_ids, split
from orchestrator.production.ledger.schema import attempt, product, result_table, task
from orchestrator.production.ledger.states import Graph, pages, settle
from orchestrator.production.records import InputFile, State, TaskRecord
from orchestrator.production.retry import Decision

__all__ = ["Batch", "Committed", "commit"]

_WRITTEN = (
    "state", "key", "attempt", "recipe", "budget", "alone", "not_before", "error_class", "reason", "files"
)  # fmt: skip
_KEPT_ON_UPDATE = frozenset({"target_id", "key", "created"})


@dataclass(frozen=True)
class Committed:
    """What became of the records of a commit.

    Attributes
    ----------
    n_done : int
        Tasks that have a result now.
    n_failed : int
        Attempts that failed, to be tried again or not.
    n_ignored : int
        Records that were known, or whose task is done already.
    """

    n_done: int = 0
    n_failed: int = 0
    n_ignored: int = 0


@dataclass(frozen=True)
class Batch:
    """What is committed together.

    Attributes
    ----------
    verdicts : sequence of (TaskRecord, Decision)
    columns : Mapping of str to tuple of Column
        Declared columns of each stage.
    samples_file : str
        File that the records' samples are entries of; empty if they are whole references.
    run_id : int
    now : float
        Unix time.
    """

    verdicts: Sequence[tuple[TaskRecord, Decision]]
    columns: Mapping[str, tuple[Column, ...]]
    samples_file: str
    run_id: int
    now: float


@dataclass
class _Rows:
    """Rows that a batch writes."""

    tasks: dict[int, dict[str, Any]] = field(default_factory=dict)
    attempts: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)
    results: dict[str, dict[tuple[int, str], dict[str, Any]]] = field(default_factory=dict)
    products: list[dict[str, Any]] = field(default_factory=list)


def commit(connection: sa.Connection, graph: Graph, batch: Batch) -> Committed:
    """Take in records; the states of the targets' other tasks follow.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    graph : Graph
    batch : Batch

    Raises
    ------
    ProductionError
        If a record belongs to no task of this ledger, or a value is not of the kind of its column.
    """
    tasks = _tasks(connection, {record.target_id for record, _ in batch.verdicts})
    failed = [tasks.get((record.target_id, record.stage)) for record, made in batch.verdicts if made.state != "done"]
    attempts = _known_attempts(connection, [row["number"] for row in failed if row])
    references = _references(batch)
    files = file_ids(connection, {path for path, _ in references.values()})
    rows = _Rows()
    n_done = n_failed = 0
    for index, (record, decision) in enumerate(batch.verdicts):
        row = tasks.get((record.target_id, record.stage))
        if row is None:
            msg = f"A record is of target {record.target_id}, stage {record.stage!r}; the ledger has no such task."
            raise ProductionError(msg)
        if _is_known(record, decision, row, attempts):
            continue
        attempts.add((row["number"], record.attempt))
        path, entry = references.get(index, ("", ""))
        if decision.state == State.DONE:
            n_done += 1
            system = {
                "target_id": record.target_id,
                "key": record.key,
                "created": batch.now,
                "modified": batch.now,
                "run_id": batch.run_id,
                "attempt": record.attempt,
                "config_id": graph.configs.get(record.stage, 0),
                "sample_file": files.get(path),
                "sample_entry": entry or None,
            }
            values = _values(record, batch.columns[record.stage])
            rows.results.setdefault(record.stage, {})[record.target_id, record.key] = system | values
            rows.products += [_product(record, file, batch) for file in record.products]
        else:
            n_failed += 1
        rows.attempts[row["number"], record.attempt] = _attempt(record, decision, row, batch)
        row.update(_task(record, decision, row))
        rows.tasks[row["number"]] = row
    _write(connection, rows, batch.columns)
    settle(connection, graph, {row["target_id"] for row in rows.tasks.values()})
    return Committed(n_done, n_failed, len(batch.verdicts) - n_done - n_failed)


def _tasks(connection: sa.Connection, target_ids: Iterable[int]) -> dict[tuple[int, str], dict[str, Any]]:
    found = {}
    names = ("target_id", "stage", "state", "key", "attempt", "chunk")
    columns = [task.c.task_id.label("number"), *(task.c[name] for name in names)]
    for page in pages(sorted(target_ids)):
        for row in connection.execute(sa.select(*columns).where(task.c.target_id.in_(page))):
            found[row.target_id, row.stage] = dict(row._mapping)
    return found


def _known_attempts(connection: sa.Connection, task_ids: Iterable[int]) -> set[tuple[int, int]]:
    known: set[tuple[int, int]] = set()
    for page in pages(task_ids):
        rows = connection.execute(sa.select(attempt.c.task_id, attempt.c.number).where(attempt.c.task_id.in_(page)))
        known |= {(row.task_id, row.number) for row in rows}
    return known


def _references(batch: Batch) -> dict[int, tuple[str, str]]:
    """Return file and entry of the samples of each record that has some."""
    found = {}
    for index, (record, decision) in enumerate(batch.verdicts):
        if record.samples and decision.state == State.DONE:
            samples = clean_text(record.samples)
            found[index] = (batch.samples_file, samples) if batch.samples_file else split(samples)
    return found


def _is_known(
    record: TaskRecord, decision: Decision, row: Mapping[str, Any], attempts: set[tuple[int, int]]
) -> bool:
    """Say whether a record comes a second time, or too late.

    A result counts even if its worker was given up before: its attempt is known then as a lost one.
    """
    if decision.state == State.DONE:
        return row["state"] == State.DONE and row["key"] == record.key
    return row["state"] == State.DONE or (row["number"], record.attempt) in attempts


def _task(record: TaskRecord, decision: Decision, row: Mapping[str, Any]) -> dict[str, Any]:
    files = [[file.path, file.size, file.mtime_ns, file.checksum] for file in record.files]
    return {
        "state": str(decision.state),
        # The key of a failed attempt says what it was an attempt at, where that is known.
        "key": record.key or None,
        "attempt": max(record.attempt, row["attempt"]),
        "recipe": decision.recipe,
        "budget": decision.budget,
        "alone": decision.alone,
        "not_before": decision.not_before,
        "error_class": "" if decision.state == State.DONE else record.error_class or "unknown",
        "reason": "",
        "files": files or None,
    }


def _product(record: TaskRecord, file: InputFile, batch: Batch) -> dict[str, Any]:
    return {
        "target_id": record.target_id,
        "stage": record.stage,
        "key": record.key,
        "path": clean_text(file.path),
        "size": file.size,
        "mtime_ns": file.mtime_ns,
        "checksum": file.checksum,
        "run_id": batch.run_id,
        "created": batch.now,
    }


def _attempt(record: TaskRecord, decision: Decision, row: Mapping[str, Any], batch: Batch) -> dict[str, Any]:
    return {
        "task_id": row["number"],
        "number": record.attempt,
        "run_id": batch.run_id,
        "chunk": row["chunk"],
        "recipe": record.recipe,
        "started": record.started,
        "seconds": _number(record.columns.get("seconds")),
        "cpu_seconds": _number(record.columns.get("cpu_seconds")),
        "peak_memory": _number(record.columns.get("peak_memory")),
        "committed": batch.now,
        "outcome": record.outcome,
        "counted": decision.counted,
        "error_class": record.error_class,
        "message": clean_text(record.message),
        "log": clean_text(record.log),
        "host": clean_text(record.host),
        "process": record.process,
    }


def _values(record: TaskRecord, columns: Sequence[Column]) -> dict[str, Any]:
    """Return the values of all columns of a result, those that are missing as None."""
    try:
        return {column.name: _converted(record.columns.get(column.name), column.kind) for column in columns}
    except (TypeError, ValueError, OverflowError):
        for column in columns:
            value = record.columns.get(column.name)
            try:
                _converted(value, column.kind)
            except (TypeError, ValueError, OverflowError):
                msg = (
                    f"Target {record.target_id}, stage {record.stage!r}: column {column.name!r} takes values of kind "
                    f"{column.kind!r}, and this result has {value!r}. Declare the column with the kind of its values."
                )
                raise ProductionError(msg) from None
        raise


def _converted(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "float":
        return _number(value)
    if kind == "text":
        return clean_text(str(value))
    if kind == "bool":
        if value not in (0, 1):
            raise ValueError
        return bool(value)
    if isinstance(value, str) or int(value) != value or not -(2**63) <= int(value) < 2**63:
        raise ValueError
    return int(value)


def _number(value: Any) -> float | None:
    """Return a number; one that is none is missing, as in SQLite, which knows no NaN."""
    if value is None:
        return None
    if isinstance(value, str):
        raise TypeError
    number = float(value)
    return None if math.isnan(number) else number


def _write(connection: sa.Connection, rows: _Rows, columns: Mapping[str, tuple[Column, ...]]) -> None:
    for stage, results in rows.results.items():
        table = result_table(stage, columns[stage])
        _upsert(connection, table, list(results.values()), _KEPT_ON_UPDATE)
    if rows.products:
        _upsert(connection, product, rows.products, frozenset({"target_id", "stage", "key", "path"}))
    if rows.attempts:
        _upsert(connection, attempt, list(rows.attempts.values()), frozenset({"task_id", "number"}))
    if rows.tasks:
        connection.execute(
            sa.update(task)
            .where(task.c.task_id == sa.bindparam("number"))
            .values({name: sa.bindparam(f"new_{name}", type_=task.c[name].type) for name in _WRITTEN}),
            [
                {"number": number, **{f"new_{name}": row[name] for name in _WRITTEN}}
                for number, row in rows.tasks.items()
            ],
        )


def _upsert(
    connection: sa.Connection, table: sa.Table, rows: list[dict[str, Any]], kept: frozenset[str]
) -> None:
    """Insert rows; where the primary key is there already, renew the others' columns but those that are kept."""
    # Both dialects say it alike; each is imported only if it is used.
    insert: Any = import_module(f"sqlalchemy.dialects.{connection.dialect.name}").insert(table)
    renewed = {column.name: insert.excluded[column.name] for column in table.c if column.name not in kept}
    statement = insert.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=renewed)
    connection.execute(statement, rows)
