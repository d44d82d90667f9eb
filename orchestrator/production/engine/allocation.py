"""The Slurm job that this process runs in."""

from __future__ import annotations

import logging
import os
import subprocess
from datetime import datetime

__all__ = ["end_of_allocation"]

logger = logging.getLogger(__name__)

_ANSWER_SECONDS = 30.0


def end_of_allocation() -> float | None:
    """Return the Unix time at which the allocation ends; None outside of one, or if it has no end.

    Newer Slurm says it in ``SLURM_JOB_END_TIME``; an older one is asked.
    """
    stated = os.environ.get("SLURM_JOB_END_TIME", "")
    if stated.isdecimal():
        return float(stated)
    job = os.environ.get("SLURM_JOB_ID")
    if not job:
        return None
    try:
        answer = subprocess.run(
            ["squeue", "--noheader", "--jobs", job, "--format", "%e"],
            env={**os.environ, "SLURM_TIME_FORMAT": "standard"},
            capture_output=True,
            text=True,
            timeout=_ANSWER_SECONDS,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        logger.warning("the end of the Slurm job %s is unknown (%s): no stop before it", job, error)
        return None
    try:
        return datetime.fromisoformat(answer).timestamp()
    except ValueError:  # N/A, Unknown: no limit
        return None
