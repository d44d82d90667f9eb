"""A parsed copy of every library that was read, memory-mapped from then on.

One folder per content (:mod:`array_folder`). A copy that does not agree with its own record is thrown away and
made again. Nothing here is precious.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.ssp_libraries.array_folder import BROKEN, load_array_files, load_json_file, store_array_folder
from orchestrator.ssp_libraries.folders import cache_folder
from orchestrator.ssp_libraries.library import SSPLibrary

__all__ = ["cached_library"]

_LAYOUT_VERSION = 4  # raise it whenever a reader or the layout changes what is stored
_RECORD_FILE = "record.json"
_ARRAYS = ("wavelength", "log10_age_yr", "metallicity", "flux", "lsf_fwhm", "surviving_fraction")

logger = logging.getLogger(__name__)


class _BrokenCacheError(ValueError):
    """The cached copy does not agree with its record."""


def cached_library(key: str, read: Callable[[], SSPLibrary]) -> SSPLibrary:
    """Return the parsed copy stored under a key, or read the library and store it.

    Parameters
    ----------
    key : str
        All that decides the result: library, options, checksum of the files.
    read : callable
        Reads and checks the library.

    Returns
    -------
    SSPLibrary
        Its arrays are read-only maps of the stored files; held in memory where the cache cannot be written.
    """
    digest = sha256(f"{_LAYOUT_VERSION}\0{key}".encode()).hexdigest()[:32]
    folder = cache_folder() / "ssp_libraries" / digest
    try:
        return _load_once(folder)
    except FileNotFoundError:
        pass
    except BROKEN as error:
        logger.warning("the parsed copy of an SSP library in %s is broken (%s); it is made again", folder, error)
    library = read()
    try:
        _store(library, folder)
        return _load(folder)
    except BROKEN as error:
        logger.warning("the parsed SSP library %s is not kept: %s (see ORCHESTRATOR_CACHE)", library.name, error)
    return library


_recent: dict[Path, tuple[tuple[Any, ...], SSPLibrary]] = {}
_MOST_RECENT = 4


def _load_once(folder: Path) -> SSPLibrary:
    """Load a copy, or give the one that this process has loaded, if none of its files has been touched since."""
    with os.scandir(folder) as entries:
        files = sorted((entry.name, *_stamp(entry.stat())) for entry in entries)
    state, library = _recent.get(folder, (None, None))
    if library is None or state != tuple(files):
        library = _load(folder)
        _recent.pop(folder, None)
        while len(_recent) >= _MOST_RECENT:
            _recent.pop(next(iter(_recent)))
        _recent[folder] = (tuple(files), library)
    return library


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_mtime_ns, status.st_size, status.st_ino


def _load(folder: Path) -> SSPLibrary:
    record = load_json_file(folder / _RECORD_FILE)
    if set(record) != {"arrays", "values"} or not isinstance(record["arrays"], dict):
        msg = f"unexpected content of {_RECORD_FILE}"
        raise _BrokenCacheError(msg)
    try:
        found = load_array_files(folder, record["arrays"])
    except FileNotFoundError as error:
        raise _BrokenCacheError(str(error)) from error
    for name, array in found.items():
        described = [list(array.shape), array.dtype.str]
        if described != record["arrays"][name]:
            msg = f"{name} is {described}, expected {record['arrays'][name]}"
            raise _BrokenCacheError(msg)
    arrays: dict[str, Any] = dict.fromkeys(_ARRAYS) | found
    try:
        return SSPLibrary(**arrays, **record["values"])
    except TypeError as error:
        raise _BrokenCacheError(str(error)) from error


def _store(library: SSPLibrary, folder: Path) -> None:
    arrays = {name: np.asarray(getattr(library, name)) for name in _ARRAYS if getattr(library, name) is not None}
    record = {
        "arrays": {name: [list(array.shape), array.dtype.str] for name, array in arrays.items()},
        "values": {f.name: getattr(library, f.name) for f in fields(library) if f.name not in _ARRAYS},
    }
    store_array_folder(folder, arrays, record, _RECORD_FILE)
