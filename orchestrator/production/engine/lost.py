"""Two kinds of loss: a chunk whose worker is gone, and an engine that is gone."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import BrokenExecutor, CancelledError
from typing import Any

from orchestrator.errors import OrchestratorError, ProductionError

__all__ = ["ChunkLost", "EngineLost", "is_lost"]


class ChunkLost(OrchestratorError):
    """A chunk did not come back, through no fault of its own: worker, node or block went away, or it was called off.

    What it has finished is in its journal. It is no `ProductionError`: the run goes on.
    """


class EngineLost(ProductionError):
    """The engine hands out no more work; the same command, run again, continues.

    Parameters
    ----------
    message : str
        What is gone.
    orders : sequence
        The orders that were in flight.
    """

    def __init__(self, message: str, orders: Sequence[Any] = ()) -> None:
        self.orders = tuple(orders)
        super().__init__(message)


def is_lost(error: BaseException) -> bool:
    """Return whether a chunk has to be done again because its worker, not its work, failed.

    ``BrokenProcessPool`` of the standard library and of executors that the user brings are among them.
    """
    return isinstance(error, ChunkLost | BrokenExecutor | CancelledError)
