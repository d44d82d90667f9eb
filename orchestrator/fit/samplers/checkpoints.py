"""Checkpoints of nautilus that are whole at every moment."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

__all__ = ["whole_checkpoints"]


@contextlib.contextmanager
def whole_checkpoints() -> Iterator[None]:
    """Let nautilus write its file beside the former one and rename it.

    It removes the file and writes it anew, or changes it in place: killed meanwhile, it leaves one that cannot be
    opened, and the run cannot be resumed.
    """
    from nautilus import Sampler

    write, update = Sampler.write, Sampler.write_shell_update

    def write_whole(self: Any, filepath: str | Path, overwrite: bool = False) -> None:
        if Path(filepath).exists() and not overwrite:
            write(self, filepath)  # it refuses
        part = _part(filepath)
        part.unlink(missing_ok=True)
        write(self, part)
        os.replace(part, filepath)

    def update_whole(self: Any, filepath: str | Path, shell: int) -> None:
        part = _part(filepath)
        shutil.copyfile(filepath, part)
        update(self, part, shell)
        os.replace(part, filepath)

    with (
        mock.patch.object(Sampler, "write", write_whole),
        mock.patch.object(Sampler, "write_shell_update", update_whole),
    ):
        yield


def _part(filepath: str | Path) -> Path:
    return Path(filepath).with_suffix(f".part{Path(filepath).suffix}")
