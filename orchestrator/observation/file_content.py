"""What the readers of the file formats hand to `read_spectrum`, and the reading of plain columns."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import DataError

__all__ = [
    "FileContent",
    "choose_row",
    "existing_file",
    "inverse_variance_to_error",
    "logged_warnings",
    "read_columns",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FileContent:
    """A spectrum as its file has it: units and medium as stated there, or None where it says nothing.

    Attributes
    ----------
    wavelength, flux, uncertainty : ndarray (n,)
    good_pixels : ndarray of bool (n,) or None
    lsf_fwhm : ndarray (n,) or None
        Observed frame [Angstrom].
    wavelength_unit, flux_unit, medium : str or None
    redshift : float or None
    name : str
    meta : Mapping
    """

    wavelength: NDArray[np.float64]
    flux: NDArray[np.float64]
    uncertainty: NDArray[np.float64]
    name: str
    good_pixels: NDArray[np.bool_] | None = None
    lsf_fwhm: NDArray[np.float64] | None = None
    wavelength_unit: str | None = None
    flux_unit: str | None = None
    medium: str | None = None
    redshift: float | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def logged_warnings(path: Path) -> Iterator[None]:
    """Send what astropy warns of in a file to the log, once and with the name of the file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for text in sorted({" ".join(str(warning.message).split()) for warning in caught}):
        logger.warning("%s: %s", path.name, text)


def existing_file(path: str | os.PathLike[str], what: str) -> Path:
    """Return the path, expanded, of a file that is there and not empty.

    Parameters
    ----------
    path : path
        Environment variables and ``~`` are expanded.
    what : str
        The option, for the message.

    Raises
    ------
    DataError
        No such file, a folder, or an empty file.
    """
    expanded = Path(os.path.expandvars(os.fspath(path))).expanduser()
    if expanded.is_dir():
        msg = f"{what}: {str(expanded)!r} is a folder; expected a file"
        raise DataError(msg)
    if not expanded.is_file():
        msg = f"{what}: file {str(expanded)!r} does not exist (looked for from {str(Path.cwd())!r})"
        raise DataError(msg)
    if expanded.stat().st_size == 0:
        msg = f"{what}: file {str(expanded)!r} is empty"
        raise DataError(msg)
    return expanded


def choose_row(row: int | None, n_rows: int, path: Path) -> int:
    """Return the row to read; it may be left out only where there is one.

    Raises
    ------
    DataError
        Left out although there are several, or not there.
    """
    if row is None and n_rows == 1:
        return 0
    known = f"{str(path)!r} holds {n_rows} spectra, rows 0 to {n_rows - 1}"
    if row is None:
        msg = f"inputSpectrum: {known}; say which one with inputSpectrumRow"
        raise DataError(msg)
    if not 0 <= row < n_rows:
        msg = f"inputSpectrumRow = {row!r}: {known}"
        raise DataError(msg)
    return row


def inverse_variance_to_error(inverse_variance: NDArray[Any]) -> NDArray[np.float64]:
    """Return standard deviations; infinite where the inverse variance is zero, negative or not a number."""
    values = np.asarray(inverse_variance, dtype=np.float64)
    error = np.full(values.shape, np.inf)
    known = values > 0.0
    error[known] = 1.0 / np.sqrt(values[known])
    return error


def _numbers(words: Sequence[str]) -> list[float] | None:
    try:
        return [float(word) for word in words]
    except ValueError:
        return None


def read_columns(path: Path, what: str, n_required: int) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Read columns of numbers, separated by blanks or commas.

    Comments start with ``#``; one line of column names may stand before the numbers.

    Parameters
    ----------
    path : Path
        Of `existing_file`.
    what : str
        The option, for messages.
    n_required : int
        Columns that must be there.

    Returns
    -------
    ndarray (n_columns, n_rows), tuple of str
        The columns, and their names in lower case if the file gives them.

    Raises
    ------
    DataError
        Not text, no numbers, a line that is not numbers, lines of different lengths, too few columns.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{what}: {str(path)!r} is neither text nor a FITS file that is recognised ({error})"
        raise DataError(msg) from error
    rows: list[list[float]] = []
    names: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].replace(",", " ").split()
        if not words:
            continue
        values = _numbers(words)
        if values is None and not rows and not names:
            names = tuple(word.strip("\"'").lower() for word in words)
        elif values is None:
            msg = f"{what}: {str(path)!r} line {number} holds {line.strip()!r}; expected numbers only"
            raise DataError(msg)
        elif rows and len(values) != len(rows[0]):
            msg = (
                f"{what}: {str(path)!r} line {number} has {len(values)} columns; the lines before have "
                f"{len(rows[0])}"
            )
            raise DataError(msg)
        else:
            rows.append(values)
    if not rows:
        msg = f"{what}: {str(path)!r} holds no numbers; expected {n_required} columns"
        raise DataError(msg)
    if len(rows[0]) < n_required:
        msg = f"{what}: {str(path)!r} has {len(rows[0])} columns; expected at least {n_required}"
        raise DataError(msg)
    return np.array(rows, dtype=np.float64).T, names
