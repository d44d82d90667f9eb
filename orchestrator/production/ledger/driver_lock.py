"""One driver at a time: a file lock that ends with the process, whatever ends it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from orchestrator.config.file_lock import hold_lock_file
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
    def taken(owner: str) -> ProductionError:
        msg = f"Another driver runs the production in {str(path.parent)!r} ({owner}). Wait for it or end it."
        return ProductionError(msg)

    def unwritable(error: OSError) -> ProductionError:
        msg = f"The lock {str(path)!r} cannot be written: {error.strerror}. The folder has to be writable."
        return ProductionError(msg)

    with hold_lock_file(path, taken=taken, unwritable=unwritable, make_folder=False):
        yield
