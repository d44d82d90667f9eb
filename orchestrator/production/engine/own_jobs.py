"""Slurm jobs that belong to a production: how they are named, and how those of a dead driver are cancelled."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from orchestrator.errors import ProductionError

__all__ = ["label_of", "reap"]

_ANSWER_SECONDS = 60.0


def label_of(production: Path) -> str:
    """Return the name under which Slurm knows the blocks of a production, and no other's."""
    return "orchestrator-" + hashlib.sha256(str(production.resolve()).encode()).hexdigest()[:12]


def reap(label: str) -> list[str]:
    """Cancel the blocks that a dead driver left behind.

    Parameters
    ----------
    label : str
        Of `label_of`.

    Returns
    -------
    list of str
        Slurm's numbers of the jobs that were cancelled.
    """
    command = ["squeue", "--me", "--noheader", "--format", "%i %j"]
    try:
        rows = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=True).stdout
        pairs = [row.split(maxsplit=1) for row in rows.splitlines()]
        jobs = [number for number, name in pairs if name.startswith(f"parsl.{label}.block-")]
        if jobs:
            # It complains about jobs that have ended since.
            subprocess.run(["scancel", *jobs], capture_output=True, timeout=_ANSWER_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", None) or error
        msg = f"Slurm does not answer ({' '.join(command)}): {detail}; is this a machine of the cluster?"
        raise ProductionError(msg) from error
    return jobs
