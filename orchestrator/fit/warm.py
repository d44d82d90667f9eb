"""Run sampler processes as children of a server that has everything imported.

A fresh sampler process spends one to two seconds on imports. The server (`orchestrator.fit.server`) is
started by the first stage of a process and forks a child for each; what the caller is promised is that of
`orchestrator.fit.process.run_logged`, to which everything falls back that a server cannot do.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from orchestrator.fit.process import (
    GRACE_SECONDS,
    ProcessLost,
    TimedOut,
    run_logged,
    sampler_environment,
    terminated_as_exit,
    threads_per_process,
)
from orchestrator.fit.server_title import TITLE_ROOM

__all__ = ["SWITCH", "run_warm", "server_process", "stop_server"]

logger = logging.getLogger(__name__)

SWITCH = "ORCHESTRATOR_WARM_STAGES"
"""Environment variable; 0 starts every sampler process from scratch."""

_LAUNCH = "orchestrator.fit.launch"
_START_SECONDS = 120.0
_READ_AT_IMPORT = (
    "PYTHON", "LD_", "LC_", "LANG", "TZ", "HOME", "XDG_", "OMP_", "OPENBLAS_", "GOTO_", "MKL_", "KMP_",
    "NUMBA_", "NPY_", "NUMPY_", "SCIPY_", "ASTROPY_", "COSMOSIS_", "MPL",
)  # fmt: skip
"""First letters of the variables that count when a package is imported: another value needs another server."""


class _Unavailable(Exception):
    """No server can take this request."""


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
        except _Unavailable as error:
            logger.warning("the sampler process starts from scratch: %s", error)
            append = True
    elif reason:
        logger.info("the sampler process starts from scratch: %s", reason)
    return run_logged(command, log, append=append, timeout=timeout, keep_open=keep_open)


def stop_server() -> None:
    """End the server of this process, if there is one; the next stage starts another."""
    _client.stop()


def server_process() -> int | None:
    """Return the number of the server's process, None if there is no server."""
    return _client.process_number()


def _why_cold(command: Sequence[str], environment: dict[str, str]) -> str | None:
    """Say why a command does not start warm; empty if that needs no words, None if it does start warm."""
    if list(command[:4]) != [sys.executable, "-P", "-m", _LAUNCH] or environment.get(SWITCH, "1") == "0":
        return ""
    if sys.platform != "linux":
        return "warm processes need Linux"
    n_threads, variable = threads_per_process(environment)
    if n_threads > 1:
        return f"{variable} = {n_threads}, and a process with threads cannot be forked"
    return _client.unfit


