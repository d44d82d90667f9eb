"""Tables on their way out: Parquet and CSV batch by batch, ECSV through astropy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.errors import ProductionError
from orchestrator.production.columns import FLAGS, Column

__all__ = ["ExportTable", "Provenance", "astropy_table", "masked_columns", "write_csv", "write_ecsv", "write_parquet"]

_DTYPES: dict[str, Any] = {"float": np.float64, "int": np.int64, "bool": np.bool_}
_FILL: dict[str, Any] = {"float": np.nan, "int": 0, "bool": False}


@dataclass(frozen=True)
class Provenance:
    """Where results come from.

    Attributes
    ----------
    production, plan, git_commit, written : str
        Name of the production, hash of the plan and commit of its last run, time in UTC.
    seed : int or None
    versions : Mapping of str to str
        Package to version.
    """

    production: str
    plan: str = ""
    seed: int | None = None
    git_commit: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    written: str = ""


@dataclass(frozen=True)
class ExportTable:
    """A table to write.

    Attributes
    ----------
    name : str
    columns : tuple of Column
    batches : iterator of list of tuple
        Rows, None where a value is missing; can be gone through once.
    provenance : Provenance
    """

    name: str
    columns: tuple[Column, ...]
    batches: Iterator[list[tuple[Any, ...]]]
    provenance: Provenance


def masked_columns(table: ExportTable) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], int]:
    """Return the whole table as arrays.

    Returns
    -------
    values : dict of str to ndarray, shape (n_rows,)
        float64, int64, bool or str; what is missing is NaN, 0, False or empty.
    missing : dict of str to ndarray of bool, shape (n_rows,)
    n_rows : int
    """
    parts: list[list[np.ndarray]] = [[] for _ in table.columns]
    masks: list[list[np.ndarray]] = [[] for _ in table.columns]
    n_rows = 0
    for batch in table.batches:
        n_rows += len(batch)
        for index, (column, entries) in enumerate(zip(table.columns, zip(*batch, strict=True), strict=True)):
            mask = np.fromiter((entry is None for entry in entries), bool, len(entries))
            parts[index].append(_array(column.kind, entries, mask))
            masks[index].append(mask)
    values = {}
    for column, arrays in zip(table.columns, parts, strict=True):
        values[column.name] = np.concatenate(arrays) if arrays else _array(column.kind, (), np.zeros(0, bool))
    missing = {
        column.name: np.concatenate(arrays) if arrays else np.zeros(0, bool)
        for column, arrays in zip(table.columns, masks, strict=True)
    }
    return values, missing, n_rows


def _array(kind: str, entries: tuple[Any, ...], missing: np.ndarray) -> np.ndarray:
    if kind == "text":
        return np.array([entry or "" for entry in entries], dtype=np.str_)
    fill = _FILL[kind]
    if missing.any():
        entries = tuple(fill if entry is None else entry for entry in entries)
    return np.array(entries, dtype=_DTYPES[kind])


def astropy_table(table: ExportTable) -> Any:
    """Return a table with units, descriptions and masks; what was missing is masked, a number never is."""
    from astropy.table import Column as PlainColumn
    from astropy.table import MaskedColumn, Table

    values, missing, _ = masked_columns(table)
    made = Table(meta=_meta(table))
    for column in table.columns:
        options = {"name": column.name, "unit": column.unit or None, "description": column.description}
        mask = missing[column.name]
        if mask.any():
            made[column.name] = MaskedColumn(values[column.name], mask=mask, **options)
        else:
            made[column.name] = PlainColumn(values[column.name], **options)
    return made


def _meta(table: ExportTable) -> dict[str, Any]:
    return {
        "table": table.name,
        **{name: value for name, value in asdict(table.provenance).items() if value not in (None, "", {})},
        "flags": {flag.name: {"value": flag.value, "description": flag.description} for flag in FLAGS},
        "groups": {column.name: column.group for column in table.columns if column.group},
    }


def write_ecsv(table: ExportTable, path: Path) -> int:
    """Write an enhanced CSV file: text with units, descriptions and provenance. Return the number of rows."""
    made = astropy_table(table)
    made.write(path, format="ascii.ecsv", overwrite=True)
    return len(made)


def write_csv(table: ExportTable, path: Path) -> int:
    """Write a CSV file batch by batch: names and values alone. Return the number of rows."""
    from astropy.io import ascii as text_tables

    n_rows = 0
    with path.open("w", encoding="utf-8", newline="") as stream:
        batches: Iterator[list[tuple[Any, ...]]] = table.batches
        empty = True
        for batch in batches:
            part = astropy_table(ExportTable(table.name, table.columns, iter([batch]), table.provenance))
            part.meta.clear()
            text_tables.write(part, stream, format="csv" if empty else "no_header", delimiter=",")
            n_rows += len(batch)
            empty = False
        if empty:
            stream.write(",".join(column.name for column in table.columns) + "\n")
    return n_rows


def write_parquet(table: ExportTable, path: Path) -> int:
    """Write a Parquet file, a row group per batch; units and descriptions are metadata of its fields.

    Raises
    ------
    ProductionError
        If pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        msg = f"Parquet needs pyarrow ({error}); install it with: pip install 'galaxy-orchestrator[parquet]'"
        raise ProductionError(msg) from error
    kinds = {"float": pa.float64(), "int": pa.int64(), "text": pa.string(), "bool": pa.bool_()}
    fields = [
        pa.field(
            column.name,
            kinds[column.kind],
            metadata={"unit": column.unit, "description": column.description, "group": column.group},
        )
        for column in table.columns
    ]
    schema = pa.schema(fields, metadata={name: _text(value) for name, value in _meta(table).items()})
    n_rows = 0
    with pq.ParquetWriter(path, schema) as writer:
        for batch in table.batches:
            arrays = [
                pa.array(entries, type=entry.type)
                for entry, entries in zip(fields, zip(*batch, strict=True), strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            n_rows += len(batch)
    return n_rows


def _text(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value)
