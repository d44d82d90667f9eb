"""All stages of one target in sequence, in this process; what each gives comes as soon as it is there."""

from __future__ import annotations

import logging
import math
import os
import resource
import shutil
import socket
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ConfigError, OrchestratorError
from orchestrator.fit.identity import package_version
from orchestrator.production.columns import Column, flag_bits
from orchestrator.production.identity import input_paths, task_key
from orchestrator.production.plan import Plan
from orchestrator.production.products import TABLES
from orchestrator.production.records import ErrorClass, InputFile, StagePlan, TaskOrder, TaskRecord, Work
from orchestrator.production.target_config import prepare, stage_sections, target_seed
from orchestrator.production.work.answers import Answer, Finished, Skipped
from orchestrator.production.work.capture import captured, end_of_log
from orchestrator.production.work.failures import Failure, classify, shortened
from orchestrator.production.work.input_files import InputFiles
from orchestrator.production.work.limits import limited_memory, memory_in_use
from orchestrator.production.work.step import Step

if TYPE_CHECKING:
    from orchestrator.production.work.target_fits import TargetFits

__all__ = ["Outcome", "Setting", "TargetRun", "run_target"]

logger = logging.getLogger(__name__)

_HOST = socket.gethostname()


@dataclass
class Setting:
    """What a process that fits targets holds on to.

    Attributes
    ----------
    plan : Plan
    production : Path
        Folder of the production.
    scratch : Path
        Folder for files that pass.
    files : InputFiles
    declared : dict of str to set of str
        Stage to columns that were declared before.
    """

    plan: Plan
    production: Path
    scratch: Path
    files: InputFiles = field(default_factory=InputFiles)
    declared: dict[str, set[str]] = field(default_factory=dict)

    def new_columns(self, stage: str, columns: Mapping[str, Column]) -> tuple[Column, ...]:
        """Return the columns that are declared for the first time."""
        known = self.declared.setdefault(stage, set())
        new = tuple(column for name, column in columns.items() if name not in known)
        known.update(column.name for column in new)
        return new


@dataclass
class Outcome:
    """What came of one stage.

    Attributes
    ----------
    values : dict
        Its row, without what every result has.
    columns : dict of str to Column
    flags : int
    remarks, verdict : str
    seconds, cpu_seconds : float
        Of the stage itself.
    failure : Failure or None
    blob : bytes
    samples : str
        Place of the samples where they are in a folder.
    products : tuple of InputFile
        Files that it has published.
    """

    values: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, Column] = field(default_factory=dict)
    flags: int = 0
    remarks: str = ""
    verdict: str = "ok"
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    failure: Failure | None = None
    blob: bytes = b""
    samples: str = ""
    products: tuple[InputFile, ...] = ()


def run_target(setting: Setting, work: Work) -> Iterator[Answer | Skipped | Finished]:
    """Run the stages of one target.

    Parameters
    ----------
    setting : Setting
    work : Work

    Yields
    ------
    Answer or Skipped
        For each task, in the order of the pipeline.
    Finished
        At the end.
    """
    run = TargetRun(setting, work)
    try:
        for stage in setting.plan.stages:
            if stage.name in run.orders:
                yield run.stage(stage)
        yield Finished(work.target_id, memory_in_use(), run.has_fits)
    finally:
        run.close()


