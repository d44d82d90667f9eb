"""Whether several processes pay: the time that a pool's processes work, against the time that passes.

A pool splits a batch, sends the shares and waits for the slowest. For a likelihood of microseconds that costs more
than the work; the user then does better with one process per galaxy. Which it is, is measured, not guessed.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["LEAST_GAIN", "MeasuredPool"]

LEAST_GAIN = 1.3
"""A pool that gains less than this over one process is not worth its cores."""

_SHORTEST = 0.5
"""Seconds of sampling below which nothing is said."""


def _timed(function: Callable[[Any], Any], task: Any) -> tuple[Any, float]:
    begun = time.perf_counter()
    value = function(task)
    return value, time.perf_counter() - begun


class MeasuredPool:
    """A pool that adds up how long its processes work.

    Parameters
    ----------
    pool : MPIPool or ForkPool

    Attributes
    ----------
    busy : float
        Seconds that all processes together worked in `map`.
    waited : float
        Wall time inside `map`.
    """

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.busy = 0.0
        self.waited = 0.0
        self._first: float | None = None
        self._last = 0.0
        # A pool sends a function to its workers when it differs from the one before.
        self._wrapped = functools.lru_cache(maxsize=8)(lambda function: functools.partial(_timed, function))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.pool, name)

    def map(self, function: Callable[[Any], Any], tasks: Iterable[Any], callback: Any = None) -> list[Any]:
        """Apply a function to every task, as the pool does; with a callback, which sees the results, unmeasured."""
        if callback is not None:
            results: list[Any] = self.pool.map(function, tasks, callback)
            return results
        begun = time.perf_counter()
        if self._first is None:
            self._first = begun
        results = self.pool.map(self._wrapped(function), list(tasks))
        self._last = time.perf_counter()
        self.waited += self._last - begun
        self.busy += sum(seconds for _, seconds in results)
        return [value for value, _ in results]

    @property
    def seconds(self) -> float:
        """Wall time from the first to the last use of `map`."""
        return 0.0 if self._first is None else self._last - self._first

    @property
    def gain(self) -> float:
        """How much longer one process would have taken: it works in turn, and the rest of the sampler stays."""
        return (self.busy + self.seconds - self.waited) / self.seconds if self.seconds > 0 else float("nan")

    def advice(self) -> str:
        """Return what to tell the user; empty where the pool pays or ran too short to say."""
        if self.seconds < _SHORTEST or self.gain >= LEAST_GAIN:
            return ""
        return (
            f"{self.pool.size} processes do not pay here: their evaluations took {self.busy:.2f} s in all and the "
            f"sampler {self.seconds:.2f} s, {self.gain:.2f} times as fast as one process; set n_cores = 1 and give "
            "the other cores to other galaxies, or take more walkers (a share of a batch has to last a millisecond)"
        )
