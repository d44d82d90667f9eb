"""Read broadband photometry of one object from text or ECSV."""

from __future__ import annotations

import logging
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orchestrator.errors import DataError, nearest_known
from orchestrator.observation.file_content import existing_file
from orchestrator.observation.photometry import Photometry
from orchestrator.observation.units import AB_ZERO_POINT, frequency_flux_factor

__all__ = ["read_photometry"]

_LIMIT_WORDS = ("upper", "lower")
_MAGNITUDES = ("abmag", "mag(ab)")
_ERROR_NAMES = ("error", "err", "uncertainty", "sigma", "flux_error", "flux_err", "fluxerr", "e_flux")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Row:
    number: int
    filter_name: str
    flux: float
    error: float
    limit: str


def read_photometry(
    path: str | os.PathLike[str], *, flux_units: str | None = "uJy", redshift: float = 0.0
) -> Photometry:
    """Read a table of fluxes.

    Parameters
    ----------
    path : path
        Text with ``filter flux error`` and optionally ``upper`` or ``lower`` in each line, ``#`` comments,
        names with blanks in quotes; or ECSV with columns ``filter``, ``flux``, ``error`` and optionally
        ``limit``, whose units, if stated, overrule `flux_units`.
    flux_units : str or None
        ``uJy`` (also for None), ``nJy``, ``mJy``, ``Jy``, ``nanomaggy``, ``maggy``, ``ABmag``, or any flux
        per frequency in astropy's spelling. Errors in ``ABmag`` become flux errors to first order.
    redshift : float

    Returns
    -------
    Photometry
        Rows whose flux or error is not finite are left out, counted in the log.

    Raises
    ------
    DataError
        No such file, a line that does not follow the layout, an unknown fourth word or unit, errors that are
        not positive, or no row that is left.
    """
    file = existing_file(path, "inputPhotometry")
    with file.open("rb") as stream:
        is_ecsv = stream.read(8) == b"# %ECSV "
    rows, unit_of_file = _read_ecsv(file) if is_ecsv else (_read_text(file), None)
    if not np.isfinite(redshift) or redshift <= -1.0:
        msg = f"{file.name}: redshift {redshift!r}; expected a finite value above -1"
        raise DataError(msg)
    finite = [row for row in rows if np.isfinite(row.flux) and np.isfinite(row.error)]
    if len(finite) < len(rows):
        dropped = ", ".join(row.filter_name for row in rows if row not in finite)
        logger.warning(
            "%s: %d of %d bands have a flux or error that is not finite and are left out: %s",
            file.name,
            len(rows) - len(finite),
            len(rows),
            dropped,
        )
    if not finite:
        msg = f"inputPhotometry: {str(file)!r} holds no band with a finite flux and error"
        raise DataError(msg)
    _check_errors(finite, file)
    return _photometry(finite, unit_of_file or flux_units or "uJy", redshift, file)


def _check_errors(rows: list[_Row], file: Path) -> None:
    bad = [row for row in rows if row.error <= 0.0]
    if bad:
        listed = ", ".join(f"{row.filter_name} (line {row.number}: {row.error!r})" for row in bad)
        msg = (
            f"inputPhotometry: {str(file)!r} has errors that are not positive: {listed}; expected positive "
            "errors"
        )
        raise DataError(msg)


def _photometry(rows: list[_Row], unit: str, redshift: float, file: Path) -> Photometry:
    flux = np.array([row.flux for row in rows])
    error = np.array([row.error for row in rows])
    is_upper = np.array([row.limit == "upper" for row in rows])
    is_lower = np.array([row.limit == "lower" for row in rows])
    if unit.strip().lower() in _MAGNITUDES:
        flux = AB_ZERO_POINT * 10.0 ** (-0.4 * flux)
        error = 0.4 * np.log(10.0) * flux * error
    else:
        factor = frequency_flux_factor(unit, file.name)
        flux, error = factor * flux, factor * error
    names = tuple(row.filter_name for row in rows)
    return Photometry(names, flux, error, is_upper, is_lower, float(redshift), file.name)


