"""A parsed copy of every library that was read, memory-mapped from then on.

One folder per content: plain ``.npy`` arrays and ``record.json``. It appears by one rename, so a reader never
sees half of it; a copy that does not agree with its own record is thrown away and made again. Nothing here is
precious.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.ssp_libraries.folders import cache_folder, replace_folder
from orchestrator.ssp_libraries.library import SSPLibrary

__all__ = ["cached_library"]

_LAYOUT_VERSION = 1  # raise it whenever a reader or the layout changes what is stored
_RECORD_FILE = "record.json"
_ARRAYS = (
    "wavelength",
    "log10_age_yr",
    "metallicity",
    "flux",
    "lsf_fwhm",
    "surviving_fraction",
)

logger = logging.getLogger(__name__)


class _BrokenCacheError(Exception):
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
        return _load(folder)
    except FileNotFoundError:
        pass
    except (_BrokenCacheError, OSError, ValueError, EOFError) as error:
        logger.warning(
            "the parsed copy of an SSP library in %s is broken (%s); it is made again", folder, error
        )
    library = read()
    try:
        _store(library, folder)
        return _load(folder)
    except (_BrokenCacheError, OSError) as error:
        logger.warning(
            "the parsed SSP library %s is not kept: %s (see ORCHESTRATOR_CACHE)", library.name, error
        )
    return library


def _load(folder: Path) -> SSPLibrary:
    record: dict[str, Any] = json.loads((folder / _RECORD_FILE).read_text(encoding="utf-8"))
    if set(record) != {"shapes", "values"} or not isinstance(record["shapes"], dict):
        msg = f"unexpected content of {_RECORD_FILE}"
        raise _BrokenCacheError(msg)
    arrays: dict[str, Any] = {name: None for name in _ARRAYS}
    for name, shape in record["shapes"].items():
        try:
            array = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        except FileNotFoundError as error:
            raise _BrokenCacheError(str(error)) from error
        if list(array.shape) != shape or array.dtype != np.float64:
            msg = f"{name} has shape {array.shape}, expected {shape}"
            raise _BrokenCacheError(msg)
        arrays[name] = array
    try:
        return SSPLibrary(**arrays, **record["values"])
    except TypeError as error:
        raise _BrokenCacheError(str(error)) from error


def _store(library: SSPLibrary, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder.parent))
    try:
        shapes = {}
        for name in _ARRAYS:
            array = getattr(library, name)
            if array is not None:
                np.save(work / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)
                shapes[name] = list(array.shape)
        values = {f.name: getattr(library, f.name) for f in fields(library) if f.name not in _ARRAYS}
        record = json.dumps({"shapes": shapes, "values": values}, indent=1)
        (work / _RECORD_FILE).write_text(record, encoding="utf-8")
        replace_folder(work, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
