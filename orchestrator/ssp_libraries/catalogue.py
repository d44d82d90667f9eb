"""The libraries known by name."""

from __future__ import annotations

import re

from orchestrator.errors import LibraryError, nearest_known
from orchestrator.ssp_libraries.catalogue_of_packages import PACKAGED
from orchestrator.ssp_libraries.catalogue_of_users import BROUGHT
from orchestrator.ssp_libraries.known import KnownLibrary

__all__ = ["KNOWN_LIBRARIES", "known_library"]

KNOWN_LIBRARIES: dict[str, KnownLibrary] = {
    library.name: library for library in sorted((*PACKAGED, *BROUGHT), key=lambda each: each.name.lower())
}
_OTHER_NAMES = {"m11": "M11-MILES"}


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def known_library(name: str) -> KnownLibrary:
    """Return the entry of a library.

    Parameters
    ----------
    name : str
        Case, blanks, hyphens and underscores matter not.

    Raises
    ------
    LibraryError
        No library of that name; the message gives the nearest known one.
    """
    by_plain_name = {_plain(known): entry for known, entry in KNOWN_LIBRARIES.items()}
    entry = by_plain_name.get(_plain(_OTHER_NAMES.get(_plain(name), name)))
    if entry is None:
        msg = (
            f"unknown SSP library {name!r} (SSPModel); a library that is not known by name is read from a file "
            f"(FITS, HDF5, npz), given as SSPModel or found in SSPDir{nearest_known(name, KNOWN_LIBRARIES)}"
        )
        raise LibraryError(msg)
    return entry
