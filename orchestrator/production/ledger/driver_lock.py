"""One driver at a time: a file lock that ends with the process, whatever ends it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from orchestrator.errors import ProductionError

__all__ = ["hold_file_lock"]


@contextlib.contextmanager
def hold_file_lock(path: Path) -> Iterator[None]:
    """Hold the lock of the driver.

    Parameters
    ----------
    path : Path
        The lock file; made if missing, and left there.

    Raises
    ------
    ProductionError
        If another process holds it, naming that, or the file cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        msg = f"The lock {str(path)!r} cannot be written: {error.strerror}. The folder has to be writable."
        raise ProductionError(msg) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "an unknown process"
            msg = f"Another driver runs the production in {str(path.parent)!r} ({owner}). Wait for it or end it."
            raise ProductionError(msg) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)
