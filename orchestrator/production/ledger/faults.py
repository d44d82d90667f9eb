"""What an error of a database means: wait and try again, tell the user, or a mistake of ours."""

from __future__ import annotations

import sqlite3

import sqlalchemy as sa

from orchestrator.errors import ProductionError

__all__ = ["LockLost", "is_away", "translated"]

_AWAY = frozenset(
    {
        "57P01",  # shut down by its administrator
        "57P02",  # another process of the server crashed
        "57P03",  # starting up
        "53300",  # too many connections
        "55P03",  # a lock is not available
        "40001",  # not serialisable
        "40P01",  # deadlock
        "25006",  # read only: a standby that has not taken over yet
    }
)
_FULL = "53100"


class LockLost(Exception):
    """The driver's lock went with its connection and somebody else, perhaps our own ghost, still has it."""


def is_away(error: BaseException) -> bool:
    """Return whether trying again later may help."""
    if isinstance(error, LockLost):
        return True
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    if isinstance(error.orig, sqlite3.Error):
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return isinstance(error, sa.exc.OperationalError)  # no connection, so no state
    return state.startswith("08") or state in _AWAY


def translated(error: BaseException, place: str, patience: float) -> BaseException:
    """Return the error to raise for one that no patience has helped against.

    Parameters
    ----------
    error : BaseException
    place : str
        The database, without a password.
    patience : float
        Seconds that were waited, 0 if nobody waited.

    Returns
    -------
    BaseException
        A `ProductionError` for what the user can mend, otherwise `error` itself.
    """
    resume = "Finished work is in the spool; the same command continues."
    if isinstance(error, LockLost):
        return ProductionError(f"Another driver has taken over the ledger {place} ({error}). {resume}")
    if not isinstance(error, sa.exc.DBAPIError):
        return error
    reason = " ".join(str(error.orig).split())
    if _is_full(error.orig):
        return ProductionError(f"The disk of the ledger {place} is full ({reason}). Make room there. {resume}")
    if is_away(error):
        waited = f" for {patience:g} s" if patience else ""
        msg = f"The ledger {place} has not answered{waited} ({reason}). Bring the database back. {resume}"
        return ProductionError(msg)
    if isinstance(error.orig, sqlite3.OperationalError | sqlite3.DatabaseError) and not isinstance(
        error.orig, sqlite3.IntegrityError | sqlite3.ProgrammingError
    ):
        return ProductionError(f"The ledger {place} cannot be used: {reason}. {resume}")
    return error


def _is_full(original: BaseException | None) -> bool:
    if getattr(original, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
        return True
    return getattr(original, "sqlstate", None) == _FULL
