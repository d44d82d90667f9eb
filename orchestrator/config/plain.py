"""Plain values of CosmoSIS's own sections: words, numbers, flags and paths, with faults in words."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["as_flag", "as_whole_number", "plain_value", "resolve_path", "words"]

_TRUE = {"t", "true", "y", "yes", "on", "1"}
_FALSE = {"f", "false", "n", "no", "off", "0"}


def words(value: Any) -> list[str]:
    """Split text at blanks and commas, or take the entries of a list."""
    if value is None:
        return []
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [word for entry in value for word in words(entry)]
    return str(value).replace(",", " ").split()


def as_flag(value: Any, where: str, faults: list[str]) -> bool:
    """Return a yes/no value; anything else adds a fault and gives False."""
    text = str(value).strip().lower()
    if text in _TRUE | _FALSE:
        return text in _TRUE
    faults.append(f"{where} = {value!r}: expected T or F")
    return False


def as_whole_number(value: Any, where: str, faults: list[str], *, lowest: int | None = None) -> int:
    """Return a whole number; anything else, or one below `lowest`, adds a fault and gives 0."""
    plain = value.item() if hasattr(value, "item") else value
    try:
        number = None if isinstance(plain, bool) or float(plain) != int(float(plain)) else int(float(plain))
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or (lowest is not None and number < lowest):
        bound = "" if lowest is None else f" from {lowest} up"
        faults.append(f"{where} = {value!r}: expected a whole number{bound}")
        return 0
    return number


def resolve_path(value: Any, directory: Path) -> Path:
    """Return an absolute path, environment variables and ``~`` expanded, from `directory` on."""
    expanded = Path(os.path.expandvars(str(value))).expanduser()
    return Path(os.path.abspath(directory / expanded))


def plain_value(value: Any) -> Any:
    """Return a value as JSON and YAML know it: arrays as lists, numpy's numbers as Python's, the rest as text."""
    if isinstance(value, Mapping):
        return {str(key): plain_value(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_value(entry) for entry in value]
    if hasattr(value, "tolist"):
        return plain_value(value.tolist())
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
