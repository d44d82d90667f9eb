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

An npz file in pPXF's layout (Cappellari 2023, MNRAS 526, 3273) is recognised by its keys: ``templates``
(n_wave, n_age, n_met), ``lam``, ``ages`` [Gyr], ``metals`` [M/H], ``fwhm`` and, if present, ``masses`` (stars
and remnants per mass formed). It does not state its medium: air is taken, with a warning, unless
``SSPModelArgs`` says ``medium=vacuum``.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import LibraryError
from orchestrator.ssp_libraries.library import SOLAR_METALLICITY, SSPLibrary, separate_repeated_wavelengths

__all__ = ["FILE_ENDINGS", "is_library_file", "read_simple_layout"]

FILE_ENDINGS = (".fits", ".fits.gz", ".h5", ".hdf5", ".npz")
_REQUIRED = ("wavelength", "log10_age_yr", "metallicity", "flux", "lsf_fwhm", "medium")
_PPXF_KEYS = frozenset({"templates", "lam", "ages", "metals", "fwhm"})
_FITS_SPELLINGS = {
    "log10age": "log10_age_yr",
    "surviving": "surviving_fraction",
    "massnorm": "mass_normalised",
}

logger = logging.getLogger(__name__)


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


def _from_ppxf(content: Mapping[str, Any]) -> dict[str, Any]:
    converted: dict[str, Any] = {
        "wavelength": content["lam"],
        "log10_age_yr": np.log10(np.asarray(content["ages"], dtype=np.float64)) + 9.0,
        "metallicity": SOLAR_METALLICITY * 10.0 ** np.asarray(content["metals"], dtype=np.float64),
        "flux": np.moveaxis(np.asarray(content["templates"], dtype=np.float64), (0, 1, 2), (2, 1, 0)),
        "lsf_fwhm": content["fwhm"],
        "medium": "air",
    }
    if "masses" in content:
        converted["surviving_fraction"] = np.asarray(content["masses"], dtype=np.float64).T
    return converted


def _full_length(values: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Repeat a single number for every pixel; anything else is left for `check_library` to judge."""
    array = np.asarray(values, dtype=np.float64)
    return np.full(shape, array.item()) if array.size == 1 else array


def _truth(value: Any, path: Path) -> bool:
    text = _text(value).strip().lower()
    if text not in ("true", "false", "t", "f", "1", "0"):
        msg = f"{str(path)!r}: mass_normalised is {text!r}; expected true or false"
        raise LibraryError(msg)
    return text in ("true", "t", "1")


def _vacuum_wavelength(content: Mapping[str, Any], medium: str, path: Path) -> NDArray[np.float64]:
    from orchestrator.physics.wavelength import air_to_vacuum

    wavelength = np.asarray(content["wavelength"], dtype=np.float64)
    if medium not in ("air", "vacuum"):
        msg = f"{str(path)!r}: medium is {medium!r}; expected 'vacuum' or 'air'"
        raise LibraryError(msg)
    return separate_repeated_wavelengths(air_to_vacuum(wavelength) if medium == "air" else wavelength)


def read_simple_layout(path: Path, *, medium: str | None = None, checksum: str) -> SSPLibrary:
    """Read a library in the simple layout (see the module) or in pPXF's npz layout.

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
    if set(content) >= _PPXF_KEYS:
        if medium is None:
            logger.warning(
                "%s is in pPXF's layout, which does not say whether wavelengths are in air or vacuum: taken "
                "as "
                "air (SSPModelArgs = medium=vacuum changes it)",
                path,
            )
        content = _from_ppxf(content)
    if medium is not None:
        content["medium"] = medium
    missing = [key for key in _REQUIRED if content.get(key) is None]
    if missing:
        msg = (
            f"SSP library file {str(path)!r} lacks {', '.join(missing)}; found {', '.join(sorted(content))}. "
            "The "
            "layout is described in orchestrator.ssp_libraries.simple_layout"
        )
        raise LibraryError(msg)
    wavelength = _vacuum_wavelength(content, _text(content["medium"]).strip().lower(), path)
    surviving = content.get("surviving_fraction")
    return SSPLibrary(
        name=_text(content.get("name", path.name.partition(".")[0])),
        wavelength=wavelength,
        log10_age_yr=np.asarray(content["log10_age_yr"], dtype=np.float64),
        metallicity=np.asarray(content["metallicity"], dtype=np.float64),
        flux=np.asarray(content["flux"], dtype=np.float64),
        lsf_fwhm=_full_length(content["lsf_fwhm"], wavelength.shape),
        surviving_fraction=None if surviving is None else np.asarray(surviving, dtype=np.float64),
        mass_normalised=_truth(content.get("mass_normalised", True), path),
        citation=_text(content.get("citation", "")),
        licence=_text(content.get("licence", "")),
        checksum=checksum,
    )
