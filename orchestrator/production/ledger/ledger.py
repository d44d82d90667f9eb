"""The ledger: the only state of a production, written by its driver alone."""

from __future__ import annotations

import contextlib
import getpass
import logging
import os
import socket
import sys
import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from orchestrator.errors import ProductionError
from orchestrator.production.columns import Column
from orchestrator.production.ledger import changes, work
from orchestrator.production.ledger.commit import Batch, Committed, commit
from orchestrator.production.ledger.database import PATIENCE, Database
from orchestrator.production.ledger.driver_lock import hold_file_lock
from orchestrator.production.ledger.opening import make_tables, must_exist, prepare_folder
from orchestrator.production.ledger.plans import register_plan
from orchestrator.production.ledger.reader import LedgerReader
from orchestrator.production.ledger.result_links import repack
from orchestrator.production.ledger.result_tables import ensure_columns
from orchestrator.production.ledger.schema import run, task
from orchestrator.production.ledger.schema import stage as stage_table
from orchestrator.production.ledger.states import Graph, read_graph
from orchestrator.production.ledger.targets import AddedTargets, add_targets, kind_of
from orchestrator.production.records import InputFile, StagePlan, Target, TaskRecord, Work
from orchestrator.production.retry import Decision
from orchestrator.production.selection import Selection, task_conditions

__all__ = ["Ledger", "open_ledger"]

logger = logging.getLogger(__name__)


def open_ledger(
    url: str, *, create: bool = False, read_only: bool = False, name: str = "", patience: float = PATIENCE
) -> Ledger:
    """Open a ledger; close it with ``with`` or `Ledger.close`.

    Parameters
    ----------
    url : str
        ``sqlite:///PATH`` or ``postgresql+psycopg://USER@HOST/DATABASE``.
    create : bool
        Make it if it is not there.
    read_only : bool
        Only look; nothing is written, not even in part.
    name : str
        Name of the production: given to a new ledger, and compared with that of an old one.
    patience : float
        Seconds that a write waits for a database that has gone away.

    Raises
    ------
    ProductionError
        If it is not there or cannot be reached, is of another version or another production, or would lie on a
        network file system.
    """
    database = Database(url, read_only=read_only, patience=patience)
    try:
        prepare_folder(database, create=create and not read_only)
        if create and not read_only:
            make_tables(database, name)
        must_exist(database, name)
    except BaseException:
        database.close()
        raise
    return Ledger(database)


