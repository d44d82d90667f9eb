"""Checksums that tell one content from another, whatever folder it lies in."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from orchestrator.ssp_libraries.folders import cache_folder

__all__ = ["checksum_of_files", "remembered_checksum"]

logger = logging.getLogger(__name__)


def checksum_of_files(paths: Iterable[Path]) -> str:
    """Return the SHA-256 over the sorted names and contents of files.

    Parameters
    ----------
    paths : iterable of Path
        Only the last component of each name enters.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    combined = hashlib.sha256()
    for path in sorted(paths, key=lambda entry: entry.name):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        combined.update(f"{path.name}\0{digest}\n".encode())
    return combined.hexdigest()


def remembered_checksum(paths: Sequence[Path]) -> str:
    """Return `checksum_of_files`, remembered for as long as no file changes its size or time.

    Reading 11 MB to hash them would take longer than everything else in the second load of a library.
    """
    states = [[str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns] for path in sorted(paths)]
    state = json.dumps(states)
    memory = cache_folder() / "checksums" / hashlib.sha256(state.encode()).hexdigest()[:32]
    try:
        remembered = memory.read_text(encoding="ascii").strip()
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        remembered = ""
    if len(remembered) == 64 and set(remembered) <= set("0123456789abcdef"):
        return remembered
    checksum = checksum_of_files(paths)
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=memory.parent, delete=False, encoding="ascii") as work:
            work.write(checksum)
        os.replace(work.name, memory)
    except OSError as error:
        logger.warning("the checksum of an SSP library is not remembered: %s (see ORCHESTRATOR_CACHE)", error)
    return checksum
