"""One run at a time per output: a file lock that ends with the process, whatever ends it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator

from orchestrator.errors import StageError
from orchestrator.stage import StagePaths

__all__ = ["hold_lock"]


@contextlib.contextmanager
def hold_lock(paths: StagePaths) -> Iterator[int]:
    """Hold the lock of a stage; create its folder.

    The descriptor is handed to the sampler process too, so the lock outlives a parent that was killed for as
    long as its sampler still writes.

    Yields
    ------
    int
        Descriptor of the lock file.

    Raises
    ------
    StageError
        If another process holds it, or the folder cannot be made or written.
    """
    try:
        paths.directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        msg = (
            f"The output folder {str(paths.directory)!r} cannot be written: {error.strerror}. "
            "Give output.filename a folder that you may write to."
        )
        raise StageError(msg) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.read(descriptor, 200).decode(errors="replace").strip() or "an unknown process"
            msg = (
                f"Another run is writing {str(paths.chain)!r} ({owner}). "
                "Wait for it, end it, or give this run another output.filename."
            )
            raise StageError(msg) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield descriptor
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)
