"""The loop of a production: read this file first of this room.

::

    ledger -> Work -> ChunkOrder -> engine -> journal -> TaskRecord -> Decision -> ledger

One process drives: it alone writes the ledger. Workers write journals; whatever dies, what a journal holds is taken
in by the next run of the same command.
"""

from __future__ import annotations

import errno
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.errors import ProductionError
from orchestrator.production.breaker import Breaker
from orchestrator.production.chunking import ChunkSize, split
from orchestrator.production.engine.executors import open_executor
from orchestrator.production.engine.lost import EngineLost, is_lost
from orchestrator.production.engine.outcomes import outcomes
from orchestrator.production.intake import Intake
from orchestrator.production.ledger.ledger import Ledger
from orchestrator.production.ledger.states import ALL_NUMBER
from orchestrator.production.over_all import prepared_work
from orchestrator.production.packing import Packer, remove_unreferenced
from orchestrator.production.plan import Plan
from orchestrator.production.reconcile import reconcile
from orchestrator.production.records import ChunkOrder, ChunkReport, TaskOrder, Work
from orchestrator.production.site import Site
from orchestrator.production.stopping import Stopping
from orchestrator.production.work.chunk import run_chunk

__all__ = ["Drive", "Driven", "drive"]

logger = logging.getLogger(__name__)

_AHEAD = 2000
"""Targets that are read from the ledger at once."""
_COMMIT_SECONDS = 1.0
"""Journals that come in faster are committed together."""
_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_MOST_ERRORS = 5
"""Chunks in succession that may fail as a whole."""


@dataclass(frozen=True)
class Drive:
    """What to drive.

    Attributes
    ----------
    folder : Path
        Folder of the production.
    plan : Plan
    plan_file : str
        File of the plan, relative to the folder.
    site : Site
    run : int
        Number of this run in the ledger.
    targets : collection of int or None
        Numbers of the targets to work on; None for all.
    stages : collection of str
        Stages to work on; all if empty.
    """

    folder: Path
    plan: Plan
    plan_file: str
    site: Site
    run: int
    targets: Collection[int] | None = None
    stages: Collection[str] = ()

    def __contains__(self, target: object) -> bool:
        """Whether a target is to be worked on."""
        return self.targets is None or target in self.targets


@dataclass
class Driven:
    """What a run has done, growing while it goes on.

    Attributes
    ----------
    n_done, n_failed, n_again, n_ignored : int
        Tasks with a result, without one, to be tried again, and records that were known already.
    n_chunks, n_lost : int
        Chunks that came back, and that were lost with their worker.
    seconds_in_chunks : float
        Wall time of the chunks, summed over workers.
    stopped : str
        Why the run ended before its work, empty if it did not.
    tripped : list of str
        Stages that the circuit breaker has stopped, with the reason.
    """

    n_done: int = 0
    n_failed: int = 0
    n_again: int = 0
    n_ignored: int = 0
    n_chunks: int = 0
    n_lost: int = 0
    seconds_in_chunks: float = 0.0
    stopped: str = ""
    tripped: list[str] = field(default_factory=list)


def drive(setting: Drive, ledger: Ledger, stopping: Stopping, watch: Callable[[Driven], None]) -> Driven:
    """Run everything that is ready, until nothing is or the run is stopped.

    Parameters
    ----------
    setting : Drive
    ledger : Ledger
        Open for writing, its driver's lock held.
    stopping : Stopping
        Knows of signals and of the end of the allocation.
    watch : callable
        Called after every commit.

    Returns
    -------
    Driven

    Raises
    ------
    ProductionError
        If the engine or the ledger is gone; what has finished is in the spool.
    """
    return _Loop(setting, ledger, stopping, watch).run()


class _LeftOut:
    """Targets that are not to be handed out."""

    def __init__(self, setting: Drive) -> None:
        self.setting = setting
        self.others: set[int] = set()

    def __contains__(self, target: object) -> bool:
        return target not in self.setting or target in self.others


