"""Arrays and a record in one folder of the cache: whole or not at all, memory-mapped when read back.

One ``.npy`` file per array and one JSON file. The folder appears by one rename, so a reader never sees half of it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.ssp_libraries.folders import replace_folder

__all__ = ["BROKEN", "load_array_files", "load_json_file", "store_array_folder"]

BROKEN = (OSError, ValueError, EOFError)
"""What reading a damaged file raises. A missing file raises its subclass ``FileNotFoundError``: catch that first."""


def load_array_files(folder: Path, names: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Return arrays of a folder, read-only and memory-mapped.

    Parameters
    ----------
    folder : Path
    names : iterable of str
        The arrays to expect.

    Raises
    ------
    FileNotFoundError
        One of them is not there.
    OSError, ValueError, EOFError
        One of them is damaged (see `BROKEN`).
    """
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in names}


def load_json_file(file: Path) -> Any:
    """Return the content of a JSON file; raises like `load_array_files`."""
    return json.loads(file.read_text(encoding="utf-8"))


def store_array_folder(
    folder: Path, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any] | None, record_file: str
) -> None:
    """Put arrays and their record into a folder, in place of an older one.

    Parameters
    ----------
    folder : Path
    arrays : mapping of str to ndarray
        Stored with the type that they have.
    record : mapping or None
        Whatever JSON can hold; None writes no record.
    record_file : str
        Name of the JSON file.

    Raises
    ------
    OSError
        The cache cannot be written; nothing is left behind.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder.parent))
    try:
        for name, array in arrays.items():
            np.save(work / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)
        if record is not None:
            (work / record_file).write_text(json.dumps(dict(record), indent=1) + "\n", encoding="utf-8")
        replace_folder(work, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
