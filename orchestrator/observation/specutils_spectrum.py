"""Spectra in any format that specutils knows, where it is installed (the extra ``specutils``)."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import DataError, nearest_known
from orchestrator.observation.file_content import FileContent, choose_row, logged_warnings

__all__ = ["ANY_FORMAT", "has_specutils", "identified_by_specutils", "read_with_specutils"]

# What its loaders raise at a file that is not theirs.
_LOADER_ERRORS = (OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, AssertionError)

ANY_FORMAT = "specutils"
"""Value of ``inputSpectrumFormat`` that lets specutils find the format."""


def has_specutils() -> bool:
    """Return whether specutils is installed, without importing it."""
    return importlib.util.find_spec("specutils") is not None


def read_with_specutils(path: Path, file_format: str | None, row: int | None) -> FileContent:
    """Read a spectrum with one of specutils' loaders.

    Parameters
    ----------
    path : Path
    file_format : str or None
        As specutils names it, such as ``JWST x1d``; None or `ANY_FORMAT` to identify it from the file.
    row : int or None
        Spectrum in a file that holds several, from 0; None where there is only one.

    Returns
    -------
    FileContent
        Units as the loader gives them. specutils does not know the medium; the header says it where the axis
        is called ``AWAV``, air wavelength (Greisen et al. 2006, A&A 446, 747, table 1).

    Raises
    ------
    DataError
        specutils not installed, a format that it does not know or that is not the file's, or a spectrum
        without uncertainties.
    """
    if not has_specutils():
        msg = (
            f"inputSpectrum: reading {str(path)!r} needs specutils, which is not installed; "
            "pip install 'galaxy-orchestrator[specutils]', or convert the file to text or a table with "
            "wavelength, flux and error"
        )
        raise DataError(msg)
    chosen = None if file_format is None or file_format.lower() == ANY_FORMAT else _known_format(file_format)
    spectra = _load(path, chosen)
    if len(spectra) == 1:
        return _content(spectra[0], path, row, file_format)
    return _content(spectra[choose_row(row, len(spectra), path)], path, None, file_format)


def identified_by_specutils(path: Path, row: int | None) -> FileContent | None:
    """Read a FITS file that no reader here knows; None without specutils, or if it does not know it either."""
    if not has_specutils():
        return None
    try:
        spectra = _load(path, None)
    except DataError:
        return None
    if len(spectra) == 1:
        return _content(spectra[0], path, row, None)
    return _content(spectra[choose_row(row, len(spectra), path)], path, None, None)


def _known_format(name: str) -> str:
    known = _format_names()
    for candidate in known:
        if candidate.lower() == name.lower():
            return candidate
    msg = f"inputSpectrumFormat = {name!r} is not a format of specutils{nearest_known(name, known)}"
    raise DataError(msg)


def _format_names() -> list[str]:
    from astropy.io import registry
    from specutils import Spectrum, SpectrumList

    names: set[str] = set()
    for kind in (Spectrum, SpectrumList):
        table = registry.get_formats(kind, readwrite="Read")
        names |= {str(name) for name in table["Format"]}
    return sorted(names)


def _load(path: Path, file_format: str | None) -> list[Any]:
    """Return the spectra of a file; a list first, as it serves files of one spectrum and of several."""
    from astropy.io.registry import IORegistryError
    from specutils import Spectrum, SpectrumList

    faults: list[str] = []
    for kind in (Spectrum, SpectrumList):
        try:
            with logged_warnings(path):
                read = kind.read(str(path), format=file_format)
        except (IORegistryError, *_LOADER_ERRORS) as error:
            faults.append(" ".join(str(error).split())[:200])
            continue
        spectra = list(read) if isinstance(read, (list, SpectrumList)) else [read]
        if spectra:
            return spectra
    what = f"as {file_format!r}" if file_format else "by finding out its format; name it in inputSpectrumFormat"
    msg = f"inputSpectrum: specutils cannot read {str(path)!r} {what} ({faults[0] if faults else 'no spectrum'})"
    raise DataError(msg)


def _content(spectrum: Any, path: Path, row: int | None, file_format: str | None) -> FileContent:
    from astropy import units

    name = f"{path.name}" if row is None else f"{path.name} row {row}"
    if spectrum.uncertainty is None:
        msg = f"{name}: specutils finds no uncertainties in it; expected a file with errors or inverse variances"
        raise DataError(msg)
    flux, sigma, bad = _plain(spectrum)
    if flux.ndim > 1:
        n_pixels = flux.shape[-1]
        index = choose_row(row, flux.size // n_pixels, path)
        flux, sigma = flux.reshape(-1, n_pixels)[index], sigma.reshape(-1, n_pixels)[index]
        bad = bad.reshape(-1, n_pixels)[index]
    elif row not in (None, 0):
        choose_row(row, 1, path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wavelength = np.asarray(
            spectrum.spectral_axis.to_value(units.AA, equivalencies=units.spectral()), dtype=np.float64
        )
    order = np.argsort(wavelength, kind="stable")
    return FileContent(
        wavelength=wavelength[order],
        flux=flux[order],
        uncertainty=sigma[order],
        name=name,
        good_pixels=~bad[order],
        wavelength_unit="Angstrom",
        flux_unit=spectrum.flux.unit.to_string() or None,
        medium="air" if _is_in_air(spectrum) else None,
        redshift=None,
        meta={"format": f"specutils {file_format or ANY_FORMAT}", "row": row},
    )


def _is_in_air(spectrum: Any) -> bool:
    """Return whether the header of a spectrum calls its axis one of air wavelengths."""
    types = getattr(getattr(getattr(spectrum, "wcs", None), "wcs", None), "ctype", ())
    return any(str(word).upper().startswith("AWAV") for word in types)


def _plain(spectrum: Any) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Return flux, standard deviation and bad pixels as arrays, in the unit of the flux."""
    from astropy.nddata import StdDevUncertainty

    flux = np.asarray(spectrum.flux.value, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        sigma = np.asarray(
            spectrum.uncertainty.represent_as(StdDevUncertainty).quantity.to_value(spectrum.flux.unit),
            dtype=np.float64,
        )
    mask = np.zeros(flux.shape, dtype=bool) if spectrum.mask is None else np.asarray(spectrum.mask, dtype=bool)
    # An inverse variance of zero has become an infinite error: a bad pixel, announced by the file.
    return flux, sigma, np.broadcast_to(mask, flux.shape) | ~np.isfinite(sigma)
