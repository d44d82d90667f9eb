"""Hand orders to an executor, a bounded number at a time, and yield what becomes of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from orchestrator.production.engine.lost import ChunkLost, EngineLost

__all__ = ["outcomes"]

_POLL_SECONDS = 0.5
"""How often stop and engine are looked at while nothing comes back."""

Order = TypeVar("Order")
Report = TypeVar("Report")


def outcomes(
    executor: Executor,
    function: Callable[[Order], Report],
    orders: Iterable[Order],
    *,
    window: Callable[[], int],
    stop: Callable[[], bool] = lambda: False,
    patience: float = float("inf"),
) -> Iterator[tuple[Order, Report | BaseException]]:
    """Run a function over orders and yield each order with its outcome, as they finish.

    Parameters
    ----------
    executor : Executor
        If it has a method ``fault() -> str``, a text that is not empty says that the engine is gone.
    function : callable
        Importable where the workers are.
    orders : iterable
        Asked for the next one only when there is room for it.
    window : callable
        Returns how many orders may be in flight now.
    stop : callable
        Returns true when no further order shall be handed out. Those that no worker has begun are then called off
        where the executor can do that; the others may finish.
    patience : float
        Seconds after the stop that orders in flight are waited for.

    Yields
    ------
    tuple
        The order, and the value of the function or the exception that ended it. An order that was lost or called
        off has one for which `is_lost` is true.

    Raises
    ------
    EngineLost
        If the engine is gone; it carries the orders that were in flight.
    """
    flight: _Flight[Order, Report] = _Flight(executor, function, iter(orders))
    while not stop():
        flight.fill(window())
        if not flight.futures:
            return
        yield from flight.land(_POLL_SECONDS)
    deadline = time.monotonic() + patience
    flight.call_off()
    while flight.futures and time.monotonic() < deadline:
        yield from flight.land(min(_POLL_SECONDS, max(0.0, deadline - time.monotonic())))
    for order in flight.futures.values():
        yield order, ChunkLost(f"still unfinished {patience:g} s after the stop")


class _Flight(Generic[Order, Report]):
    """Orders in flight. A queue filled by call-backs: the cost of a landing does not grow with their number."""

    def __init__(self, executor: Executor, function: Callable[[Order], Report], orders: Iterator[Order]) -> None:
        self.executor = executor
        self.function = function
        self.orders = orders
        self.futures: dict[Future[Report], Order] = {}
        self._finished: SimpleQueue[Future[Report]] = SimpleQueue()

    def fill(self, window: int) -> None:
        """Hand out orders up to the window; an executor that works while it is asked gets one."""
        while len(self.futures) < window and self._finished.empty():
            try:
                order = next(self.orders)
            except StopIteration:
                return
            try:
                future = self.executor.submit(self.function, order)
            except (BrokenExecutor, RuntimeError) as error:
                msg = f"the engine takes no more work: {error}"
                raise EngineLost(msg, [*self.futures.values(), order]) from error
            except EngineLost as error:
                error.orders = (*self.futures.values(), order)
                raise
            self.futures[future] = order
            future.add_done_callback(self._finished.put)

    def land(self, seconds: float) -> Iterator[tuple[Order, Report | BaseException]]:
        """Wait for a future to finish; yield it and all others that have."""
        try:
            future = self._finished.get(timeout=seconds)
        except Empty:
            self._look_after_engine()
            return
        while True:
            outcome = _outcome(future)
            if isinstance(outcome, EngineLost):
                outcome.orders = tuple(self.futures.values())
                raise outcome
            yield self.futures.pop(future), outcome
            try:
                future = self._finished.get_nowait()
            except Empty:
                return

    def call_off(self) -> None:
        """Take back what no worker has begun."""
        for future in list(self.futures):
            future.cancel()

    def _look_after_engine(self) -> None:
        fault = getattr(self.executor, "fault", None)
        message = fault() if callable(fault) else ""
        if message:
            raise EngineLost(message, list(self.futures.values()))


def _outcome(future: Future[Report]) -> Report | BaseException:
    if future.cancelled():
        return ChunkLost("called off before a worker began it")
    error = future.exception()
    return future.result() if error is None else error
