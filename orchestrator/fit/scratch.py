"""A folder for files that pass, which a killed process does not leave behind for ever."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path

from orchestrator.config.file_lock import is_alive

__all__ = ["make_scratch_folder"]


def make_scratch_folder(parent: Path, purpose: str) -> Path:
    """Make a folder of this process, and remove those of its kind that killed processes of this machine have left.

    Parameters
    ----------
    parent : Path
        Made if it does not exist.
    purpose : str
        Begins the name of the folder, user, machine and process follow.

    Raises
    ------
    OSError
        If the folder cannot be made.
    """
    parent.mkdir(parents=True, exist_ok=True)
    prefix = f"{purpose}-{os.getuid()}-{socket.gethostname()}-"
    for left in parent.glob(f"{prefix}*"):
        number = left.name.removeprefix(prefix).partition("-")[0]
        if number.isdigit() and not is_alive(int(number)):
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=parent))
