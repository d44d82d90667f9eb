"""Functions with annotations: called with what they declare; their result becomes columns and flags."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.errors import ConfigError, nearest_known
from orchestrator.production.columns import FLAGS, flag_bits
from orchestrator.production.declaration import (
    Declaration,
    ResultField,
    declaration_of,
    result_fields,
    validated_options,
)
from orchestrator.production.function_code import load_function
from orchestrator.production.stage_types import Flagged
from orchestrator.production.work.function_stage import row_of_mapping
from orchestrator.production.work.record_text import plain_number
from orchestrator.production.work.row import Row
from orchestrator.production.work.step import Step, StepResult, publish

__all__ = ["run_function"]

_KNOWN_FLAGS = frozenset(flag.name for flag in FLAGS)


@functools.lru_cache(maxsize=256)
def _declared(function: Callable[..., Any], call: str) -> tuple[Declaration, tuple[ResultField, ...]]:
    declared = declaration_of(function, call)
    if declared.is_plain:
        return declared, ()
    returned = typing.get_type_hints(function, include_extras=True).get("return")
    return declared, tuple(result_fields(returned, call, []))


def run_function(step: Step) -> tuple[StepResult, tuple[Any, ...]]:
    """Call the function of a stage; return its result and the files that it has published.

    Raises
    ------
    ConfigError
        If an option does not fit, or what it returns cannot be columns.
    """
    call = str(step.sections["function"]["call"])
    function = load_function(call)
    declared, fields = _declared(function, call)
    row = {**step.target.values, "target": step.target.name}
    if declared.is_plain:
        upstream = {need: step.result_of(need) for need in step.stage.needs}
        return _result(function(row, step.options, upstream), call, ()), ()
    arguments: dict[str, Any] = validated_options(declared, step.options, call)
    for parameter in declared.parameters:
        name = parameter.name
        if parameter.use == "file" and name in step.sections.get("inputs", {}):
            if name in step.files:
                arguments[name] = step.files[name]
        elif parameter.use == "output":
            arguments[name] = step.outputs[name]
        elif name in step.sections.get("wires", {}):
            arguments[name] = step.wired[name]
    returned = function(row, **arguments) if declared.takes_target else function(**arguments)
    result = _result(returned, call, fields)
    whole = not (isinstance(returned, Flagged) and returned.result is None)
    return result, publish(step, complete=whole)


def _result(returned: Any, call: str, fields: tuple[ResultField, ...]) -> StepResult:
    """Return what came back as columns, flags and remarks."""
    names: tuple[str, ...] = ()
    remarks = ""
    if isinstance(returned, Flagged):
        names, remarks, returned = tuple(returned.flags), returned.remarks, returned.result
    raised, bits = _flags(names, call, fields)
    if dataclasses.is_dataclass(returned) and not isinstance(returned, type):
        row = _row(returned, fields, raised)
    elif returned is None:
        row = _row(None, fields, raised)
    elif isinstance(returned, Mapping):
        row = row_of_mapping(returned, call)
        remarks = remarks or str(row.values.pop("remarks", ""))
        verdict = str(row.values.pop("verdict", "flagged" if names else "ok"))
        return StepResult(row, bits, remarks, verdict)
    else:
        found = type(returned).__name__
        msg = f"{call} returned {found}, expected a dataclass, a mapping of columns to values, or None"
        raise ConfigError(msg)
    return StepResult(row, bits, remarks, "flagged" if names else "ok")


def _flags(names: tuple[str, ...], call: str, fields: tuple[ResultField, ...]) -> tuple[set[str], int]:
    """Return the fields that are raised, and the bits of the flags that every result may have."""
    own = {field.column.name for field in fields if field.is_flag}
    for name in names:
        if name not in own and name not in _KNOWN_FLAGS:
            msg = f"{call}: there is no flag {name!r}{nearest_known(name, own | _KNOWN_FLAGS)}"
            raise ConfigError(msg)
    return set(names) & own, flag_bits(name for name in names if name not in own)


def _row(record: Any, fields: tuple[ResultField, ...], raised: set[str]) -> Row:
    row = Row()
    if record is not None and not fields:
        fields = tuple(result_fields(type(record), type(record).__name__, []))
    for field in fields:
        column = field.column
        value = None if record is None else getattr(record, column.name)
        if field.is_flag:
            value = bool(value) or column.name in raised
        row.add(column.name, plain_number(value), column.kind, column.unit, column.description, column.group)
    return row
