"""Named arrays in the user's cache, whole or not at all, memory-mapped when read back.

Nothing here is precious: what is missing or broken is computed again.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.ssp_libraries.folders import cache_folder, replace_folder

__all__ = ["load_arrays", "load_statement", "store_arrays"]

logger = logging.getLogger(__name__)

_FOLDER = "prepared_templates"
_STATEMENT = "statement.json"


def load_arrays(key: str, names: tuple[str, ...]) -> dict[str, NDArray[np.float64]] | None:
    """Return the arrays stored under `key`, read-only and memory-mapped; None if they are not all there.

    Parameters
    ----------
    key : str
        Hash of all that decides the content.
    names : tuple of str
        The arrays to expect.
    """
    folder = cache_folder() / _FOLDER / key
    try:
        return {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in names}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError) as error:
        logger.warning("the cached arrays in %s are broken (%s); they are made again", folder, error)
        return None


def load_statement(key: str) -> dict[str, float] | None:
    """Return what was said of the arrays under `key` when they were stored; None if nothing can be read."""
    file = cache_folder() / _FOLDER / key / _STATEMENT
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        logger.warning("%s is broken (%s); it is made again", file, error)
        return None
    return content if isinstance(content, dict) else None


def store_arrays(
    key: str, arrays: Mapping[str, NDArray[np.float64]], statement: Mapping[str, float] | None = None
) -> None:
    """Store arrays under `key`; a cache that cannot be written is reported and costs only time.

    Parameters
    ----------
    key : str
        Hash of all that decides the content.
    arrays : mapping of str to ndarray
    statement : mapping of str to number, optional
        What is known about the arrays, such as their error; a text file beside them.
    """
    parent = cache_folder() / _FOLDER
    try:
        parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=parent))
    except OSError as error:
        logger.warning("prepared templates are not kept: %s (see ORCHESTRATOR_CACHE)", error)
        return
    try:
        for name, array in arrays.items():
            np.save(work / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)
        if statement is not None:
            (work / _STATEMENT).write_text(json.dumps(dict(statement), indent=1) + "\n", encoding="utf-8")
        replace_folder(work, parent / key)
    except OSError as error:
        logger.warning("prepared templates are not kept: %s (see ORCHESTRATOR_CACHE)", error)
    finally:
        shutil.rmtree(work, ignore_errors=True)
