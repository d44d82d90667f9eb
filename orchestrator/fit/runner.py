"""Run a stage: one child process, watched, its result checked.

An exit code of 0 and ``#complete=1`` are not success: CosmoSIS turns every exception of a module into a
likelihood of zero. A stage has succeeded if its process ended well, its chain is complete, and some of its
points have a finite posterior.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config.values import ValuesFile
from orchestrator.errors import ChainError, StageError
from orchestrator.fit.chain import Chain, read_chain
from orchestrator.fit.handover_record import Handover
from orchestrator.fit.identity import changed_parts
from orchestrator.fit.lock import hold_lock
from orchestrator.fit.mpi import find_mpiexec
from orchestrator.fit.prepare import PreparedStage, plain_length, prepare_stage, recorded_config, write_inputs
from orchestrator.fit.previous import set_aside
from orchestrator.fit.process import ProcessLost, TimedOut, sampler_environment, threads_per_process
from orchestrator.fit.warm import run_warm
from orchestrator.stage import Stage

__all__ = ["RunRecord", "launch_command", "run_prepared", "run_stage"]

logger = logging.getLogger(__name__)

_TAIL_LINES = 25
_NO_CHAIN = frozenset({"test", "cosmopower"})
"""Samplers that write no results file."""


@dataclass(frozen=True)
class RunRecord:
    """How a run went.

    Attributes
    ----------
    exit_code : int
    seconds : float
    log : Path
        Everything the run printed.
    command : str
        Shell command that repeats the run.
    complete : bool
    n_rows, n_infinite : int
        Rows of the chain, and those without a finite posterior.
    reused : bool
        True if a finished result was found and nothing ran.
    """

    exit_code: int
    seconds: float
    log: Path
    command: str
    complete: bool
    n_rows: int
    n_infinite: int = 0
    reused: bool = False


def run_stage(
    stage: Stage, values: ValuesFile, handover: Handover | None = None, *, lock: int | None = None
) -> RunRecord:
    """Prepare and run a stage.

    Parameters
    ----------
    stage : Stage
    values : ValuesFile
        Its values before the handover.
    handover : Handover, optional
    lock : int, optional
        Descriptor of the stage's lock if the caller holds it; taken here otherwise.

    Returns
    -------
    RunRecord

    Raises
    ------
    StageError
        If another run holds the stage, a result cannot be resumed, or the run fails.
    HandoverError
        If the handover does not fit the stage.
    """
    return run_prepared(prepare_stage(stage, values, handover), lock=lock)


def run_prepared(prepared: PreparedStage, *, lock: int | None = None) -> RunRecord:
    """Run a prepared stage; see `run_stage`."""
    if lock is None:
        with hold_lock(prepared.stage.paths) as descriptor:
            return run_prepared(prepared, lock=descriptor)
    stage, paths = prepared.stage, prepared.stage.paths
    command = launch_command(stage)
    state = _state_of_result(prepared) if stage.resume else "none"
    if state == "finished":
        chain = read_chain(paths.chain)
        logger.info("stage %s has finished before and nothing has changed: its result is reused", stage.name)
        return RunRecord(
            0,
            0.0,
            paths.log,
            shlex.join(command),
            chain.complete,
            chain.n_rows,
            chain.n_infinite,
            reused=True,
        )
    if state == "none":
        set_aside(stage)
    write_inputs(prepared)
    logger.info("stage %s: %s on %d process(es)", stage.name, " then ".join(stage.samplers), stage.n_cores)
    _say_threads(stage)
    return _run(stage, command, lock, resumed=state == "begun")


def _say_threads(stage: Stage) -> None:
    """Say how many threads a stage uses in all, where the user's environment multiplies its processes."""
    n_threads, variable = threads_per_process(sampler_environment())
    if stage.n_cores > 1 and n_threads > 1:
        logger.warning(
            "stage %s: n_cores = %d processes x %s = %d is %d threads in all, on %s cores",
            stage.name,
            stage.n_cores,
            variable,
            n_threads,
            stage.n_cores * n_threads,
            os.cpu_count(),
        )


def launch_command(stage: Stage) -> list[str]:
    """Return the command that runs a stage whose files are written.

    Several processes run under MPI; without a working mpiexec they are forked locally, and the log says so.
    """
    launch = ["-m", "orchestrator.fit.launch", str(stage.paths.params), "--seed", str(stage.seed)]
    python = [sys.executable, "-P"]
    if stage.n_cores <= 1:
        return [*python, *launch]
    mpiexec = find_mpiexec()
    if mpiexec is not None:
        # mpi4py's own runner ends all ranks when one of them raises; otherwise the others wait for ever.
        return [
            mpiexec,
            "-n",
            str(stage.n_cores),
            *python,
            "-m",
            "mpi4py",
            *launch,
            "--mpi",
            str(stage.n_cores),
        ]
    logger.warning(
        "no working mpiexec was found beside %s or on the PATH: stage %s runs on %d local processes",
        sys.executable,
        stage.name,
        stage.n_cores,
    )
    return [*python, *launch, "--pool", str(stage.n_cores)]


