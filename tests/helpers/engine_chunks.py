"""Chunks of work that leave a trace of every execution."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from orchestrator.production.engine.lost import is_lost
from orchestrator.production.engine.outcomes import outcomes

__all__ = [
    "Chunk",
    "always_kill_worker",
    "append",
    "execute",
    "executions",
    "finish",
    "kill_worker_once",
    "marked_processes",
    "no_op",
]

MARK = "ORCHESTRATOR_TEST_MARK"


@dataclass(frozen=True)
class Chunk:
    """A piece of work, which writes its line into a file of the folder."""

    folder: str
    number: int
    seconds: float = 0.0


def execute(chunk: Chunk) -> int:
    """Append a line to the file of executions; return the square of the number."""
    append(Path(chunk.folder) / "executions.txt", f"{chunk.number} {os.getpid()}")
    time.sleep(chunk.seconds)
    if chunk.number < 0:
        msg = f"negative: {chunk.number}"
        raise ValueError(msg)
    return chunk.number**2


def kill_worker_once(chunk: Chunk) -> int:
    """Kill the worker at the first execution of chunk 3, after the others in flight have begun."""
    first = Path(chunk.folder) / "killed"
    if chunk.number == 3 and not first.exists():
        first.touch()
        append(Path(chunk.folder) / "executions.txt", f"{chunk.number} {os.getpid()}")
        os.kill(os.getpid(), signal.SIGKILL)
    return execute(chunk)


def begin(*_):
    """What a worker does before its first chunk."""


def always_kill_worker(chunk: Chunk) -> int:
    """Kill the worker."""
    os.kill(os.getpid(), signal.SIGKILL)
    return chunk.number


def no_op(chunk: int) -> int:
    """Return what comes in."""
    return chunk


def executions(folder: Path) -> list[int]:
    """Return the numbers of the chunks that were begun, once per execution."""
    file = folder / "executions.txt"
    return [int(line.split()[0]) for line in file.read_text().splitlines()] if file.exists() else []


def finish(executor: Executor, chunks: Iterable[Chunk], function=execute, window: int = 8) -> dict[int, int]:  # noqa: ANN001
    """Run chunks until all have a result, handing lost ones out again; return number to result."""
    found: dict[int, int] = {}
    waiting = list(chunks)
    while waiting:
        again = []
        for chunk, outcome in outcomes(executor, function, waiting, window=lambda: window):
            if isinstance(outcome, int):
                found[chunk.number] = outcome
            elif is_lost(outcome):
                again.append(chunk)
            else:
                raise outcome
        waiting = again
    return found


def marked_processes(mark: str) -> list[psutil.Process]:
    """Return the processes that have inherited a value of the variable `MARK`, but for Python's tracker of resources.

    That one is started by the first pool of a process and ends with it.
    """
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return [process for process in found if "resource_tracker" not in _command(process)]


def _command(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def append(file: Path, line: str) -> None:
    """Write one line in one piece, so that several processes can."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)
