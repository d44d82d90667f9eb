"""The tables on both sides of a stage over a catalogue: targets that come in, one row per target that goes out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from orchestrator.errors import ConfigError
from orchestrator.production.columns import COMMON_COLUMNS, Column

__all__ = ["MISSING_NUMBER", "ROW", "Results", "table_of_targets", "write_results"]

ROW = "row"
"""Column with the number of the row that a table in HDF5 gets."""
MISSING_NUMBER = -999
"""Stands in columns of whole numbers where there is none."""
_HDF5 = (".hdf5", ".h5", ".hdf")


def table_of_targets(path: Path, group: str, folder: Path) -> Path:
    """Return the table of targets in a format that productions read; one in HDF5 is copied.

    Parameters
    ----------
    path : Path
        FITS, ECSV, CSV, Parquet; or HDF5 with one data set per column, as RAIL has it.
    group : str
        Group of an HDF5 file; the root, or the only group in it, if empty.
    folder : Path
        For the copy.

    Raises
    ------
    ConfigError
        If it cannot be read.
    """
    if path.suffix.lower() not in _HDF5:
        return path
    from astropy.table import Table

    try:
        with h5py.File(path, "r") as file:
            place: Any = file[group] if group else file
            if not group and len(place) == 1 and isinstance(next(iter(place.values())), h5py.Group):
                place = next(iter(place.values()))
            columns = {name: _plain(entry) for name, entry in place.items() if _is_column(entry)}
    except (OSError, KeyError) as error:
        msg = f"the table of targets {str(path)!r} cannot be read: {error}"
        raise ConfigError(msg) from error
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1:
        msg = f"the table of targets {str(path)!r}: expected data sets of one length, found {sorted(lengths)}"
        raise ConfigError(msg)
    columns.setdefault(ROW, np.arange(lengths.pop()))
    ending = "fits" if all(_is_plain(values) for values in columns.values()) else "ecsv"  # FITS knows ASCII only
    copy, partial = folder / f"targets.{ending}", folder / f"targets.partial.{ending}"
    Table(columns).write(partial, overwrite=True)
    os.replace(partial, copy)
    return copy


def _is_column(entry: Any) -> bool:
    return isinstance(entry, h5py.Dataset) and entry.ndim == 1


def _plain(entry: h5py.Dataset) -> np.ndarray:
    return entry.asstr()[:].astype(str) if h5py.check_string_dtype(entry.dtype) else np.asarray(entry[:])


def _is_plain(values: np.ndarray) -> bool:
    return values.dtype.kind != "U" or all(text.isascii() for text in values)


@dataclass
class Results:
    """Rows of a product.

    Attributes
    ----------
    n_rows : int
    columns : dict of str to Column
    values : dict of str to list
        None where there is no value.
    """

    n_rows: int
    columns: dict[str, Column] = field(default_factory=dict)
    values: dict[str, list[Any]] = field(default_factory=dict)

    def set(self, row: int, column: Column, value: Any) -> None:
        """Set one value."""
        if column.name not in self.columns:
            self.columns[column.name] = column
            self.values[column.name] = [None] * self.n_rows
        self.values[column.name][row] = value

    def set_record(self, row: int, prefix: str, values: Mapping[str, Any], declared: Mapping[str, Column]) -> None:
        """Set what a stage has given for a target."""
        common = {column.name: column for column in COMMON_COLUMNS}
        for name, value in values.items():
            known = declared.get(name) or common.get(name) or Column(name, _kind(value))
            self.set(row, Column(prefix + name, known.kind, known.unit, known.description, known.group), value)


def _kind(value: Any) -> str:
    kinds: Sequence[tuple[type, str]] = ((bool, "bool"), (int, "int"), (float, "float"))
    return next((kind for one, kind in kinds if isinstance(value, one)), "text")


def write_results(path: Path, results: Results, about: Mapping[str, str], names: Iterable[str]) -> None:
    """Write a product: an HDF5 file with one data set per column at its root, with units and descriptions.

    Parameters
    ----------
    path : Path
    results : Results
    about : Mapping of str to str
        What it says of itself.
    names : iterable of str
        Columns that come first.
    """
    order = list(dict.fromkeys([*(name for name in names if name in results.columns), *results.columns]))
    partial = path.with_name(f"{path.name}.partial")
    with h5py.File(partial, "w", track_order=True) as file:
        file.attrs.update(dict(about))
        for name in order:
            column = results.columns[name]
            data = file.create_dataset(name, data=_array(results.values[name], column.kind))
            data.attrs.update({"unit": column.unit, "description": column.description})
            if column.kind in ("int", "bool"):
                data.attrs["missing"] = MISSING_NUMBER
    os.replace(partial, path)


def _array(values: Sequence[Any], kind: str) -> np.ndarray:
    if kind == "float":
        return np.array([np.nan if value is None else value for value in values], dtype=float)
    if kind in ("int", "bool"):
        return np.array([MISSING_NUMBER if value is None else int(value) for value in values], dtype=np.int64)
    texts = ["" if value is None else str(value) for value in values]
    return np.array(texts, dtype=h5py.string_dtype("utf-8"))
