"""Parsl's own log, in a file of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["parsl_logs_to"]


@contextmanager
def parsl_logs_to(file: Path) -> Iterator[None]:
    """Append what Parsl logs meanwhile to a file, and to nothing else; what Parsl sets up leaves files open."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(file, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s: %(message)s"))
    everything = logging.getLogger("parsl")
    calls = logging.getLogger("parsl.dataflow")  # five lines per call
    former = everything.level, calls.level, everything.propagate
    everything.addHandler(handler)
    everything.setLevel(logging.INFO)
    calls.setLevel(logging.WARNING)
    everything.propagate = False
    try:
        yield
    finally:
        everything.removeHandler(handler)
        handler.close()
        everything.setLevel(former[0])
        calls.setLevel(former[1])
        everything.propagate = former[2]
