"""Read an observed spectrum from any file that is known here.

=================  ===========================================================================================
format             how it is recognised
=================  ===========================================================================================
text               columns wavelength, flux, error, separated by blanks or commas; ``#`` comments; a line of
                   names is allowed. Plain columns of numbers are read as BESTA reads them.
ECSV               first line ``# %ECSV``; units are taken from the columns
FITS table         columns wavelength (or loglam), flux, and error or ivar; units are taken from the columns
SDSS               table ``COADD`` with loglam, flux, ivar, and_mask, wdisp
stack (MaNGA)      images WAVE, FLUX, IVAR and, if there, MASK, Z, and LSFPRE, LSFPOST, SRES or SPECRES; `row`
                   chooses the spectrum. Row-stacked spectra (LOGRSS, LINRSS) are such files
DESI coadd         images ``<arm>_WAVELENGTH``, ``_FLUX``, ``_IVAR``, ``_MASK``, ``_RESOLUTION``; `row`
                   chooses the target
specutils          any FITS file of none of these formats, or `file_format`, where specutils is installed
=================  ===========================================================================================

What comes out is in Angstrom in vacuum and erg/s/cm2/Angstrom. Masks are applied before anything else touches
the data, nothing is resampled, and pixels that cannot be used are counted in the log and never good.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import DataError, nearest_known
from orchestrator.observation.column_names import find_spectrum_columns
from orchestrator.observation.file_content import (
    FileContent,
    existing_file,
    inverse_variance_to_error,
    read_columns,
)
from orchestrator.observation.spectrum import Spectrum, check_wavelength, spectrum_from_arrays
from orchestrator.observation.units import flux_density_factor, wavelength_factor

__all__ = ["DEFAULT_TEXT_FLUX_UNIT", "read_spectrum", "read_two_columns"]

DEFAULT_TEXT_FLUX_UNIT = "1e-16 erg / (s cm2 Angstrom)"
"""Unit of a text file that states none where ``fluxUnits`` is left out, as in BESTA."""

_MEDIA = ("vacuum", "air")

logger = logging.getLogger(__name__)


def read_spectrum(
    path: str | os.PathLike[str],
    *,
    row: int | None = None,
    file_format: str | None = None,
    wl_units: str | None = None,
    flux_units: str | None = None,
    medium: str = "vacuum",
    mask: str | os.PathLike[str] | None = None,
    lsf: str | os.PathLike[str] | None = None,
    redshift: float | None = 0.0,
) -> Spectrum:
    """Read one spectrum.

    Parameters
    ----------
    path : path
        ``inputSpectrum``; environment variables and ``~`` are expanded.
    row : int or None
        Spectrum in a file that stacks several, from 0.
    file_format : str or None
        Format as specutils names it, ``specutils`` to let it find out; left out, the formats above are
        recognised by themselves.
    wl_units : str or None
        ``wlUnits`` of a file that does not state them; Angstrom if left out.
    flux_units : str or None
        ``fluxUnits`` in astropy's spelling, a scale in front allowed; overrules the file. Left out, a text
        file without units is in 1e-16 erg/s/cm2/Angstrom, with a warning.
    medium : {'vacuum', 'air'}
        Of the wavelengths in the file. Wavelengths in air are converted; flux densities are left as they are
        (the width of a pixel changes by 3e-4).
    mask : path or None
        Text file of weights between 0 and 1: one per pixel, or two columns wavelength and weight. They
        multiply the inverse variance once; 0 masks the pixel.
    lsf : path or None
        Text file of wavelength and FWHM of the line-spread function, observed frame [Angstrom]; overrules the
        file.
    redshift : float or None
        None takes the redshift that the file states.

    Returns
    -------
    Spectrum

    Raises
    ------
    DataError
        Whatever keeps the spectrum from being used; the message says what was found and what is expected.
    """
    file = existing_file(path, "inputSpectrum")
    content = _read_content(file, row, file_format)
    name = content.name
    wavelength = content.wavelength * wavelength_factor(
        content.wavelength_unit or wl_units or "Angstrom", name
    )
    check_wavelength(wavelength, name)
    wavelength_vacuum = _to_vacuum(wavelength, medium, content.medium, name)
    factor = flux_density_factor(_flux_unit(content, flux_units), wavelength_vacuum, name)
    weights = None if mask is None else _read_weights(mask, content.wavelength, wavelength, name)
    return spectrum_from_arrays(
        wavelength_vacuum,
        content.flux * factor,
        content.uncertainty * factor,
        good_pixels=content.good_pixels,
        weights=weights,
        lsf_fwhm=content.lsf_fwhm if lsf is None else _read_lsf(lsf, wavelength, name),
        redshift=_redshift(redshift, content.redshift, name),
        name=name,
        meta={**content.meta, "path": str(file), "redshift_in_file": content.redshift},
    )


def read_two_columns(
    path: str | os.PathLike[str], what: str = "file"
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read a function of wavelength from a text file, such as a line-spread function.

    Parameters
    ----------
    path : path
    what : str
        The option, for messages.

    Returns
    -------
    wavelength, values : ndarray (n,)
        Wavelength strictly increasing, all finite.

    Raises
    ------
    DataError
        No such file, fewer than two columns, wavelengths that do not increase, values that are not finite.
    """
    columns, _ = read_columns(existing_file(path, what), what, 2)
    wavelength, values = columns[0], columns[1]
    if not np.all(np.isfinite(columns[:2])):
        msg = f"{what}: {str(path)!r} holds NaN or infinite values; expected wavelength and value, all finite"
        raise DataError(msg)
    if np.any(wavelength <= 0.0) or np.any(np.diff(wavelength) <= 0.0):
        msg = f"{what}: the wavelengths in {str(path)!r} must be positive and increase strictly"
        raise DataError(msg)
    return wavelength, values


