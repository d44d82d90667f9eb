"""Spectra in FITS files: tables, SDSS ``spec-*.fits``, stacks as MaNGA's, DESI coadds (see `desi`).

The survey formats state vacuum wavelengths [Angstrom] and fluxes in 1e-17 erg/s/cm2/Angstrom.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import DataError
from orchestrator.observation.column_names import find_spectrum_columns
from orchestrator.observation.desi import is_desi_coadd, read_desi_coadd
from orchestrator.observation.file_content import (
    FileContent,
    choose_row,
    inverse_variance_to_error,
    logged_warnings,
)
from orchestrator.physics.constants import FWHM_PER_SIGMA

__all__ = ["is_fits", "read_fits"]

_SURVEY_FLUX_UNIT = "1e-17 erg / (s cm2 Angstrom)"


def is_fits(path: Path) -> bool:
    """Return True where a file starts as FITS does, or is compressed and named so."""
    with path.open("rb") as file:
        start = file.read(9)
    compressed = start[:2] == b"\x1f\x8b" and ".fit" in path.name.lower()
    return start == b"SIMPLE  =" or compressed


def read_fits(path: Path, row: int | None) -> FileContent:
    """Read a spectrum from a FITS file of any format known here.

    Parameters
    ----------
    path : Path
    row : int or None
        Spectrum in a file that stacks several, from 0; None where there is only one.

    Returns
    -------
    FileContent

    Raises
    ------
    DataError
        Not readable, no format that is known, or a row that is not there.
    """
    from astropy.io import fits

    try:
        with logged_warnings(path), fits.open(path, memmap=False) as file:
            names = {unit.name.upper() for unit in file}
            if is_desi_coadd(names):
                return read_desi_coadd(file, path, row)
            if {"WAVE", "FLUX", "IVAR"} <= names:
                return _read_stack(file, path, row)
            table = _spectrum_table(file)
            if not _looks_like_a_spectrum(table):
                from orchestrator.observation.specutils_spectrum import identified_by_specutils

                content = identified_by_specutils(path, row)
                if content is not None:
                    return content
            if table is None:
                found = ", ".join(unit.name or "(unnamed)" for unit in file)
                msg = (
                    f"inputSpectrum: {str(path)!r} has the extensions {found}; expected a table with "
                    "wavelength, "
                    "flux and error columns, an SDSS 'spec' file, a stack with WAVE, FLUX and IVAR, or a "
                    "DESI "
                    "coadd (a file that was cut short has lost extensions); with specutils installed, any format "
                    "that it knows"
                )
                raise DataError(msg)
            return _read_table(file, table, path, row)
    except (OSError, ValueError, TypeError, EOFError, LookupError) as error:
        msg = f"inputSpectrum: {str(path)!r} cannot be read as FITS: {error}"
        raise DataError(msg) from error


def _plain(values: Any) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64)


def _read_stack(file: Any, path: Path, row: int | None) -> FileContent:
    """Read one row of a stack of spectra on common wavelengths, as MaNGA's products have them."""
    flux = np.atleast_2d(file["FLUX"].data)
    if flux.ndim != 2:
        msg = (
            f"inputSpectrum: FLUX of {str(path)!r} has shape {flux.shape}; expected (n_spectra, "
            "n_wavelengths)"
        )
        raise DataError(msg)
    index = choose_row(row, flux.shape[0], path)
    wavelength = _plain(file["WAVE"].data)
    good = np.ones(wavelength.shape, dtype=bool)
    if "MASK" in file:
        good = np.atleast_2d(file["MASK"].data)[index] == 0
    return FileContent(
        wavelength=wavelength,
        flux=_plain(flux[index]),
        uncertainty=inverse_variance_to_error(np.atleast_2d(file["IVAR"].data)[index]),
        name=f"{path.name} row {index}",
        good_pixels=good,
        lsf_fwhm=_stack_lsf(file, wavelength, index),
        wavelength_unit="Angstrom",
        flux_unit=file["FLUX"].header.get("BUNIT") or _SURVEY_FLUX_UNIT,
        medium="vacuum",
        redshift=float(np.atleast_1d(file["Z"].data)[index]) if "Z" in file else None,
        meta={"format": "stack", "row": index},
    )