class _Loop:
    """The state of the loop: what is known of times, what is in flight."""

    def __init__(
        self, setting: Drive, ledger: Ledger, stopping: Stopping, watch: Callable[[Driven], None]
    ) -> None:
        self.setting = setting
        self.ledger = ledger
        self.stopping = stopping
        self.watch = watch
        self.executor: Executor
        self.driven = Driven()
        self.size = ChunkSize(setting.site.chunk_seconds, setting.site.fixed_chunk)
        self.breaker = Breaker(setting.plan.stages)
        self.intake = Intake(ledger, setting.folder, setting.plan, self.breaker, self.driven)
        self.packer = Packer(setting.folder, ledger)
        self.waiting: deque[Work] = deque()
        self.in_flight: set[int] = set()
        self.handed_out = 0
        for journal in remove_unreferenced(setting.folder, ledger):
            self.packer.add(journal, 1)
        self.left_out = _LeftOut(setting)
        self.n_slots = setting.site.n_slots
        self.n_errors = 0

    def run(self) -> Driven:
        """See `drive`."""
        if self._look_ahead():
            self._run_passes()
        if not self.stopping.reason:
            self.packer.close()
        self.driven.stopped = self.stopping.reason
        return self.driven

    def _run_passes(self) -> None:
        with open_executor(self.setting.site, production=self.setting.folder) as self.executor:
            while self._look_ahead() and not self.stopping.reason:
                self._one_pass()

    def _one_pass(self) -> None:
        """Run until no task is ready; those that are to be tried again make further passes."""
        committed = time.monotonic()
        done = outcomes(
            self.executor, run_chunk, self._orders(), window=self._window, stop=self._should_stop,
            patience=self.setting.site.stop_patience,
        )  # fmt: skip
        try:
            for order, outcome in done:
                self._receive(order, outcome)
                if time.monotonic() - committed > _COMMIT_SECONDS or self.intake.is_large:
                    self._commit()
                    committed = time.monotonic()
        except EngineLost:
            self._commit()
            raise
        self._commit()

    def _window(self) -> int:
        return self.setting.site.window or 2 * self.n_slots

    def _should_stop(self) -> bool:
        return bool(self.stopping.reason)

    def _look_ahead(self) -> bool:
        """Read targets that are ready; say whether there are any."""
        while not self.waiting:
            found = self.ledger.next_work(_AHEAD, time.time(), self.left_out)
            if not found:
                return False
            for work in found:
                if work.target_id == ALL_NUMBER:
                    self._add_over_all(work)
                    continue
                tasks = self._chosen_tasks(work)
                if tasks:
                    self.waiting.append(replace(work, tasks=tasks))
                else:
                    self.left_out.others.add(work.target_id)
        return True

    def _add_over_all(self, work: Work) -> None:
        """Hand out what is done once for all targets; their results are written as tables first."""
        chosen = self.setting.stages
        tasks = tuple(task for task in work.tasks if not chosen or task.stage in chosen)
        ready = prepared_work(self.setting.plan, self.ledger, self.setting.folder, work, tasks) if tasks else None
        if ready is not None:
            self.waiting.append(ready)
        elif tasks:
            self._compare()  # results were found again, and have another key than those of a moment ago
        else:
            self.left_out.others.add(work.target_id)

    def _compare(self) -> None:
        """Find out which targets have to be done again with what was made of all of them."""
        plan = self.setting.plan
        over_all = {stage.name for stage in plan.stages if stage.over == "all"}
        if any(over_all.intersection(stage.needs) for stage in plan.stages if stage.over == "target"):
            reconcile(plan, self.ledger, self.setting.folder)

    def _chosen_tasks(self, work: Work) -> tuple[TaskOrder, ...]:
        """Return the tasks to carry out: those of the chosen stages, as far as they do not wait for another one."""
        chosen = self.setting.stages
        if not chosen:
            return work.tasks
        taken: list[TaskOrder] = []
        ready = set(work.upstream_keys)
        for task in work.tasks:
            if task.stage in chosen and ready.issuperset(self.setting.plan.stage(task.stage).needs):
                taken.append(task)
                ready.add(task.stage)
        return tuple(taken)

    def _orders(self) -> Iterator[ChunkOrder]:
        """Make chunks of what is ready, as they are asked for, so that each has the size measured by then."""
        while self._look_ahead():
            if self.waiting[0].alone:
                works: list[Work] = [self.waiting.popleft()]
            else:
                size = self.size.next(len(self.waiting), self.n_slots)
                works = [self.waiting.popleft() for _ in range(min(size, len(self.waiting)))]
            for chunk in split(works, len(works)):
                self.handed_out += 1
                self.in_flight.add(self.handed_out)
                order = ChunkOrder(
                    chunk=f"{self.setting.run:04d}-{self.handed_out:07d}",
                    production=str(self.setting.folder),
                    plan=self.setting.plan_file,
                    works=chunk,
                    stop_at=self.stopping.stop_at,
                )
                self.ledger.mark_running(chunk, order.chunk)
                yield order

    def _receive(self, order: ChunkOrder, outcome: ChunkReport | BaseException) -> None:
        """Take note of a chunk that came back or was lost; its journal is committed with the next group."""
        self.in_flight.discard(int(order.chunk.rpartition("-")[2]))
        if isinstance(outcome, ChunkReport):
            self.n_errors = 0
            self.driven.n_chunks += 1
            self.driven.seconds_in_chunks += outcome.seconds
            self.size.measured(len(order.works) - len(outcome.unfinished), outcome.seconds)
            self.intake.add(order, lost=None, journal=outcome.journal)
        elif self.stopping.reason:
            self.intake.add(order, lost=None)  # called off: its targets are free again
        else:
            self.driven.n_lost += 1
            logger.warning("chunk %s is lost: %s: %s", order.chunk, type(outcome).__name__, outcome)
            self.intake.add(order, lost=outcome)
            if not is_lost(outcome):
                self._consider(outcome)

    def _consider(self, outcome: BaseException) -> None:
        """End the run if workers cannot write, or chunk after chunk fails."""
        self.n_errors += 1
        if isinstance(outcome, OSError) and outcome.errno in _CANNOT_WRITE:
            self.stopping.ask(f"a worker cannot write ({outcome}); make room, then the same command continues")
        elif isinstance(outcome, ProductionError) or self.n_errors > _MOST_ERRORS:
            self.stopping.ask(f"the workers fail: {type(outcome).__name__}: {outcome}")

    def _commit(self) -> None:
        self.intake.commit()
        if self.intake.over_all:
            self.intake.over_all = False
            self._compare()
        while self.intake.kept:
            self.packer.add(*self.intake.kept.popitem())
        self.packer.step(self.executor, self.handed_out, self.in_flight)
        self.watch(self.driven)