def _state_of_result(prepared: PreparedStage) -> str:
    """Return 'none', 'begun' or 'finished' for the result on disk.

    Raises
    ------
    StageError
        If it belongs to another configuration.
    """
    paths = prepared.stage.paths
    try:
        chain = read_chain(paths.chain)
    except ChainError:
        return "none"
    record = recorded_config(paths.config)
    if not record:
        logger.warning("%s has no record of its configuration; it is resumed unchecked", paths.chain)
        return "begun"
    changes = changed_parts(record.get("parts", {}), prepared.parts)
    if changes:
        msg = (
            f"Stage {prepared.stage.name!r} cannot be resumed from {str(paths.chain)!r}: it was "
            "made with another "
            f"configuration. Changed: {'; '.join(changes)}. Undo the change, or set resume = F: "
            "the old result is then kept in the folder 'previous'."
        )
        raise StageError(msg)
    same_length = record.get("length") == plain_length(prepared)
    return "finished" if chain.complete and same_length and chain.finite.any() else "begun"


def _run(stage: Stage, command: list[str], lock: int, *, resumed: bool) -> RunRecord:
    paths = stage.paths
    text = shlex.join(command)
    limit = stage.sections.get("runtime", {}).get("timeout")
    begun = time.monotonic()
    with paths.log.open("a" if resumed else "w", encoding="utf-8") as log:
        log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
    try:
        exit_code = run_warm(
            command, paths.log, append=True, timeout=float(limit) if limit else None, keep_open=(lock,)
        )
    except TimedOut as error:
        msg = (
            f"Stage {stage.name!r} was {error}, as runtime.timeout says; set resume = T to continue "
            "its chain."
        )
        raise _stage_error(msg, stage, text, None) from error
    except ProcessLost as error:
        msg = f"Stage {stage.name!r} failed: {error}; run it again, with resume = T to continue its chain."
        raise _stage_error(msg, stage, text, None) from error
    except OSError as error:
        msg = f"Stage {stage.name!r} cannot be started: {error}."
        raise _stage_error(msg, stage, text, None) from error
    seconds = time.monotonic() - begun
    if exit_code != 0:
        reason = _last_error(paths.log) or _signal_text(exit_code)
        msg = f"Stage {stage.name!r} failed: {reason}"
        raise _stage_error(msg, stage, text, exit_code)
    if stage.samplers[-1] in _NO_CHAIN:
        return RunRecord(exit_code, seconds, paths.log, text, complete=True, n_rows=0)
    chain = _checked_chain(stage, text, exit_code)
    reason = _first_traceback(paths.log) if chain.n_infinite else ""
    if reason:
        logger.warning("stage %s: evaluations failed; the first error of a module: %s", stage.name, reason)
    logger.info("stage %s: %d rows in %.1f s", stage.name, chain.n_rows, seconds)
    if chain.metadata.get("advice"):
        logger.warning("stage %s: %s", stage.name, chain.metadata["advice"])
    return RunRecord(exit_code, seconds, paths.log, text, chain.complete, chain.n_rows, chain.n_infinite)


def _checked_chain(stage: Stage, command: str, exit_code: int) -> Chain:
    try:
        chain = read_chain(stage.paths.chain)
    except ChainError as error:
        msg = f"Stage {stage.name!r} ended without a usable results file: {error}"
        raise _stage_error(msg, stage, command, exit_code) from error
    if not chain.finite.any() and stage.samplers[-1] != "fisher":
        reason = _first_traceback(stage.paths.log)
        cause = (
            f"The first error of a module: {reason}."
            if reason
            else "Likely causes: start values or ranges outside the support of the model, priors "
            "that exclude the ranges, or data without a usable point."
        )
        msg = f"Stage {stage.name!r}: none of its {chain.n_rows} points has a finite posterior. {cause}"
        raise _stage_error(msg, stage, command, exit_code)
    if not chain.complete:
        msg = (
            f"Stage {stage.name!r} stopped before its end ({chain.n_rows} rows, no '#complete=1' in "
            f"{str(stage.paths.chain)!r}); set resume = T to continue it."
        )
        raise _stage_error(msg, stage, command, exit_code)
    return chain


def _stage_error(message: str, stage: Stage, command: str, exit_code: int | None) -> StageError:
    lines = _log_text(stage.paths.log).splitlines()
    tail = "\n".join(lines[-_TAIL_LINES:])
    return StageError(message, exit_code=exit_code, log_tail=tail, log_file=stage.paths.log, command=command)


def _log_text(log: Path) -> str:
    try:
        return log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _last_error(log: Path) -> str:
    """Return our own closing message in a log, else the last exception in it."""
    text = _log_text(log)
    ours = re.findall(r"^ERROR: (.+)$", text, flags=re.MULTILINE)
    return ours[-1] if ours else _first_traceback(log)


def _first_traceback(log: Path) -> str:
    """Return the exception that the first traceback in a log ends with, empty if there is none."""
    found = re.search(
        r"^Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)*(\S.*)$", _log_text(log), re.MULTILINE
    )
    return found[1] if found else ""


def _signal_text(exit_code: int) -> str:
    if exit_code < 0:
        return f"its process was ended by signal {-exit_code}"
    return f"its process ended with exit code {exit_code}"
