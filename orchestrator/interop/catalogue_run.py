"""Our stages over a whole catalogue inside somebody else's pipeline: one process, or the ranks of MPI.

What belongs to work in progress is in one folder beside the product, ``inprogress_NAME.parts``: a run file, the plan,
and a journal per chunk of targets, in which every finished target is at once. A further run reads the journals and
does what is not in them; the key of each result, a hash of all that it depends on, says whether it may be used.

Ranks share the targets by claiming chunks, so that a slow fit idles nobody; a claim is a file that can be made once.
"""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.config.text_files import write_atomically
from orchestrator.errors import ConfigError, ProductionError
from orchestrator.interop.ranks import Ranks, claimed, hide_scheduler
from orchestrator.interop.run_record import hold_folder
from orchestrator.production.columns import Column
from orchestrator.production.identity import input_paths, task_key
from orchestrator.production.open_tasks import work_left
from orchestrator.production.plan import Plan, plan_of, to_json
from orchestrator.production.records import ChunkOrder, StagePlan, State, Target, TaskOrder, TaskRecord, Work
from orchestrator.production.retry import decide
from orchestrator.production.run_file import RunFile, read_run_file
from orchestrator.production.targets import read_targets
from orchestrator.production.work.chunk import SPOOL, run_chunk, stop_fitters
from orchestrator.production.work.input_files import InputFiles
from orchestrator.production.work.journal import RecordFrame, read_journal
from orchestrator.production.yaml_text import render_yaml

__all__ = ["CatalogueRun", "Known", "Order"]

_CHUNKS_PER_RANK = 32
_LARGEST_CHUNK = 200
_MOST_ATTEMPTS = 8


@dataclass(frozen=True)
class Order:
    """What is to be done.

    Attributes
    ----------
    name : str
    content : Mapping
        Entries of a run file: ``targets``, ``pipeline``, ``options``, ``seed``, ``samples``.
    parts : Path
        Folder for work in progress.
    table_folder : Path
        Folder that files named in the table are relative to.
    isolation : {'process', 'none'}
    upstream : Mapping of str to (Mapping of str to Known)
        Stage that was run before, with its result for each target by name.
    """

    name: str
    content: Mapping[str, Any]
    parts: Path
    table_folder: Path
    isolation: str = "process"
    upstream: Mapping[str, Mapping[str, Known]] = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """A result that is there.

    Attributes
    ----------
    key, samples : str
        Identity; place of its samples, empty if there are none.
    columns : Mapping
    """

    key: str
    samples: str
    columns: Mapping[str, Any]


