"""Records of a production as plain types, for JSON: the frames of a journal and the messages to a fitter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from orchestrator.production.columns import Column
from orchestrator.production.records import InputFile, Target, TaskOrder, TaskRecord, Work

__all__ = ["column_from", "column_to", "plain_number", "record_from", "record_to", "work_from", "work_to"]


def record_to(record: TaskRecord) -> dict[str, Any]:
    """Return a record as a dictionary; what has its default is left out."""
    found = {
        name: value for name, value in vars(record).items() if name in _ALWAYS or value not in ("", 0, 0.0, (), {})
    }
    found["columns"] = {name: plain_number(value) for name, value in record.columns.items()}
    for name in ("files", "products"):
        if found.get(name):
            found[name] = [[file.path, file.size, file.mtime_ns, file.checksum] for file in found[name]]
    return found


_ALWAYS = frozenset(("target_id", "stage", "attempt", "recipe", "outcome"))


def record_from(entries: Mapping[str, Any]) -> TaskRecord:
    """Return the record of `record_to`."""
    files = {name: tuple(InputFile(*file) for file in entries.get(name, ())) for name in ("files", "products")}
    return TaskRecord(**{**entries, **files})


def column_to(column: Column) -> list[str]:
    """Return a column as a list."""
    return [column.name, column.kind, column.unit, column.description, column.group]


def column_from(entries: list[str]) -> Column:
    """Return the column of `column_to`."""
    return Column(*entries)


def work_to(work: Work) -> dict[str, Any]:
    """Return a piece of work as a dictionary."""
    target = work.target
    return {
        **vars(work),
        "target": [target.name, dict(target.values), dict(target.overrides)],
        "tasks": [[task.stage, task.attempt, task.recipe, task.budget] for task in work.tasks],
    }


def work_from(entries: Mapping[str, Any]) -> Work:
    """Return the piece of work of `work_to`."""
    tasks = tuple(TaskOrder(*task) for task in entries["tasks"])
    return Work(**{**entries, "target": Target(*entries["target"]), "tasks": tasks})


def plain_number(value: Any) -> Any:
    """Return a value as JSON has it: numbers of numpy as Python's, None for what is not finite."""
    if isinstance(value, float):  # numpy's float64 too
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if hasattr(value, "item"):
        return plain_number(value.item())
    return str(value)
