"""Run a command that ends when the process that started it does, even if that one is killed.

This file is also run by itself, in an interpreter without site-packages: it imports the standard library only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

__all__ = ["tethered"]

_PR_SET_PDEATHSIG = 1


def tethered(command: Sequence[str]) -> list[str]:
    """Return a command that runs another one, which gets SIGTERM when its parent dies and no SIGINT from Ctrl-C.

    Only Linux has the means; elsewhere the command comes back as it is. Linux goes by the thread: start the command
    from one that lives as long as the command shall.

    Parameters
    ----------
    command : sequence of str
        Started by this process itself, not by a child of it.
    """
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def _become(parent: int, command: list[str]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        sys.exit(1)
    os.execvp(command[0], command)


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
