"""From journals to the ledger: read what workers have written, decide, commit, keep the samples.

Taking in a journal twice changes nothing: the ledger ignores a record whose task has a result with the same key.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestrator.production.breaker import Breaker
from orchestrator.production.columns import Column
from orchestrator.production.ledger.ledger import Ledger
from orchestrator.production.open_tasks import open_tasks
from orchestrator.production.plan import Plan
from orchestrator.production.records import ChunkOrder, ErrorClass, State, TaskOrder, TaskRecord
from orchestrator.production.retry import Decision, decide
from orchestrator.production.work.journal import ColumnsFrame, read_journal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SAMPLES", "SPOOL", "Intake", "Tally", "sample_path"]

logger = logging.getLogger(__name__)

SPOOL = "spool"
SAMPLES = "samples"
_LARGE = 2000


class Tally(Protocol):
    """What an intake counts."""

    n_done: int
    n_failed: int
    n_again: int
    n_ignored: int
    tripped: list[str]


@dataclass
class _Content:
    """What a journal holds."""

    columns: dict[str, dict[str, Column]] = field(default_factory=dict)
    records: list[TaskRecord] = field(default_factory=list)


@dataclass(frozen=True)
class _Came:
    """A chunk that has ended."""

    chunk: str
    order: ChunkOrder | None = None
    lost: BaseException | None = None
    journal: str = ""


class Intake:
    """Takes in chunks that have ended, in groups.

    Parameters
    ----------
    ledger : Ledger
    folder : Path
        Folder of the production.
    plan : Plan
    breaker : Breaker
    tally : Tally
        Counts are added here.

    Attributes
    ----------
    kept : dict of str to int
        Journals with samples, relative to the production, and the number of their fits; for those who pack.
    over_all : bool
        Whether a stage over all that targets need has a result since this was last looked at.
    """

    def __init__(self, ledger: Ledger, folder: Path, plan: Plan, breaker: Breaker, tally: Tally) -> None:
        self.ledger = ledger
        self.spool = folder / SPOOL
        self.samples = folder / SAMPLES
        self.plan = plan
        self.stages = {stage.name: stage for stage in plan.stages}
        self.breaker = breaker
        self.tally = tally
        self._came: list[_Came] = []
        self.kept: dict[str, int] = {}
        self.over_all = False
        needing = {need for stage in plan.stages if stage.over == "target" for need in stage.needs}
        self._watched = {stage.name for stage in plan.stages if stage.over == "all"} & needing

    @property
    def is_large(self) -> bool:
        """Whether it is time to commit."""
        return sum(len(came.order.works) for came in self._came if came.order) > _LARGE

    def take_in_everything(self) -> None:
        """Take in what an earlier run has left in the spool, open journals of killed workers included."""
        self.spool.mkdir(exist_ok=True)
        for path in sorted(self.spool.iterdir()):
            if path.suffix in (".journal", ".open"):
                self._came.append(_Came(path.stem))
        if self._came:
            logger.info("%d journals of an earlier run are taken in", len(self._came))
        self.commit()

    def add(self, order: ChunkOrder, lost: BaseException | None, journal: str = "") -> None:
        """Take note of a chunk that has ended; `lost` says how if its worker did not report its journal."""
        self._came.append(_Came(order.chunk, order, lost, Path(journal).stem))

    def commit(self) -> None:
        """Read the journals of all chunks that have ended, and commit them in one transaction."""
        if not self._came:
            return
        came = self._came
        paths: dict[Path, int] = {}
        verdicts: list[tuple[TaskRecord, Decision]] = []
        unfinished: list[int] = []
        for one in came:
            content = _Content()
            path = self._journal(one.journal or one.chunk)
            if path is not None:
                content = _content(path, f"{SAMPLES}/{path.stem}.journal")
                for stage, columns in content.columns.items():
                    self.ledger.ensure_columns(stage, list(columns.values()))
                paths[path] = sum(bool(record.samples) for record in content.records)
            records, released = _with_lost(one, content.records, self.plan)
            verdicts += self._decided(records)
            unfinished += released
        self._write(verdicts)
        self.ledger.release(unfinished)
        for path, n_samples in paths.items():
            self._keep(path, n_samples)
        self._came = []
        self._see(verdicts)

    def _journal(self, chunk: str) -> Path | None:
        for suffix in (".journal", ".open"):
            path = self.spool / f"{chunk}{suffix}"
            if path.is_file():
                return path
        return None

    def _keep(self, path: Path, n_samples: int) -> None:
        """Move a committed journal to the samples; one without any goes."""
        if n_samples:
            self.samples.mkdir(exist_ok=True)
            os.replace(path, self.samples / f"{path.stem}.journal")
            self.kept[f"{SAMPLES}/{path.stem}.journal"] = n_samples
        else:
            path.unlink(missing_ok=True)

    def _decided(self, records: Sequence[TaskRecord]) -> list[tuple[TaskRecord, Decision]]:
        """Decide on every record of a stage that the pipeline still has."""
        known = [record for record in records if record.stage in self.stages]
        failed = [(record.target_id, record.stage) for record in known if record.outcome != "done"]
        before: Mapping[tuple[int, str], tuple[dict[str, int], float]] = (
            self.ledger.failures_before(failed) if failed else {}
        )
        verdicts = []
        for record in known:
            earlier, budget = before.get((record.target_id, record.stage), ({}, 1.0))
            verdicts.append((record, decide(record, self.stages[record.stage], earlier, budget)))
        return verdicts

    def _write(self, verdicts: Sequence[tuple[TaskRecord, Decision]]) -> None:
        if not verdicts:
            return
        committed = self.ledger.commit(verdicts)
        self.tally.n_done += committed.n_done
        self.tally.n_failed += committed.n_failed
        self.tally.n_ignored += committed.n_ignored
        self.over_all |= any(record.stage in self._watched for record, _ in verdicts)
        again = sum(decision.state == State.READY for _, decision in verdicts)
        self.tally.n_again += again

    def _see(self, verdicts: Iterable[tuple[TaskRecord, Decision]]) -> None:
        """Stop stages that fail everywhere."""
        for record, _ in verdicts:
            tripped = self.breaker.see(record)
            if tripped is not None:
                self.ledger.hold_stage(tripped.stage)
                self.tally.tripped.append(str(tripped))
                logger.error("%s", tripped)


def sample_path(folder: Path, relative: str) -> Path | None:
    """Return the file of samples; a journal that was committed, and not yet moved when its driver died, is there too.

    Returns
    -------
    Path or None
        None if it is gone.
    """
    path = folder / relative
    stem = path.name.removesuffix(".journal")
    places = (path, folder / SPOOL / path.name, folder / SPOOL / f"{stem}.open")
    return next((place for place in places if place.is_file()), None)


def _content(path: Path, kept: str) -> _Content:
    """Read a journal; samples get the name under which they will be kept."""
    content = _Content()
    for frame in read_journal(path):
        if isinstance(frame, ColumnsFrame):
            content.columns.setdefault(frame.stage, {}).update({column.name: column for column in frame.columns})
        else:
            record = frame.record
            samples = f"{kept}#{record.samples}" if record.samples and "/" not in record.samples else record.samples
            content.records.append(replace(record, samples=samples))
    return content


def _with_lost(came: _Came, records: list[TaskRecord], plan: Plan) -> tuple[list[TaskRecord], list[int]]:
    """Add a record for the task that a lost worker was at; return the targets that are free again too.

    Free is also one of which a stage has cost the process for fits its life, before other stages had begun.
    """
    if came.order is None:
        return records, []
    outcomes: dict[int, dict[str, str]] = {}
    for record in records:
        outcomes.setdefault(record.target_id, {})[record.stage] = record.outcome
    left: dict[int, TaskOrder] = {}
    for work in came.order.works:
        tasks = open_tasks(plan, work.tasks, outcomes.get(work.target_id, {}))
        if tasks:
            left[work.target_id] = tasks[0]
    if came.lost is None or not left:
        return records, list(left)
    at = next((number for number in left if "failed" not in outcomes.get(number, {}).values()), next(iter(left)))
    task = left.pop(at)
    lost = TaskRecord(
        target_id=at,
        stage=task.stage,
        attempt=task.attempt,
        recipe=task.recipe,
        outcome="failed",
        error_class=ErrorClass.LOST,
        message=f"its worker was lost: {type(came.lost).__name__}: {came.lost}"[:2000],
        started=time.time(),
    )
    return [*records, lost], list(left)
