"""Run sampler processes as children of a server that has everything imported.

A fresh sampler process spends one to two seconds on imports. The server (`orchestrator.fit.server`) is
started by the first stage of a process and forks a child for each; what the caller is promised is that of
`orchestrator.fit.process.run_logged`, to which everything falls back that a server cannot do.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.fit.process import (
    GRACE_SECONDS,
    ProcessLost,
    TimedOut,
    run_logged,
    sampler_environment,
    terminated_as_exit,
    threads_per_process,
)
from orchestrator.fit.server_link import ServerLink, Unavailable, follow, import_environment

__all__ = ["PROGRAMS", "SWITCH", "run_warm", "server_process", "start_server", "stop_server"]

logger = logging.getLogger(__name__)

SWITCH = "ORCHESTRATOR_WARM_STAGES"
"""Environment variable; 0 starts every sampler process from scratch."""

PROGRAMS = ("orchestrator.fit.launch", "orchestrator.report.closing")
"""What a child of the server can become: the samplers of a stage, and its figures and tables."""


def run_warm(
    command: Sequence[str],
    log: Path,
    *,
    append: bool = False,
    timeout: float | None = None,
    keep_open: Sequence[int] = (),
) -> int:
    """Run a command as `run_logged` does, in a process forked warm where that is possible.

    Parameters
    ----------
    command : sequence of str
        As `orchestrator.fit.runner.launch_command` makes it; one that starts MPI runs as it is.
    log : Path
        File for standard output and error.
    append : bool
        Continue the file.
    timeout : float, optional
        Seconds.
    keep_open : sequence of int
        Descriptors that the command inherits.

    Returns
    -------
    int
        Exit code; negative for a signal.

    Raises
    ------
    TimedOut
        After `timeout` seconds.
    ProcessLost
        If the server ended while the command ran.
    OSError
        If the command cannot be started.
    """
    environment = sampler_environment()
    reason = _why_cold(command, environment)
    deadline = None if timeout is None else time.monotonic() + timeout
    if reason is None:
        try:
            with log.open("ab" if append else "wb") as stream, terminated_as_exit():
                return _client.run(list(command), environment, stream.fileno(), keep_open, deadline)
        except TimeoutError as error:
            msg = f"stopped after {timeout:g} s"
            raise TimedOut(msg) from error
        except Unavailable as error:
            logger.warning("the sampler process starts from scratch: %s", error)
            append = True
    elif reason:
        logger.info("the sampler process starts from scratch: %s", reason)
    return run_logged(command, log, append=append, timeout=timeout, keep_open=keep_open)


def start_server() -> None:
    """Let the server begin its imports while this process does something else; the first stage starts it anyway."""
    environment = sampler_environment()
    if _why_cold([sys.executable, "-P", "-m", PROGRAMS[0]], environment) is None:
        with contextlib.suppress(Unavailable):
            _client.begin(environment)


def stop_server() -> None:
    """End the server of this process, if there is one; the next stage starts another."""
    _client.stop()


def server_process() -> int | None:
    """Return the number of the server's process, None if there is no server."""
    return _client.process_number()


def _why_cold(command: Sequence[str], environment: dict[str, str]) -> str | None:
    """Say why a command does not start warm; empty if that needs no words, None if it does start warm."""
    ours = list(command[:3]) == [sys.executable, "-P", "-m"] and command[3] in PROGRAMS
    if not ours or environment.get(SWITCH, "1") == "0":
        return ""
    if sys.platform != "linux":
        return "warm processes need Linux"
    n_threads, variable = threads_per_process(environment)
    if n_threads > 1:
        return f"{variable} = {n_threads}, and a process with threads cannot be forked"
    return _client.unfit


class _Client:
    """The server of this process, started at the first request and again when it must be."""

    def __init__(self) -> None:
        self.unfit: str | None = None
        self._lock = threading.Lock()
        self._server: ServerLink | None = None
        self._former: list[ServerLink] = []

    def run(
        self,
        command: list[str],
        environment: dict[str, str],
        log: int,
        keep_open: Sequence[int],
        deadline: float | None,
    ) -> int:
        """Run one command; see `run_warm`.

        Raises
        ------
        TimeoutError
            At the deadline; the command has ended.
        Unavailable
            If no server took it.
        ProcessLost
            If the server ended while it ran.
        """
        for last_try in (False, True):
            server = None
            try:
                channel, server = self._request(command, environment, [log, *keep_open], deadline)
                with channel:
                    return follow(channel, server, deadline)
            except Unavailable as error:
                self._drop(server)
                if last_try or self.unfit is not None:
                    raise
                logger.info("a new server is started: %s", error)
            except ProcessLost:
                self._drop(server)
                raise
        raise AssertionError

    def begin(self, environment: dict[str, str]) -> None:
        """Start a server if there is none, and do not wait for it."""
        with self._lock:
            if self._server is None:
                self._server = ServerLink(environment)

    def _request(
        self, command: list[str], environment: dict[str, str], descriptors: list[int], deadline: float | None
    ) -> tuple[socket.socket, ServerLink]:
        with _held(self._lock, deadline):
            server = self._server
            if server is not None and server.environment != import_environment(environment):
                self._retire()
                server = None
            if server is None:
                server = self._server = ServerLink(environment)
            try:
                unfit = server.wait_until_ready(deadline)
                if unfit:
                    self.unfit = unfit
                    raise Unavailable(unfit)
                folder = os.open(".", os.O_PATH | os.O_CLOEXEC)
                try:
                    log, *kept = descriptors
                    return server.request(command, environment, [log, folder, *kept]), server
                finally:
                    os.close(folder)
            except TimeoutError:  # it may still become ready, for the next stage
                raise
            except BaseException:
                self._retire()
                raise

    def _drop(self, server: ServerLink | None) -> None:
        with self._lock:
            if server is not None and server is self._server:
                self._retire()

    def _retire(self) -> None:
        """Close the server, which leaves when its last child has ended; the caller holds the lock."""
        if self._server is not None:
            self._server.close(kill=not self._server.ready)
            self._former.append(self._server)
            self._server = None
        self._former = [one for one in self._former if one.process.poll() is None]

    def process_number(self) -> int | None:
        """Return the number of the server's process."""
        server = self._server
        return None if server is None else server.process.pid

    def stop(self) -> None:
        """Close all servers and wait for them."""
        with self._lock:
            self._retire()
            for server in self._former:
                server.process.terminate()  # what still runs, in another thread, ends too
                try:
                    server.process.wait(2 * GRACE_SECONDS)
                except subprocess.TimeoutExpired:
                    server.close(kill=True)
            self._former = []

    def forget(self) -> None:
        """In a forked process: leave the server to the parent, whose child it is."""
        for server in [*self._former, *([self._server] if self._server else [])]:
            server.control.close()
            server.process.returncode = 0  # not ours to wait for


@contextlib.contextmanager
def _held(lock: threading.Lock, deadline: float | None) -> Iterator[None]:
    if not lock.acquire(timeout=-1 if deadline is None else max(0.0, deadline - time.monotonic())):
        raise TimeoutError
    try:
        yield
    finally:
        lock.release()


def _start_anew() -> None:
    global _client
    _client.forget()
    _client = _Client()


_client = _Client()
atexit.register(stop_server)
os.register_at_fork(after_in_child=_start_anew)