def _read_content(file: Path, row: int | None, file_format: str | None) -> FileContent:
    from orchestrator.observation.fits_spectrum import is_fits, read_fits

    if file_format is not None:
        from orchestrator.observation.specutils_spectrum import read_with_specutils

        return read_with_specutils(file, file_format, row)
    if is_fits(file):
        return read_fits(file, row)
    if row not in (None, 0):
        msg = (
            f"inputSpectrumRow = {row!r}: {str(file)!r} is a text file, which holds one spectrum; leave the "
            "row out"
        )
        raise DataError(msg)
    with file.open("rb") as stream:
        is_ecsv = stream.read(8) == b"# %ECSV "
    return _read_ecsv(file) if is_ecsv else _read_text(file)


def _read_text(file: Path) -> FileContent:
    columns, names = read_columns(file, "inputSpectrum", 3)
    if len(names) == len(columns) and {"flux", "f_lambda", "flam"} & set(names):
        wave, flux, error, is_log10, is_ivar = find_spectrum_columns(names, f"{str(file)!r}")
        first, second, third = (columns[names.index(name)] for name in (wave, flux, error))
    else:
        first, second, third = columns[:3]
        is_log10 = is_ivar = False
        if len(columns) > 3:
            logger.info("%s: columns after the third are not used", file.name)
    return FileContent(
        wavelength=10.0**first if is_log10 else first,
        flux=second,
        uncertainty=inverse_variance_to_error(third) if is_ivar else third,
        name=file.name,
        meta={"format": "text"},
    )


def _read_ecsv(file: Path) -> FileContent:
    from astropy.table import Table

    try:
        table = Table.read(file, format="ascii.ecsv")
    except (ValueError, TypeError, KeyError, OSError) as error:
        msg = f"inputSpectrum: {str(file)!r} cannot be read as ECSV: {error}"
        raise DataError(msg) from error
    wave, flux, last, is_log10, is_ivar = find_spectrum_columns(table.colnames, f"{str(file)!r}")

    def values(name: str) -> NDArray[np.float64]:
        return np.ma.filled(np.ma.asarray(table[name], dtype=np.float64), np.nan)

    def unit(name: str) -> str | None:
        return None if table[name].unit is None else table[name].unit.to_string()

    first = values(wave)
    return FileContent(
        wavelength=10.0**first if is_log10 else first,
        flux=values(flux),
        uncertainty=inverse_variance_to_error(values(last)) if is_ivar else values(last),
        name=file.name,
        wavelength_unit=None if is_log10 else unit(wave),
        flux_unit=unit(flux),
        meta={"format": "ECSV"},
    )


