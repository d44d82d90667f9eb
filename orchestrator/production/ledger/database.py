"""Connections and transactions of a ledger: one writer with patience, readers that come and go."""

from __future__ import annotations

import contextlib
import getpass
import logging
import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
import tenacity

from orchestrator.errors import ProductionError
from orchestrator.production.ledger.faults import LockLost, is_away, translated
from orchestrator.production.ledger.json_text import json_text

__all__ = ["PATIENCE", "Database"]

logger = logging.getLogger(__name__)

PATIENCE = 300.0
"""Seconds that a write waits for a database that has gone away."""
_BUSY = 60.0
_LOCK_NUMBER = 0x6F726368
"""Number of the driver's lock in PostgreSQL; the second number stands for the schema."""

Result = TypeVar("Result")


class Database:
    """The database of a ledger.

    Parameters
    ----------
    url : str
        ``sqlite:///PATH`` or ``postgresql+psycopg://USER@HOST/DATABASE``; with ``?options=-csearch_path=SCHEMA``
        several productions share one PostgreSQL database.
    read_only : bool
    patience : float
        Seconds that a write waits for a database that has gone away.

    Attributes
    ----------
    path : Path or None
        File of a SQLite database.

    Raises
    ------
    ProductionError
        If the URL is none, or of another kind of database, or its driver is not installed.
    """

    def __init__(self, url: str, *, read_only: bool = False, patience: float = PATIENCE) -> None:
        try:
            self.url = sa.make_url(url)
        except sa.exc.ArgumentError:
            msg = (
                f"{url!r} is no address of a ledger; expected 'sqlite', 'sqlite:///PATH' or "
                "'postgresql+psycopg://USER@HOST/DATABASE'."
            )
            raise ProductionError(msg) from None
        self.read_only = read_only
        self.patience = patience
        self.path = Path(self.url.database or "").absolute() if self.is_sqlite else None
        self._locked = False
        self._reader = self._engine(read_only=True)
        self._writer = None if read_only else self._engine(read_only=False)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def dialect(self) -> sa.Dialect:
        """Dialect of its SQL."""
        return self._reader.dialect

    @property
    def place(self) -> str:
        """Where it is, without a password."""
        return str(self.path) if self.path else self.url.render_as_string(hide_password=True)

    def close(self) -> None:
        """Close all connections."""
        self._reader.dispose()
        if self._writer is not None:
            self._writer.dispose()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Yield a connection in a short transaction that cannot write.

        Raises
        ------
        ProductionError
            If the database does not answer.
        """
        try:
            with self._reader.connect() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            raise translated(error, self.place, 0.0) from error

    def read(self, work: Callable[[sa.Connection], Result]) -> Result:
        """Read something in one short transaction that cannot write; the driver waits for a database that is away.

        Parameters
        ----------
        work : callable
            Gets the connection. It must be safe to repeat.

        Raises
        ------
        ProductionError
            If the database does not answer: at once if the ledger is open for reading only.
        """
        return self._patiently(self._reader, work, 0.0 if self.read_only else self.patience)

    def write(self, work: Callable[[sa.Connection], Result]) -> Result:
        """Do some work in one transaction, again from its start while the database is away.

        Parameters
        ----------
        work : callable
            Gets the connection. It must be safe to repeat: a connection that breaks in the commit does not say
            whether that has happened.

        Raises
        ------
        ProductionError
            If the ledger is open for reading only, its disk is full, or patience is at its end.
        """
        if self._writer is None:
            msg = f"The ledger {self.place} is open for reading only."
            raise ProductionError(msg)
        return self._patiently(self._writer, work, self.patience)

    def _patiently(self, engine: sa.Engine, work: Callable[[sa.Connection], Result], patience: float) -> Result:
        trying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(is_away),
            stop=tenacity.stop_after_delay(patience),
            wait=tenacity.wait_exponential(multiplier=0.1, max=10.0),
            before_sleep=self._say_that_it_waits,
            reraise=True,
        )
        try:
            return trying(_transaction, engine, work)
        except (sa.exc.DBAPIError, LockLost) as error:
            raise translated(error, self.place, patience) from error

    @contextlib.contextmanager
    def impatient(self) -> Iterator[None]:
        """Wait for nothing: a database that is not there at the start is told of at once."""
        patience, self.patience = self.patience, 0.0
        try:
            yield
        finally:
            self.patience = patience

    def _say_that_it_waits(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        level = logging.WARNING if state.attempt_number in (1, 5) else logging.DEBUG
        logger.log(level, "the ledger %s is away, trying again: %s", self.place, error)

    @contextlib.contextmanager
    def driver_lock(self) -> Iterator[None]:
        """Hold the lock of the server that makes this process the only one to write; nothing for a file.

        The lock belongs to the writing connection. A new connection takes it again before it writes anything.

        Raises
        ------
        ProductionError
            If another process holds it.
        """
        if self.is_sqlite or self._writer is None:
            yield
            return
        self._writer.dispose()
        self._locked = True
        try:
            try:
                self._writer.connect().close()
            except LockLost as lost:
                msg = f"Another driver writes the ledger {self.place} ({lost}). Wait for it or end it."
                raise ProductionError(msg) from None
            except sa.exc.DBAPIError as error:
                raise translated(error, self.place, 0.0) from error
            yield
        finally:
            self._locked = False
            self._writer.dispose()

    def _engine(self, *, read_only: bool) -> sa.Engine:
        options: dict[str, Any] = {"json_serializer": json_text, "pool_reset_on_return": "rollback"}
        if not read_only:
            options |= {"pool_size": 1, "max_overflow": 0}
        if self.path is not None:
            path = self.path
            options |= {"creator": lambda: _sqlite(path, read_only), "poolclass": sa.QueuePool}
        elif self.url.get_backend_name() == "postgresql":
            options |= {"connect_args": _server_arguments(), "pool_pre_ping": read_only}
            if read_only:
                options["execution_options"] = {"postgresql_readonly": True}
        else:
            msg = f"A ledger is kept in SQLite or PostgreSQL, not in {self.url.get_backend_name()!r}."
            raise ProductionError(msg)
        try:
            engine = sa.create_engine(self.url, **options)
        except (ImportError, sa.exc.NoSuchModuleError) as error:
            msg = (
                f"No driver for {self.url.drivername!r} is installed ({error}). Write 'postgresql+psycopg://...' and "
                "install it with: pip install 'galaxy-orchestrator[postgresql]'"
            )
            raise ProductionError(msg) from error
        if self.is_sqlite:
            # The driver would begin a transaction before a write only, and not at once.
            word = "BEGIN" if read_only else "BEGIN IMMEDIATE"
            sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(word))
        elif not read_only:
            sa.event.listen(engine, "connect", self._take_lock)
        return engine

    def _take_lock(self, connection: Any, _record: object) -> None:
        """Let no connection write that does not hold the lock."""
        if not self._locked:
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, hashtext(current_schema()))", (_LOCK_NUMBER,))
            taken = cursor.fetchone()[0]
            if not taken:
                cursor.execute(
                    "SELECT application_name, client_addr FROM pg_locks JOIN pg_stat_activity USING (pid) "
                    "WHERE locktype = 'advisory' AND classid = %s AND granted",
                    (_LOCK_NUMBER,),
                )
                holders = "; ".join(name for name, _ in cursor.fetchall())
        connection.commit()
        if not taken:
            raise LockLost(holders or "an unknown process")


def _transaction(engine: sa.Engine, work: Callable[[sa.Connection], Result]) -> Result:
    with engine.begin() as connection:
        return work(connection)


def _sqlite(path: Path, read_only: bool) -> sqlite3.Connection:
    """Open a file; a reader leaves no trace in it."""
    if not read_only:
        # What the ledger has taken in must survive a power cut: its journals leave the spool.
        return _opened(path, "mode=rwc", "journal_mode = WAL", "synchronous = FULL")
    try:
        return _opened(path, "mode=ro", "query_only = 1")
    except sqlite3.OperationalError:
        # Even a reader of a log needs files beside it. Nobody writes if there is no log, and it is not asked for
        # where this user may not write.
        if os.access(path.parent, os.W_OK, effective_ids=True) or path.with_name(f"{path.name}-wal").exists():
            raise
        return _opened(path, "immutable=1", "query_only = 1")


def _opened(path: Path, options: str, *pragmas: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.as_uri()}?{options}", uri=True, timeout=_BUSY, isolation_level=None, check_same_thread=False
    )
    try:
        for pragma in (*pragmas, "cache_size = -65536"):
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _server_arguments() -> dict[str, Any]:
    """Arguments of libpq: who we are, and how soon a dead peer is noticed."""
    who = f"{getpass.getuser()}@{socket.gethostname()}, process {os.getpid()}"
    return {
        "connect_timeout": 10,
        "application_name": f"orchestrator {who}"[:63],
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
    }
