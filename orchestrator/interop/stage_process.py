"""A stage as a process: its command, its environment, its log, and a guard that ends all of it."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.fit.mpi import (
    THREAD_VARIABLES,
    child_environment,
    find_mpiexec,
    mpiexec_candidates,
    without_launcher,
)
from orchestrator.interop.ceci_classes import command_of
from orchestrator.interop.ceci_wiring import CeciStage
from orchestrator.interop.lbg_run import LbgRun

__all__ = ["StageProcess", "config_file", "environment_of", "mpi_words", "shell_text", "stage_command"]


def config_file(run: LbgRun) -> Path:
    """Return the file that holds the merged options of a run, beside its products."""
    return run.output_dir / "config.yaml"


def stage_command(run: LbgRun, stage: CeciStage, mpi: Sequence[str]) -> list[str]:
    """Return the command of a stage.

    Parameters
    ----------
    run : LbgRun
    stage : CeciStage
    mpi : sequence of str
        As of `mpi_words`.
    """
    inputs = {tag: "None" if file is None else str(file) for tag, file in stage.inputs.items()}
    outputs = {tag: str(file) for tag, file in stage.outputs.items()}
    words = command_of(stage.stage_class, inputs, outputs, str(config_file(run)), stage.entry.aliases, stage.name)
    if stage.entry.nprocess == 1:
        return words
    if words[:2] == [sys.executable, "-m"]:
        words[1:2] = ["-m", "mpi4py", "-m"]  # an exception on one rank ends the others, which would wait for ever
    return [*mpi, str(stage.entry.nprocess), *words, "--mpi"]


def mpi_words(run: LbgRun, *, look: bool = True) -> list[str]:
    """Return what stands before the number of processes.

    Parameters
    ----------
    run : LbgRun
    look : bool
        Try whether an mpiexec works with this Python.
    """
    if run.site.mpi_command:
        return shlex.split(run.site.mpi_command)
    if run.site.name != "local":
        return ["srun", "-u", "-n"]
    found = find_mpiexec() if look else next(iter(mpiexec_candidates()), None)
    return [found or "mpiexec", "-n"]


def environment_of(run: LbgRun, stage: CeciStage) -> dict[str, str]:
    """Return the variables that a stage gets beyond ours."""
    threads = str(stage.entry.threads_per_process)
    variables = dict.fromkeys((*THREAD_VARIABLES, "NUMBA_NUM_THREADS"), threads)
    if run.python_paths:
        paths = [*map(str, run.python_paths), *filter(None, [os.environ.get("PYTHONPATH")])]
        variables["PYTHONPATH"] = os.pathsep.join(paths)
    return variables


def shell_text(command: Sequence[str], variables: Mapping[str, str], folder: Path) -> str:
    """Return a command as one line for a shell."""
    words = [f"{name}={shlex.quote(value)}" for name, value in variables.items()]
    return f"cd {shlex.quote(str(folder))} && {' '.join([*words, shlex.join(command)])}"


class StageProcess:
    """A command that runs under its guard.

    Parameters
    ----------
    name : str
    command : sequence of str
    variables : Mapping of str to str
    folder : Path
        Where it runs.
    log : Path
    lock : int
        Descriptor that the guard keeps open for as long as anything of the command lives.
    alone : bool
        Whether an mpiexec in it must not see a job that this process belongs to.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        variables: Mapping[str, str],
        folder: Path,
        log: Path,
        lock: int,
        *,
        alone: bool = True,
    ) -> None:
        self.name = name
        self.log = log
        self.started = time.time()
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists():
            log.replace(log.with_name(f"{log.name}.previous"))
        reading, self._pipe = os.pipe()
        environment = child_environment()
        words = [sys.executable, "-P", "-m", "orchestrator.interop.guard", str(reading)]
        words += [*(f"{key}={value}" for key, value in variables.items()), "--", *command]
        try:
            with log.open("wb") as stream:
                stream.write(f"# {shell_text(command, variables, folder)}\n".encode())
                stream.flush()
                self.process = subprocess.Popen(
                    words,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    env=without_launcher(environment) if alone else environment,
                    start_new_session=True,
                    pass_fds=(reading, lock),
                )
        finally:
            os.close(reading)

    @property
    def pid(self) -> int:
        """Number of the guard."""
        return self.process.pid

    def ask_to_end(self) -> None:
        """Let the guard end everything."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)

    def finish(self) -> int:
        """Wait for the guard and return the exit code of the command."""
        code = self.process.wait()
        with contextlib.suppress(OSError):
            os.close(self._pipe)
        return code