def _to_vacuum(
    wavelength: NDArray[np.float64], medium: str, medium_of_file: str | None, name: str
) -> NDArray[np.float64]:
    if medium not in _MEDIA:
        msg = f"{name}: medium {medium!r} of the wavelengths is not known{nearest_known(medium, _MEDIA)}"
        raise DataError(msg)
    if medium_of_file == "vacuum" and medium == "air":
        msg = f"{name}: wlMedium = 'air', but files of this format are in vacuum; leave wlMedium out"
        raise DataError(msg)
    if medium_of_file == "air":
        logger.info("%s: the file says that its wavelengths are in air; converted to vacuum", name)
    if "air" in (medium, medium_of_file):
        from orchestrator.physics.wavelength import air_to_vacuum

        return np.asarray(air_to_vacuum(wavelength), dtype=np.float64)
    return wavelength


def _flux_unit(content: FileContent, flux_units: str | None) -> str:
    stated = flux_units or content.flux_unit
    if stated:
        return stated
    logger.warning(
        "%s states no flux unit and fluxUnits is not given: taken as %s", content.name, DEFAULT_TEXT_FLUX_UNIT
    )
    return DEFAULT_TEXT_FLUX_UNIT


def _redshift(given: float | None, stated: float | None, name: str) -> float:
    if given is not None:
        if given == 0.0 and stated is not None and abs(stated) > 1e-3:
            logger.warning("%s: fitted at redshift 0, while the file states %.6g", name, stated)
        return float(given)
    if stated is None:
        msg = f"{name}: the file states no redshift; give one"
        raise DataError(msg)
    return stated


def _read_weights(
    mask: str | os.PathLike[str],
    wavelength_of_file: NDArray[np.float64],
    wavelength: NDArray[np.float64],
    name: str,
) -> NDArray[np.float64]:
    path = existing_file(mask, "mask")
    columns, _ = read_columns(path, "mask", 1)
    n_pixels = wavelength.size
    weights = columns[0] if len(columns) == 1 else columns[-1]
    if columns.size == n_pixels:
        weights = columns.ravel()
    elif len(columns) != 2 or columns.shape[1] != n_pixels:
        msg = (
            f"mask {str(path)!r} has {columns.shape[1]} rows of {len(columns)} columns; expected {n_pixels} "
            "weights, "
            f"one per pixel of {name}, alone or after their wavelength"
        )
        raise DataError(msg)
    else:
        half_pixel = 0.5 * float(np.min(np.diff(wavelength))) / wavelength
        in_file_units = np.abs(columns[0] / wavelength_of_file - 1.0) > half_pixel
        if np.any(in_file_units & (np.abs(columns[0] / wavelength - 1.0) > half_pixel)):
            msg = (
                f"mask {str(path)!r}: its wavelengths are not those of {name}; expected one weight per pixel"
            )
            raise DataError(msg)
    if not np.all((weights >= 0.0) & (weights <= 1.0)):
        worst = float(weights[~((weights >= 0.0) & (weights <= 1.0))][0])
        msg = f"mask {str(path)!r} holds the weight {worst!r}; expected 0 (masked) to 1 (full weight)"
        raise DataError(msg)
    return weights


def _read_lsf(lsf: str | os.PathLike[str], wavelength: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    nodes, fwhm = read_two_columns(lsf, "lsf")
    if np.any(fwhm < 0.0):
        msg = f"lsf: {os.fspath(lsf)!r} holds the FWHM {float(fwhm.min())!r}; expected 0 or more [Angstrom]"
        raise DataError(msg)
    if wavelength[0] < nodes[0] or wavelength[-1] > nodes[-1]:
        logger.warning(
            "lsf: %s covers %.6g-%.6g A of %s, which reaches from %.6g to %.6g A; its end values are used "
            "beyond",
            os.fspath(lsf),
            nodes[0],
            nodes[-1],
            name,
            wavelength[0],
            wavelength[-1],
        )
    return np.interp(wavelength, nodes, fwhm)
