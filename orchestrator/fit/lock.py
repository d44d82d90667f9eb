"""One run at a time per output: a file lock that ends with the process, whatever ends it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from orchestrator.config.file_lock import hold_lock_file
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
    def taken(owner: str) -> StageError:
        msg = (
            f"Another run is writing {str(paths.chain)!r} ({owner}). "
            "Wait for it, end it, or give this run another output.filename."
        )
        return StageError(msg)

    def unwritable(error: OSError) -> StageError:
        msg = (
            f"The output folder {str(paths.directory)!r} cannot be written: {error.strerror}. "
            "Give output.filename a folder that you may write to."
        )
        return StageError(msg)

    with hold_lock_file(paths.lock, taken=taken, unwritable=unwritable) as descriptor:
        yield descriptor
