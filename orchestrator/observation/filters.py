"""Transmission curves of filters: by name from the files inside speclite, or from a local file.

The network is never used.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import DataError, nearest_known
from orchestrator.observation.file_content import existing_file, read_columns

__all__ = ["Filter", "known_filters", "load_filter", "speclite_name"]

# The spelling of the SVO filter profile service, group by group, and what speclite calls the same curves.
_SVO_GROUPS: dict[str, tuple[str, dict[str, str]]] = {
    "SLOAN/SDSS": ("sdss2010", {band: band for band in "ugriz"}),
    "WISE/WISE": ("wise2010", {band: band for band in ("W1", "W2", "W3", "W4")}),
    "2MASS/2MASS": ("twomass", {band: band for band in ("J", "H", "Ks")}),
    "GALEX/GALEX": ("galex", {"FUV": "fuv", "NUV": "nuv"}),
    "CTIO/DECam": ("decam2014", {band: band for band in "ugrizY"}),
    "Pan-STARRS/PS1": ("panstarrs", {band: band for band in "grizyw"}),
    "Subaru/HSC": ("hsc2017", {**{band: band for band in "griz"}, "Y": "y", "i2": "i2", "r2": "r2"}),
    "LSST/LSST": ("lsst2023", {band: band for band in "ugrizy"}),
    "CFHT/MegaCam": ("cfht_megacam", {band: band for band in "ugriz"}),
    "Euclid/VIS": ("Euclid", {"vis": "VIS"}),
    "Euclid/NISP": ("Euclid", {band: band for band in "YJH"}),
    "GAIA/GAIA3": ("gaiadr3", {"G": "G", "Gbp": "BP", "Grp": "RP"}),
    "GAIA/GAIA2": ("gaiadr2", {"G": "G", "Gbp": "BP", "Grp": "RP"}),
    "Generic/Bessell": ("bessell", {band: band for band in "UBVRI"}),
}
_SVO_NAMES = {
    f"{group}.{svo}": f"{speclite}-{band}"
    for group, (speclite, bands) in _SVO_GROUPS.items()
    for svo, band in bands.items()
}
_SMALLEST_NEGATIVE = 1e-3  # of the maximum: measured curves dip below zero where they are opaque


@dataclass(frozen=True)
class Filter:
    """The transmission curve of a filter, for a photon-counting detector. Arrays are read-only copies.

    Attributes
    ----------
    name : str
    wavelength : ndarray (n,)
        Vacuum [Angstrom], strictly increasing. Published curves do not always state their medium; they are
        taken as they are (air differs by 3e-4).
    transmission : ndarray (n,)
        On any scale.
    """

    name: str
    wavelength: NDArray[np.float64]
    transmission: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Keep read-only copies."""
        for name in ("wavelength", "transmission"):
            array = np.array(getattr(self, name), dtype=np.float64)
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @property
    def effective_wavelength(self) -> float:
        """Photon-weighted mean wavelength of a source of constant AB magnitude [Angstrom]."""
        return float(
            np.trapezoid(self.transmission, self.wavelength)
            / np.trapezoid(self.transmission / self.wavelength, self.wavelength)
        )

    @property
    def bandwidth(self) -> float:
        """Width of the rectangle of the same height and area [Angstrom]."""
        return float(np.trapezoid(self.transmission, self.wavelength) / self.transmission.max())


def _speclite_names() -> tuple[str, ...]:
    """Names of the curves inside speclite, found without importing it."""
    folder = files("speclite") / "data" / "filters"
    return tuple(
        sorted(entry.name.removesuffix(".ecsv") for entry in folder.iterdir() if entry.name.endswith(".ecsv"))
    )


def known_filters() -> tuple[str, ...]:
    """Return every name that `load_filter` knows, in speclite's and in the SVO spelling."""
    return (*_speclite_names(), *sorted(_SVO_NAMES))


def speclite_name(name: str) -> str:
    """Return speclite's name of a filter in the SVO spelling: ``SLOAN/SDSS.r`` -> ``sdss2010-r``."""
    return _SVO_NAMES.get(name, name)


def load_filter(name_or_path: str | os.PathLike[str]) -> Filter:
    """Load a transmission curve.

    Parameters
    ----------
    name_or_path : str or path
        A name of `known_filters`, or a text file of wavelength [Angstrom, vacuum] and transmission.

    Returns
    -------
    Filter

    Raises
    ------
    DataError
        Unknown name, with the nearest known one; or a file that is not a transmission curve.
    """
    name = os.fspath(name_or_path)
    path = Path(os.path.expandvars(name)).expanduser()
    if path.is_file():
        return _filter_from_file(path)
    return _filter_from_speclite(name.strip())


@lru_cache(maxsize=256)
def _filter_from_speclite(name: str) -> Filter:
    known = speclite_name(name)
    if known not in _speclite_names():
        hint = nearest_known(name, known_filters())
        # Without a near name, the list of all of them would bury the message.
        hint = hint if "did you mean" in hint else "; 'sdss2010-r' and 'SLOAN/SDSS.r' are examples"
        msg = (
            f"filter {name!r} is neither a known name nor an existing file; filters are never downloaded, "
            "any other "
            f"is a local text file of wavelength [Angstrom] and transmission{hint}"
        )
        raise DataError(msg)
    from speclite.filters import load_filter as load_from_speclite

    response = load_from_speclite(known)
    return Filter(name, np.asarray(response.wavelength), np.asarray(response.response))


def _filter_from_file(path: Path) -> Filter:
    columns, _ = read_columns(existing_file(path, "filter"), "filter", 2)
    wavelength, transmission = columns[0], columns[1]
    if wavelength.size < 3 or not np.all(np.isfinite(columns[:2])):
        msg = f"filter {str(path)!r}: found {wavelength.size} points; expected at least 3, all finite"
        raise DataError(msg)
    if np.any(wavelength <= 0.0) or np.any(np.diff(wavelength) <= 0.0):
        msg = f"filter {str(path)!r}: wavelengths [Angstrom] must be positive and increase strictly"
        raise DataError(msg)
    highest = float(transmission.max())
    if highest <= 0.0 or float(transmission.min()) < -_SMALLEST_NEGATIVE * highest:
        msg = (
            f"filter {str(path)!r}: transmission between {float(transmission.min()):g} and {highest:g}; "
            "expected 0 or more, and more somewhere"
        )
        raise DataError(msg)
    return Filter(path.stem, wavelength, np.maximum(transmission, 0.0))
