"""What can go wrong, as one tree of exceptions.

::

    OrchestratorError
    |-- ConfigError      the user's configuration; carries every fault found, not only the first
    |-- DataError        an input spectrum, photometry table, mask or filter
    |-- LibraryError     an SSP library
    |-- HandoverError    a value that should move from one stage to the next and cannot
    |-- StageError       a CosmoSIS run that failed; carries exit code, end of log and command
    |-- ChainError       a results file that cannot be read or holds no usable sample
    `-- ProductionError  a production whose folder, ledger or engine cannot do what was asked

A message says what was found, what was expected, where, and what to do. Programming errors stay
``TypeError`` and ``ValueError``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = [
    "ChainError",
    "ConfigError",
    "DataError",
    "HandoverError",
    "LibraryError",
    "OrchestratorError",
    "ProductionError",
    "StageError",
    "nearest_known",
]


class OrchestratorError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigError(OrchestratorError):
    """The configuration has faults.

    Parameters
    ----------
    faults : sequence of str
        Every fault found, each a full sentence.
    """

    def __init__(self, faults: str | Sequence[str]) -> None:
        self.faults = [faults] if isinstance(faults, str) else list(faults)
        if len(self.faults) == 1:
            text = self.faults[0]
        else:
            lines = "\n".join(f"  {i}. {fault}" for i, fault in enumerate(self.faults, 1))
            text = f"{len(self.faults)} faults in the configuration:\n{lines}"
        super().__init__(text)


class DataError(OrchestratorError):
    """An input file holds something that cannot be fitted."""


class LibraryError(OrchestratorError):
    """An SSP library is missing, unreadable or unsuitable."""


class HandoverError(OrchestratorError):
    """A handover rule matches nothing, or its value does not fit the next stage."""


class StageError(OrchestratorError):
    """A stage failed.

    Parameters
    ----------
    message : str
        What failed.
    exit_code : int or None
        Exit code of the sampler process; None if it never started.
    log_tail : str
        The last lines of the stage's log.
    log_file : Path or None
        The whole log.
    command : str
        The shell command that repeats the run.
    """

    def __init__(
        self,
        message: str,
        *,
        exit_code: int | None = None,
        log_tail: str = "",
        log_file: Path | None = None,
        command: str = "",
    ) -> None:
        self.exit_code = exit_code
        self.log_tail = log_tail
        self.log_file = log_file
        self.command = command
        parts = [message]
        if exit_code is not None:
            parts.append(f"exit code: {exit_code}")
        if log_tail:
            parts.append(f"end of the log ({log_file}):\n{log_tail}")
        if command:
            parts.append(f"repeat it with:\n  {command}")
        super().__init__("\n".join(parts))


class ChainError(OrchestratorError):
    """A results file is unreadable or holds no usable sample."""


class ProductionError(OrchestratorError):
    """A production cannot be read, written or run as asked."""


def nearest_known(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the nearest known spelling, for the end of an error message.

    Parameters
    ----------
    name : str
        What the user wrote.
    known : iterable of str
        What is accepted.

    Returns
    -------
    str
        ``"; did you mean 'x'?"``, or the list of the known names where none is near.
    """
    known = sorted(known)
    lowered = {entry.lower(): entry for entry in known}
    close = difflib.get_close_matches(name.lower(), list(lowered), n=1, cutoff=0.6)
    if close:
        return f"; did you mean {lowered[close[0]]!r}?"
    return f"; known: {', '.join(known)}" if known else ""
