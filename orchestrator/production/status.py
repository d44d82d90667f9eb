"""How a production stands: counts per stage, rates, worst errors, and single tasks where few are selected.

Only the ledger is read, and nothing but what that needs is imported.
"""

from __future__ import annotations

import itertools
import re
import socket
import time
from pathlib import Path

from orchestrator.config.file_lock import is_alive
from orchestrator.production.ledger.ledger import open_ledger
from orchestrator.production.ledger.reader import LedgerReader
from orchestrator.production.ledger.reading import Rate, TaskRow
from orchestrator.production.production_folder import ledger_url
from orchestrator.production.selection import EVERYTHING, Selection
from orchestrator.production.status_records import StageStatus, StatusTable, TaskLine

__all__ = ["driver_at_work", "ledger_status", "read_status"]

_OPEN = ("waiting", "ready", "running")
_RECENT = 300.0
"""Seconds over which rates are measured."""
_HOLDER = re.compile(r"process (\d+) on (\S+)")


def read_status(folder: str | Path, selection: Selection = EVERYTHING, *, n_tasks: int = 50) -> StatusTable:
    """Return how a production stands.

    Parameters
    ----------
    folder : path
        Folder of the production.
    selection : Selection
        With any restriction its tasks are listed one by one.
    n_tasks : int
        List at most so many.

    Raises
    ------
    ProductionError
        If there is no ledger, or it cannot be reached.
    ConfigError
        If the selection names what does not exist.
    """
    with open_ledger(ledger_url(folder), read_only=True) as ledger:
        return ledger_status(ledger, folder, selection, n_tasks=n_tasks)


def ledger_status(
    ledger: LedgerReader, folder: str | Path, selection: Selection = EVERYTHING, *, n_tasks: int = 50
) -> StatusTable:
    """Return how a production stands, from its open ledger; see `read_status`."""
    counts = ledger.counts(selection)
    rates = ledger.rate(_RECENT)
    stages = tuple(
        _stage_status(stage, {str(state): n for state, n in by.items()}, rates.get(stage))
        for stage, by in counts.items()
    )
    tasks: tuple[TaskLine, ...] = ()
    if selection != EVERYTHING:
        tasks = tuple(map(_task_line, itertools.islice(ledger.tasks(selection), n_tasks)))
    total = sum(stage.total for stage in stages)
    left = [stage.seconds_left for stage in stages if _n_open(stage)]
    return StatusTable(
        name=ledger.name,
        folder=str(folder),
        stages=stages,
        errors=tuple(ledger.errors(selection)),
        tasks=tasks,
        n_more=total - len(tasks) if tasks else 0,
        driver=driver_at_work(folder),
        # A worker takes a target through all stages, so that they end together.
        seconds_left=max((seconds for seconds in left if seconds is not None), default=None) if left else None,
    )


def _n_open(stage: StageStatus) -> int:
    return sum(stage.counts.get(state, 0) for state in _OPEN)


def _stage_status(stage: str, counts: dict[str, int], rate: Rate | None) -> StageStatus:
    if rate is None or not rate.n:
        return StageStatus(stage, counts)
    n_open = sum(counts.get(state, 0) for state in _OPEN)
    left = n_open / rate.per_second if n_open else None
    return StageStatus(stage, counts, rate.per_second, rate.mean_seconds, left)


def _task_line(row: TaskRow) -> TaskLine:
    reason = row.reason
    wait = row.not_before - time.time()
    if wait > 0:
        reason = "; ".join(filter(None, [reason, f"is tried again in {wait:.0f} s"]))
    return TaskLine(row.target, row.stage, str(row.state), row.attempt, row.error_class, reason)


def driver_at_work(folder: str | Path) -> str:
    """Return who drives a production, in words; empty if nobody does.

    The lock itself is not tried: that could refuse a driver that starts at this moment.
    """
    try:
        text = (Path(folder) / "driver.lock").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
    match = _HOLDER.fullmatch(text)
    if match and match[2] == socket.gethostname() and not is_alive(int(match[1])):
        return ""  # it was killed and could not say so
    return text
