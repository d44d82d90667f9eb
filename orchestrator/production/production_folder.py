"""Where a production is: its folder found from a path, or from the current folder upwards, and its ledger.

Nothing heavy is imported here: the command line asks this first.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from orchestrator.errors import ProductionError

__all__ = ["RUN_FILE", "find_production", "is_production", "ledger_entry", "ledger_url"]

RUN_FILE = "run.yaml"
_LEDGER_FILE = "ledger.sqlite"
_ENTRY = re.compile(r"^ledger:\s*(\S.*?)\s*$", re.MULTILINE)


def is_production(folder: str | Path) -> bool:
    """Whether a folder is that of a production: it holds a resolved run file and plans.

    Your own run file may be called ``run.yaml`` too; its folder holds no plans.
    """
    return (Path(folder) / RUN_FILE).is_file() and (Path(folder) / "plan").is_dir()


def find_production(start: str | Path | None = None) -> Path:
    """Return the nearest folder from `start` upwards that holds a production.

    Parameters
    ----------
    start : path, optional
        The current folder if left out.

    Raises
    ------
    ProductionError
        If there is none.
    """
    first = Path(os.path.abspath(start or Path.cwd()))
    for folder in (first, *first.parents):
        if is_production(folder):
            return folder
    msg = (
        f"{str(first)!r} is not inside a production (a folder with {RUN_FILE}); give the folder of one, or a "
        "run file that ends in .yaml"
    )
    raise ProductionError(msg)


def ledger_entry(folder: str | Path) -> str:
    """Return the entry ``ledger`` of the run file of a production, without checking the rest of it.

    Raises
    ------
    ProductionError
        If the folder holds no production.
    """
    path = Path(folder) / RUN_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        msg = f"cannot read {str(path)!r}: {error.strerror or error}"
        raise ProductionError(msg) from None
    found = _ENTRY.search(text)
    return "sqlite" if found is None else found[1].strip("'\"")


def ledger_url(folder: str | Path, entry: str | None = None) -> str:
    """Return the URL of the ledger of a production.

    Parameters
    ----------
    folder : path
    entry : str, optional
        As in the run file; read from there if left out.
    """
    entry = ledger_entry(folder) if entry is None else entry
    if entry == "sqlite":
        return f"sqlite:///{Path(os.path.abspath(folder)) / _LEDGER_FILE}"
    return entry.replace("postgresql://", "postgresql+psycopg://", 1)
