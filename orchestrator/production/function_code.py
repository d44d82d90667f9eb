"""The code of function stages: where its source is, its identity, and how it is imported when it has changed."""

from __future__ import annotations

import functools
import hashlib
import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from orchestrator.errors import ConfigError

__all__ = ["forget_functions", "load_function", "source_checksum", "source_of", "use_python_path"]

_added: list[str] = []
_imported: dict[str, str] = {}
"""Module to the checksum of its source when a function was first taken from it."""


def source_of(call: str, folders: Sequence[str] = ()) -> Path | None:
    """Return the file that a function is defined in, found without importing it.

    Parameters
    ----------
    call : str
        ``package.module:name``.
    folders : sequence of str
        Looked through after what can be imported anyway.

    Returns
    -------
    Path or None
        None if there is no such module, or it is no Python source.
    """
    path: Sequence[str] | None = [*sys.path, *folders]
    name = ""
    origin = None
    for part in call.partition(":")[0].split("."):
        name = f"{name}.{part}" if name else part
        spec = PathFinder.find_spec(name, path)
        if spec is None:
            return None
        path, origin = spec.submodule_search_locations, spec.origin
        if path is None:
            path = []
    return Path(origin) if origin and origin.endswith(".py") else None


def source_checksum(call: str, folders: Sequence[str] = ()) -> str:
    """Return the identity of the file of a function; empty if it is not here."""
    source = source_of(call, folders)
    return "" if source is None else _checksum(source)


def _checksum(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError:
        return ""


@functools.cache
def load_function(call: str) -> Callable[..., Any]:
    """Import the function of a stage.

    Parameters
    ----------
    call : str
        ``package.module:name``.

    Raises
    ------
    ConfigError
        If there is none.
    """
    module_name, _, name = call.partition(":")
    try:
        found = functools.reduce(getattr, name.split("."), _module(module_name))
    except (ImportError, AttributeError, ValueError) as error:
        msg = f"the function {call!r} cannot be imported: {error}; expected package.module:name"
        raise ConfigError(msg) from error
    if not callable(found):
        msg = f"{call!r} is {found!r}, not a function"
        raise ConfigError(msg)
    function: Callable[..., Any] = found
    return function


def _module(name: str) -> Any:
    """Import a module; anew if its source has changed, or another file is found under its name now."""
    source = source_of(f"{name}:")
    checksum = "" if source is None else _checksum(source)
    loaded = sys.modules.get(name)
    if loaded is not None and source is not None and name in _imported:
        same_file = getattr(loaded, "__file__", None) == str(source)
        if not same_file or _imported[name] != checksum:
            del sys.modules[name]
            importlib.invalidate_caches()
    _imported[name] = checksum
    return importlib.import_module(name)


def forget_functions() -> None:
    """Let the next use of every function look at its source again."""
    load_function.cache_clear()
    importlib.invalidate_caches()


def use_python_path(folders: Sequence[str]) -> None:
    """Let this process import functions from folders; what it can import already comes first.

    Folders of another production, that were added before, make room.
    """
    for folder in _added:
        if folder not in folders and folder in sys.path:
            sys.path.remove(folder)
    new = [folder for folder in folders if folder not in sys.path]
    sys.path.extend(new)
    _added[:] = [folder for folder in {*_added, *new} if folder in folders]
    forget_functions()
