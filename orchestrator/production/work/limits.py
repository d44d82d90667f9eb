"""Memory of this process: what it holds, and a limit on what it may take more."""

from __future__ import annotations

import contextlib
import math
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["MEGABYTE", "limited_memory", "memory_in_use"]

MEGABYTE = 1024 * 1024
_PAGE = resource.getpagesize()
_DATA_FIELD = 5


def memory_in_use() -> int:
    """Return the bytes of memory that this process holds; 0 where the system does not say."""
    return _statm(1)


def _statm(field: int) -> int:
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[field]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0


@contextlib.contextmanager
def limited_memory(megabytes: float) -> Iterator[None]:
    """Let an allocation that would take this process above a size fail, while the context lasts (Linux).

    The system limits what was asked for, which is more than what is held: the difference that there is now is added.
    """
    if not math.isfinite(megabytes) or sys.platform != "linux":
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = _statm(_DATA_FIELD) + max(0, int(megabytes * MEGABYTE) - memory_in_use())
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