class TargetRun:
    """The state of one target on its way through the stages."""

    def __init__(self, setting: Setting, work: Work) -> None:
        self.setting = setting
        self.work = work
        self.target = work.target
        self.orders: dict[str, TaskOrder] = {task.stage: task for task in work.tasks}
        self.keys: dict[str, str] = dict(work.upstream_keys)
        self.rows: dict[str, Mapping[str, Any]] = dict(work.upstream_columns)
        self.without_result: dict[str, str] = {
            name: _of_stage(name, str(row.get("remarks") or "its input cannot be fitted"))
            for name, row in self.rows.items()
            if int(row.get("flags") or 0) & flag_bits(["bad_input"])
        }
        """Stage to why there is none; empty for a failure that may be gone next time."""
        self.has_fits = any(setting.plan.stage(name).kind == "fit" for name in self.orders)
        self._before = time.perf_counter()

    @cached_property
    def fits(self) -> TargetFits:
        """Its fits; where all stages are functions, nothing of what a fit needs is imported."""
        from orchestrator.production.work.target_fits import TargetFits

        return TargetFits(self.setting, self.work)

    def close(self) -> None:
        """Remove the files that pass."""
        if "fits" in vars(self):
            self.fits.close()

    def stage(self, stage: StagePlan) -> Answer | Skipped:
        """Run one stage, unless one that it needs has no result."""
        blockers = [need for need in stage.needs if need in self.without_result]
        if any(not self.without_result[need] for need in blockers):
            self.without_result[stage.name] = ""
            return Skipped(self.work.target_id, stage.name)
        started = time.time()
        files, key = self._identity(stage)
        self.keys[stage.name] = key
        if blockers:
            found = Outcome(failure=Failure(ErrorClass.BAD_INPUT, self.without_result[blockers[0]]))
            log = ""
        else:
            found, log = self._attempt(stage)
        record = self._record(stage, found, started, key, files, log)
        columns = self.setting.new_columns(stage.name, found.columns)
        if record.outcome == "done" and found.failure is None:
            self.rows[stage.name] = record.columns
        else:
            self.without_result[stage.name] = self._reason(stage, found)
        return Answer(record, columns, found.blob)

    def _reason(self, stage: StagePlan, found: Outcome) -> str:
        if found.failure is None or found.failure.error_class != ErrorClass.BAD_INPUT:
            return ""
        return _of_stage(stage.name, found.failure.message)

    def _attempt(self, stage: StagePlan) -> tuple[Outcome, str]:
        """Run a stage with its output in a log; what it raises becomes a failure."""
        order = self.orders[stage.name]
        is_fit = stage.kind == "fit"
        log = self.fits.log_of(stage) if is_fit else self.setting.scratch / "function.log"
        with captured(log):
            try:
                outcome = self._fit(stage, order) if is_fit else self._step(stage, order)
            except KeyboardInterrupt:
                raise
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a module or a function may raise anything
                if not isinstance(error, OrchestratorError):
                    traceback.print_exc()
                outcome = Outcome(failure=classify(error, lambda text: self._is_about_target(stage, text)))
        failed = outcome.failure is not None
        text = end_of_log(log) if failed or outcome.verdict != "ok" else ""
        if is_fit:
            self.fits.settle(stage, log)
        return outcome, text

    def _fit(self, stage: StagePlan, order: TaskOrder) -> Outcome:
        return self.fits.outcome(stage, order)

    def _step(self, stage: StagePlan, order: TaskOrder) -> Outcome:
        """Run a function or a command; what it leaves in scratch goes."""
        from orchestrator.production.work.command_stage import run_command
        from orchestrator.production.work.typed_function import run_function

        plan = self.setting.plan
        watched = plan.isolation != "none"
        step = Step(
            stage=stage,
            sections=stage_sections(plan, stage, self.target, recipe=order.recipe),
            target=self.target,
            row_of=self._row,
            production=self.setting.production,
            folder=self.setting.scratch / f"t{self.work.target_id}.{stage.name}",
            tables={name: place for name, place in self.work.upstream.items() if place.startswith(f"{TABLES}/")},
            seed=target_seed(plan, stage.name, self.target, order.recipe),
            time_limit=math.inf if watched else stage.time_limit * order.budget,
            own_group=not watched,
        )
        begun, cpu = time.perf_counter(), _cpu_seconds()
        try:
            if stage.kind == "command":
                result, products = run_command(step)
            else:
                with limited_memory(stage.memory_limit * order.budget):
                    result, products = run_function(step)
        finally:
            shutil.rmtree(step.folder, ignore_errors=True)
        return Outcome(
            result.row.values,
            result.row.columns,
            flags=result.flags,
            remarks=result.remarks,
            verdict=result.verdict,
            seconds=time.perf_counter() - begun,
            cpu_seconds=_cpu_seconds() - cpu,
            products=products,
        )

    def _row(self, stage: str) -> Mapping[str, Any]:
        """Return the columns of a stage that is needed: of this run, with the order, or from its samples."""
        if stage not in self.rows:
            self.rows[stage] = self.fits.stored(stage).columns
        return self.rows[stage]

    def _identity(self, stage: StagePlan) -> tuple[tuple[InputFile, ...], str]:
        """Return the input files of a task and its key; no key if the target lacks what the stage needs."""
        plan = self.setting.plan
        try:
            files = self.setting.files.of(input_paths(plan, stage, self.target))
            upstream = {need: self.keys.get(need, "") for need in stage.needs}
            checksums = {file.path: file.checksum for file in files}
            return files, task_key(plan, stage, self.target, checksums, upstream)
        except ConfigError:
            return (), ""  # the attempt says why

    def _is_about_target(self, stage: StagePlan, text: str) -> bool:
        """Whether a message names what this target brings along: an option that it fills, or its value."""
        if f"target {self.target.name!r}" in text:
            return True
        try:
            holes = prepare(self.setting.plan, stage, self.target, self.orders[stage.name].recipe).holes
            words = {str(hole.value(self.target)) for hole in holes}
        except ConfigError:
            return True
        words |= {Path(word).name for word in words if "/" in word}
        options = {str(hole.path[1]).lower() for hole in holes if len(hole.path) > 1}
        lowered = text.lower()
        return any(len(word) > 2 and word in text for word in words) or any(
            f"{option} =" in lowered or f"option {option}" in lowered for option in options
        )

    def _record(
        self,
        stage: StagePlan,
        found: Outcome,
        started: float,
        key: str,
        files: tuple[InputFile, ...],
        log: str,
    ) -> TaskRecord:
        """Return the record of an attempt; bad input is a result with a flag."""
        order = self.orders[stage.name]
        failure = found.failure
        record = TaskRecord(
            target_id=self.work.target_id,
            stage=stage.name,
            attempt=order.attempt,
            recipe=order.recipe,
            outcome="done",
            key=key,
            started=started,
            samples=found.samples,
            products=found.products,
            files=files,
            log=log,
            host=_HOST,
            process=os.getpid(),
        )
        if failure is not None and failure.error_class == ErrorClass.BAD_INPUT:
            found = Outcome(flags=flag_bits(["bad_input"]), remarks=failure.message, verdict="failed")
            record = replace(record, message=failure.message)
        elif failure is not None:
            record = replace(
                record, outcome="failed", error_class=str(failure.error_class), message=failure.message
            )
        return replace(record, columns=self._columns(stage, order, found))

    def _columns(self, stage: StagePlan, order: TaskOrder, found: Outcome) -> dict[str, Any]:
        """Return the row of a result: its own columns, and those that every result has."""
        now = time.perf_counter()
        around = max(0.0, now - self._before - found.seconds)
        self._before = now
        flags = found.flags | (flag_bits(["other_recipe"]) if order.recipe else 0)
        return {
            **found.values,
            "verdict": found.verdict,
            "flags": flags,
            "remarks": shortened(found.remarks),
            "recipe": order.recipe,
            "seed": target_seed(self.setting.plan, stage.name, self.target, order.recipe),
            "version": self._version,
            "seconds": found.seconds,
            "overhead_seconds": around,
            "cpu_seconds": found.cpu_seconds,
            "peak_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0,
        }

    @cached_property
    def _version(self) -> str:
        return package_version()


def _cpu_seconds() -> float:
    """Return the processor time of this process and of the commands that it has run."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _of_stage(stage: str, message: str) -> str:
    """Return a message with the stage that it is about, the first one that said it."""
    return message if message.startswith("stage ") else f"stage {stage}: {message}"
