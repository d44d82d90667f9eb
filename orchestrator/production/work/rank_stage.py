"""A fit on several processes inside a production: one big target, started as the site says."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from orchestrator.errors import StageError
from orchestrator.fit.launch import EXIT_START, StartPointError
from orchestrator.fit.mpi import find_mpiexec, without_launcher
from orchestrator.fit.process import run_logged, sampler_environment
from orchestrator.stage import Stage

__all__ = ["rank_command", "run_ranks"]

_USED_BY_SCHEDULER = frozenset({"srun", "aprun", "jsrun", "flux"})
"""Programs that start processes as steps of the job, and so must see it."""


def rank_command(stage: Stage, mpi_command: str) -> list[str]:
    """Return the command that runs a stage on `n_cores` processes.

    Parameters
    ----------
    stage : Stage
    mpi_command : str
        For example ``mpiexec -n {ranks}``. A plain ``mpiexec`` is the one that works with this Python; where there is
        none, the processes are forked locally.
    """
    python = [sys.executable, "-P", "-m"]
    launch = ["orchestrator.fit.launch", str(stage.paths.params), "--seed", str(stage.seed)]
    words = shlex.split(mpi_command.format(ranks=stage.n_cores))
    if words[0] == "mpiexec":
        found = find_mpiexec()
        if found is None:
            return [*python, *launch, "--pool", str(stage.n_cores)]
        words[0] = found
    # mpi4py's own runner ends all ranks when one of them raises; and each refuses to be one of another number.
    return [*words, *python, "mpi4py", "-m", *launch, "--mpi", str(stage.n_cores)]


def run_ranks(stage: Stage, mpi_command: str, log: Path) -> float:
    """Run the samplers of a stage, and return the processor seconds that it took.

    Its output goes to the end of `log`. It ends with this process, and the watcher of this process ends it.

    Raises
    ------
    StageError
        If it fails; `StartPointError` if its start point does.
    """
    command = rank_command(stage, mpi_command)
    environment = sampler_environment()
    if Path(command[0]).name not in _USED_BY_SCHEDULER:
        environment = without_launcher(environment)
    if shutil.which(command[0]) is None:
        msg = f"the program {command[0]!r} of mpi_command = {mpi_command!r} was not found"
        raise StageError(msg)
    before = os.times()
    code = run_logged(command, log, append=True, environment=environment)
    after = os.times()
    if code == EXIT_START:
        raise StartPointError(_last_error(log))
    if code != 0:
        ending = f"ended by signal {-code}" if code < 0 else f"exit code {code}"
        msg = f"Stage {stage.name!r} failed on {stage.n_cores} processes ({ending}): {_last_error(log)}"
        raise StageError(msg)
    return after.children_user + after.children_system - before.children_user - before.children_system


def _last_error(log: Path) -> str:
    """Return our own closing message in a log, or its last line."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "it left no log"
    ours = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return ours[-1] if ours else next((line for line in reversed(lines) if line.strip()), "its log is empty")
