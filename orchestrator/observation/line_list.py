"""A user's own list of wavelengths to mask, from a table that states the medium and the frame of each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orchestrator.errors import DataError, nearest_known
from orchestrator.observation.file_content import existing_file

__all__ = ["MaskedInterval", "keep_listed_lines", "read_line_list"]

_COLUMNS = ("name", "wavelength", "half_width", "start", "end", "medium", "frame")
_MEDIA = ("vacuum", "air")
_FRAMES = ("rest", "observed")
_OPTION = "mask_lines_file"


@dataclass(frozen=True)
class MaskedInterval:
    """An interval of wavelength to mask: name, vacuum limits [Angstrom], and ``rest`` or ``observed`` frame."""

    name: str
    start: float
    end: float
    frame: str


def read_line_list(path: str | os.PathLike[str]) -> tuple[MaskedInterval, ...]:
    """Read a list of lines or intervals.

    Parameters
    ----------
    path : path
        ECSV, or text with a line of column names; separated by blanks or commas. Columns: ``wavelength`` and
        ``half_width``, or ``start`` and ``end`` [Angstrom, or the unit that ECSV states]; ``medium``
        (``vacuum`` or ``air``); and, if wanted, ``frame`` (``rest``, the default, or ``observed``) and
        ``name``.

    Returns
    -------
    tuple of MaskedInterval

    Raises
    ------
    DataError
        No such file, columns that are missing or unknown, a medium or frame that is not known, or limits
        that do not increase; all faults of the file in one message.
    """
    file = existing_file(path, _OPTION)
    table = _read_table(file)
    names = {name.lower(): name for name in table.colnames}
    _check_columns(set(names), file)
    intervals: list[MaskedInterval] = []
    faults: list[str] = []
    for number, row in enumerate(table, 1):
        values = {lower: row[name] for lower, name in names.items()}
        try:
            intervals.append(_interval(values, _units(table, names), number))
        except DataError as error:
            faults.append(str(error))
    if faults or not intervals:
        what = "; ".join(faults) or "no line"
        msg = f"{_OPTION} {str(file)!r} cannot be used: {what}"
        raise DataError(msg)
    return tuple(intervals)


def keep_listed_lines(
    wavelength: ArrayLike, intervals: tuple[MaskedInterval, ...], redshift: float = 0.0
) -> NDArray[np.bool_]:
    """Return which pixels lie outside all intervals of a list.

    Parameters
    ----------
    wavelength : array_like (n,)
        Observed frame, vacuum [Angstrom].
    intervals : tuple of MaskedInterval
    redshift : float
        Of the galaxy; moves the intervals of the rest frame.

    Returns
    -------
    ndarray of bool (n,)
    """
    wave = np.asarray(wavelength, dtype=np.float64)
    keep = np.ones(wave.shape, dtype=bool)
    for interval in intervals:
        stretch = 1.0 + redshift if interval.frame == "rest" else 1.0
        keep &= (wave < interval.start * stretch) | (wave > interval.end * stretch)
    return keep


def _read_table(file: Path) -> Any:
    from astropy.table import Table

    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{_OPTION}: {str(file)!r} is not a text file ({error})"
        raise DataError(msg) from error
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    kind = "ascii.ecsv" if text.startswith("# %ECSV") else "ascii.basic"
    separator = "," if lines and "," in lines[0] else " "
    options = {} if kind == "ascii.ecsv" else {"delimiter": separator}
    try:
        return Table.read(text, format=kind, **options)
    except (ValueError, TypeError, KeyError, OSError) as error:
        msg = f"{_OPTION}: {str(file)!r} cannot be read as a table: {error}"
        raise DataError(msg) from error


def _check_columns(names: set[str], file: Path) -> None:
    unknown = sorted(names - set(_COLUMNS))
    if unknown:
        msg = f"{_OPTION} {str(file)!r} has the column {unknown[0]!r}{nearest_known(unknown[0], _COLUMNS)}"
        raise DataError(msg)
    complete = {"wavelength", "half_width"} <= names or {"start", "end"} <= names
    if not complete or "medium" not in names:
        msg = (
            f"{_OPTION} {str(file)!r} has the columns {', '.join(sorted(names))}; expected medium (vacuum or "
            "air), and wavelength with half_width, or start with end"
        )
        raise DataError(msg)
    if names & {"wavelength", "half_width"} and names & {"start", "end"}:
        msg = f"{_OPTION} {str(file)!r} gives both wavelength with half_width and start with end; give one"
        raise DataError(msg)


def _units(table: Any, names: Mapping[str, str]) -> dict[str, float]:
    """Return the factor to Angstrom of each column of wavelengths."""
    from orchestrator.observation.units import wavelength_factor

    factors = {}
    for lower in ("wavelength", "half_width", "start", "end"):
        if lower in names:
            unit = table[names[lower]].unit
            factors[lower] = 1.0 if unit is None else wavelength_factor(unit.to_string(), _OPTION)
    return factors


def _interval(values: Mapping[str, Any], factors: Mapping[str, float], number: int) -> MaskedInterval:
    medium, frame = str(values["medium"]), str(values.get("frame", "rest"))
    for word, known, what in ((medium, _MEDIA, "medium"), (frame, _FRAMES, "frame")):
        if word not in known:
            msg = f"row {number}: {what} {word!r} is not known{nearest_known(word, known)}"
            raise DataError(msg)
    try:
        numbers = {name: float(values[name]) * factor for name, factor in factors.items()}
    except (TypeError, ValueError) as error:
        msg = f"row {number}: {error}; expected numbers"
        raise DataError(msg) from error
    if "start" in numbers:
        limits = np.array([numbers["start"], numbers["end"]])
        if medium == "air":
            limits = _vacuum(limits)
    else:
        # The half width stays as it is given: only the centre moves with the medium.
        centre = np.array([numbers["wavelength"]])
        centre = _vacuum(centre) if medium == "air" else centre
        limits = centre + np.array([-1.0, 1.0]) * numbers["half_width"]
    start, end = float(limits[0]), float(limits[1])
    if not (np.isfinite(start) and np.isfinite(end) and 0.0 < start < end):
        msg = f"row {number}: interval {start:g} to {end:g} A; expected positive, increasing limits"
        raise DataError(msg)
    return MaskedInterval(str(values.get("name", f"row {number}")), start, end, frame)


def _vacuum(wavelength: NDArray[np.float64]) -> NDArray[np.float64]:
    from orchestrator.physics.wavelength import air_to_vacuum

    return np.asarray(air_to_vacuum(wavelength), dtype=np.float64)