def _limit(word: str, where: str) -> str:
    lowered = word.strip().lower()
    if lowered not in ("", *_LIMIT_WORDS):
        hint = nearest_known(word, _LIMIT_WORDS)
        msg = f"inputPhotometry: {where}: {word!r} after the error is not known{hint} (upper, lower)"
        raise DataError(msg)
    return lowered


def _number(word: str, what: str, where: str) -> float:
    try:
        return float(word)
    except ValueError as error:
        msg = (
            f"inputPhotometry: {where}: {what} {word!r} is not a number; expected 'filter flux error "
            "[upper|lower]'"
        )
        raise DataError(msg) from error


def _words(line: str, where: str) -> list[str]:
    if "," in line:
        return [word.strip().strip("\"'") for word in line.partition("#")[0].split(",")]
    try:
        return shlex.split(line, comments=True)
    except ValueError as error:
        msg = f"inputPhotometry: {where}: {line.strip()!r} cannot be split into words ({error})"
        raise DataError(msg) from error


def _read_text(file: Path) -> list[_Row]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        msg = (
            f"inputPhotometry: {str(file)!r} is not text ({error}); expected 'filter flux error "
            "[upper|lower]'"
        )
        raise DataError(msg) from error
    rows: list[_Row] = []
    for number, line in enumerate(lines, 1):
        where = f"{str(file)!r} line {number}"
        words = _words(line, where)
        if not any(words):
            continue
        if [word.lower() for word in words[:2]] == ["filter", "flux"]:
            continue
        if len(words) not in (3, 4):
            msg = (
                f"inputPhotometry: {where} has {len(words)} words, {line.strip()!r}; "
                "expected 'filter flux error [upper|lower]'"
            )
            raise DataError(msg)
        limit = _limit(words[3], where) if len(words) == 4 else ""
        rows.append(
            _Row(number, words[0], _number(words[1], "flux", where), _number(words[2], "error", where), limit)
        )
    if not rows:
        msg = (
            f"inputPhotometry: {str(file)!r} holds no band; expected lines 'filter flux error [upper|lower]'"
        )
        raise DataError(msg)
    return rows


def _read_ecsv(file: Path) -> tuple[list[_Row], str | None]:
    from astropy.table import Table

    try:
        table = Table.read(file, format="ascii.ecsv")
    except (ValueError, TypeError, KeyError, OSError) as error:
        msg = f"inputPhotometry: {str(file)!r} cannot be read as ECSV: {error}"
        raise DataError(msg) from error
    names = {name.lower(): name for name in table.colnames}
    error_name = next((names[name] for name in _ERROR_NAMES if name in names), None)
    if "filter" not in names or "flux" not in names or error_name is None:
        msg = (
            f"inputPhotometry: {str(file)!r} has the columns {', '.join(table.colnames)}; expected filter, "
            "flux, error"
        )
        raise DataError(msg)
    flux = np.ma.filled(np.ma.asarray(table[names["flux"]], dtype=np.float64), np.nan)
    errors = np.ma.filled(np.ma.asarray(table[error_name], dtype=np.float64), np.nan)
    limits = (
        [str(word) if word is not np.ma.masked else "" for word in table[names["limit"]]]
        if "limit" in names
        else []
    )
    rows = [
        _Row(
            i + 1,
            str(name),
            float(flux[i]),
            float(errors[i]),
            _limit(limits[i] if limits else "", f"row {i + 1}"),
        )
        for i, name in enumerate(table[names["filter"]])
    ]
    if not rows:
        msg = f"inputPhotometry: {str(file)!r} holds no band"
        raise DataError(msg)
    unit = table[names["flux"]].unit
    return rows, None if unit is None else unit.to_string()
