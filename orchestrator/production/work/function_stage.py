"""A stage that is a Python function: ``call(target, options, upstream) -> columns``.

::

    def colours(target, options, upstream):
        return {"g_r": Value(0.7, "mag", "colour g - r"), "is_red": True}

``target`` has the columns of the target's row, and its name under ``target``; ``upstream`` the columns of each stage
that this one needs, by stage. A value is a number, a text, yes or no, None, a scalar `astropy.units.Quantity`, or a
`Value`, which declares its column. The kind of a column is that of its first value: use floats for what may be one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import ConfigError
from orchestrator.production.columns import COMMON_COLUMNS
from orchestrator.production.function_code import load_function
from orchestrator.production.records import Target
from orchestrator.production.work.record_text import plain_number
from orchestrator.production.work.row import Row

__all__ = ["Value", "call_function", "load_function", "row_of_mapping"]

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_COMMON = frozenset(column.name for column in COMMON_COLUMNS)
_OWN_WORD = frozenset({"remarks", "verdict"})
"""Columns that every result has and that a function may set."""
_KINDS: Mapping[type, str] = {bool: "bool", int: "int", float: "float", str: "text"}


@dataclass(frozen=True)
class Value:
    """A value with the declaration of its column.

    Attributes
    ----------
    value : plain value
    unit, description, group : str
        See `orchestrator.production.columns.Column`.
    kind : {'', 'float', 'int', 'text', 'bool'}
        From the value if left out; a column whose first value is missing needs it.
    """

    value: Any
    unit: str = ""
    description: str = ""
    group: str = ""
    kind: str = ""


def call_function(
    sections: Mapping[str, Mapping[str, Any]], target: Target, upstream: Mapping[str, Mapping[str, Any]]
) -> Row:
    """Call the function of a stage, and return its row.

    Parameters
    ----------
    sections : Mapping
        ``function`` with its ``call``, and ``options``, resolved for the target.
    target : Target
    upstream : Mapping of str to Mapping
        Stage to its columns.

    Raises
    ------
    ConfigError
        If there is no such function, or what it returns cannot be columns.
    """
    own = sections["function"]
    options = {key: value for key, value in own.items() if key != "call"} | dict(sections.get("options", {}))
    found = load_function(str(own["call"]))({**target.values, "target": target.name}, options, upstream)
    if not isinstance(found, Mapping):
        msg = f"{own['call']} returned {type(found).__name__}, expected a mapping of columns to values"
        raise ConfigError(msg)
    return row_of_mapping(found, str(own["call"]))


def row_of_mapping(found: Mapping[str, Any], call: str) -> Row:
    """Return columns and values as a row.

    Raises
    ------
    ConfigError
        If a name or a value cannot be that of a column.
    """
    row = Row()
    for name, value in found.items():
        _add(row, str(name), value, call)
    return row


def _add(row: Row, name: str, given: Any, call: str) -> None:
    if not _NAME.fullmatch(name) or (name in _COMMON and name not in _OWN_WORD):
        why = "every result has one of that name" if name in _COMMON else "use lower-case letters, digits and _"
        msg = f"{call} returned a column {name!r}: {why}"
        raise ConfigError(msg)
    column = given if isinstance(given, Value) else _as_value(given)
    if name in _COMMON:
        row.values[name] = str(column.value)
        return
    kind = column.kind or _KINDS.get(_plain_type(column.value), "")
    if kind:
        row.add(name, plain_number(column.value), kind, column.unit, column.description, column.group)
    elif column.value is not None:
        msg = f"{call} returned {type(given).__name__} for {name!r}; expected a number, a text, yes or no, or None"
        raise ConfigError(msg)


def _as_value(given: Any) -> Value:
    if hasattr(given, "unit") and hasattr(given, "value"):  # a Quantity
        return Value(given.value, str(given.unit))
    return Value(given)


def _plain_type(value: Any) -> type:
    """Return Python's type of a value that may be numpy's."""
    if isinstance(value, (bool, int, float, str)):
        return next(kind for kind in (bool, int, float, str) if isinstance(value, kind))
    return type(value.item()) if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else type(value)
