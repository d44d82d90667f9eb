"""What an exception means for a task: the class of the error, which decides on further attempts."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from orchestrator.errors import ChainError, ConfigError, DataError, LibraryError, OrchestratorError, StageError
from orchestrator.fit.launch import StartPointError
from orchestrator.production.records import ErrorClass

__all__ = ["Failure", "NoResultError", "StepError", "classify", "shortened"]

_LONGEST = 2000
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EROFS})


class NoResultError(OrchestratorError):
    """A sampler ended in the regular way, and its result is none."""


class StepError(OrchestratorError):
    """A function or a command has failed in a way that says what class of error it is.

    Parameters
    ----------
    message : str
    error_class : ErrorClass
    """

    def __init__(self, message: str, error_class: ErrorClass = ErrorClass.UNKNOWN) -> None:
        super().__init__(message)
        self.error_class = error_class


@dataclass(frozen=True)
class Failure:
    """Why a task has no result.

    Attributes
    ----------
    error_class : ErrorClass
    message : str
        For people; at most 2 kB.
    """

    error_class: ErrorClass
    message: str


def classify(error: BaseException, is_about_target: Callable[[str], bool]) -> Failure:
    """Return what an exception means.

    Parameters
    ----------
    error : BaseException
        With its causes.
    is_about_target : callable
        Whether a message speaks of what this target brings along: its columns, files and overrides. A fault in the
        configuration that it does not would hit every target, and is no fault of this one.
    """
    if isinstance(error, StepError):
        return Failure(error.error_class, shortened(str(error)))
    chain = list(_causes(error))
    message = shortened(str(error) or type(error).__name__)
    if any(isinstance(cause, MemoryError) for cause in chain):
        return Failure(ErrorClass.OUT_OF_MEMORY, f"out of memory: {message}")
    if any(isinstance(cause, OSError) and cause.errno in _DISK for cause in chain):
        return Failure(ErrorClass.LOST, f"the disk failed: {message}")
    if any(isinstance(cause, DataError) for cause in chain):
        return Failure(ErrorClass.BAD_INPUT, message)
    if any(isinstance(cause, (ConfigError, LibraryError, FileNotFoundError)) for cause in chain):
        faults = [fault for cause in chain for fault in getattr(cause, "faults", [str(cause)])]
        if all(map(is_about_target, faults)):
            return Failure(ErrorClass.BAD_INPUT, message)
        return Failure(ErrorClass.UNKNOWN, message)
    if isinstance(error, NoResultError | ChainError) or _is_numerical(error):
        return Failure(ErrorClass.NUMERICAL, message)
    if isinstance(error, SystemExit):
        return Failure(ErrorClass.CRASH, f"a library asked the process to end: SystemExit {error.code}")
    name = "" if isinstance(error, OrchestratorError) else f"{type(error).__name__}: "
    return Failure(ErrorClass.UNKNOWN, shortened(name + message))


def _is_numerical(error: BaseException) -> bool:
    """Whether a fit found no point of finite posterior to start from or to end in."""
    if isinstance(error, StartPointError):
        return error.__cause__ is None and "not finite" in str(error)
    return isinstance(error, StageError) and "finite posterior" in str(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def shortened(message: str) -> str:
    """Return a message of at most 2 kB; what is left out is in its middle."""
    if len(message) <= _LONGEST:
        return message
    half = _LONGEST // 2 - 5
    return f"{message[:half]} [...] {message[-half:]}"
