"""A file lock that ends with the process, whatever ends it; and whether a process lives that a name is left of."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["hold_lock_file", "is_alive"]


@contextlib.contextmanager
def hold_lock_file(
    path: Path,
    *,
    taken: Callable[[str], Exception],
    unwritable: Callable[[OSError], Exception],
    make_folder: bool = True,
) -> Iterator[int]:
    """Hold the lock of a file, and write into it who holds it.

    The lock lasts as long as any process has the descriptor.

    Parameters
    ----------
    path : Path
        Made if missing, and left there.
    taken : callable
        From the owner to the error that is raised if another process holds the lock.
    unwritable : callable
        From the fault to the error that is raised if the file or its folder cannot be made or written.
    make_folder : bool
        Make the folder of the file too.

    Yields
    ------
    int
        Descriptor of the file.
    """
    try:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise unwritable(error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "an unknown process"
            raise taken(owner) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield descriptor
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def is_alive(process: int) -> bool:
    """Return whether a process of this machine lives; one that may not be asked does."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
