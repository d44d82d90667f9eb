"""Targets in the ledger: streamed in, told apart from those that are known."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import sqlalchemy as sa

from orchestrator.errors import ProductionError
from orchestrator.production.ledger.json_text import content_digest, json_text
from orchestrator.production.ledger.plans import add_missing_tasks
from orchestrator.production.ledger.schema import target, target_column
from orchestrator.production.ledger.states import ALL_NUMBER, Graph, settle
from orchestrator.production.records import ALL_TARGETS, Target

__all__ = ["BATCH", "AddedTargets", "add_targets", "kind_of"]

BATCH = 10_000
"""Targets per transaction."""
_NAMED = 5_000
_GROWN = 0.1
"""Growth after which the database looks at its tables again."""


@dataclass(frozen=True)
class AddedTargets:
    """What a table of targets has changed.

    Attributes
    ----------
    n_new, n_changed, n_same : int
    changed : tuple of int
        Numbers of the targets whose values or overrides are new.
    """

    n_new: int = 0
    n_changed: int = 0
    n_same: int = 0
    changed: tuple[int, ...] = ()


@dataclass
class _Pass:
    """One pass over a table: what it has met so far."""

    last_before: int
    kinds: dict[str, str]
    changed: set[int] = field(default_factory=set)
    n_new: int = 0
    n_same: int = 0


def add_targets(
    write: Callable[[Callable[[sa.Connection], Any]], Any], graph: Graph, targets: Iterable[Target]
) -> AddedTargets:
    """Add or renew targets, a batch per transaction; a pass that was broken off is repeated safely.

    Parameters
    ----------
    write : callable
        Does its argument in one transaction.
    graph : Graph
    targets : iterable of Target
        Read as it is needed.

    Raises
    ------
    ProductionError
        If a name is empty, or comes twice with different content.
    """
    start = write(_start)
    stream = iter(targets)
    while batch := list(itertools.islice(stream, BATCH)):
        rows = _rows(batch, start.kinds)
        new, changed, n_same = write(partial(_add_batch, graph=graph, start=start, rows=rows))
        start.n_new += new
        start.n_same += n_same
        start.changed |= changed
    if start.n_new > _GROWN * start.last_before:
        write(measure)
    return AddedTargets(start.n_new, len(start.changed), start.n_same, tuple(sorted(start.changed)))


def measure(connection: sa.Connection) -> None:
    """Let the database look at its tables, so that it knows which index to use."""
    connection.exec_driver_sql("ANALYZE task")
    connection.exec_driver_sql("ANALYZE target")


def _start(connection: sa.Connection) -> _Pass:
    kinds = {row.name: row.kind for row in connection.execute(sa.select(target_column))}
    return _Pass(connection.scalar(sa.select(sa.func.max(target.c.target_id))) or 0, kinds)


def _rows(batch: list[Target], kinds: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return the rows of a batch by name; take note of the kinds of the values."""
    rows: dict[str, dict[str, Any]] = {}
    for one in batch:
        values, overrides = json_text(one.values), json_text(one.overrides)
        row = {
            "name": one.name,
            "values": values,
            "overrides": overrides,
            "digest": content_digest(values, overrides),
        }
        if not one.name:
            msg = f"A target has an empty name; its values are {dict(one.values)!r}."
            raise ProductionError(msg)
        if one.name == ALL_TARGETS:
            msg = f"A target is called {ALL_TARGETS!r}, which stands for all of them; give it another name."
            raise ProductionError(msg)
        if rows.setdefault(one.name, row)["digest"] != row["digest"]:
            raise ProductionError(_twice(one.name))
        _note_kinds(one.values, kinds)
    return rows


def _twice(name: str) -> str:
    return f"The target {name!r} comes twice in the table, with different values; each needs a name of its own."


def _note_kinds(values: Mapping[str, Any], kinds: dict[str, str]) -> None:
    for name, value in values.items():
        kind = kind_of(value)
        known = kinds.get(name)
        if kind == known or not kind:
            continue
        if known is None:
            kinds[name] = kind
        elif {kind, known} == {"int", "float"}:
            kinds[name] = "float"
        else:
            kinds[name] = "text"


def kind_of(value: Any) -> str:
    """Return the kind of a column that holds a value, empty for a missing one."""
    if value is None:
        return ""
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return "bool"
    if isinstance(value, int) or "int" in type(value).__name__:
        return "int"
    if isinstance(value, float) or "float" in type(value).__name__:
        return "float"
    return "text"


def _add_batch(
    connection: sa.Connection, graph: Graph, start: _Pass, rows: Mapping[str, Mapping[str, Any]]
) -> tuple[int, set[int], int]:
    """Write one batch; return how many are new, the numbers of those that changed, and how many are the same."""
    known = _known(connection, list(rows))
    changed: dict[int, Mapping[str, Any]] = {}
    for name, (target_id, digest) in known.items():
        if digest == rows[name]["digest"]:
            continue
        if target_id > start.last_before or target_id in start.changed:
            raise ProductionError(_twice(name))
        changed[target_id] = rows[name]
    new = [row for name, row in rows.items() if name not in known]
    if new:
        last = connection.scalar(sa.select(sa.func.max(target.c.target_id))) or 0
        connection.execute(
            sa.insert(target), [{"target_id": number, **row} for number, row in enumerate(new, last + 1)]
        )
        add_missing_tasks(connection, graph)
    if changed:
        connection.execute(
            sa.update(target).where(target.c.target_id == sa.bindparam("number")),
            [{"number": number, **row} for number, row in changed.items()],
        )
    _write_kinds(connection, start.kinds)
    if graph.over_all:
        settle(connection, graph, changed or [ALL_NUMBER])
    return len(new), set(changed), len(rows) - len(new) - len(changed)


def _known(connection: sa.Connection, names: list[str]) -> dict[str, tuple[int, str]]:
    """Return number and digest of those targets that are there."""
    known = {}
    for first in range(0, len(names), _NAMED):
        rows = connection.execute(
            sa.select(target.c.name, target.c.target_id, target.c.digest).where(
                target.c.name.in_(names[first : first + _NAMED])
            )
        )
        known.update({row.name: (row.target_id, row.digest) for row in rows})
    return known


def _write_kinds(connection: sa.Connection, kinds: Mapping[str, str]) -> None:
    """Store the kinds of the columns, for expressions over them."""
    stored = {row.name: row.kind for row in connection.execute(sa.select(target_column))}
    for name, kind in kinds.items():
        if name not in stored:
            connection.execute(sa.insert(target_column).values(name=name, kind=kind))
        elif stored[name] != kind:
            connection.execute(sa.update(target_column).where(target_column.c.name == name).values(kind=kind))