class CatalogueRun:
    """One run over a catalogue; every rank has one.

    Parameters
    ----------
    order : Order
    ranks : Ranks

    Attributes
    ----------
    plan : Plan
    run_file : RunFile
    new : list of Path
        Journals of this run.
    """

    def __init__(self, order: Order, ranks: Ranks) -> None:
        self.order = order
        self.ranks = ranks
        self.spool = order.parts / SPOOL
        self.files = InputFiles()
        self.n_done = self.n_failed = self.n_reused = 0
        self.reused: dict[tuple[int, str], str] = {}

    def run(self) -> None:
        """Carry out what is not done yet; all ranks come back when the last one is ready.

        Raises
        ------
        ConfigError
            If a stage or the table has a fault.
        ProductionError
            If another run is at work on the same catalogue.
        """
        with contextlib.ExitStack() as stack:
            if self.ranks.rank == 0:
                stack.enter_context(hold_folder(self.order.parts))
                self._prepare()
            self.ranks.gathered(None)
            self._read()
            self.token = self.ranks.shared(uuid.uuid4().hex[:12])
            self.known = dict(self._results())
            self.ranks.gathered(None)  # all have read the journals before the first new one is written
            hide_scheduler()
            try:
                for number, targets in self._chunks():
                    self._do(number, targets)
            finally:
                stop_fitters()
            counts = self.ranks.gathered((self.n_done, self.n_failed, self.n_reused, self.reused))
            self.reused = {key: value for entry in counts for key, value in entry[3].items()}
            self.n_done, self.n_failed, self.n_reused = (sum(entry[i] for entry in counts) for i in range(3))

    def targets(self) -> Iterator[Target]:
        """Yield the targets, in the order of the table."""
        yield from read_targets(self.run_file)

    def declared(self) -> dict[str, dict[str, Column]]:
        """Return the columns that each stage has declared."""
        found: dict[str, dict[str, Column]] = {}
        for path in self._journals("*"):
            for frame in read_journal(path):
                if not isinstance(frame, RecordFrame):
                    found.setdefault(frame.stage, {}).update({column.name: column for column in frame.columns})
        return found

    def results(self) -> dict[tuple[int, str], TaskRecord]:
        """Return the record of each (number of a target, stage), with the place of its samples; failed ones too."""
        by_key = {key: record for key, record in self._results(with_records=True) if key}
        found = {place: by_key[key] for place, key in self.reused.items()}
        for record in self._records(f"{self.token}-*"):
            place = (record.target_id, record.stage)
            if place not in found or found[place].attempt <= record.attempt:
                found[place] = record
        return found

    def clear(self) -> None:
        """Remove the work in progress, when the product is in place."""
        shutil.rmtree(self.order.parts, ignore_errors=True)

    def _prepare(self) -> None:
        """Write run file and plan, where the processes that fit find them."""
        folder = self.order.parts
        shutil.rmtree(folder / "claims", ignore_errors=True)
        content = {**self.order.content, "name": self.order.name, "output": "."}
        content["site"] = {"executor": "serial", "isolation": self.order.isolation}
        write_atomically(folder / "run.yaml", render_yaml(content))
        self._read()
        path = folder / self.plan.file
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, to_json(self.plan))

    def _read(self) -> None:
        self.run_file: RunFile = read_run_file(self.order.parts / "run.yaml")
        for stage in self.run_file.stages:
            if stage.n_cores != 1:
                msg = f"stage {stage.name!r}: n_cores = {stage.n_cores}: under ceci a fit has one core; set nprocess"
                raise ProductionError(msg)
        self.plan: Plan = replace(plan_of(self.run_file), table_folder=str(self.order.table_folder))

    def _chunks(self) -> Iterator[tuple[int, list[tuple[int, Target]]]]:
        """Yield the chunks of targets that this rank has claimed."""
        total = self.ranks.shared(sum(1 for _ in self.targets()) if self.ranks.rank == 0 else None)
        size = max(1, min(_LARGEST_CHUNK, total // (self.ranks.size * _CHUNKS_PER_RANK)))
        claims = self.order.parts / "claims" / self.token
        claims.mkdir(parents=True, exist_ok=True)
        chunk: list[tuple[int, Target]] = []
        mine = -1
        for index, target in enumerate(self.targets()):
            number = index // size
            if number != mine and index % size == 0:
                if chunk:
                    yield mine, chunk
                    chunk = []
                mine = number if claimed(claims / str(number)) else -1
            if number == mine:
                chunk.append((index, target))
        if chunk:
            yield mine, chunk

    def _do(self, number: int, targets: Sequence[tuple[int, Target]]) -> None:
        """Run what is left of a chunk, with further attempts where the policy has any."""
        works = [work for index, target in targets if (work := self._work(index, target)) is not None]
        earlier: dict[tuple[int, str], dict[str, int]] = {}
        for attempt in range(1, _MOST_ATTEMPTS + 1):
            if not works:
                return
            name = f"{self.token}-{number}-{attempt}"
            run_chunk(ChunkOrder(name, str(self.order.parts), self.plan.file, tuple(works)))
            works = self._again(name, works, earlier)

    def _again(
        self, chunk: str, works: Sequence[Work], earlier: dict[tuple[int, str], dict[str, int]]
    ) -> list[Work]:
        """Count what a chunk has given, and return the targets that are to be tried again."""
        by_target = {work.target_id: work for work in works}
        found: dict[int, dict[str, TaskRecord]] = {}
        for record in self._records(f"{chunk}*"):
            found.setdefault(record.target_id, {})[record.stage] = record
        again = []
        for index, records in found.items():
            work, orders = by_target[index], {}
            for record in records.values():
                counts = earlier.setdefault((index, record.stage), {})
                order = next(task for task in work.tasks if task.stage == record.stage)
                decision = decide(record, self.plan.stage(record.stage), counts, order.budget)
                if decision.state == State.DONE:
                    self.n_done += 1
                elif decision.state == State.READY:
                    counts[record.error_class] = counts.get(record.error_class, 0) + 1
                    orders[record.stage] = replace(
                        order, attempt=order.attempt + 1, recipe=decision.recipe, budget=decision.budget
                    )
                else:
                    self.n_failed += 1
            left = self._left(work, orders, records)
            if left.tasks:
                again.append(left)
        return again

    def _left(self, work: Work, orders: Mapping[str, TaskOrder], records: Mapping[str, TaskRecord]) -> Work:
        """Return what is left of a target: stages once more, and those that have not begun."""
        left = work_left(self.plan, work, {name: record for name, record in records.items() if name not in orders})
        return replace(left, tasks=tuple(orders.get(task.stage, task) for task in left.tasks))

    def _work(self, index: int, target: Target) -> Work | None:
        """Return what is left to be done for a target; None if nothing is."""
        keys: dict[str, str] = {}
        there: dict[str, Known] = {}
        tasks: list[TaskOrder] = []
        for stage in self.plan.stages:
            if stage.name in self.order.upstream:
                known = self.order.upstream[stage.name].get(target.name)
                if known is None:
                    return None  # what it needs has failed
                keys[stage.name], there[stage.name] = known.key, known
                continue
            keys[stage.name] = key = self._key(stage, target, keys)
            if key in self.known and not any(need == task.stage for task in tasks for need in stage.needs):
                there[stage.name] = self.known[key]
                self.reused[index, stage.name] = key
                self.n_reused += 1
            else:
                tasks.append(TaskOrder(stage.name))
        if not tasks:
            return None
        return Work(
            index,
            target,
            tuple(tasks),
            upstream={name: one.samples for name, one in there.items() if one.samples},
            upstream_keys={name: one.key for name, one in there.items()},
            upstream_columns={name: one.columns for name, one in there.items()},
        )

    def _key(self, stage: StagePlan, target: Target, keys: Mapping[str, str]) -> str:
        try:
            files = self.files.of(input_paths(self.plan, stage, target))
            checksums = {file.path: file.checksum for file in files}
            return task_key(self.plan, stage, target, checksums, {need: keys.get(need, "") for need in stage.needs})
        except ConfigError:
            return ""  # the attempt says why

    def _results(self, *, with_records: bool = False) -> Iterator[tuple[str, Any]]:
        """Yield the key of every finished task in the journals, and what it gave."""
        for record in self._records("*"):
            if record.outcome == "done" and record.key:
                known = Known(record.key, record.samples, record.columns)
                yield record.key, record if with_records else known

    def _records(self, pattern: str) -> Iterator[TaskRecord]:
        """Yield the records of journals, with the places of their samples relative to the folder of the parts."""
        for path in self._journals(pattern):
            for frame in read_journal(path):
                if isinstance(frame, RecordFrame):
                    record = frame.record
                    place = f"{SPOOL}/{path.name}#{record.samples}" if record.samples else ""
                    yield replace(record, samples=place)

    def _journals(self, pattern: str) -> list[Path]:
        return sorted([*self.spool.glob(f"{pattern}.journal"), *self.spool.glob(f"{pattern}.open")])
