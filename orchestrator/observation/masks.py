"""Masks of emission lines, night-sky lines and telluric bands, from the tables in ``data``.

Every function returns True where a pixel is kept. Tables state the medium of their wavelengths; air is
converted.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orchestrator.errors import DataError, nearest_known
from orchestrator.physics.constants import SPEED_OF_LIGHT_KMS

__all__ = [
    "EmissionLine",
    "SkyLine",
    "TelluricBand",
    "emission_lines",
    "keep_emission_lines",
    "keep_sky_lines",
    "keep_telluric",
    "sky_lines",
    "telluric_bands",
]


@dataclass(frozen=True)
class EmissionLine:
    """A line of the gas of a galaxy.

    Attributes
    ----------
    name : str
    wavelength : float
        Rest frame, vacuum [Angstrom].
    kind : str
        ``gas``, or ``interstellar`` for Na I.
    tied_to : str or None
        A stronger line from the same upper level, whose flux is `ratio` times this one's.
    ratio : float
    """

    name: str
    wavelength: float
    kind: str = "gas"
    tied_to: str | None = None
    ratio: float = 1.0


@dataclass(frozen=True)
class SkyLine:
    """A line of the night sky: name, vacuum wavelength and half width of its mask [Angstrom]."""

    name: str
    wavelength: float
    half_width: float


@dataclass(frozen=True)
class TelluricBand:
    """A band of absorption by the atmosphere: name and vacuum limits [Angstrom]."""

    name: str
    start: float
    end: float


def _vacuum(wavelength: float, medium: str) -> float:
    if medium == "vacuum":
        return wavelength
    from orchestrator.physics.wavelength import air_to_vacuum

    return float(air_to_vacuum(np.array([wavelength]))[0])


def _rows(file_name: str) -> list[dict[str, str]]:
    """Read a table of the package.

    Blank-separated ECSV without blanks in values, so that astropy is not needed.
    """
    text = (files("orchestrator.observation") / "data" / file_name).read_text(encoding="utf-8")
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [dict(zip(lines[0], words, strict=True)) for words in lines[1:]]


@cache
def emission_lines() -> tuple[EmissionLine, ...]:
    """Return the emission lines, and the interstellar Na I lines, in order of wavelength."""
    lines = (
        EmissionLine(
            row["name"],
            _vacuum(float(row["wavelength"]), row["medium"]),
            row["kind"],
            None if row["tied_to"] == "-" else row["tied_to"],
            float(row["ratio"]),
        )
        for row in _rows("emission_lines.ecsv")
    )
    return tuple(sorted(lines, key=lambda line: line.wavelength))


@cache
def sky_lines() -> tuple[SkyLine, ...]:
    """Return the bright lines of the night sky in order of wavelength."""
    lines = (
        SkyLine(row["name"], _vacuum(float(row["wavelength"]), row["medium"]), float(row["half_width"]))
        for row in _rows("sky_lines.ecsv")
    )
    return tuple(sorted(lines, key=lambda line: line.wavelength))


@cache
def telluric_bands() -> tuple[TelluricBand, ...]:
    """Return the telluric bands in order of wavelength."""
    return tuple(
        TelluricBand(
            row["name"],
            _vacuum(float(row["start"]), row["medium"]),
            _vacuum(float(row["end"]), row["medium"]),
        )
        for row in _rows("telluric_bands.ecsv")
    )


def _outside(wavelength: ArrayLike, start: ArrayLike, end: ArrayLike) -> NDArray[np.bool_]:
    """Return True for wavelengths inside none of the closed intervals."""
    wave = np.asarray(wavelength, dtype=np.float64)
    starts, ends = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    return ~np.any((wave[:, None] >= starts) & (wave[:, None] <= ends), axis=1)


def _check_width(value: float, name: str) -> None:
    if not np.isfinite(value) or value < 0.0:
        msg = f"{name} = {value!r}; expected 0 or more"
        raise DataError(msg)


def keep_emission_lines(
    wavelength: ArrayLike,
    *,
    redshift: float = 0.0,
    half_width_kms: float | None = None,
    half_width: float | None = None,
    pad: float = 0.0,
    names: Collection[str] | None = None,
    interstellar: bool = False,
) -> NDArray[np.bool_]:
    """Return which pixels lie outside the emission lines of a galaxy.

    Parameters
    ----------
    wavelength : array_like (n,)
        Observed frame, vacuum [Angstrom].
    redshift : float
    half_width_kms : float or None
        Half width of the mask of a line in velocity, ``c |lambda / lambda_line - 1|`` [km/s]. 600 if both
        half widths are left out.
    half_width : float or None
        Half width in wavelength instead, observed frame [Angstrom].
    pad : float
        Widens either side further, observed frame [Angstrom].
    names : collection of str or None
        Only these lines (see `emission_lines`); all of the gas if left out.
    interstellar : bool
        Mask Na I 5891, 5897 too, which interstellar gas absorbs.

    Returns
    -------
    ndarray of bool (n,)

    Raises
    ------
    DataError
        Both half widths given, a negative width, or an unknown name.
    """
    if half_width is not None and half_width_kms is not None:
        msg = "give half_width_kms [km/s] or half_width [Angstrom], not both"
        raise DataError(msg)
    velocity = 600.0 if half_width_kms is None else half_width_kms
    for value, name in ((velocity, "half_width_kms"), (half_width or 0.0, "half_width"), (pad, "pad")):
        _check_width(value, name)
    centre = np.array([line.wavelength for line in _chosen_lines(names, interstellar)]) * (1.0 + redshift)
    width = pad + (centre * velocity / SPEED_OF_LIGHT_KMS if half_width is None else half_width)
    return _outside(wavelength, centre - width, centre + width)


def _chosen_lines(names: Collection[str] | None, interstellar: bool) -> list[EmissionLine]:
    lines = emission_lines()
    if names is None:
        return [line for line in lines if interstellar or line.kind == "gas"]
    known = {line.name for line in lines}
    for name in names:
        if name not in known:
            msg = f"emission line {name!r} is not known{nearest_known(name, known)}"
            raise DataError(msg)
    return [line for line in lines if line.name in names or (interstellar and line.kind == "interstellar")]


def keep_sky_lines(wavelength: ArrayLike, *, pad: float = 0.0) -> NDArray[np.bool_]:
    """Return which pixels lie outside the bright lines of the night sky.

    Parameters
    ----------
    wavelength : array_like (n,)
        Observed frame, vacuum [Angstrom].
    pad : float
        Widens either side [Angstrom].

    Returns
    -------
    ndarray of bool (n,)

    Raises
    ------
    DataError
        A negative `pad`.
    """
    _check_width(pad, "sky_line_pad")
    centre = np.array([line.wavelength for line in sky_lines()])
    width = np.array([line.half_width for line in sky_lines()]) + pad
    return _outside(wavelength, centre - width, centre + width)


def keep_telluric(wavelength: ArrayLike, *, pad: float = 0.0) -> NDArray[np.bool_]:
    """Return which pixels lie outside the telluric bands.

    Parameters
    ----------
    wavelength : array_like (n,)
        Observed frame, vacuum [Angstrom].
    pad : float
        Widens either side [Angstrom].

    Returns
    -------
    ndarray of bool (n,)

    Raises
    ------
    DataError
        A negative `pad`.
    """
    _check_width(pad, "telluric_pad")
    bands = telluric_bands()
    return _outside(wavelength, [band.start - pad for band in bands], [band.end + pad for band in bands])
