"""The process that sampler processes are forked from, with everything imported.

::

    python -m orchestrator.fit.server DESCRIPTOR

Started by `orchestrator.fit.warm`, its only user. It imports CosmoSIS and the fit's own packages once, then
forks one child per request; the child becomes the program of its command, `orchestrator.fit.launch` or
`orchestrator.report.closing`. A user's module file is imported in
the child only: what it breaks ends with the child, and an edited file is read anew by the next stage.

Protocol. The socket `DESCRIPTOR` carries one line after the imports, ``{"ready": pid}`` or ``{"unfit":
reason}``. A request is one byte on it, with the descriptors of a channel, the log, the working folder, and
those that the child shall hold. The channel carries the request, a JSON line with ``command`` and
``environment``, and the answers: ``{"stale": file}``, or ``{"pid": n}`` and at the end ``{"exit": code}``. A
channel that closes asks for the end of its child.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import random
import runpy
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.fit.fork_pool import die_with_parent, load_system_library
from orchestrator.fit.process import GRACE_SECONDS
from orchestrator.fit.server_imports import changed_file, import_everything, import_for_figures, shadowed_name
from orchestrator.fit.server_title import set_title

__all__ = ["main"]

_MOST_DESCRIPTORS = 16
_LOOK_SECONDS = 0.5
"""How often the parent is looked at, in case a third process holds the other end of the socket."""
_REQUEST_SECONDS = 10.0


@dataclass(frozen=True)
class Request:
    """One stage to run.

    Attributes
    ----------
    command : tuple of str
        Shell-free command of the cold path; what follows the launcher's name are its arguments.
    environment : dict
        Complete.
    log, folder : int
        Descriptors of the log and of the working folder.
    held : tuple of int
        Descriptors that the child keeps open.
    """

    command: tuple[str, ...]
    environment: dict[str, str]
    log: int
    folder: int
    held: tuple[int, ...]

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All that came with the request."""
        return (self.log, self.folder, *self.held)


@dataclass
class Run:
    """A child that works, and the channel of the one who asked for it."""

    channel: socket.socket
    process: int
    end_by: float | None = None
    """When the group is killed, once its end was asked for."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Import, then serve until the parent goes; in a child, become the sampler process.

    Parameters
    ----------
    arguments : sequence of str, optional
        The descriptor of the socket to the parent; from the command line by default.

    Returns
    -------
    int
        0; children leave through ``SystemExit``, as the launcher does.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    control = socket.socket(fileno=int(words[0]))
    control.set_inheritable(False)
    set_title([sys.executable, "-m", "orchestrator.fit.server"])
    parent = os.getppid()
    stamps = import_everything()
    load_system_library()
    reason = _why_unfit()
    with contextlib.suppress(OSError):
        control.sendall(_line(unfit=reason) if reason else _line(ready=os.getpid()))
    if reason:
        return 1
    gc.collect()
    gc.freeze()  # the collector of a child then leaves the shared pages alone
    request = Server(control, parent, stamps).serve()
    if request is None:
        os._exit(0)  # nothing to clean up; ending a large interpreter in order takes 0.1 s
    become_stage(request)
    return 0


def _why_unfit() -> str:
    """Say why this process cannot be forked safely, empty if it can."""
    n_tasks = len(os.listdir("/proc/self/task"))
    if n_tasks > 1 or threading.active_count() > 1:
        return f"the imported packages started {n_tasks - 1} thread(s)"
    if "mpi4py.MPI" in sys.modules:
        return "the imported packages started MPI"
    return ""


def _line(**record: Any) -> bytes:
    return json.dumps(record).encode() + b"\n"


class Server:
    """The loop of the server.

    Parameters
    ----------
    control : socket
        To the parent.
    parent : int
        Process that this one ends with.
    stamps : dict
        Modification times of what was imported.
    """

    def __init__(self, control: socket.socket, parent: int, stamps: dict[str, tuple[int, int]]) -> None:
        self.control = control
        self.parent = parent
        self.stamps = stamps
        self.runs: list[Run] = []
        self.open = True
        self.terminated = False
        self.imported_for_figures = False
        self.wake, self.waker = socket.socketpair()
        self.wake.setblocking(False)
        self.waker.setblocking(False)

    def serve(self) -> Request | None:
        """Serve until there is no parent and no child.

        Returns
        -------
        Request or None
            The request to carry out, in a child; None in the server.
        """
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._terminate)
        signal.set_wakeup_fd(self.waker.fileno())
        while self.open or self.runs:
            ready = self._wait()
            if not ready and self.runs:
                self._import_for_figures()
            self._look_after_runs(ready)
            if self.terminated or os.getppid() != self.parent:
                self._close()
                for run in self.runs:
                    _ask_to_end(run)
            elif self.open and self.control.fileno() in ready:
                request = self._accept()
                if request is not None:
                    return request
        return None

    def _import_for_figures(self) -> None:
        """Import, while a stage runs, what its figures need; the first stage should not wait for it."""
        if not self.imported_for_figures:
            self.imported_for_figures = True
            self.stamps |= import_for_figures()
            gc.collect()
            gc.freeze()

    def _terminate(self, number: int, frame: Any) -> None:
        del number, frame
        self.terminated = True

    def _wait(self) -> set[int]:
        """Return the descriptors on which something happened."""
        poll = select.poll()
        poll.register(self.wake, select.POLLIN)
        if self.open:
            poll.register(self.control, select.POLLIN)
        for run in self.runs:
            if run.end_by is None:
                poll.register(run.channel, select.POLLIN)
        deadlines = [run.end_by - time.monotonic() for run in self.runs if run.end_by is not None]
        ready = {descriptor for descriptor, _ in poll.poll(1e3 * max(0.0, min([_LOOK_SECONDS, *deadlines])))}
        with contextlib.suppress(BlockingIOError):
            self.wake.recv(4096)
        return ready

    def _look_after_runs(self, ready: set[int]) -> None:
        for run in list(self.runs):
            if _has_ended(run.process):
                self.runs.remove(run)
                _report_end(run)
            elif run.end_by is None and run.channel.fileno() in ready:
                _ask_to_end(run)
            elif run.end_by is not None and time.monotonic() >= run.end_by:
                _signal_group(run.process, signal.SIGKILL)
                run.end_by = time.monotonic() + GRACE_SECONDS

    def _accept(self) -> Request | None:
        """Take a request and fork; return it in the child."""
        try:
            byte, descriptors, _, _ = socket.recv_fds(self.control, 1, _MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            byte, descriptors = b"", []
        if not byte:
            self._close()
            return None
        channel = socket.socket(fileno=descriptors[0])
        request = _read_request(channel, descriptors[1:])
        if request is None:
            _close_all([*descriptors[1:]])
            channel.close()
            return None
        changed = changed_file(self.stamps)
        if changed:
            with contextlib.suppress(OSError):
                channel.sendall(_line(stale=changed))
            channel.close()
            self._close()  # and leave when the last child has ended; the parent starts a new server
        elif self._fork(channel):
            return request
        _close_all(request.descriptors)
        return None

    def _fork(self, channel: socket.socket) -> bool:
        """Fork and report; return True in the child, which keeps nothing of the server's."""
        server = os.getpid()
        try:
            process = os.fork()
        except OSError:  # too many processes: the parent sees the channel close, and tries for itself
            channel.close()
            return False
        if process:
            self.runs.append(Run(channel, process))
            with contextlib.suppress(OSError):  # who asked has gone: the closed channel ends the child
                channel.sendall(_line(pid=process))
            return False
        os.setsid()
        die_with_parent(signal.SIGTERM)
        if os.getppid() != server:
            os._exit(128 + signal.SIGTERM)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for one in (channel, self.control, self.wake, self.waker, *(run.channel for run in self.runs)):
            one.close()
        return True

    def _close(self) -> None:
        self.open = False
        self.control.close()


