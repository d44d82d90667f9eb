"""The caller's side of the server of warm stages: one server process, one request, its answers."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from orchestrator.fit.process import GRACE_SECONDS, ProcessLost
from orchestrator.fit.server_title import TITLE_ROOM

__all__ = ["ServerLink", "Unavailable", "follow", "import_environment"]

START_SECONDS = 120.0
"""Longest time that the imports may take."""

_READ_AT_IMPORT = (
    "PYTHON", "LD_", "LC_", "LANG", "TZ", "HOME", "XDG_", "OMP_", "OPENBLAS_", "GOTO_", "MKL_", "KMP_",
    "NUMBA_", "NPY_", "NUMPY_", "SCIPY_", "ASTROPY_", "COSMOSIS_", "MPL",
)  # fmt: skip
"""First letters of the variables that count when a package is imported: another value needs another server."""


class Unavailable(Exception):
    """No server can take this request."""


class ServerLink:
    """A server process and the socket to it.

    Parameters
    ----------
    environment : dict
        Of the first stage.

    Raises
    ------
    Unavailable
        If the process cannot be started.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = import_environment(environment)
        self.ready = False
        self.control, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", "-m", "orchestrator.fit.server", str(theirs.fileno()), TITLE_ROOM]
            # Output before the first request has no reader; a child's goes to its log. The server ends with
            # the socket, not by a signal at the parent's end, which the end of a mere thread would send too.
            try:
                self.process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=environment,
                    start_new_session=True,
                    pass_fds=(theirs.fileno(),),
                )
            except OSError as error:
                self.control.close()
                msg = f"the server cannot be started ({error})"
                raise Unavailable(msg) from error
        self.start_by = time.monotonic() + START_SECONDS

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
            msg = f"the server was not ready after {START_SECONDS:g} s"
            raise Unavailable(msg) from error
        if answer is None:
            msg = f"the server ended at its start (exit code {self.process.wait()})"
            raise Unavailable(msg)
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
            raise Unavailable(msg) from error
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


def follow(channel: socket.socket, server: ServerLink, deadline: float | None) -> int:
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
        raise Unavailable(msg)
    return int(answer["exit"])


def _end(channel: socket.socket, server: ServerLink, process: int) -> None:
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


def import_environment(environment: dict[str, str]) -> dict[str, str]:
    """Return the variables that a server must have been started with."""
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
