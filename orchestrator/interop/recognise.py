"""Tell a run of ceci from a production by its look; nothing heavy is imported, for every command asks."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["RECORD_FILE", "is_ceci_run"]

RECORD_FILE = "orchestrator_run.json"
"""In the folder of the products of a run: what was done."""
_HEAD = re.compile(r"^(\w+)[ \t]*:", re.MULTILINE)


def is_ceci_run(path: str | Path) -> bool:
    """Whether a file is a run of ceci or lbg-pipelines, or a folder holds the products of one.

    Such a file has ``pipelines``, or ``modules`` and ``stages``; a production has ``targets`` and ``pipeline``.
    """
    path = Path(path)
    if path.is_dir():
        return (path / RECORD_FILE).is_file()
    try:
        names = set(_HEAD.findall(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError):
        return False
    if names & {"targets", "pipeline"}:
        return False
    return "pipelines" in names or {"modules", "stages"} <= names
