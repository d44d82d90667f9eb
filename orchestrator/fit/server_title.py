"""The command line that other processes see of a forked one."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["TITLE_ROOM", "set_title"]

TITLE_ROOM = " " * 3000
"""Last argument of a process that shall change its command line: the new one takes the room of the old."""


def set_title(command: Sequence[str]) -> bool:
    """Show a command in the list of processes (Linux), so that each stage can be told from the others.

    Parameters
    ----------
    command : sequence of str

    Returns
    -------
    bool
        False if the system does not tell where its copy is, or has no room: nothing has changed then.
    """
    try:
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        shown = Path("/proc/self/cmdline").read_bytes()
    except OSError:
        return False
    first, last = int(fields[45]), int(fields[46])  # fields 48 and 49 of proc(5), arg_start and arg_end
    text = b"\0".join(word.encode(errors="surrogateescape") for word in command) + b"\0"
    room = last - first
    if sys.platform != "linux" or not first or not len(text) < room == len(shown):
        return False
    ctypes.memmove(first, text.ljust(room, b"\0"), room)
    return True
