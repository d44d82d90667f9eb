"""Import a CosmoSIS module file and find its class."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from orchestrator.errors import ConfigError

__all__ = ["NoModuleClassError", "load_module_class"]


class NoModuleClassError(ConfigError):
    """A module file of functions alone: CosmoSIS runs it, and nothing can be drawn with it."""


def load_module_class(file: Path) -> Any:
    """Return the module class of a CosmoSIS module file, which it names ``module``.

    The file is imported under a name of its own: two files of the same name in two folders are two modules.

    Raises
    ------
    ConfigError
        If the file does not exist; `NoModuleClassError` if it defines no ``module``.
    """
    if not file.is_file():
        msg = f"The module file {str(file)!r} does not exist."
        raise ConfigError(msg)
    name = f"orchestrator_module_{file.stem}_{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]}"
    loaded = sys.modules.get(name)
    if loaded is None:
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            msg = f"The module file {str(file)!r} is no Python file."
            raise ConfigError(msg)
        loaded = importlib.util.module_from_spec(spec)
        sys.modules[name] = loaded
        try:
            spec.loader.exec_module(loaded)
        except BaseException:
            del sys.modules[name]
            raise
    found = getattr(loaded, "module", None)
    if isinstance(found, str):
        found = getattr(loaded, found, None)
    if not callable(found):
        msg = (
            f"The module file {str(file)!r} defines no class under the name 'module', so it cannot "
            "be built here."
        )
        raise NoModuleClassError(msg)
    return found