class Ledger(LedgerReader):
    """A ledger open for writing, too; see `open_ledger`."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.run_id = 0
        self._graph: Graph | None = None
        self._columns: dict[str, tuple[Column, ...]] = {}

    def __enter__(self) -> Self:
        return self

    @contextlib.contextmanager
    def lock_driver(self, path: Path | None = None) -> Iterator[None]:
        """Hold what makes this process the only driver, for as long as it lives.

        Parameters
        ----------
        path : Path, optional
            Lock file; ``driver.lock`` beside a SQLite ledger by default.

        Raises
        ------
        ProductionError
            If another driver is at work; the message says which.
        """
        if path is None and self.database.path is not None:
            path = self.database.path.parent / "driver.lock"
        with hold_file_lock(path) if path else contextlib.nullcontext(), self.database.driver_lock():
            yield

    def register_plan(self, plan_hash: str, stages: Sequence[tuple[StagePlan, str]]) -> None:
        """Make the pipeline of the ledger that of a plan; new stages get a task for every target.

        Parameters
        ----------
        plan_hash : str
            Kept with the runs that follow.
        stages : sequence of (StagePlan, str)
            In the order of execution, with the hash of their configuration.

        Raises
        ------
        ProductionError
            If the name of a stage cannot name a table.
        """
        self._plan = plan_hash
        self._graph = self.database.write(lambda connection: register_plan(connection, stages))
        self._columns = {}

    _plan = ""

    def begin_run(
        self,
        *,
        argv: Sequence[str] | None = None,
        versions: Mapping[str, str] | None = None,
        git_commit: str = "",
        plan: str = "",
        seed: int | None = None,
        **details: Any,
    ) -> int:
        """Note that a run begins, and return its number; records are committed under it.

        Parameters
        ----------
        argv : sequence of str, optional
            Command line, that of this process by default.
        versions : Mapping of str to str, optional
            Package to version.
        git_commit, plan : str
            Hashes; the plan is the registered one by default.
        seed : int, optional
        **details
            Anything else worth keeping, of plain types.
        """
        row = {
            "started": time.time(),
            "host": socket.gethostname(),
            "user": getpass.getuser(),
            "process": os.getpid(),
            "argv": list(sys.argv if argv is None else argv),
            "versions": dict(versions or {}),
            "git_commit": git_commit,
            "plan": plan or self._plan,
            "seed": seed,
            "details": details,
        }

        def insert(connection: sa.Connection) -> int:
            return int(connection.execute(sa.insert(run).values(row)).inserted_primary_key[0])  # type: ignore[index]

        self.run_id = self.database.write(insert)
        return self.run_id

    def end_run(self, run_id: int, outcome: str) -> None:
        """Note how a run has ended."""
        row = {"finished": time.time(), "outcome": outcome}
        self.database.write(lambda connection: connection.execute(sa.update(run).where(run.c.run_id == run_id), row))

    def add_targets(self, targets: Iterable[Target]) -> AddedTargets:
        """Add targets that are new, renew those that have changed, leave the others; each has a task per stage.

        Parameters
        ----------
        targets : iterable of Target
            Read as it is needed, so that any number fits.

        Raises
        ------
        ProductionError
            If a name is empty, or comes twice with different content.
        """
        return add_targets(self.database.write, self.pipeline, targets)

    def next_work(self, limit: int, now: float | None = None, exclude: Container[int] = ()) -> list[Work]:
        """Return at most `limit` targets that have a ready task, in the order of their table.

        Parameters
        ----------
        limit : int
        now : float, optional
            Unix time; tasks that are to wait longer are left out.
        exclude : container of int
            Numbers of targets to leave out.
        """
        at = time.time() if now is None else now
        return self.database.read(lambda connection: work.next_work(connection, self.pipeline, limit, at, exclude))

    def mark_running(self, works: Sequence[Work], chunk: str) -> None:
        """Mark the ready tasks of these targets as running in a chunk."""
        self.database.write(lambda connection: work.mark_running(connection, works, chunk))

    def release(self, target_ids: Iterable[int]) -> int:
        """Make running tasks of these targets ready again, and return how many."""
        numbers = list(target_ids)
        if not numbers:
            return 0
        return self.database.write(lambda connection: work.release(connection, self.pipeline, numbers))

    def release_running(self) -> int:
        """Make all running tasks ready again: what a driver does that has just begun. Return how many."""
        return self.database.write(lambda connection: work.release(connection, self.pipeline, None))

    def failures_before(
        self, tasks: Sequence[tuple[int, str]]
    ) -> dict[tuple[int, str], tuple[dict[str, int], float]]:
        """Return how often tasks, target and stage, have failed by class of error, and their present budget."""
        return self.database.read(lambda connection: work.failures_before(connection, tasks))

    def ensure_columns(self, stage: str, columns: Sequence[Column]) -> None:
        """Add the columns that the results of a stage do not have yet.

        Raises
        ------
        ProductionError
            If a column changes its kind or unit, or its name is none.
        """
        known = {column.name: column for column in self._declared(stage)}
        if all(known.get(column.name) == column for column in columns):
            return
        self._columns[stage] = self.database.write(lambda connection: ensure_columns(connection, stage, columns))

    def commit(self, verdicts: Sequence[tuple[TaskRecord, Decision]], samples_file: str = "") -> Committed:
        """Take in records and what was decided on them, in one transaction; what is known already is ignored.

        Parameters
        ----------
        verdicts : sequence of (TaskRecord, Decision)
        samples_file : str
            File, relative to the production, that the records' samples are entries of; empty if they are whole
            references ``FILE#ENTRY``.

        Raises
        ------
        ProductionError
            If a record belongs to no task of this ledger, or a value does not fit its column.
        """
        self._declare_missing(verdicts)
        stages = {record.stage for record, _ in verdicts}
        columns = {name: self._declared(name) for name in stages}
        batch = Batch(verdicts, columns, samples_file, self.run_id, time.time())
        return self.database.write(lambda connection: commit(connection, self.pipeline, batch))

    def make_stale(self, task_ids: Iterable[int], reason: str = "") -> int:
        """Let tasks be done again with all their tries, and return how many; they are ready or wait."""
        numbers = list(task_ids)
        return self.database.write(lambda connection: changes.make_stale(connection, self.pipeline, numbers, reason))

    def point_to_existing(self, keys: Sequence[tuple[int, str]]) -> dict[str, int]:
        """Let tasks have a result that is there already under this key; return stage to how many do."""
        return self.database.write(lambda connection: changes.point_to_existing(connection, self.pipeline, keys))

    def update_files(self, files: Mapping[int, Sequence[InputFile]]) -> None:
        """Renew what is known of the input files of tasks whose content is the same."""
        self.database.write(lambda connection: changes.update_files(connection, files))

    def hold_stage(self, stage: str) -> None:
        """Stop a stage everywhere until `retry` is asked for it; what is running goes on."""
        self.database.write(lambda connection: changes.hold_stage(connection, self.pipeline, stage))
        self._graph = None

    def release_stages(self, stages: Iterable[str]) -> None:
        """Let stages that were held go on."""
        names = list(stages)
        self._graph = self.database.write(
            lambda connection: changes.release_stages(connection, self.pipeline, names)
        )

    def retry(self, selection: Selection, reason: str = "retried by hand") -> int:
        """Let the failed tasks of a selection be tried again, or those in the states that it names.

        Stages that it names are released if they were held. Return the number of tasks.

        Raises
        ------
        ConfigError
            If it names what does not exist.
        """
        if not selection.states:
            selection = Selection(selection.targets, selection.stages, ("failed",), selection.where, selection.limit)
        known = self.known_columns()
        conditions = task_conditions(selection, known)
        if selection.stages:
            self.release_stages(selection.stages)

        def again(connection: sa.Connection) -> int:
            numbers = connection.scalars(sa.select(task.c.task_id).where(*conditions)).all()
            return changes.make_stale(connection, self.pipeline, numbers, reason)

        return self.database.write(again)

    def repack(self, mapping: Mapping[str, str]) -> int:
        """Let results point to where their samples have moved, old reference to new; return how many do."""

        def move(connection: sa.Connection) -> int:
            stages = connection.scalars(sa.select(stage_table.c.name)).all()
            return repack(connection, stages, mapping)

        return self.database.write(move)

    @property
    def pipeline(self) -> Graph:
        """The stages; only the writer changes them, so it need not ask again."""
        if self._graph is None:
            self._graph = self.database.read(read_graph)
        return self._graph

    def _declared(self, stage: str) -> tuple[Column, ...]:
        if stage not in self._columns:
            found = self.columns(stage)
            if not found:
                msg = f"A result is of stage {stage!r}; the ledger has never had such a stage."
                raise ProductionError(msg)
            self._columns[stage] = found
        return self._columns[stage]

    def _declare_missing(self, verdicts: Sequence[tuple[TaskRecord, Decision]]) -> None:
        """Declare columns of which no declaration came: a result must not be lost for that."""
        missing: dict[str, dict[str, Column]] = {}
        known = {record.stage: {column.name for column in self._declared(record.stage)} for record, _ in verdicts}
        for record, decision in verdicts:
            if decision.state != "done":
                continue
            for name in record.columns.keys() - known[record.stage]:
                kind = kind_of(record.columns[name])
                if kind:
                    missing.setdefault(record.stage, {}).setdefault(name, Column(name, kind))
        for stage, columns in missing.items():
            logger.warning("stage %s gives columns that nobody has declared: %s", stage, ", ".join(sorted(columns)))
            self.ensure_columns(stage, [columns[name] for name in sorted(columns)])
