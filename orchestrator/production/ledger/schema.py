"""The tables of a ledger: one schema for SQLite and PostgreSQL.

::

    production  config  stage  run  target  target_column  task  attempt  sample_file  product
    result_column  result_<stage> (one for each stage)

There are no foreign keys on the large tables: one process writes them, in transactions, and PostgreSQL would pay for
a look-up with every row.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from orchestrator.production.columns import Column
from orchestrator.production.records import State

__all__ = [
    "COLUMN_TYPES",
    "RESERVED_COLUMNS",
    "SCHEMA_VERSION",
    "attempt",
    "config",
    "literal",
    "metadata",
    "product",
    "production",
    "result_column",
    "result_table",
    "run",
    "sample_file",
    "stage",
    "target",
    "target_column",
    "task",
]

SCHEMA_VERSION = 2

metadata = sa.MetaData()

# One order of names everywhere, whatever the locale of the server.
_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
# SQLite numbers rows itself only if the type is INTEGER exactly.
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_EMPTY = sa.text("''")
_ZERO = sa.text("0")

COLUMN_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "float": sa.Double(),
    "int": sa.BigInteger(),
    "text": sa.Text(),
    "bool": sa.Boolean(),
}
"""Kind of a `Column` to its type in the database."""


def literal(state: State) -> sa.ColumnElement[str]:
    """Return a state as part of the SQL text: a partial index is only used for a value that is known beforehand."""
    return sa.literal(str(state), literal_execute=True)


production = sa.Table(
    "production",
    metadata,
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("schema_version", sa.Integer, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
)

config = sa.Table(
    "config",
    metadata,
    sa.Column("config_id", _SERIAL, primary_key=True),
    sa.Column("hash", sa.Text, nullable=False, unique=True),
    sa.Column("content", sa.JSON, nullable=False),
)

stage = sa.Table(
    "stage",
    metadata,
    sa.Column("name", _NAME, primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("config_id", sa.BigInteger, nullable=False),
    sa.Column("needs", sa.JSON, nullable=False),
    # Whether it runs once for all targets, and with which fraction of failures among them.
    sa.Column("over_all", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("max_failed", sa.Double, nullable=False, server_default=_ZERO),
    # A stage that was taken out of the pipeline keeps its tasks and results; nothing counts or runs them.
    sa.Column("current", sa.Boolean, nullable=False),
    sa.Column("held", sa.Boolean, nullable=False, server_default=sa.false()),
    # Targets up to this one have a task of the stage.
    sa.Column("tasks_until", sa.BigInteger, nullable=False, server_default=_ZERO),
)

run = sa.Table(
    "run",
    metadata,
    sa.Column("run_id", _SERIAL, primary_key=True),
    sa.Column("started", sa.Double, nullable=False),
    sa.Column("finished", sa.Double),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("process", sa.BigInteger, nullable=False),
    sa.Column("argv", sa.JSON, nullable=False),
    sa.Column("versions", sa.JSON, nullable=False),
    sa.Column("git_commit", sa.Text, nullable=False),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("seed", sa.BigInteger),
    sa.Column("details", sa.JSON, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False, server_default=_EMPTY),
)

target = sa.Table(
    "target",
    metadata,
    sa.Column("target_id", _SERIAL, primary_key=True, autoincrement=False),
    sa.Column("name", _NAME, nullable=False, unique=True),
    sa.Column("values", sa.JSON, nullable=False),
    sa.Column("overrides", sa.JSON, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
)

target_column = sa.Table(
    "target_column",
    metadata,
    sa.Column("name", _NAME, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
)

task = sa.Table(
    "task",
    metadata,
    sa.Column("task_id", _SERIAL, primary_key=True),
    sa.Column("target_id", sa.BigInteger, nullable=False),
    sa.Column("stage", _NAME, nullable=False),
    sa.Column("state", _NAME, nullable=False),
    sa.Column("key", sa.Text),
    sa.Column("attempt", sa.Integer, nullable=False, server_default=_ZERO),
    # Attempts up to this one are history: the task was made ready by hand, or has become stale, since.
    sa.Column("attempts_before", sa.Integer, nullable=False, server_default=_ZERO),
    sa.Column("recipe", sa.Integer, nullable=False, server_default=_ZERO),
    sa.Column("budget", sa.Double, nullable=False, server_default=sa.text("1")),
    sa.Column("alone", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("not_before", sa.Double, nullable=False, server_default=_ZERO),
    sa.Column("error_class", sa.Text, nullable=False, server_default=_EMPTY),
    sa.Column("reason", sa.Text, nullable=False, server_default=_EMPTY),
    sa.Column("chunk", sa.Text, nullable=False, server_default=_EMPTY),
    sa.Column("files", sa.JSON(none_as_null=True)),
    sa.UniqueConstraint("target_id", "stage"),
)
# Counting reads this index alone.
sa.Index("task_by_state", task.c.stage, task.c.state)
# As small as what is ready, and in the order of work, with all that finding work asks for; as what has gone wrong. As
# text, which both databases take: with arguments of its own dialect, PostgreSQL's is imported even for a file.
for _index in (
    f"CREATE INDEX task_ready ON task (target_id, stage, not_before, state) WHERE state = '{State.READY}'",
    "CREATE INDEX task_with_error ON task (stage, state) WHERE error_class <> ''",
):
    sa.event.listen(task, "after_create", sa.DDL(_index))

attempt = sa.Table(
    "attempt",
    metadata,
    sa.Column("task_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("run_id", sa.BigInteger, nullable=False),
    sa.Column("chunk", sa.Text, nullable=False),
    sa.Column("recipe", sa.Integer, nullable=False),
    sa.Column("started", sa.Double, nullable=False),
    sa.Column("seconds", sa.Double),
    sa.Column("cpu_seconds", sa.Double),
    sa.Column("peak_memory", sa.Double),
    sa.Column("committed", sa.Double, nullable=False, index=True),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("counted", sa.Boolean, nullable=False),
    sa.Column("error_class", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("log", sa.Text, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("process", sa.BigInteger, nullable=False),
)

sample_file = sa.Table(
    "sample_file",
    metadata,
    sa.Column("file_id", _SERIAL, primary_key=True),
    sa.Column("path", _NAME, nullable=False, unique=True),
)

result_column = sa.Table(
    "result_column",
    metadata,
    sa.Column("stage", _NAME, primary_key=True),
    sa.Column("name", _NAME, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("unit", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("group", sa.Text, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
)


# Files that stages have published; a result that is made again under another key publishes them again.
product = sa.Table(
    "product",
    metadata,
    sa.Column("target_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("stage", _NAME, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("path", _NAME, primary_key=True, index=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("mtime_ns", sa.BigInteger, nullable=False),
    sa.Column("checksum", sa.Text, nullable=False, index=True),
    sa.Column("run_id", sa.BigInteger, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
)


def _own_columns() -> list[sa.Column[Any]]:
    """Columns that the ledger itself adds to every result."""
    return [
        sa.Column("target_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("modified", sa.Double, nullable=False),
        sa.Column("run_id", sa.BigInteger, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("config_id", sa.BigInteger, nullable=False),
        sa.Column("sample_file", sa.BigInteger, index=True),
        sa.Column("sample_entry", sa.Text),
    ]


RESERVED_COLUMNS = frozenset(column.name for column in _own_columns()) | {"target", "samples"}
"""Names that no declared column may have."""


def result_table(stage_name: str, columns: Iterable[Column]) -> sa.Table:
    """Return the table of the results of a stage.

    Parameters
    ----------
    stage_name : str
    columns : iterable of Column
        Declared columns, the common ones included.
    """
    return _made(stage_name, tuple(columns))


@lru_cache(maxsize=200)
def _made(stage_name: str, columns: tuple[Column, ...]) -> sa.Table:
    """Make a table once: SQLAlchemy compiles a statement anew for every new table."""
    declared = [sa.Column(column.name, COLUMN_TYPES[column.kind], comment=_comment(column)) for column in columns]
    return sa.Table(f"result_{stage_name}", sa.MetaData(), *_own_columns(), *declared)


def _comment(column: Column) -> str | None:
    unit = f" [{column.unit}]" if column.unit else ""
    return f"{column.description}{unit}" or None
