"""Repair a results file that was cut off, before it is continued.

CosmoSIS appends to whatever the file ends with: a line cut in half would be glued to the next row, an
ensemble would restart from walkers of two different steps, and the closing lines of a finished run would
stay in the middle of the file.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from orchestrator.fit.chain import ENSEMBLE_SAMPLERS

__all__ = ["repair_chain"]

logger = logging.getLogger(__name__)


def repair_chain(path: Path, most_rows: int | None = None) -> int:
    """Cut a results file back to whole steps of the ensemble.

    Removes a last line without its end, rows beyond the last whole step, and the closing ``#key=value`` lines
    after the last row. The file is replaced in one step; without a row in it, it is removed.

    Parameters
    ----------
    path : Path
        Results file; need not exist.
    most_rows : int, optional
        Rows beyond these are removed too.

    Returns
    -------
    int
        Number of rows kept.
    """
    if not path.is_file():
        return 0
    original = path.read_bytes()
    lines = original.split(b"\n")[:-1]
    n_columns = len(lines[0].split()) if lines else 0
    header: list[bytes] = []
    rows: list[bytes] = []
    for line in lines:
        if line.startswith(b"#"):
            if not rows:
                header.append(line)
        elif line.strip():
            if len(line.split()) != n_columns:
                break  # two rows glued together by an earlier resume: nothing after it can be trusted
            rows.append(line)
    metadata = dict(line[1:].split(b"=", 1) for line in header if b"=" in line and not line.startswith(b"##"))
    sampler = metadata.get(b"sampler", b"").decode().strip()
    n_walkers = int(metadata.get(b"walkers", b"1").split(b"#")[0]) if sampler in ENSEMBLE_SAMPLERS else 1
    kept = len(rows) // n_walkers * n_walkers if most_rows is None else min(len(rows), most_rows)
    if kept == 0:
        path.unlink()
        return 0
    repaired = b"\n".join(header + rows[:kept]) + b"\n"
    if repaired != original:
        logger.info(
            "%s: continued from %d whole rows, %d bytes removed", path, kept, len(original) - len(repaired)
        )
        temporary = path.with_name(path.name + ".repair")
        temporary.write_bytes(repaired)
        os.replace(temporary, path)
    return kept