class _Server:
    """A server process and the socket to it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = _import_environment(environment)
        self.ready = False
        self.control, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", "-m", "orchestrator.fit.server", str(theirs.fileno()), TITLE_ROOM]
            # Output before the first request has no reader; a child's goes to its log. The server ends with
            # the socket, not by a signal at the parent's end, which the end of a mere thread would send too.
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
                pass_fds=(theirs.fileno(),),
            )
        self.start_by = time.monotonic() + _START_SECONDS

    def wait_until_ready(self, deadline: float | None) -> str:
        """Wait for the imports; return why the server is unfit, empty if it is not."""
        if self.ready:
            return ""
        limit = self.start_by if deadline is None else min(self.start_by, deadline)
        try:
            answer = _read_line(self.control, limit)
        except TimeoutError as error:
            if limit == deadline:
                raise
            msg = f"the server was not ready after {_START_SECONDS:g} s"
            raise _Unavailable(msg) from error
        if answer is None:
            msg = f"the server ended at its start (exit code {self.process.wait()})"
            raise _Unavailable(msg)
        self.ready = "ready" in answer
        return str(answer.get("unfit", ""))

    def request(self, command: list[str], environment: dict[str, str], descriptors: list[int]) -> socket.socket:
        """Send a request; return its channel."""
        channel, theirs = socket.socketpair()
        text = json.dumps({"command": command, "environment": environment}).encode() + b"\n"
        try:
            with theirs:
                socket.send_fds(self.control, [b"r"], [theirs.fileno(), *descriptors])
            channel.sendall(text)
        except OSError as error:
            channel.close()
            msg = f"the server does not answer ({error})"
            raise _Unavailable(msg) from error
        except BaseException:
            channel.close()
            raise
        return channel

    def close(self, *, kill: bool = False) -> None:
        """Take no more part in it: it ends once its last child has."""
        self.control.close()
        if kill:
            self.process.kill()
            self.process.wait()


class _Client:
    """The server of this process, started at the first request and again when it must be."""

    def __init__(self) -> None:
        self.unfit: str | None = None
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._former: list[_Server] = []

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
        _Unavailable
            If no server took it.
        ProcessLost
            If the server ended while it ran.
        """
        for last_try in (False, True):
            server = None
            try:
                channel, server = self._request(command, environment, [log, *keep_open], deadline)
                with channel:
                    return _follow(channel, server, deadline)
            except _Unavailable as error:
                self._drop(server)
                if last_try:
                    raise
                logger.info("a new server is started: %s", error)
            except ProcessLost:
                self._drop(server)
                raise
        raise AssertionError

    def _request(
        self, command: list[str], environment: dict[str, str], descriptors: list[int], deadline: float | None
    ) -> tuple[socket.socket, _Server]:
        with _held(self._lock, deadline):
            server = self._server
            if server is not None and server.environment != _import_environment(environment):
                self._retire()
                server = None
            if server is None:
                server = self._server = _Server(environment)
            try:
                unfit = server.wait_until_ready(deadline)
                if unfit:
                    self.unfit = unfit
                    raise _Unavailable(unfit)
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

    def _drop(self, server: _Server | None) -> None:
        with self._lock:
            if server is not None and server is self._server:
                self._retire()

    def _retire(self) -> None:
        """Close the server: it leaves when its last child has ended; collect those
        that have. The caller holds the lock."""
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


def _follow(channel: socket.socket, server: _Server, deadline: float | None) -> int:
    """Wait for the end of a command; make sure of it when we are interrupted."""
    process = 0
    try:
        answer = _read_line(channel, deadline)
        if answer is not None and "pid" in answer:
            process = int(answer["pid"])
            answer = _read_line(channel, deadline)
    except BaseException:
        _end(channel, server, process)
        raise
    if answer is None and process:
        _end_orphan(process)
        msg = "the server that it was forked from ended unexpectedly"
        raise ProcessLost(msg)
    if answer is None or "stale" in answer:
        msg = f"{answer['stale']} has changed" if answer else "the server ended before the stage began"
        raise _Unavailable(msg)
    return int(answer["exit"])


def _end(channel: socket.socket, server: _Server, process: int) -> None:
    """Have the server end a child's group; do it ourselves if the server does not answer."""
    deadline = time.monotonic() + 2 * GRACE_SECONDS
    try:
        channel.shutdown(socket.SHUT_WR)
        answer = _read_line(channel, deadline)
        if answer is not None and "pid" in answer:
            process = int(answer["pid"])
            answer = _read_line(channel, deadline)
    except OSError:
        answer = None
    if answer is None:
        server.process.kill()
        if process:
            _end_orphan(process)


def _end_orphan(process: int) -> None:
    """End the group of a child whose server has gone, and wait until it has ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process, signal.SIGKILL)
    limit = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < limit:
        try:
            state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.01)


def _import_environment(environment: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in environment.items() if name.startswith(_READ_AT_IMPORT)}


def _read_line(stream: socket.socket, deadline: float | None) -> dict[str, Any] | None:
    """Read one JSON line; None if the other end has closed.

    Raises
    ------
    TimeoutError
        At the deadline.
    """
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    text = b""
    while not text.endswith(b"\n"):
        left = None if deadline is None else 1e3 * max(0.0, deadline - time.monotonic())
        if not poll.poll(left):
            raise TimeoutError
        try:
            byte = stream.recv(1)
        except ConnectionError:
            byte = b""
        if not byte:
            return None
        text += byte
    record: dict[str, Any] = json.loads(text)
    return record


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
