"""Which options of a configuration name files, and how their relative paths are resolved.

The modules, samplers and sections of this package declare it. In the sections of a user's own module or function a
text counts as a file if one is there.
"""

from __future__ import annotations

import functools
import os
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["FileUse", "absolute_path", "canonical_name", "file_use", "map_files", "portable_path"]

FileUse = typing.Literal["read", "written", "words", "if there", "no file"]
"""``words``: a text of several paths. ``if there``: a file if there is one of that name."""

_PIPELINE: dict[str, FileUse] = {"values": "read", "priors": "read", "failure_log": "written"}
_RUNTIME: dict[str, FileUse] = {"import_samplers": "words"}
_WRITTEN_BY_MODULES = frozenset({"logging_file", "save_z_loglike"})
_PLAIN = frozenset({"values", "handover", "wires", "outputs"})
_OF_FUNCTIONS = frozenset({"function", "options"})
"""Sections of a stage that is a function; they are answered for without importing the options of all modules."""
_SAMPLER_READS = frozenset(("start_points", "covmat", "input", "start_input", "datafile"))


def file_use(section: str, option: str, own_file: bool = False) -> FileUse:
    """Return whether an option of a section names a file.

    Parameters
    ----------
    section, option : str
        As the user wrote them.
    own_file : bool
        The section has an option ``file``: it may be a module of the user's.
    """
    name = option.lower()
    if section in _PLAIN:
        return "no file"
    if section == "pipeline":
        return _PIPELINE.get(name, "no file")
    if section == "inputs":
        return "read"
    if section == "runtime":
        return _RUNTIME.get(name, "no file")
    if section == "output":
        return "written" if name in ("filename", "figurename") else "no file"
    if name == "file":
        return "read"
    declared = _module_files(section)
    if declared is not None:
        if name in _WRITTEN_BY_MODULES:
            return "written"
        if name in ("sspmodel", "ssp_model"):
            return "if there"
        return "read" if name in declared else "no file"
    if name in _SAMPLER_READS and not own_file:
        return "read"
    return "if there"


@functools.lru_cache(maxsize=256)
def _module_files(section: str) -> frozenset[str] | None:
    """Lower-case spellings of the options that are paths; None for a section of no module of this package."""
    if section in _OF_FUNCTIONS:
        return None
    from orchestrator.config.module_options import MODULES, module_of_section

    class_name = module_of_section(section)
    if class_name is None:
        return None
    fields = MODULES[class_name].options.model_fields
    found = {name: field for name, field in fields.items() if Path in _types_in(field.annotation)}
    spellings = [*found, *(field.alias for field in found.values() if field.alias)]
    return frozenset(spelling.lower() for spelling in spellings)


def _types_in(annotation: Any) -> set[Any]:
    inner = typing.get_args(annotation)
    return {annotation} if not inner else {kind for entry in inner for kind in _types_in(entry)}


@functools.lru_cache(maxsize=4096)
def canonical_name(section: str, option: str) -> str:
    """Return one spelling for all that mean the same option (capitals and aliases do not matter).

    Texts of the sections ``values`` and ``handover`` stay as they are.
    """
    if section in _PLAIN:
        return option
    if section in _OF_FUNCTIONS:
        return option.lower()
    from orchestrator.config.module_options import MODULES, module_of_section

    class_name = module_of_section(section)
    if class_name is None:
        return option.lower()
    return MODULES[class_name].options.spellings().get(option.lower(), option).lower()


def absolute_path(value: Any, use: FileUse, folder: str | Path) -> Any:
    """Return the value of an option that names a file as an absolute path, from `folder` on.

    What names no file comes back as it is, and so do ``None`` and ``"None"``, which mean no value.
    """
    if not isinstance(value, str) or use == "no file" or value.strip() in ("", "none", "None"):
        return value
    if use == "words":
        return " ".join(_absolute(word, folder) for word in value.replace(",", " ").split())
    if use != "if there":
        return _absolute(value, folder)
    if "/" not in value and "." not in value:
        return value  # a word, whatever lies in the folder
    path = _absolute(value, folder)
    return path if os.path.isfile(path) else value


def _absolute(value: str, folder: str | Path) -> str:
    if "$" in value or value.startswith("~"):
        value = os.path.expanduser(os.path.expandvars(value))
    return os.path.normpath(os.path.join(folder, value))


def portable_path(value: Any, production: str | Path) -> Any:
    """Return an absolute path relative to `production` if it lies inside; anything else as it is."""
    if not isinstance(value, str):
        return value
    if value == str(production):
        return "."
    return value.removeprefix(f"{production}{os.sep}")


def map_files(sections: Mapping[str, Any], change: typing.Callable[[Any, FileUse], Any]) -> dict[str, Any]:
    """Return sections in which `change` was applied to the value of every option that may name a file."""
    changed: dict[str, Any] = {}
    for section, options in sections.items():
        if not isinstance(options, Mapping):
            changed[section] = options
            continue
        own = any(str(key).lower() == "file" for key in options)
        changed[section] = {
            key: value if (use := file_use(section, str(key), own)) == "no file" else change(value, use)
            for key, value in options.items()
        }
    return changed
