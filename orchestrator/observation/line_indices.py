"""Definitions of line indices, the resolution of the Lick/IDS system, and tables of measured indices.

The definitions are in ``data/line_indices.ecsv`` with the medium of their wavelengths; air is converted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orchestrator.errors import DataError, nearest_known
from orchestrator.observation.masks import emission_lines
from orchestrator.physics.line_indices import LineIndex

__all__ = [
    "GAS_GROUPS",
    "GasLine",
    "MeasuredIndices",
    "canonical_name",
    "gas_lines",
    "gas_lines_near",
    "lick_fwhm",
    "line_indices",
    "read_indices",
]

FloatArray = NDArray[np.float64]

GAS_GROUPS = ("balmer", "oiii", "ni")
"""Groups of emission lines with fixed ratios."""


@dataclass(frozen=True)
class GasLine:
    """An emission line of a group: name, vacuum wavelength [Angstrom], group, and its flux over the group's."""

    name: str
    wavelength: float
    group: str
    ratio: float


@dataclass(frozen=True)
class MeasuredIndices:
    """A table of measured indices.

    Attributes
    ----------
    names : tuple of str
    values, errors : ndarray, shape (n_indices,)
        Angstrom, mag or ratio.
    """

    names: tuple[str, ...]
    values: FloatArray
    errors: FloatArray


def _rows(file_name: str) -> list[dict[str, str]]:
    """Read a blank-separated table of the package, so that astropy is not needed."""
    text = (files("orchestrator.observation") / "data" / file_name).read_text(encoding="utf-8")
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [dict(zip(lines[0], words, strict=True)) for words in lines[1:]]


def _vacuum(values: Iterable[float], medium: str) -> tuple[float, ...]:
    from orchestrator.physics.wavelength import air_to_vacuum

    wavelengths = np.array(list(values))
    return tuple(float(value) for value in (wavelengths if medium == "vacuum" else air_to_vacuum(wavelengths)))


@cache
def line_indices() -> dict[str, LineIndex]:
    """Return the definitions by name, in order of wavelength."""
    return {row["name"]: _definition(row) for row in _rows("line_indices.ecsv")}


def _definition(row: dict[str, str]) -> LineIndex:
    blue, feature, red = (
        (float(row[f"{name}start"]), float(row[f"{name}end"])) for name in ("blue_", "", "red_")
    )
    is_break = row["unit"] == "ratio"
    first, last = (_vacuum(band, row["medium"]) for band in (blue, red))
    middle = (0.0, 0.0) if is_break else _vacuum(feature, row["medium"])
    return LineIndex(
        name=row["name"],
        unit=row["unit"],
        blue=(first[0], first[1]),
        red=(last[0], last[1]),
        feature=None if is_break else (middle[0], middle[1]),
        width=0.0 if is_break else feature[1] - feature[0],
        source=row["source"],
    )


def canonical_name(name: str) -> str:
    """Return the name of an index in the table; ``H_beta``, ``lick_hb``-like and other spellings are known.

    Raises
    ------
    DataError
        If there is no such index, with the nearest names.
    """
    spellings = {_plain(known): known for known in line_indices()}
    spellings |= {"fe4668": "C4668", "c24668": "C4668", "hb": "Hbeta", "hda": "HdeltaA", "hga": "HgammaA"}
    spellings |= {"hdf": "HdeltaF", "hgf": "HgammaF", "d4000n": "Dn4000", "dn4000": "Dn4000"}
    found = spellings.get(_plain(name)) or spellings.get(_plain(name).removeprefix("lick"))
    if found is None:
        msg = f"unknown index {name!r}{nearest_known(name, line_indices())}; known: {', '.join(line_indices())}"
        raise DataError(msg)
    return found


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


@cache
def _lick_table() -> tuple[FloatArray, FloatArray]:
    rows = _rows("lick_resolution.ecsv")
    wavelength = [_vacuum([float(row["wavelength"])], row["medium"])[0] for row in rows]
    return np.array(wavelength), np.array([float(row["fwhm"]) for row in rows])


def lick_fwhm(wavelength: ArrayLike) -> FloatArray:
    """Return the resolution of the Lick/IDS system, FWHM in Angstrom.

    Parameters
    ----------
    wavelength : array_like
        Rest frame, vacuum, Angstrom; beyond 4000-6000 Angstrom the value at the end holds.
    """
    return np.interp(np.asarray(wavelength, dtype=np.float64), *_lick_table())


@cache
def gas_lines() -> tuple[GasLine, ...]:
    """Return the emission lines that have fixed ratios to others."""
    known = {line.name: line.wavelength for line in emission_lines()}
    return tuple(
        GasLine(row["line"], known[row["line"]], row["group"], float(row["ratio"])) for row in _rows("gas_lines.ecsv")
    )


def gas_lines_near(names: Iterable[str], group: str, margin: float = 12.0) -> tuple[str, ...]:
    """Return the lines of a group inside or near a band of some indices.

    Parameters
    ----------
    names : iterable of str
        Indices.
    group : str
        One of `GAS_GROUPS`.
    margin : float
        Angstrom; a broadened line reaches into a band from outside.
    """
    bands = [band for name in names for band in line_indices()[name].bands]
    return tuple(
        line.name
        for line in gas_lines()
        if line.group == group
        and any(low - margin < line.wavelength < high + margin for low, high in bands)
    )


def read_indices(path: str | Path) -> MeasuredIndices:
    """Read a table of measured indices: name, value and error in three columns.

    Parameters
    ----------
    path : path
        Text; columns are separated by blanks or commas, lines that start with # and a line of column names are
        passed over.

    Returns
    -------
    MeasuredIndices

    Raises
    ------
    DataError
        If there is no such file, or a row cannot be used.
    """
    file = Path(path)
    if not file.is_file():
        msg = f"inputIndices: there is no file {str(path)!r}"
        raise DataError(msg)
    rows: dict[str, tuple[float, float]] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        words = line.replace(",", " ").split()
        if not words or words[0].startswith("#") or (not rows and words[0].lower() in ("name", "index")):
            continue
        where = f"inputIndices: line {number} of {str(path)!r}"
        if len(words) != 3:
            msg = f"{where} holds {line.strip()!r}; expected three columns: name, value and error of an index"
            raise DataError(msg)
        name = _known_in_file(words[0], where)
        if name in rows:
            msg = f"{where} gives {name} a second time; keep one of the two"
            raise DataError(msg)
        rows[name] = _value_and_error(words[1], words[2], where)
    if not rows:
        msg = f"inputIndices: {str(path)!r} holds no index; expected rows of name, value and error"
        raise DataError(msg)
    numbers = np.array(list(rows.values()))
    return MeasuredIndices(tuple(rows), numbers[:, 0], numbers[:, 1])


def _known_in_file(name: str, where: str) -> str:
    try:
        return canonical_name(name)
    except DataError as error:
        msg = f"{where}: {error}"
        raise DataError(msg) from None


def _value_and_error(value: str, error: str, where: str) -> tuple[float, float]:
    try:
        numbers = float(value), float(error)
    except ValueError:
        msg = f"{where} has value {value!r} and error {error!r}; expected two numbers"
        raise DataError(msg) from None
    if not (np.isfinite(numbers[0]) and np.isfinite(numbers[1]) and numbers[1] > 0):
        msg = f"{where} has value {value!r} and error {error!r}; expected a finite value and a positive error"
        raise DataError(msg)
    return numbers
