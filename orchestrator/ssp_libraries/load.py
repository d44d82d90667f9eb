"""Load an SSP library by name or from a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import LibraryError
from orchestrator.ssp_libraries.cache import cached_library
from orchestrator.ssp_libraries.catalogue import KNOWN_LIBRARIES, KnownLibrary, known_library
from orchestrator.ssp_libraries.checksum import remembered_checksum
from orchestrator.ssp_libraries.folders import data_folder, given_directory
from orchestrator.ssp_libraries.library import SSPLibrary, check_library
from orchestrator.ssp_libraries.simple_layout import FILE_ENDINGS, is_library_file, read_simple_layout

__all__ = ["LibraryListing", "fetched_folder", "find_library_folder", "list_libraries", "load_library"]


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
    candidates = [fetched_folder(entry.name)]
    if entry.name == "PopStar":
        from orchestrator.ssp_libraries.popstar import installed_folder

        installed = installed_folder()
        candidates += [] if installed is None else [installed]
    for folder in candidates:
        if folder.is_dir() and any(folder.glob(entry.file_pattern)):
            return folder
    return None


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
        ``SSPModelArgs``: for PopStar ``cha`` and ``nebular=True|False``; for a file ``medium=air|vacuum``.

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
        if name.strip().lower() not in {known.lower() for known in KNOWN_LIBRARIES}:
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


def _checked(read: Callable[[], SSPLibrary]) -> Callable[[], SSPLibrary]:
    return lambda: check_library(read())


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
    return cached_library(key, _checked(lambda: read_simple_layout(path, medium=medium, checksum=checksum)))


def _folder_of_known(entry: KnownLibrary, folder: Path | None, pattern: str) -> Path:
    if folder is None:
        found = find_library_folder(entry)
        if found is None:
            msg = (
                f"SSP library {entry.name!r} is not on this machine; fetch it once with\n  "
                f"{entry.fetch_command}\n"
                "or give the folder of its files as SSPDir"
            )
            raise LibraryError(msg)
        return found
    for candidate in (folder, folder / entry.name):
        if any(candidate.glob(pattern)):
            return candidate
    msg = f"SSPDir {str(folder)!r} holds no file {pattern!r} of the SSP library {entry.name!r}"
    raise LibraryError(msg)


def _load_known(entry: KnownLibrary, folder: Path | None, arguments: tuple[str, ...]) -> SSPLibrary:
    if entry.name == "PopStar":
        return _load_popstar(entry, folder, arguments)
    if arguments:
        msg = (
            f"SSPModelArgs {', '.join(arguments)!r}: {entry.name} takes no arguments; leave SSPModelArgs out"
        )
        raise LibraryError(msg)
    paths = sorted(_folder_of_known(entry, folder, entry.file_pattern).glob(entry.file_pattern))
    checksum = remembered_checksum(paths)

    def read() -> SSPLibrary:
        from orchestrator.ssp_libraries.mastar import read_mastar
        from orchestrator.ssp_libraries.miuscat import read_miuscat

        reader = read_miuscat if entry.name == "MIUSCAT" else read_mastar
        return check_library(reader(paths, checksum=checksum))

    return cached_library(f"{entry.name}\0{checksum}", read)


def _load_popstar(entry: KnownLibrary, folder: Path | None, arguments: tuple[str, ...]) -> SSPLibrary:
    from orchestrator.ssp_libraries.popstar import parse_arguments, read_popstar

    file_name, nebular = parse_arguments(arguments)
    path = (
        _folder_of_known(entry, folder, file_name if folder is not None else entry.file_pattern) / file_name
    )
    if not path.is_file():
        msg = (
            f"{str(path)!r} does not exist: only the initial mass function 'cha' is distributed with "
            f"{entry.package}"
        )
        raise LibraryError(msg)
    checksum = remembered_checksum([path])
    key = f"{entry.name}\0{nebular}\0{checksum}"
    return cached_library(key, _checked(lambda: read_popstar(path, nebular=nebular, checksum=checksum)))
