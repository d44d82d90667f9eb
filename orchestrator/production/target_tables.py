"""Reading tables of targets: FITS, ECSV, CSV and Parquet, as plain values, in chunks of rows.

FITS files are memory-mapped (not those that are compressed) and Parquet files are read group by group, so that
memory does not grow with the table. ECSV and CSV are read as a whole: fine up to some 10^6 rows.

Masked values, NaN and empty texts become None. Columns with more than one value per row are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import ConfigError

__all__ = ["ROWS", "TableReader", "open_table"]

ROWS = 10_000
"""Rows that are in memory at a time."""

_ENDINGS = {
    ".fits": "fits",
    ".fit": "fits",
    ".ecsv": "ecsv",
    ".csv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_Chunks = Callable[[Sequence[str], Sequence[str]], Iterator[dict[str, list[Any]]]]


@dataclass(frozen=True)
class TableReader:
    """A table of targets, opened as far as its columns are known.

    Attributes
    ----------
    path : Path
    columns : tuple of str
        Columns with one value per row.
    chunks : callable
        Columns to read, and those of them to read as text, to chunks: column to plain values.
    """

    path: Path
    columns: tuple[str, ...]
    chunks: _Chunks

    def rows(self, columns: Sequence[str], texts: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
        """Return the rows, one by one, as column to plain value.

        Raises
        ------
        ConfigError
            If the table cannot be read.
        """
        for chunk in _guarded(self.path, self.chunks(columns, texts)):
            for row in zip(*(chunk[name] for name in columns), strict=True):
                yield dict(zip(columns, row, strict=True))


def open_table(path: str | Path, extension: int | str | None = None) -> TableReader:
    """Open a table of targets.

    Parameters
    ----------
    path : path
    extension : int or str, optional
        Of a FITS file; the first table if left out.

    Raises
    ------
    ConfigError
        If there is no such file, its format is not known, or it cannot be read.
    """
    path = Path(path)
    kind = _kind(path)
    if not path.is_file():
        msg = f"targets.table: there is no file {str(path)!r}"
        raise ConfigError(msg)
    if kind == "fits":
        columns = _guard(path, lambda: _fits_columns(path, extension))
        return TableReader(path, columns, lambda names, _texts: _fits_chunks(path, extension, names))
    if kind == "parquet":
        columns = _guard(path, lambda: _parquet_columns(path))
        return TableReader(path, columns, lambda names, _texts: _parquet_chunks(path, names))
    columns = _guard(path, lambda: _text_columns(path, kind))
    return TableReader(path, columns, lambda names, texts: _text_chunks(path, kind, names, texts))


def _kind(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    for suffix in reversed(suffixes[-2:] if suffixes[-1:] == [".gz"] else suffixes[-1:]):
        if suffix in _ENDINGS:
            return _ENDINGS[suffix]
    msg = f"targets.table = {str(path)!r}: expected a name that ends in {', '.join(_ENDINGS)}"
    raise ConfigError(msg)


def _guard(path: Path, read: Callable[[], Any]) -> Any:
    """Call a reader; what goes wrong in it is a fault of the file."""
    try:
        return read()
    except ConfigError:
        raise
    except ModuleNotFoundError as error:
        how = "pip install 'galaxy-orchestrator[parquet]'"
        msg = f"cannot read {str(path)!r}: the package {error.name!r} is missing; {how}"
        raise ConfigError(msg) from None
    except Exception as error:  # noqa: BLE001 - readers of tables raise what they like
        msg = f"cannot read the table {str(path)!r}: {' '.join(str(error).split()) or type(error).__name__}"
        raise ConfigError(msg) from error


def _guarded(path: Path, chunks: Iterator[dict[str, list[Any]]]) -> Iterator[dict[str, list[Any]]]:
    while True:
        chunk = _guard(path, lambda: next(chunks, None))
        if chunk is None:
            return
        yield chunk


def _plain(values: list[Any]) -> list[Any]:
    """Return plain values; NaN and empty texts as None."""
    return [_plain_value(value) for value in values]


def _plain_value(value: Any) -> Any:
    if isinstance(value, float):
        return value if not math.isnan(value) else None
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value.strip() or None
    if value is None or isinstance(value, (bool, int)):
        return value
    return _plain_value(value.item()) if hasattr(value, "item") else str(value)


def _fits_hdu(hdus: Any, path: Path, extension: int | str | None) -> Any:
    from astropy.io import fits

    if extension is not None:
        try:
            hdu = hdus[extension]
        except (KeyError, IndexError):
            names = ", ".join(f"{number} {hdu.name}".strip() for number, hdu in enumerate(hdus))
            msg = f"targets.extension = {extension!r}: {str(path)!r} has the extensions {names}"
            raise ConfigError(msg) from None
        if not isinstance(hdu, fits.BinTableHDU | fits.TableHDU):
            msg = f"targets.extension = {extension!r}: that extension of {str(path)!r} is no table"
            raise ConfigError(msg)
        return hdu
    for hdu in hdus:
        if isinstance(hdu, fits.BinTableHDU | fits.TableHDU):
            return hdu
    msg = f"targets.table: there is no table in {str(path)!r}"
    raise ConfigError(msg)


def _fits_columns(path: Path, extension: int | str | None) -> tuple[str, ...]:
    from astropy.io import fits

    with fits.open(path, memmap=True) as hdus:
        dtype = _fits_hdu(hdus, path, extension).columns.dtype
        return tuple(name for name in dtype.names if dtype[name].shape == ())


def _fits_chunks(
    path: Path, extension: int | str | None, names: Sequence[str]
) -> Iterator[dict[str, list[Any]]]:
    from astropy.io import fits

    with fits.open(path, memmap=True) as hdus:
        hdu = _fits_hdu(hdus, path, extension)
        data = hdu.data
        nulls = {column.name: column.null for column in hdu.columns if column.null not in (None, "")}
        for start in range(0, len(data), ROWS):
            part = data[start : start + ROWS]
            yield {name: _fits_values(part[name], nulls.get(name)) for name in names}


def _fits_values(values: Any, null: Any) -> list[Any]:
    plain = _plain(values.tolist())
    return plain if null is None else [None if value == null else value for value in plain]


def _parquet_columns(path: Path) -> tuple[str, ...]:
    import pyarrow.parquet as parquet
    from pyarrow import types

    schema = parquet.read_schema(path)
    return tuple(field.name for field in schema if not types.is_nested(field.type))


def _parquet_chunks(path: Path, names: Sequence[str]) -> Iterator[dict[str, list[Any]]]:
    import pyarrow.parquet as parquet

    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=ROWS, columns=list(dict.fromkeys(names))):
            yield {name: _plain(values) for name, values in batch.to_pydict().items()}


def _text_columns(path: Path, kind: str) -> tuple[str, ...]:
    """Read the header and one row, which tells columns with several values."""
    import gzip

    opened = gzip.open if path.suffix.lower() == ".gz" else open
    lines: list[str] = []
    n_filled = 0
    with opened(path, "rt", encoding="utf-8-sig") as stream:
        for line in stream:
            lines.append(line)
            n_filled += bool(line.strip()) and not line.startswith("#")
            if n_filled == 2:
                break
    from astropy.table import Table

    table = Table.read(lines, format=f"ascii.{kind}")
    return tuple(name for name in table.colnames if table[name].ndim == 1)


def _text_chunks(
    path: Path, kind: str, names: Sequence[str], texts: Sequence[str]
) -> Iterator[dict[str, list[Any]]]:
    from astropy.table import Table

    keywords: dict[str, Any] = {}
    if kind == "csv":  # an ECSV file states its types
        keywords["converters"] = {name: [str] for name in texts}
    table = Table.read(path, format=f"ascii.{kind}", **keywords)
    for start in range(0, len(table), ROWS):
        part = table[start : start + ROWS]
        yield {name: _plain(part[name].tolist()) for name in names}
