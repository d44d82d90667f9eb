"""The folders of the user: fetched libraries, and parsed copies of them."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["cache_folder", "data_folder", "given_directory", "replace_folder"]


def data_folder() -> Path:
    """Return the folder of fetched libraries.

    ``$ORCHESTRATOR_DATA``, else ``~/.local/share/orchestrator``.
    """
    return _folder("ORCHESTRATOR_DATA", "~/.local/share/orchestrator")


def cache_folder() -> Path:
    """Return the folder of files that can be rebuilt.

    ``$ORCHESTRATOR_CACHE``, else ``~/.cache/orchestrator``.
    """
    return _folder("ORCHESTRATOR_CACHE", "~/.cache/orchestrator")


def _folder(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or default).expanduser()


def given_directory(directory: str | os.PathLike[str] | None) -> Path | None:
    """Return the directory that the user gave, or None where it was left out.

    None, the empty string and exactly ``None`` in any case mean 'left out' (ini files have no null); a path
    that merely contains these letters is a path. Environment variables and ``~`` are expanded.
    """
    if directory is None:
        return None
    text = os.fspath(directory).strip()
    if not text or text.lower() == "none":
        return None
    return Path(os.path.expandvars(text)).expanduser()


def replace_folder(new: Path, folder: Path) -> None:
    """Put a finished folder in its place by rename, also where an older one is in the way."""
    if folder.exists():
        old = Path(tempfile.mkdtemp(prefix=".replaced-", dir=folder.parent))
        os.replace(folder, old / "content")
        try:
            os.replace(new, folder)
        finally:
            shutil.rmtree(old, ignore_errors=True)
    else:
        try:
            os.replace(new, folder)
        except OSError:
            # Another process was first with the same content: its copy serves as well.
            if not folder.is_dir():
                raise
