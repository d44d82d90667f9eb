"""Processes that share the work of a stage of ceci's: one, or the ranks of MPI."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from orchestrator.fit.mpi import without_launcher

__all__ = ["Ranks", "claimed", "hide_scheduler"]


class Ranks:
    """The processes that share the work; one, or those of an MPI communicator.

    Parameters
    ----------
    communicator : mpi4py communicator or None
    """

    def __init__(self, communicator: Any = None) -> None:
        self.communicator = communicator
        self.rank = 0 if communicator is None else communicator.Get_rank()
        self.size = 1 if communicator is None else communicator.Get_size()

    def shared(self, value: Any) -> Any:
        """Return the value of the first rank."""
        return value if self.communicator is None else self.communicator.bcast(value, root=0)

    def gathered(self, value: Any) -> list[Any]:
        """Return the values of all ranks, on every rank; all wait for the last."""
        return [value] if self.communicator is None else self.communicator.allgather(value)


def claimed(path: Path) -> bool:
    """Whether this process is the first that asks for something."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True


def hide_scheduler() -> None:
    """Let no process that this one starts take itself for a rank: MPI has read its variables by now."""
    kept = without_launcher(os.environ)
    for name in set(os.environ) - set(kept):
        del os.environ[name]
