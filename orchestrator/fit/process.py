"""Run one command to its end, with everything it started, whatever happens to us."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.fit.fork_pool import die_with_parent, load_system_library
from orchestrator.fit.mpi import THREAD_VARIABLES, child_environment

__all__ = [
    "GRACE_SECONDS",
    "ProcessLost",
    "TimedOut",
    "run_logged",
    "sampler_environment",
    "terminated_as_exit",
    "threads_per_process",
]

GRACE_SECONDS = 5.0
"""Between the request to end and the end by force."""


class TimedOut(Exception):
    """The command ran longer than it was allowed to."""


class ProcessLost(Exception):
    """The process that watched the command ended, and the command with it."""


def sampler_environment() -> dict[str, str]:
    """Return the environment of a sampler process.

    One thread per process unless the user set a number; the user's ``OMP_NUM_THREADS`` holds for the linear
    algebra too, whose own variables would otherwise go before it.
    """
    environment = child_environment()
    threads = os.environ.get("OMP_NUM_THREADS")
    for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        if threads and variable not in os.environ:
            environment[variable] = threads
    return environment


def threads_per_process(environment: Mapping[str, str]) -> tuple[int, str]:
    """Return the largest number of threads that an environment asks for, and the variable that does."""
    found = (1, "")
    for variable in THREAD_VARIABLES:
        first = environment.get(variable, "").split(",")[0].strip()  # one number per level of nesting
        if first.isdecimal() and int(first) > found[0]:
            found = (int(first), variable)
    return found


def run_logged(
    command: Sequence[str],
    log: Path,
    *,
    append: bool = False,
    timeout: float | None = None,
    keep_open: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
) -> int:
    """Run a command in its own process group with its output in a file.

    The whole group is ended when the command ends, when `timeout` has passed, and when this process is
    interrupted or terminated. If this process is killed, the system tells the command to end.

    Parameters
    ----------
    command : sequence of str
        Program and arguments; no shell is involved.
    log : Path
        File for standard output and error.
    append : bool
        Continue the file.
    timeout : float, optional
        Seconds.
    keep_open : sequence of int
        Descriptors that the command inherits.
    environment : mapping of str to str, optional
        `sampler_environment` by default.

    Returns
    -------
    int
        Exit code; negative for a signal.

    Raises
    ------
    TimedOut
        After `timeout` seconds.
    OSError
        If the command cannot be started.
    """
    load_system_library()  # before the fork: loading a library between fork and exec may dead-lock
    with log.open("ab" if append else "wb") as stream, terminated_as_exit():
        process = subprocess.Popen(  # noqa: PLW1509
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=sampler_environment() if environment is None else environment,
            start_new_session=True,
            pass_fds=tuple(keep_open),
            preexec_fn=_end_with_parent,
        )
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            msg = f"stopped after {timeout:g} s"
            raise TimedOut(msg) from error
        finally:
            _end_group(process)


def _end_with_parent() -> None:
    die_with_parent(signal.SIGTERM)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End what is left of a process group: gently first, so that mpiexec can end its ranks."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def terminated_as_exit() -> Iterator[None]:
    """Turn a termination request into SystemExit, so that clean-up runs, unless somebody handles it."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def leave(number: int, frame: Any) -> None:
        del frame
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
