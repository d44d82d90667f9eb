"""Input files of tasks with their checksums; each file is read once per worker while it stays as it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from orchestrator.production.records import InputFile

__all__ = ["InputFiles"]

_MOST = 10_000


class InputFiles:
    """Files that were looked at."""

    def __init__(self) -> None:
        self._known: dict[str, InputFile] = {}

    def of(self, paths: Iterable[Path]) -> tuple[InputFile, ...]:
        """Return these files as they are now; one that is not there, or cannot be read, is left out."""
        found = (self._file(str(path)) for path in paths)
        return tuple(file for file in found if file is not None)

    def _file(self, path: str) -> InputFile | None:
        try:
            status = Path(path).stat()
            known = self._known.get(path)
            if known is not None and (known.size, known.mtime_ns) == (status.st_size, status.st_mtime_ns):
                return known
            with Path(path).open("rb") as stream:
                checksum = hashlib.file_digest(stream, "sha256").hexdigest()[:16]
        except OSError:
            return None
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[path] = InputFile(path, status.st_size, status.st_mtime_ns, checksum)
        return self._known[path]