def _stack_lsf(file: Any, wavelength: NDArray[np.float64], index: int) -> NDArray[np.float64] | None:
    """Return the FWHM [Angstrom] from the first that the file has of what MaNGA's files state.

    ``LSFPRE`` and ``LSFPOST`` (``PREDISP`` and ``DISP`` in older releases) are standard deviations in
    Angstrom before and after the integration over pixels; the model integrates over pixels itself, so the
    former is right. ``SRES`` is wavelength over FWHM of each spectrum, ``SPECRES`` that of all of them.
    """
    for name in ("LSFPRE", "PREDISP", "LSFPOST", "DISP"):
        if name in file:
            sigma = _plain(np.atleast_2d(file[name].data)[index])
            known = np.isfinite(sigma) & (sigma > 0.0)
            if known.any():
                return FWHM_PER_SIGMA * np.interp(wavelength, wavelength[known], sigma[known])
    for name in ("SRES", "SPECRES"):
        if name in file:
            values = np.atleast_2d(file[name].data)
            return _fwhm_of_resolution(wavelength, values[index if len(values) > 1 else 0])
    return None


def _looks_like_a_spectrum(table: Any) -> bool:
    """Return whether a table has the columns of a spectrum under names that are known here."""
    if table is None:
        return False
    try:
        find_spectrum_columns(list(table.columns.names), "")
    except DataError:
        return False
    return True


def _fwhm_of_resolution(wavelength: NDArray[np.float64], resolution: Any) -> NDArray[np.float64] | None:
    """Return wavelength / R, interpolated over pixels whose R is not positive; None if there is no R."""
    values = _plain(resolution)
    known = np.isfinite(values) & (values > 0.0)
    if not known.any():
        return None
    return np.interp(wavelength, wavelength[known], wavelength[known] / values[known])


def _spectrum_table(file: Any) -> Any:
    """Return the table that holds a spectrum: ``COADD`` of SDSS, else the first with suitable names."""
    from astropy.io import fits

    tables = [unit for unit in file if isinstance(unit, fits.BinTableHDU | fits.TableHDU)]
    for unit in tables:
        if unit.name.upper() == "COADD":
            return unit
    for unit in tables:
        lower = {name.lower() for name in unit.columns.names}
        if lower & {"wavelength", "wave", "lambda", "lam", "wl", "loglam"} and lower & {
            "flux",
            "flam",
            "f_lambda",
        }:
            return unit
    return tables[0] if tables else None


def _read_table(file: Any, table: Any, path: Path, row: int | None) -> FileContent:
    names = list(table.columns.names)
    wave_name, flux_name, error_name, is_log10, is_ivar = find_spectrum_columns(names, f"{str(path)!r}")
    units = {column.name: column.unit for column in table.columns}

    def column(name: str) -> NDArray[Any]:
        values = np.asarray(table.data[name])
        # One spectrum per row of the table, as arrays in its cells.
        return values[choose_row(row, values.shape[0], path)] if values.ndim == 2 else values

    first = _plain(column(wave_name))
    wavelength = 10.0**first if is_log10 else first
    if row not in (None, 0) and np.asarray(table.data[wave_name]).ndim == 1:
        choose_row(row, 1, path)
    last = column(error_name)
    is_sdss = table.name.upper() == "COADD" and is_log10
    lower = {name.lower(): name for name in names}
    good = np.asarray(column(lower["and_mask"])) == 0 if "and_mask" in lower else None
    lsf = _sdss_lsf(wavelength, _plain(column(lower["wdisp"]))) if is_sdss and "wdisp" in lower else None
    return FileContent(
        wavelength=wavelength,
        flux=_plain(column(flux_name)),
        uncertainty=inverse_variance_to_error(last) if is_ivar else _plain(last),
        name=path.name,
        good_pixels=good,
        lsf_fwhm=lsf,
        wavelength_unit="Angstrom" if is_log10 else units[wave_name],
        flux_unit=_SURVEY_FLUX_UNIT if is_sdss else units[flux_name],
        medium="vacuum" if is_sdss else None,
        redshift=_sdss_redshift(file) if is_sdss else None,
        meta={"format": "SDSS spec" if is_sdss else "FITS table"},
    )


def _sdss_lsf(wavelength: NDArray[np.float64], dispersion: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the FWHM from ``wdisp``, the standard deviation in pixels of 1e-4 dex; None if not given."""
    known = np.isfinite(dispersion) & (dispersion > 0.0)
    if not known.any():
        return None
    sigma_pixels = np.interp(wavelength, wavelength[known], dispersion[known])
    return FWHM_PER_SIGMA * sigma_pixels * 1e-4 * np.log(10.0) * wavelength


def _sdss_redshift(file: Any) -> float | None:
    for name in ("SPECOBJ", "SPALL"):
        if name in file and "Z" in file[name].columns.names:
            return float(file[name].data["Z"][0])
    return None
