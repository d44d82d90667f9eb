"""A FITS file of results that says what each of its columns is.

astropy's ``Table.write`` leaves out comments of columns and units in dex, so the header is made here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy import units
from astropy.io import fits
from astropy.table import Table
from astropy.table.meta import get_yaml_from_table

from orchestrator.production.columns import FLAGS, Column
from orchestrator.production.export_table import ExportTable, masked_columns

__all__ = ["write_fits"]

_NULL = -(2**63)
"""In place of a whole number that is missing."""
_CARD = 80
_COMMENT = 72
_PART = 70
_WORDS = ("TTYPE", "TFORM", "TNULL", "TUNIT", "TCOMM")
_FORMATS = {"float": "D", "int": "K", "bool": "L"}


def write_fits(table: ExportTable, path: Path) -> int:
    """Write a FITS file: a header that says where it comes from, the table, and the meaning of the flags.

    Missing numbers are NaN or TNULL, missing truth values the byte 0, missing texts empty.

    Returns
    -------
    int
        Number of rows.
    """
    values, missing, n_rows = masked_columns(table)
    hdus = fits.HDUList([fits.PrimaryHDU(), _results(table, values, missing), _flags()])
    _add_provenance(hdus[0].header, table)
    hdus.verify("exception")
    hdus.writeto(path, overwrite=True, checksum=True)
    _put_in_order(path, table.columns)
    return n_rows


def _results(table: ExportTable, values: dict[str, np.ndarray], missing: dict[str, np.ndarray]) -> fits.BinTableHDU:
    columns = [_column(column, values[column.name], missing[column.name]) for column in table.columns]
    hdu = fits.BinTableHDU.from_columns(columns, name=table.name.upper())
    raw = hdu.data.view(np.ndarray)
    for column in table.columns:
        if column.kind == "bool" and missing[column.name].any():
            raw[column.name][missing[column.name]] = 0
    for number, column in enumerate(table.columns, 1):
        hdu.header.set(f"TTYPE{number}", column.name, _short(column))
        hdu.header[f"TCOMM{number}"] = _ascii(column.description)
        if column.unit:
            hdu.header[f"TUNIT{number}"] = fits_unit(column.unit)
    for text in [*_headings(table.columns).values(), *_descriptions(table.columns, values)]:
        hdu.header.add_comment(text)
    return hdu


def _column(column: Column, values: np.ndarray, missing: np.ndarray) -> fits.Column:
    options: dict[str, Any] = {"name": column.name}
    if column.kind == "text":
        encoded = np.char.encode(values, "ascii", "replace") if len(values) else np.zeros(0, "S1")
        width = max(encoded.dtype.itemsize, 1)
        return fits.Column(format=f"{width}A", array=encoded, **options)
    if column.kind == "int":
        options["null"] = _NULL
        values = np.where(missing, _NULL, values)
    return fits.Column(format=_FORMATS[column.kind], array=values, **options)


def _headings(columns: tuple[Column, ...]) -> dict[int, str]:
    """Return the heading that stands before the column of a number, where a new group begins."""
    found: dict[int, str] = {}
    group = None
    for number, column in enumerate(columns, 1):
        if column.group != group:
            group = column.group
            found[number] = f"--- {_ascii(group) or 'Other'} ---"[:_COMMENT]
    return found


def _descriptions(columns: tuple[Column, ...], values: dict[str, np.ndarray]) -> list[str]:
    """Return the comments from which `astropy.table.Table.read` takes descriptions; it does not look at TCOMM."""
    empty = Table({column.name: values[column.name][:0] for column in columns})
    for column in columns:
        empty[column.name].description = _ascii(column.description)
    lines = ["--BEGIN-ASTROPY-SERIALIZED-COLUMNS--"]
    for line in [*get_yaml_from_table(empty), "meta: {__serialized_columns__: {}}"]:
        parts = [line[first : first + _PART] for first in range(0, len(line), _PART)]
        lines += [f"{part}\\" for part in parts[:-1]] + parts[-1:]
    return [*lines, "--END-ASTROPY-SERIALIZED-COLUMNS--"]


def _put_in_order(path: Path, columns: tuple[Column, ...]) -> None:
    """Put the cards of each column together, under the heading of its group.

    astropy gives all names and formats first. Sums over the words of the header do not depend on the order of its
    cards, so its checksum stays right.
    """
    with fits.open(path) as hdus:
        header = hdus[1].header
        place = hdus[1].fileinfo()["hdrLoc"]
    of_column = {f"{word}{number}" for word in _WORDS for number in range(1, len(columns) + 1)}
    headings = _headings(columns)
    comments = list(header["COMMENT"])[len(headings) :]
    ordered = fits.Header()
    for card in header.cards:
        if card.keyword == "EXTNAME":
            for number in range(1, len(columns) + 1):
                if number in headings:
                    ordered.append(("COMMENT", headings[number]), bottom=True)
                for word in _WORDS:
                    if f"{word}{number}" in header:
                        ordered.append(header.cards[f"{word}{number}"], bottom=True)
        if card.keyword not in of_column and card.keyword != "COMMENT":
            ordered.append(card, bottom=True)
    for text in comments:
        ordered.append(("COMMENT", text), bottom=True)
    with path.open("r+b") as stream:
        stream.seek(place)
        stream.write(ordered.tostring().encode("ascii"))


def _short(column: Column) -> str:
    """Return as much of the description as the card of the name has room for; TCOMM has it all."""
    room = _CARD + 1 - len(str(fits.Card("TTYPE999", column.name, "x")).rstrip())
    text = _ascii(column.description)
    return text if len(text) <= room else text[: max(room - 3, 0)] + "..."


def fits_unit(unit: str) -> str:
    """Return a unit as the FITS standard writes it, where it can; ``dex(Msun)`` stays as astropy reads it."""
    try:
        return units.Unit(unit).to_string(format="fits")
    except ValueError:
        try:
            return units.Unit(unit).to_string()
        except ValueError:
            return _ascii(unit)


def _ascii(text: str) -> str:
    """Return text as a header takes it."""
    return " ".join(text.split()).encode("ascii", "replace").decode()


def _flags() -> fits.BinTableHDU:
    """Return the table of the bits of ``flags``."""
    names = [flag.name for flag in FLAGS]
    texts = [flag.description for flag in FLAGS]
    return fits.BinTableHDU.from_columns(
        [
            fits.Column("bit", "J", array=np.array([flag.bit for flag in FLAGS])),
            fits.Column("value", "K", array=np.array([flag.value for flag in FLAGS])),
            fits.Column("name", f"{max(map(len, names))}A", array=np.array(names)),
            fits.Column("severe", "L", array=np.array([flag.severe for flag in FLAGS])),
            fits.Column("description", f"{max(map(len, texts))}A", array=np.array(texts)),
        ],
        name="FLAGS",
    )


def _add_provenance(header: fits.Header, table: ExportTable) -> None:
    origin = table.provenance
    header["PRODUCT"] = (_ascii(origin.production), "name of the production")
    header["TABLE"] = (_ascii(table.name), "stage, or 'results' of all stages")
    header["DATE"] = (origin.written, "when this file was written (UTC)")
    if origin.plan:
        header["PLAN"] = (origin.plan, "hash of the plan")
    if origin.git_commit:
        header["GITHASH"] = (origin.git_commit, "commit of the code")
    if origin.seed is not None:
        header["SEED"] = (origin.seed, "seed of the production")
    for number, (package, version) in enumerate(sorted(origin.versions.items())):
        header[f"DEPNAM{number:02d}"] = _ascii(package)
        header[f"DEPVER{number:02d}"] = _ascii(str(version))
