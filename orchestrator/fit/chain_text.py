"""The text format of CosmoSIS's results files: columns, rows, ``#key=value`` lines and embedded files."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ChainError

__all__ = ["ChainText", "files_of", "interleave", "parse_rows", "read_text"]

logger = logging.getLogger(__name__)

_FILES = {"PARAMS": "params_ini", "VALUES": "values_ini", "PRIORS": "priors_ini"}


@dataclass(frozen=True)
class ChainText:
    """The parts of one file; `files` holds the embedded ones."""

    columns: list[str]
    rows: list[str]
    metadata: dict[str, str]
    files: dict[str, str]


def files_of(path: Path) -> list[Path]:
    """Return the file, or those of a run that wrote one per process, in order of the process."""
    if path.is_file():
        return [path]
    pattern = re.compile(re.escape(path.stem) + r"_(\d+)\.txt")
    found = []
    if path.parent.is_dir():
        matches = ((pattern.fullmatch(file.name), file) for file in path.parent.iterdir())
        found = [file for _, file in sorted((int(match[1]), file) for match, file in matches if match)]
    if not found:
        msg = f"The results file {str(path)!r} does not exist; expected the text file that CosmoSIS writes."
        raise ChainError(msg)
    return found


def read_text(path: Path) -> ChainText:
    """Separate the column names, rows, metadata and embedded files of one results file."""
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text.split("\n")
    torn = lines.pop()
    if torn:
        logger.warning("%s ends in the middle of a line; that line is left out: %.60r", path, torn)
    if not lines or not lines[0].startswith("#"):
        msg = (
            f"{str(path)!r} is no CosmoSIS results file: it begins with {text[:40]!r}, "
            "expected '#' and the names of the columns."
        )
        raise ChainError(msg)
    rows: list[str] = []
    metadata: dict[str, str] = {}
    files: dict[str, list[str]] = {}
    current = ""
    for line in lines[1:]:
        if not line.startswith("#"):
            if line:
                rows.append(line)
            continue
        if line.startswith("## "):
            word = line[3:].strip()
            begin = re.fullmatch(r"START_OF_(PARAMS|VALUES|PRIORS)_INI", word)
            if begin:
                current = begin[1]
                files[current] = []
            elif word.startswith("END_OF_"):
                current = ""
            elif current:
                files[current].append(line[3:])
        elif "=" in line:
            key, _, value = line[1:].partition("=")
            metadata[key] = value.split(" #", 1)[0].strip()
    embedded = {_FILES[key]: "\n".join(content) for key, content in files.items()}
    return ChainText(lines[0][1:].split(), rows, metadata, embedded)


def parse_rows(text: ChainText, path: Path) -> NDArray[np.float64]:
    """Return the rows as numbers, shape (n_rows, n_columns)."""
    n_columns = len(text.columns)
    if not text.rows:
        return np.empty((0, n_columns))
    for number, row in enumerate(text.rows, 1):
        if len(row.split()) != n_columns:
            msg = (
                f"Row {number} of {str(path)!r} has {len(row.split())} entries, expected "
                f"{n_columns}: {row[:80]!r}. "
                "Two runs wrote to it or a resumed run continued a damaged line; remove that row."
            )
            raise ChainError(msg)
    try:
        return np.loadtxt(text.rows, ndmin=2, comments=None)
    except ValueError as error:
        msg = f"A row of {str(path)!r} is not made of numbers: {error}."
        raise ChainError(msg) from error


def interleave(tables: list[NDArray[np.float64]], path: Path) -> NDArray[np.float64]:
    """Join the chains of several processes step by step, like the walkers of an ensemble."""
    shortest = min(len(table) for table in tables)
    if any(len(table) > shortest for table in tables):
        logger.warning(
            "the chains %s_*.txt differ in length; their first %d rows are used", path.stem, shortest
        )
    return np.stack([table[:shortest] for table in tables], axis=1).reshape(-1, tables[0].shape[1])
