"""Turn what a file is written in into the units of the package. astropy is imported on the first call."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import DataError

__all__ = ["AB_ZERO_POINT", "flux_density_factor", "frequency_flux_factor", "wavelength_factor"]

AB_ZERO_POINT = 10.0 ** (-0.4 * 48.6)
"""Flux density of AB magnitude 0 [erg/s/cm2/Hz] (Oke & Gunn 1983, ApJ 266, 713): one maggy."""


def _unit(text: str, option: str, expected: str) -> Any:
    from astropy import units

    try:
        with warnings.catch_warnings():
            # astropy warns of several slashes, which is how many catalogues write their units.
            warnings.simplefilter("ignore", units.UnitsWarning)
            return units.Unit(text.strip())
    except (ValueError, TypeError) as error:
        msg = f"{option} = {text!r} is not a unit that astropy knows; expected {expected} ({error})"
        raise DataError(msg) from error


def wavelength_factor(unit: str, name: str) -> float:
    """Return the factor from a wavelength unit to Angstrom.

    Parameters
    ----------
    unit : str
        astropy spelling, ``Angstrom``, ``nm``, ``um``.
    name : str
        What it is the unit of, for the message.

    Raises
    ------
    DataError
        Not a unit of length.
    """
    from astropy import units

    expected = "a length such as 'Angstrom', 'nm' or 'um'"
    try:
        return float(_unit(unit, "wlUnits", expected).to(units.AA))
    except units.UnitConversionError as error:
        msg = f"{name}: wlUnits = {unit!r} is not a unit of wavelength; expected {expected}"
        raise DataError(msg) from error


def flux_density_factor(unit: str, wavelength: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """Return the factor of every pixel from a flux unit to erg/s/cm2/Angstrom.

    Parameters
    ----------
    unit : str
        Flux density per wavelength or per frequency in astropy's spelling, with or without a scale:
        ``1e-16 erg / (s cm2 Angstrom)``, ``uJy``.
    wavelength : ndarray (n,)
        Vacuum [Angstrom]; only flux per frequency needs it.
    name : str
        What it is the unit of, for the message.

    Returns
    -------
    ndarray (n,)

    Raises
    ------
    DataError
        Not a flux density.
    """
    from astropy import units

    expected = "a flux density such as '1e-17 erg / (s cm2 Angstrom)' or 'uJy'"
    target = units.erg / units.s / units.cm**2 / units.AA
    parsed = _unit(unit, "fluxUnits", expected)
    if parsed.is_equivalent(target):
        return np.full(wavelength.shape, float(parsed.to(target)))
    if not parsed.is_equivalent(units.Jy):
        msg = f"{name}: fluxUnits = {unit!r} is not a flux density; expected {expected}"
        raise DataError(msg)
    values = parsed.to(
        target, np.ones(wavelength.shape), equivalencies=units.spectral_density(wavelength * units.AA)
    )
    return np.asarray(values, dtype=np.float64)


def frequency_flux_factor(unit: str, name: str) -> float:
    """Return the factor from a unit of broadband flux to erg/s/cm2/Hz.

    Parameters
    ----------
    unit : str
        ``uJy``, ``nJy``, ``mJy``, ``Jy``, ``nanomaggy``, ``maggy``, or any flux per frequency that astropy
        knows.
    name : str
        What it is the unit of, for the message.

    Raises
    ------
    DataError
        Not a flux density per frequency.
    """
    from astropy import units

    # Spelled out, as astropy's maggy needs its zero point to be given; Angstrom-based fluxes need a
    # wavelength.
    words = {"maggy": 1.0, "maggies": 1.0, "mgy": 1.0}
    words |= {f"nano{word}": 1e-9 for word in ("maggy", "maggies")} | {"nmgy": 1e-9}
    if unit.strip().lower() in words:
        return words[unit.strip().lower()] * AB_ZERO_POINT
    expected = (
        "'uJy', 'nJy', 'mJy', 'Jy', 'nanomaggy', 'maggy', 'ABmag' or another flux density per frequency"
    )
    try:
        return float(_unit(unit, "fluxUnits", expected).to(units.erg / units.s / units.cm**2 / units.Hz))
    except units.UnitConversionError as error:
        msg = f"{name}: fluxUnits = {unit!r} is not a flux density per frequency; expected {expected}"
        raise DataError(msg) from error
