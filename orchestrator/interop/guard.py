"""A small process around a command: what it starts ends with it, and all of it with the process that asked for it.

::

    python -P -m orchestrator.interop.guard PIPE [NAME=VALUE ...] -- COMMAND ...

PIPE is a descriptor whose other end the parent keeps: it closes when the parent dies, however it dies. Processes that
leave their group or session are found too, for the system gives orphans below this process to it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence

import psutil

from orchestrator.fit.fork_pool import die_with_parent, load_system_library

__all__ = ["main"]

_PR_SET_CHILD_SUBREAPER = 36
_GRACE_SECONDS = 5.0
NOT_STARTED = 127
"""Exit code of a command that cannot be started."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code, 128 + number for a signal."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    split = words.index("--")
    pipe, assignments, command = int(words[0]), words[1:split], words[split + 1 :]
    environment = {**os.environ, **dict(word.split("=", 1) for word in assignments)}
    if sys.platform == "linux":
        load_system_library().prctl(_PR_SET_CHILD_SUBREAPER, 1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        try:
            process = subprocess.Popen(  # noqa: PLW1509
                command, env=environment, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent, close_fds=True
            )
        except OSError as error:
            sys.stderr.write(f"{command[0]}: {error.strerror}\n")
            return NOT_STARTED
        ended = os.pidfd_open(process.pid)
        while (code := process.poll()) is None:
            ready, _, _ = select.select([pipe, ended], [], [])
            if pipe in ready:  # nobody writes to it: the parent is gone
                return 128 + signal.SIGTERM
        return code if code >= 0 else 128 - code
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        _end_all()


def _leave(number: int, frame: object) -> None:
    del frame
    raise SystemExit(128 + number)


def _end_all() -> None:
    """End everything below this process: asked first, so that mpiexec can end its ranks, then by force."""
    left = psutil.Process().children(recursive=True)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, left = psutil.wait_procs(left, timeout=_GRACE_SECONDS)
    while left:
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=1.0)
        left = psutil.Process().children(recursive=True)


if __name__ == "__main__":
    sys.exit(main())
