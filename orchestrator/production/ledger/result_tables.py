"""The tables of results: made when a stage is registered, wider when its results have more to say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.schema import CreateColumn, SetColumnComment

from orchestrator.errors import ProductionError
from orchestrator.production.columns import Column
from orchestrator.production.ledger.schema import COLUMN_TYPES, RESERVED_COLUMNS, result_column, result_table

__all__ = ["declared_columns", "ensure_columns", "make_result_table"]

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def make_result_table(connection: sa.Connection, stage: str) -> None:
    """Make the table of a new stage, with the columns that every result has."""
    result_table(stage, ()).create(connection, checkfirst=True)


def declared_columns(connection: sa.Connection, stage: str) -> tuple[Column, ...]:
    """Return the declared columns of a stage, in the order in which they came."""
    own = result_column.c
    rows = connection.execute(
        sa.select(own.name, own.kind, own.unit, own.description, own.group)
        .where(own.stage == stage)
        .order_by(own.position)
    )
    return tuple(Column(*row) for row in rows)


def ensure_columns(connection: sa.Connection, stage: str, columns: Sequence[Column]) -> tuple[Column, ...]:
    """Add the columns that the table of a stage does not have.

    A column of whole numbers that gets others becomes one of floating-point numbers. Description and group follow the
    newest declaration.

    Returns
    -------
    tuple of Column
        All columns that the stage has now.

    Raises
    ------
    ProductionError
        If a name is no name of a column, or a column changes its kind or unit.
    """
    known = {column.name: column for column in declared_columns(connection, stage)}
    for column in columns:
        _check_name(stage, column)
        old = known.get(column.name)
        if old is None:
            _add(connection, stage, column, len(known))
        elif old != column:
            column = _reconciled(stage, old, column)
            _redeclare(connection, stage, old, column)
        known[column.name] = column
    return tuple(known.values())


def _check_name(stage: str, column: Column) -> None:
    if column.name in RESERVED_COLUMNS:
        msg = f"Stage {stage!r}: the ledger itself has a column {column.name!r}; give the result another name."
        raise ProductionError(msg)
    if not _NAME.fullmatch(column.name):
        msg = (
            f"Stage {stage!r}: {column.name!r} cannot name a column; expected lower-case letters, digits and "
            "underscores, at most 63."
        )
        raise ProductionError(msg)
    if column.kind not in COLUMN_TYPES:
        msg = f"Stage {stage!r}, column {column.name!r}: kind {column.kind!r} is none of {', '.join(COLUMN_TYPES)}."
        raise ProductionError(msg)


def _reconciled(stage: str, old: Column, new: Column) -> Column:
    """Return what a column is from now on."""
    kind = new.kind
    if {old.kind, new.kind} == {"int", "float"}:
        kind = "float"
    elif old.kind != new.kind:
        msg = (
            f"Stage {stage!r}: column {new.name!r} holds values of kind {old.kind!r} and cannot take {new.kind!r}; "
            "give it another name."
        )
        raise ProductionError(msg)
    if old.unit != new.unit and not _same_unit(old.unit, new.unit):
        msg = (
            f"Stage {stage!r}: column {new.name!r} is in {old.unit or 'no unit'!r} and would be in "
            f"{new.unit or 'no unit'!r} from now on; give it another name."
        )
        raise ProductionError(msg)
    return Column(new.name, kind, new.unit, new.description, new.group)


def _same_unit(one: str, other: str) -> bool:
    from astropy import units

    try:
        return bool(units.Unit(one) == units.Unit(other))
    except (ValueError, TypeError):
        return False


def _add(connection: sa.Connection, stage: str, column: Column, position: int) -> None:
    table = result_table(stage, [column])
    made = table.c[column.name]
    definition = CreateColumn(made).compile(dialect=connection.dialect)
    connection.exec_driver_sql(f"ALTER TABLE {_quoted(connection, table)} ADD COLUMN {definition}")
    _set_comment(connection, made)
    connection.execute(sa.insert(result_column).values(stage=stage, position=position, **_values(column)))


def _redeclare(connection: sa.Connection, stage: str, old: Column, new: Column) -> None:
    table = result_table(stage, [new])
    made = table.c[new.name]
    if old.kind != new.kind and connection.dialect.name == "postgresql":  # SQLite stores any number in a number
        name = connection.dialect.identifier_preparer.format_column(made)
        kind = COLUMN_TYPES[new.kind].compile(connection.dialect)
        connection.exec_driver_sql(f"ALTER TABLE {_quoted(connection, table)} ALTER COLUMN {name} TYPE {kind}")
    _set_comment(connection, made)
    connection.execute(
        sa.update(result_column)
        .where(result_column.c.stage == stage, result_column.c.name == new.name)
        .values(_values(new))
    )


def _quoted(connection: sa.Connection, table: sa.Table) -> str:
    return connection.dialect.identifier_preparer.format_table(table)


def _values(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "kind": column.kind,
        "unit": column.unit,
        "description": column.description,
        "group": column.group,
    }


def _set_comment(connection: sa.Connection, column: sa.Column[Any]) -> None:
    if connection.dialect.supports_comments and column.comment:
        connection.execute(SetColumnComment(column))
