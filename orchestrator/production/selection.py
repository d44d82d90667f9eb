"""Which targets and tasks a command is about: names, stages, states, and an expression over columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from orchestrator.errors import ConfigError, nearest_known
from orchestrator.production.ledger.schema import COLUMN_TYPES, result_table, target, task
from orchestrator.production.ledger.states import ALL_NUMBER
from orchestrator.production.records import State
from orchestrator.production.sql_expression import compile_expression

__all__ = ["EVERYTHING", "KnownColumns", "Selection", "target_condition", "task_conditions"]


@dataclass(frozen=True)
class Selection:
    """A choice of targets and of their tasks; empty fields do not restrict it.

    Attributes
    ----------
    targets : tuple of str
        Names, or patterns in which ``*`` stands for any text and ``?`` for one character.
    stages : tuple of str
    states : tuple of str
    where : str
        Expression over columns of the table of targets, ``redshift < 0.1``, and of results,
        ``history.log_mass > 10 and not kinematics.flags == 0``: comparisons, ``and``, ``or``, ``not``, ``in``,
        ``is None``, arithmetic, numbers and texts.
    limit : int or None
        Only the first so many targets, in the order of their table, that have what is asked for.
    """

    targets: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    where: str = ""
    limit: int | None = None


EVERYTHING = Selection()
"""Selects every target and every task."""


@dataclass(frozen=True)
class KnownColumns:
    """What an expression may name.

    Attributes
    ----------
    targets : Mapping of str to str
        Column of the table of targets to its kind.
    stages : Mapping of str to Mapping of str to str
        Stage to column of its results to kind; in the order of execution.
    """

    targets: Mapping[str, str] = field(default_factory=dict)
    stages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def task_conditions(selection: Selection, known: KnownColumns) -> list[sa.ColumnElement[bool]]:
    """Return what restricts the tasks to a selection; without any, those of the stages of the pipeline.

    Parameters
    ----------
    selection : Selection
    known : KnownColumns

    Raises
    ------
    ConfigError
        If it names a stage, state or column that does not exist, or its expression is none.
    """
    conditions: list[sa.ColumnElement[bool]] = [task.c.stage.in_(_stages(selection, known))]
    if selection.states:
        conditions.append(task.c.state.in_(_states(selection)))
    chosen = target_condition(selection, known, task.c.target_id)
    return conditions if chosen is None else [*conditions, chosen]


def target_condition(
    selection: Selection, known: KnownColumns, number: sa.ColumnElement[int]
) -> sa.ColumnElement[bool] | None:
    """Return what restricts the number of a target to a selection, or None if nothing does.

    Parameters
    ----------
    selection : Selection
        Stages and states matter only together with its limit.
    known : KnownColumns
    number : column
        Column that holds the number of a target.

    Raises
    ------
    ConfigError
        As `task_conditions`.
    """
    if not (selection.targets or selection.where or selection.limit is not None):
        return None
    source: sa.FromClause = target
    conditions: list[sa.ColumnElement[bool]] = []
    if selection.targets:
        conditions.append(sa.or_(*[_named(name) for name in selection.targets]))
    if selection.where:
        columns = _Columns(known)
        conditions.append(compile_expression(selection.where, columns))
        source = columns.joined(target)
    chosen = sa.select(target.c.target_id).select_from(source).where(*conditions)
    if selection.limit is not None:
        if not selection.targets:
            chosen = chosen.where(target.c.target_id != ALL_NUMBER)
        if selection.stages or selection.states:
            chosen = chosen.where(_has_task(selection, known))
        chosen = chosen.order_by(target.c.target_id).limit(selection.limit)
    return number.in_(chosen)


def _has_task(selection: Selection, known: KnownColumns) -> sa.ColumnElement[bool]:
    other = task.alias("selected")
    found = sa.exists().where(
        other.c.target_id == target.c.target_id, other.c.stage.in_(_stages(selection, known))
    )
    return found.where(other.c.state.in_(_states(selection))) if selection.states else found


def _stages(selection: Selection, known: KnownColumns) -> tuple[str, ...]:
    for name in selection.stages:
        if name not in known.stages:
            msg = f"There is no stage {name!r}{nearest_known(name, known.stages)}"
            raise ConfigError(msg)
    return selection.stages or tuple(known.stages)


def _states(selection: Selection) -> tuple[str, ...]:
    for name in selection.states:
        if name not in list(State):
            msg = f"There is no state {name!r}{nearest_known(name, map(str, State))}"
            raise ConfigError(msg)
    return tuple(str(name) for name in selection.states)


def _named(pattern: str) -> sa.ColumnElement[bool]:
    """Return the condition that a target has a name, or one that fits a pattern."""
    literal = re.split(r"[*?]", pattern)[0]
    if literal == pattern:
        return target.c.name == pattern
    expression = "".join({"*": ".*", "?": "."}.get(letter) or re.escape(letter) for letter in pattern)
    fits = target.c.name.regexp_match(f"^{expression}$")
    if not literal:
        return fits
    # The range lets the index find the few names that begin like the pattern.
    return sa.and_(target.c.name >= literal, target.c.name < f"{literal}\U0010ffff", fits)


class _Columns:
    """Finds the columns that an expression names, and the tables that have to be joined for them."""

    def __init__(self, known: KnownColumns) -> None:
        self.known = known
        self._tables: dict[str, tuple[sa.FromClause, sa.FromClause]] = {}

    def find(self, name: str) -> tuple[sa.ColumnElement[Any], str]:
        """Return the column of a name and its kind."""
        stage, dot, column = name.rpartition(".")
        if dot:
            return self._result(stage, column)
        if name not in self.known.targets:
            if name == "name":
                return target.c.name, "text"
            full = [f"{stage}.{column}" for stage, columns in self.known.stages.items() for column in columns]
            owners = [entry for entry in full if entry.endswith(f".{name}")]
            hint = f"; did you mean {owners[0]!r}?" if owners else nearest_known(name, [*self.known.targets, "name"])
            msg = f"the table of targets has no column {name!r}{hint}"
            raise ConfigError(msg)
        kind = self.known.targets[name]
        value = target.c["values"][name]
        if kind == "bool":
            return value.as_boolean(), kind
        # The extraction of numbers that SQLAlchemy offers ends at 32 bits in PostgreSQL.
        return sa.cast(value.as_string(), COLUMN_TYPES[kind]), kind

    def joined(self, source: sa.FromClause) -> sa.FromClause:
        """Return the table of targets with the present results of the stages that were named."""
        for stage, (own, results) in self._tables.items():
            done = (own.c.target_id == target.c.target_id) & (own.c.stage == stage) & (own.c.state == State.DONE)
            source = source.outerjoin(own, done).outerjoin(
                results, (results.c.target_id == own.c.target_id) & (results.c.key == own.c.key)
            )
        return source

    def _result(self, stage: str, column: str) -> tuple[sa.ColumnElement[Any], str]:
        from orchestrator.production.columns import Column

        if stage not in self.known.stages:
            msg = f"there is no stage {stage!r}{nearest_known(stage, self.known.stages)}"
            raise ConfigError(msg)
        columns = self.known.stages[stage]
        if column not in columns:
            msg = f"stage {stage!r} has no column {column!r}{nearest_known(column, columns)}"
            raise ConfigError(msg)
        if stage not in self._tables:
            table = result_table(stage, [Column(name, kind) for name, kind in columns.items()])
            self._tables[stage] = (task.alias(f"task_{stage}"), table)
        return self._tables[stage][1].c[column], columns[column]
