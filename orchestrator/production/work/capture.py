"""Standard output and error of a task in a file of its own, at the level of file descriptors.

CosmoSIS's logger and compiled code write to the descriptors, whatever Python's ``sys.stdout`` is by then.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["captured", "end_of_log"]

_TAIL_BYTES = 8000
_TAIL_LINES = 60


@contextlib.contextmanager
def captured(log: Path) -> Iterator[None]:
    """Send descriptors 1 and 2 to a new file while the context lasts."""
    _flush()
    kept = [os.dup(1), os.dup(2)]
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o666)
    try:
        os.dup2(target, 1)
        os.dup2(target, 2)
        yield
    finally:
        _flush()
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        for descriptor in (*kept, target):
            os.close(descriptor)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()


def end_of_log(log: Path) -> str:
    """Return the last lines of a log; nothing if there is none."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - _TAIL_BYTES))
            text = stream.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-_TAIL_LINES:])