def _read_request(channel: socket.socket, descriptors: list[int]) -> Request | None:
    """Read the line of a request; None if who asked has gone."""
    channel.settimeout(_REQUEST_SECONDS)
    text = b""
    try:
        while not text.endswith(b"\n"):
            part = channel.recv(1 << 16)
            if not part:
                return None
            text += part
    except OSError:
        return None
    channel.settimeout(None)
    record = json.loads(text)
    log, folder, *held = descriptors
    return Request(tuple(record["command"]), record["environment"], log, folder, tuple(held))


def _close_all(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _has_ended(process: int) -> bool:
    """Look without taking the exit status, so that the number of the process stays its own."""
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _ask_to_end(run: Run) -> None:
    if run.end_by is None:
        _signal_group(run.process, signal.SIGTERM)
        run.end_by = time.monotonic() + GRACE_SECONDS


def _signal_group(process: int, number: int) -> None:
    try:
        os.killpg(process, number)
    except ProcessLookupError:  # forked a moment ago, not yet the leader of a group
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


def _report_end(run: Run) -> None:
    """End what is left of the group, then tell the exit code."""
    _signal_group(run.process, signal.SIGKILL)
    _, status = os.waitpid(run.process, 0)
    with contextlib.suppress(OSError):
        run.channel.sendall(_line(exit=os.waitstatus_to_exitcode(status)))
    run.channel.close()


def become_stage(request: Request) -> None:
    """Turn this forked process into the process of a request, as if it had been started from a shell.

    Raises
    ------
    SystemExit
        With the program's exit code.
    """
    os.dup2(request.log, 1)
    os.dup2(request.log, 2)
    os.fchdir(request.folder)
    _close_all((request.log, request.folder))
    for descriptor in request.held:
        os.set_inheritable(descriptor, True)
    os.environ.clear()
    os.environ.update(request.environment)
    program, *arguments = request.command[request.command.index("-m") + 1 :]
    if shadowed_name(arguments[0]):
        # CosmoSIS imports a module file by its bare name, and would be given the package of that name.
        os.execv(request.command[0], request.command)
    set_title(request.command)
    random.seed()  # every child has inherited the same state
    importlib.invalidate_caches()
    sys.argv = [program, *arguments]
    runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    sys.exit(main())
