"""Questions in SQL that cannot change anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from orchestrator.errors import ProductionError
from orchestrator.production.ledger.database import Database

__all__ = ["Answer", "select_sql"]


@dataclass(frozen=True)
class Answer:
    """Rows of a question.

    Attributes
    ----------
    names : tuple of str
    rows : list of tuple
    complete : bool
        Whether there are no more rows than the limit.
    """

    names: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    complete: bool


def select_sql(database: Database, text: str, limit: int) -> Answer:
    """Return the first rows that a statement gives.

    SQLite opens the file for reading only; PostgreSQL gets one statement, in a transaction that is read only.

    Parameters
    ----------
    database : Database
    text : str
        One statement.
    limit : int
        At most so many rows.

    Raises
    ------
    ProductionError
        If the database refuses it, with what it says.
    """
    statement = text.strip().rstrip(";")
    if not database.is_sqlite:
        # Sent with (no) parameters, so that the server accepts one statement only: a second one could end the
        # transaction. The driver reads %.
        statement = statement.replace("%", "%%")
    try:
        with database.reading() as connection:
            streamed = connection.execution_options(stream_results=True, max_row_buffer=min(limit + 1, 1000))
            result = streamed.exec_driver_sql(statement, ())
            if not result.returns_rows:
                msg = f"{text!r} asks for nothing; a SELECT is expected."
                raise ProductionError(msg)
            names = tuple(result.keys())
            rows = [tuple(row) for row in result.fetchmany(limit + 1)]
            result.close()
    except (sa.exc.DBAPIError, ProductionError) as error:
        original = error.__cause__ if isinstance(error, ProductionError) and error.__cause__ else error
        reason = getattr(original, "orig", None)
        if reason is None:
            raise
        msg = f"The ledger refuses {text!r}: {' '.join(str(reason).split())}. It answers one SELECT at a time."
        raise ProductionError(msg) from None
    return Answer(names, rows[:limit], len(rows) <= limit)
