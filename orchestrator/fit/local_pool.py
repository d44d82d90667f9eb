"""Worker processes on this machine: the standard process pool, opened anew when a worker is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any

__all__ = ["LocalPool", "open_local_pool"]

_MOST_BREAKS = 12
"""Pools in a row that break without a single finished call; more than a target is retried for a lost worker."""

_BROKEN = (BrokenProcessPool, OSError, ValueError)
"""What the standard pool raises when it takes a call; the latter two when it breaks while it starts a process."""


@contextmanager
def open_local_pool(
    workers: int, begin: Callable[..., None] | None = None, arguments: tuple[Any, ...] = ()
) -> Iterator[LocalPool]:
    """Open a pool, and end its workers on leaving, busy or not; parameters as those of `LocalPool`."""
    pool = LocalPool(workers, begin, arguments)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


class LocalPool(Executor):
    """A process pool that survives its workers.

    The standard pool is of no more use once one of its processes has been killed: every call in flight fails with
    ``BrokenProcessPool``. Here the next call opens a new one. Workers end with this process, however it ends.

    What CPython 3.11 gets wrong: when a process dies while the standard pool still holds a cancelled future, its
    thread ends with a traceback and leaves the other futures unfinished for ever; so nothing that was handed in
    can be cancelled. When one dies while another is being started, that one is waited for and not ended, and the call
    that it was started for may be forgotten; so each pool has a lifeline of its own, which ends what is left.

    Parameters
    ----------
    workers : int
        Number of processes. They are spawned: a script that opens a pool needs ``if __name__ == "__main__"``.
    begin : callable, optional
        Called in each process before its first call.
    arguments : tuple
        For `begin`.
    """

    def __init__(
        self, workers: int, begin: Callable[..., None] | None = None, arguments: tuple[Any, ...] = ()
    ) -> None:
        self.workers = workers
        self._begin = begin, arguments
        self._context = multiprocessing.get_context("spawn")
        self._lock = threading.Lock()  # the standard pool's thread comes in by `_pass_on`
        self._in_flight: set[Future[Any]] = set()
        self._breaks = 0
        self._looks = 0
        self._pool = self._open()

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See `concurrent.futures.Executor.submit`; the future counts as running from the beginning.

        Raises
        ------
        concurrent.futures.process.BrokenProcessPool
            If the workers die again and again before they finish anything.
        """
        while True:
            try:
                inner = self._pool.submit(function, *args, **kwargs)
            except _BROKEN as error:
                self._give_up(error)
                self._renew()
            else:
                break
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        self._looks = self.workers
        with self._lock:
            self._in_flight.add(future)
        inner.add_done_callback(partial(self._pass_on, future, self._held))
        return future

    def fault(self) -> str:
        """Let the pool look after its processes; no loss of them is a fault of the engine.

        The thread that watches the processes does not know of one that was started after it began to wait, until
        something wakes it (CPython 3.11 to 3.13): its death would go unnoticed while the others are busy. A call
        wakes it and may start one more process, so that as many calls as there are workers are enough.
        """
        if self._in_flight and self._looks:
            self._looks -= 1
            try:
                self._pool.submit(os.getpid)
            except _BROKEN as error:
                self._give_up(error)
        return ""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Close the pool; with `cancel_futures`, workers that are busy are ended."""
        if cancel_futures and self._in_flight:
            self._cut(self._held)
        # Once and waiting: a second call would not wait, and the pool's thread would close its pipe while Python,
        # which ends, writes into it.
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)
        self._cut(self._held)
        self._lifeline.close()

    def _open(self) -> ProcessPoolExecutor:
        # Workers hold one end: it reads as closed when this process closes the other, or dies.
        self._lifeline, self._held = self._context.Pipe(duplex=False)
        return ProcessPoolExecutor(
            self.workers, self._context, initializer=_begin_worker, initargs=(self._lifeline, *self._begin)
        )

    def _renew(self) -> None:
        self._breaks += 1
        if self._breaks > _MOST_BREAKS:
            msg = (
                f"the worker processes ended {self._breaks} times without finishing anything; a script that starts "
                'them needs `if __name__ == "__main__":` around what it does, and the machine memory for '
                f"{self.workers} of them"
            )
            raise BrokenProcessPool(msg)
        self._pool.shutdown(wait=False)
        self._lifeline.close()
        self._pool = self._open()

    def _give_up(self, error: Exception) -> None:
        """Let every call fail that a broken pool has been given."""
        self._cut(self._held)
        if not isinstance(error, BrokenProcessPool):
            error = BrokenProcessPool(f"no process could be started: {error}")
        with self._lock:
            left, self._in_flight = self._in_flight, set()
        for future in left:
            future.set_exception(error)

    def _cut(self, held: Connection) -> None:
        """End the processes of a pool."""
        with self._lock:
            held.close()

    def _pass_on(self, future: Future[Any], held: Connection, inner: Future[Any]) -> None:
        error = CancelledError() if inner.cancelled() else inner.exception()
        if isinstance(error, BrokenProcessPool):
            self._cut(held)
        with self._lock:
            if future not in self._in_flight:
                return  # given up
            self._in_flight.discard(future)
            if not isinstance(error, BrokenProcessPool | CancelledError):
                self._breaks = 0
        if error is None:
            future.set_result(inner.result())
        else:
            future.set_exception(error)


def _begin_worker(lifeline: Connection, begin: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    """Leave Ctrl-C to the driver, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_driver, args=(lifeline,), daemon=True, name="lifeline").start()
    if begin is not None:
        begin(*arguments)


def _end_with_driver(lifeline: Connection) -> None:
    wait([lifeline])
    os._exit(1)
