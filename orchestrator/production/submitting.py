"""Hand a production to Slurm as one job of a fixed size."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import ProductionError
from orchestrator.production.scripts import submit_command, write_scripts
from orchestrator.production.site import Site

__all__ = ["Submitted", "submit"]

_JOB = re.compile(r"Submitted batch job (\d+)")


@dataclass(frozen=True)
class Submitted:
    """A job that was, or could be, submitted.

    Attributes
    ----------
    slurm, shell : str
        The scripts.
    command : tuple of str
        What submits the one for Slurm.
    job : str
        Its number; empty for a dry run.
    """

    slurm: str
    shell: str
    command: tuple[str, ...]
    job: str = ""


def submit(folder: Path, site: Site, *, dry_run: bool = False) -> Submitted:
    """Write the scripts of a production, and submit the one for Slurm.

    Parameters
    ----------
    folder : Path
        Folder of the production.
    site : Site
    dry_run : bool
        Only write them.

    Raises
    ------
    ProductionError
        If there is no Slurm, or it refuses the job.
    """
    slurm, shell = write_scripts(folder, site)
    command = submit_command(folder, slurm)
    if dry_run:
        return Submitted(str(slurm), str(shell), tuple(command))
    (folder / "logs").mkdir(exist_ok=True)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        msg = f"the job cannot be submitted: {error}; {shell} runs the production without Slurm"
        raise ProductionError(msg) from error
    found = _JOB.search(done.stdout)
    if done.returncode != 0 or found is None:
        msg = f"Slurm refuses {slurm}: {(done.stderr or done.stdout).strip()}"
        raise ProductionError(msg)
    return Submitted(str(slurm), str(shell), tuple(command), found[1])
