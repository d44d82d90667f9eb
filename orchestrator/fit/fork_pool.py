"""A pool of local processes for CosmoSIS samplers, where MPI is absent.

The workers are forked at the first `map` after a sampler was set up, so that they inherit the warm pipeline,
and they stay until that sampler ends. A worker that dies raises; it does not hang the rest.
"""

from __future__ import annotations

import ctypes
import functools
import math
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

__all__ = ["ForkPool", "die_with_parent", "load_system_library"]

Value = TypeVar("Value")
_PR_SET_PDEATHSIG = 1


@functools.cache
def load_system_library() -> ctypes.CDLL:
    """Return the C library of the process."""
    return ctypes.CDLL(None)


def die_with_parent(death_signal: int = signal.SIGKILL) -> None:
    """Ask the system to send this process a signal when its parent dies (Linux; elsewhere nothing)."""
    if sys.platform == "linux":
        load_system_library().prctl(_PR_SET_PDEATHSIG, int(death_signal))


def _apply(function: Callable[[Any], Any], tasks: list[Any]) -> list[Any]:
    return [function(task) for task in tasks]


class ForkPool:
    """Pool with the methods that CosmoSIS samplers call on theirs.

    Parameters
    ----------
    size : int
        Number of processes.

    Attributes
    ----------
    size, rank : int
        Number of processes; 0, for the samplers' sake.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.rank = 0
        self._executor: ProcessPoolExecutor | None = None

    def is_master(self) -> bool:
        """Only the process that owns the pool ever sees it."""
        return True

    def map(self, function: Callable[[Any], Value], tasks: Iterable[Any]) -> list[Value]:
        """Apply a function to every task and return the results in order.

        Raises
        ------
        concurrent.futures.process.BrokenProcessPool
            If a worker died.
        """
        tasks = list(tasks)
        if not tasks:
            return []
        if self._executor is None:
            self._executor = ProcessPoolExecutor(
                self.size, mp_context=multiprocessing.get_context("fork"), initializer=die_with_parent
            )
        # One block of tasks per worker: sending dominates for likelihoods of a millisecond.
        length = math.ceil(len(tasks) / self.size)
        blocks = [tasks[start : start + length] for start in range(0, len(tasks), length)]
        futures = [self._executor.submit(_apply, function, block) for block in blocks]
        return [value for future in futures for value in future.result()]

    def close(self) -> None:
        """End the workers; the next `map` forks new ones, which see the next sampler's state."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None

    def allreduce(self, value: Value) -> Value:
        """Return the value: there is one process in the sense of MPI."""
        return value

    def gather(self, value: Value, root: int = 0) -> list[Value]:
        """Return the value of the only process in a list."""
        del root
        return [value]

    def bcast(self, value: Value, root: int = 0) -> Value:
        """Return the value."""
        del root
        return value
