"""What a worker does with a chunk of targets: the function that the engine runs.

It needs nothing but its order: the plan is read once per process, and the fitter stays from one chunk to the next.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.fit.scratch import make_scratch_folder
from orchestrator.production.columns import COMMON_COLUMNS, Column
from orchestrator.production.open_tasks import work_left
from orchestrator.production.plan import Plan, read_plan
from orchestrator.production.records import ChunkOrder, ChunkReport, TaskRecord, Work
from orchestrator.production.work.answers import Answer
from orchestrator.production.work.journal import Journal
from orchestrator.production.work.supervise import Fits, Supervisor

__all__ = ["STOP_FILE", "run_chunk", "stop_fitters"]

logger = logging.getLogger(__name__)

SPOOL = "spool"
STOP_FILE = "driver.stop"
"""In the folder of a production: no worker begins another target."""
_BATCH_SECONDS = 0.2
_LARGEST_BATCH = 64
_SMOOTHING = 0.3
_MOST_WORKBENCHES = 4


@dataclass
class _Workbench:
    """What a worker keeps from one chunk of a production to the next."""

    plan: Plan
    fits: Fits
    per_target: float | None = None
    columns: dict[str, dict[str, Column]] = field(default_factory=dict)

    def measured(self, n_targets: int, seconds: float) -> None:
        """Take in how long targets took."""
        sample = seconds / max(1, n_targets)
        old = self.per_target
        self.per_target = sample if old is None else old + _SMOOTHING * (sample - old)


def run_chunk(order: ChunkOrder) -> ChunkReport:
    """Run the stages of the targets of a chunk, and write what becomes of them into its journal.

    Parameters
    ----------
    order : ChunkOrder

    Returns
    -------
    ChunkReport
        With the targets that were not begun because the chunk had to stop.

    Raises
    ------
    ProductionError
        If the plan cannot be read, or the journal not be written. What was finished is in the journal.
    FitterStartError
        If no process for fits can be started.
    """
    begun = time.monotonic()
    production = Path(order.production)
    bench = _workbench(production, order.plan)
    journal = Journal(production / SPOOL, order.chunk)
    try:
        left = list(_unfinished(order, journal, bench.plan))
        while left and not _must_stop(order, production, bench.per_target):
            size = _batch(left, bench)
            _run(bench, left[:size], journal)
            left = left[size:]
        path = journal.close()
    except BaseException:
        journal.abandon()
        raise
    return ChunkReport(
        chunk=order.chunk,
        journal=str(path.relative_to(production)),
        n_records=journal.n_records,
        seconds=time.monotonic() - begun,
        unfinished=tuple(work.target_id for work in left),
    )


def _run(bench: _Workbench, works: list[Work], journal: Journal) -> None:
    """Run targets, and write down each answer as it comes."""
    begun = time.monotonic()
    try:
        for answer in bench.fits.answers(works):
            if isinstance(answer, Answer):
                _write(bench, answer, journal)
    except BaseException:
        if isinstance(bench.fits, Supervisor):
            bench.fits.close()  # it still answers to what nobody listens to
        raise
    bench.measured(len(works), time.monotonic() - begun)


def _write(bench: _Workbench, answer: Answer, journal: Journal) -> None:
    record = answer.record
    known = bench.columns.setdefault(record.stage, {column.name: column for column in COMMON_COLUMNS})
    known.update({column.name: column for column in answer.columns})
    journal.declare(record.stage, [known[name] for name in record.columns if name in known])
    journal.append(record, answer.blob)


def _batch(left: list[Work], bench: _Workbench) -> int:
    """Return how many targets to hand to the fitter at once: few enough that a stop is heard."""
    if bench.per_target is None:
        return 1
    return max(1, min(len(left), _LARGEST_BATCH, int(_BATCH_SECONDS / max(bench.per_target, 1e-6))))


def _must_stop(order: ChunkOrder, production: Path, per_target: float | None) -> bool:
    if order.stop_at is not None and time.time() + (per_target or 0.0) > order.stop_at:
        return True
    return (production / STOP_FILE).exists()


def _unfinished(order: ChunkOrder, journal: Journal, plan: Plan) -> Iterator[Work]:
    """Yield the targets, without what the journal that a killed worker has left holds already."""
    if not journal.found:
        yield from order.works
        return
    found: dict[int, dict[str, TaskRecord]] = {}
    for record in journal.found:
        place = record.samples and f"{SPOOL}/{journal.path.name}#{record.samples}"
        found.setdefault(record.target_id, {})[record.stage] = replace(record, samples=place)
    for work in order.works:
        left = work_left(plan, work, found.get(work.target_id, {}))
        if left.tasks:
            yield left


_benches: dict[tuple[int, str, str], _Workbench] = {}
_lock = threading.Lock()


def _workbench(production: Path, plan_file: str) -> _Workbench:
    """Return what this process, and this thread of it, keeps for a plan; the oldest ones make room."""
    key = (threading.get_ident(), str(production), plan_file)
    with _lock:
        if key not in _benches:
            while len(_benches) >= _MOST_WORKBENCHES:
                oldest = next(iter(_benches))
                _benches.pop(oldest).fits.close()
            _benches[key] = _new_workbench(production, plan_file)
        return _benches[key]


def _new_workbench(production: Path, plan_file: str) -> _Workbench:
    plan = read_plan(production, plan_file)
    plan.add_python_path()
    parent = Path(os.path.expandvars(plan.scratch)) if plan.scratch else Path(tempfile.gettempdir())
    scratch = make_scratch_folder(parent, "orchestrator")
    if plan.isolation == "none":
        from orchestrator.production.work.in_process import InProcess

        return _Workbench(plan, InProcess(plan, production, scratch))
    return _Workbench(plan, Supervisor(plan, plan_file, production, scratch))


def stop_fitters() -> None:
    """End what this process keeps from chunk to chunk; the next chunk starts anew."""
    with _lock:
        for bench in _benches.values():
            with contextlib.suppress(OSError):
                bench.fits.close()
                _remove_scratch(bench.fits)
        _benches.clear()


def _remove_scratch(fits: Fits) -> None:
    if isinstance(fits, Supervisor):
        shutil.rmtree(fits.scratch, ignore_errors=True)


atexit.register(stop_fitters)
os.register_at_fork(after_in_child=_benches.clear)
