"""Any SSP library, from one FITS, HDF5 or npz file in a simple layout.

=====================  ================  =====================================================================
npz key, HDF5 dataset  FITS extension    content
=====================  ================  =====================================================================
``wavelength``         ``WAVELENGTH``    (n_wave,) Angstrom
``log10_age_yr``       ``LOG10AGE``      (n_age,) log10 of the age in years
``metallicity``        ``METALLICITY``   (n_met,) mass fraction of metals Z
``flux``               ``FLUX``          (n_met, n_age, n_wave) Lsun / Angstrom / Msun formed
``lsf_fwhm``           ``LSF_FWHM``      (n_wave,) or one number: FWHM of the line-spread function [Angstrom]
``surviving_fraction`` ``SURVIVING``     (n_met, n_age), optional: stars and remnants per mass formed
=====================  ================  =====================================================================

Words beside them (npz keys, HDF5 attributes of the file, cards of the primary FITS header): ``medium``
(``vacuum`` or ``air``; required), ``name``, ``citation``, ``licence`` and ``mass_normalised`` (FITS:
``MASSNORM``; default true).

More words that may be there: ``initial_mass_function`` (FITS: ``IMF``) and ``with_remnants`` (FITS: ``REMNANTS``;
whether the surviving fraction counts them, default true).

Files of pPXF (npz) and DSPS (HDF5) are recognised by their keys: :mod:`foreign_layouts`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import LibraryError
from orchestrator.ssp_libraries.foreign_layouts import UNSTATED, from_foreign_layout
from orchestrator.ssp_libraries.library import SSPLibrary, separate_repeated_wavelengths
from orchestrator.ssp_libraries.medium_check import settled_medium

__all__ = ["FILE_ENDINGS", "is_library_file", "read_simple_layout"]

FILE_ENDINGS = (".fits", ".fits.gz", ".h5", ".hdf5", ".npz")
_REQUIRED = ("wavelength", "log10_age_yr", "metallicity", "flux", "lsf_fwhm", "medium")
_FITS_SPELLINGS = {
    "log10age": "log10_age_yr",
    "surviving": "surviving_fraction",
    "massnorm": "mass_normalised",
    "imf": "initial_mass_function",
    "remnants": "with_remnants",
}


def is_library_file(name: str) -> bool:
    """Return True where a name ends as a file that this module reads."""
    return name.lower().endswith(FILE_ENDINGS)


def _read_npz(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def _read_hdf5(path: Path) -> dict[str, Any]:
    import h5py

    with h5py.File(path, "r") as file:
        content: dict[str, Any] = dict(file.attrs)
        content.update({key: item[()] for key, item in file.items() if isinstance(item, h5py.Dataset)})
        return content


def _read_fits(path: Path) -> dict[str, Any]:
    from astropy.io import fits

    with fits.open(path, memmap=False) as file:
        content: dict[str, Any] = {key.lower(): value for key, value in file[0].header.items()}
        content.update({unit.name.lower(): unit.data for unit in file[1:]})
    return {_FITS_SPELLINGS.get(key, key): value for key, value in content.items()}


def _reader(path: Path) -> Callable[[Path], dict[str, Any]]:
    name = path.name.lower()
    if name.endswith(".npz"):
        return _read_npz
    return _read_hdf5 if name.endswith((".h5", ".hdf5")) else _read_fits


def _text(value: Any) -> str:
    plain = value.item() if isinstance(value, np.ndarray | np.generic) else value
    return plain.decode() if isinstance(plain, bytes) else str(plain)


def _floating(values: Any) -> NDArray[Any]:
    """Return the flux as float32 where the file holds no more, else as float64, in the machine's byte order."""
    array = np.asarray(values)
    single = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    return array.astype(np.float32 if single else np.float64, copy=False)


def _full_length(values: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Repeat a single number for every pixel; anything else is left for `check_library` to judge."""
    array = np.asarray(values, dtype=np.float64)
    return np.full(shape, array.item()) if array.size == 1 else array


def _truth(content: Mapping[str, Any], key: str, path: Path) -> bool:
    text = _text(content.get(key, True)).strip().lower()
    if text not in ("true", "false", "t", "f", "1", "0"):
        msg = f"{str(path)!r}: {key} is {text!r}; expected true or false"
        raise LibraryError(msg)
    return text in ("true", "t", "1")


def read_simple_layout(path: Path, *, medium: str | None = None, checksum: str) -> SSPLibrary:
    """Read a library in the simple layout (see the module) or in that of pPXF or DSPS.

    Parameters
    ----------
    path : Path
    medium : {'vacuum', 'air'} or None
        Overrules what the file says.
    checksum : str

    Returns
    -------
    SSPLibrary
        In vacuum; not yet checked.

    Raises
    ------
    LibraryError
        The file cannot be read, or something required is missing from it.
    """
    try:
        content = _reader(path)(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        msg = f"SSP library file {str(path)!r} cannot be read: {error}"
        raise LibraryError(msg) from error
    content = dict(from_foreign_layout(content, path))
    if medium is not None:
        content["medium"] = medium
    missing = [key for key in _REQUIRED if content.get(key) is None]
    if missing:
        msg = (
            f"SSP library file {str(path)!r} lacks {', '.join(missing)}; found {', '.join(sorted(content))}. The "
            "layout is described in orchestrator.ssp_libraries.simple_layout"
        )
        raise LibraryError(msg)
    return _record(content, path, checksum)


def _record(content: Mapping[str, Any], path: Path, checksum: str) -> SSPLibrary:
    from orchestrator.physics.wavelength import air_to_vacuum

    stated = _text(content["medium"]).strip().lower()
    own = separate_repeated_wavelengths(np.asarray(content["wavelength"], dtype=np.float64))
    log10_age_yr = np.asarray(content["log10_age_yr"], dtype=np.float64)
    flux = _floating(content["flux"])
    lsf_fwhm = _full_length(content["lsf_fwhm"], own.shape)
    if stated == UNSTATED and flux.shape[1:] == (log10_age_yr.size, own.size) and lsf_fwhm.shape == own.shape:
        medium, vacuum = settled_medium(str(path), own, log10_age_yr, flux, lsf_fwhm, otherwise="air")
    elif stated in ("air", "vacuum", UNSTATED):
        medium = "vacuum" if stated == "vacuum" else "air"
        vacuum = air_to_vacuum(own) if medium == "air" else own
    else:
        msg = f"{str(path)!r}: medium is {stated!r}; expected 'vacuum' or 'air'"
        raise LibraryError(msg)
    surviving = content.get("surviving_fraction")
    return SSPLibrary(
        name=_text(content.get("name", path.name.partition(".")[0])),
        wavelength=vacuum,
        log10_age_yr=log10_age_yr,
        metallicity=np.asarray(content["metallicity"], dtype=np.float64),
        flux=flux,
        lsf_fwhm=lsf_fwhm,
        surviving_fraction=None if surviving is None else np.asarray(surviving, dtype=np.float64),
        mass_normalised=_truth(content, "mass_normalised", path),
        citation=_text(content.get("citation", "")),
        licence=_text(content.get("licence", "")),
        checksum=checksum,
        medium=medium,
        initial_mass_function=_text(content.get("initial_mass_function", "")),
        resolution="as the file states it",
        with_remnants=_truth(content, "with_remnants", path),
    )
