"""Named arrays in the user's cache, whole or not at all, memory-mapped when read back.

Nothing here is precious: what is missing or broken is computed again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from orchestrator.ssp_libraries.array_folder import BROKEN, load_array_files, load_json_file, store_array_folder
from orchestrator.ssp_libraries.folders import cache_folder

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
        return load_array_files(folder, names)
    except FileNotFoundError:
        return None
    except BROKEN as error:
        logger.warning("the cached arrays in %s are broken (%s); they are made again", folder, error)
        return None


def load_statement(key: str) -> dict[str, float] | None:
    """Return what was said of the arrays under `key` when they were stored; None if nothing can be read."""
    file = cache_folder() / _FOLDER / key / _STATEMENT
    try:
        content = load_json_file(file)
    except FileNotFoundError:
        return None
    except BROKEN as error:
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
    try:
        store_array_folder(cache_folder() / _FOLDER / key, arrays, statement, _STATEMENT)
    except OSError as error:
        logger.warning("prepared templates are not kept: %s (see ORCHESTRATOR_CACHE)", error)
