"""From the table of targets to targets: rows chosen by ``where``, multiplied by the axes of ``cross``."""

from __future__ import annotations

import itertools
import re
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ConfigError
from orchestrator.production.expression import Expression, parse_expression
from orchestrator.production.records import Target
from orchestrator.production.target_tables import TableReader, open_table

if TYPE_CHECKING:
    from orchestrator.production.run_file import RunFile

__all__ = ["folder_name", "is_override", "read_targets", "value_columns"]

_MOST_FAULTS = 10
_LONGEST = 200
_SAFE = " !#$&'()+,;=@[]{}~^"
_PLACEHOLDER_NAME = re.compile(r"[^{}.\[\]!:]+")


def is_override(column: str) -> bool:
    """Whether a column holds overrides: its name has a dot."""
    return "." in column


def value_columns(columns: Sequence[str]) -> list[str]:
    """Return the columns that can stand in placeholders and conditions."""
    return [column for column in columns if _PLACEHOLDER_NAME.fullmatch(column)]


def folder_name(target: str) -> str:
    """Return the folder of a target, relative to ``targets/``: characters that a folder cannot have are quoted.

    Parameters
    ----------
    target : str
        Its name; a slash, as before the value of an axis, begins a folder inside.
    """
    parts = []
    for part in target.split("/"):
        quoted = urllib.parse.quote(part, safe=_SAFE)
        parts.append(quoted.replace(".", "%2E") if not part.strip(".") else quoted)
    return "/".join(part or "%00" for part in parts)


def read_targets(run_file: RunFile) -> Iterator[Target]:
    """Return the targets of a production, in the order of the table, each row with all combinations of the axes.

    The memory does not grow with a FITS or Parquet table, but for 8 bytes per row that tell repeated names.

    Parameters
    ----------
    run_file : RunFile

    Raises
    ------
    ConfigError
        Before the first target: the identifier is missing, empty or not unique, the condition cannot be used, a
        column overrides what no stage has.
    """
    entries = run_file.targets
    table = open_table(run_file.table, entries.extension)
    condition = None if entries.where is None else parse_expression(entries.where)
    faults = table_faults(run_file, table, condition)
    if faults:
        raise ConfigError(faults)
    _check_names(table, entries.identifier, condition, bool(entries.cross))
    return _targets(run_file, table, condition)


def table_faults(run_file: RunFile, table: TableReader, condition: Expression | None) -> list[str]:
    """Return what is wrong with the columns of the table."""
    from orchestrator.errors import nearest_known
    from orchestrator.production.overrides import parse_override

    entries, columns = run_file.targets, table.columns
    faults = []
    wanted = [("targets.identifier", entries.identifier)]
    wanted += [("targets.columns", name) for name in entries.columns or ()]
    for place, column in wanted:
        if column not in columns:
            hint = nearest_known(column, columns)
            faults.append(f"{place}: there is no column {column!r} in {str(table.path)!r}{hint}")
    if condition is not None:
        faults += [f"targets.where: {fault}" for fault in condition.unknown_columns(columns)]
    for axis in entries.cross:
        if axis in columns or axis == "target":
            faults.append(f"targets.cross: the axis {axis!r} has the name of a column; rename one")
    for column in filter(is_override, columns):
        try:
            parse_override(column, run_file.stages)
        except ConfigError as error:
            faults += [f"column {column!r} of {str(table.path)!r}: {fault}" for fault in error.faults]
    return faults


def _check_names(table: TableReader, identifier: str, condition: Expression | None, crossed: bool) -> None:
    """Refuse identifiers that are empty, repeated or of no use as a name."""
    import numpy as np

    faults: list[str] = []
    hashes: list[Any] = []
    needed = [identifier, *(condition.columns if condition else ())]
    chunk: list[int] = []
    for number, row in enumerate(table.rows(list(dict.fromkeys(needed)), [identifier]), 1):
        if condition is not None and not condition.matches(row):
            continue
        fault = _name_fault(row[identifier], crossed)
        if fault and len(faults) < _MOST_FAULTS:
            faults.append(f"{str(table.path)!r}, row {number}: {identifier} = {row[identifier]!r}: {fault}")
        chunk.append(hash(_name(row[identifier])))
        if len(chunk) == 100_000:
            hashes.append(np.array(chunk, dtype=np.int64))
            chunk = []
    hashes.append(np.array(chunk, dtype=np.int64))
    every = np.concatenate(hashes)
    found, counts = np.unique(every, return_counts=True)
    if not every.size:
        chosen = "" if condition is None else f" for which {condition.text!r}"
        faults.append(f"there is no target in {str(table.path)!r}{chosen}")
    elif found.size < every.size and not faults:
        faults += _repeated(table, identifier, condition, set(found[counts > 1].tolist()))
    if faults:
        raise ConfigError(faults)


def _repeated(
    table: TableReader, identifier: str, condition: Expression | None, suspects: set[int]
) -> list[str]:
    """Name the identifiers that occur more than once."""
    rows: dict[str, list[int]] = {}
    needed = list(dict.fromkeys([identifier, *(condition.columns if condition else ())]))
    for number, row in enumerate(table.rows(needed, [identifier]), 1):
        name = _name(row[identifier])
        if hash(name) in suspects and (condition is None or condition.matches(row)):
            rows.setdefault(name, []).append(number)
    faults: list[str] = []
    for name, numbers in rows.items():
        if len(numbers) > 1 and len(faults) < _MOST_FAULTS:
            where = ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")
            found = f"{str(table.path)!r}: {identifier} = {name!r} occurs in rows {where}"
            faults.append(f"{found}; expected unique names")
    return faults


def _name(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value)


def _name_fault(value: Any, crossed: bool) -> str:
    name = _name(value)
    if not name:
        return "expected a name"
    if isinstance(value, float) and not value.is_integer():
        return "expected a name or a whole number"
    if not name.isprintable():
        return "a name cannot hold line breaks or other invisible characters"
    if len(name) > _LONGEST:
        return f"expected at most {_LONGEST} characters"
    if crossed and "/" in name:
        return "with cross, a name cannot hold '/', which separates the values of the axes"
    return ""


def _targets(run_file: RunFile, table: TableReader, condition: Expression | None) -> Iterator[Target]:
    entries = run_file.targets
    columns = value_columns(table.columns) if entries.columns is None else list(entries.columns)
    overriding = [column for column in table.columns if is_override(column)]
    needed = [entries.identifier, *columns, *(condition.columns if condition else ()), *overriding]
    axes = list(_combinations(entries.cross))
    for row in table.rows(list(dict.fromkeys(needed)), [entries.identifier]):
        if condition is not None and not condition.matches(row):
            continue
        name = _name(row[entries.identifier])
        values = {column: row[column] for column in columns}
        overrides = {column: row[column] for column in overriding if row[column] is not None}
        for ending, chosen in axes:
            yield Target(name + ending, {**values, **chosen}, overrides)


def _combinations(cross: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the end of the name and the values of every combination of the axes."""
    for choice in itertools.product(*cross.values()):
        chosen = dict(zip(cross, choice, strict=True))
        yield "".join(f"/{axis}={value}" for axis, value in chosen.items()), chosen
