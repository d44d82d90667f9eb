"""The fit stages of one target: built together, handed over from one to the next, earlier ones brought back."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.config.check import build_stages
from orchestrator.errors import ConfigError, DataError
from orchestrator.fit.lock import hold_lock
from orchestrator.fit.previous import set_aside
from orchestrator.fit.stage_result import StageResult, load_run
from orchestrator.production.columns import flag_bits
from orchestrator.production.records import ErrorClass, StagePlan, TaskOrder, Work
from orchestrator.production.target_config import stage_sections
from orchestrator.production.work.chain_lines import chain_lines
from orchestrator.production.work.failures import Failure
from orchestrator.production.work.fit_columns import fit_row, flags_of
from orchestrator.production.work.fit_stage import NO_CHAIN, FitResult, run_fit
from orchestrator.production.work.frames import blob_of
from orchestrator.production.work.limits import limited_memory
from orchestrator.production.work.places import target_folder
from orchestrator.production.work.samples import read_samples
from orchestrator.production.work.stored_fit import StoredFit, stored_fit
from orchestrator.stage import Stage

if TYPE_CHECKING:
    from orchestrator.production.work.fit_target import Outcome, Setting

__all__ = ["TargetFits"]

logger = logging.getLogger(__name__)

DIRECTORIES, SHARDS = "directories", "shards"


class TargetFits:
    """The fits of one target.

    Parameters
    ----------
    setting : Setting
    work : Work
    """

    def __init__(self, setting: Setting, work: Work) -> None:
        self.setting = setting
        self.work = work
        self.keep = setting.plan.samples == DIRECTORIES
        name = target_folder(work.target.name)
        self.folder = setting.production / name if self.keep else setting.scratch / f"t{work.target_id}"
        self._orders = {task.stage: task for task in work.tasks}
        self._results: dict[str, StageResult] = {}
        self._stored: dict[str, StoredFit] = {}
        self._built: dict[str, Stage] = {}

    def close(self) -> None:
        """Remove the files that pass."""
        if not self.keep and self._built:
            shutil.rmtree(self.folder, ignore_errors=True)

    def log_of(self, stage: StagePlan) -> Path:
        """Return the file for the output of a fit; its folder is there."""
        return self.setting.scratch / f"t{self.work.target_id}.{stage.name}.log"

    def settle(self, stage: StagePlan, log: Path) -> None:
        """Keep the log beside the results where they stay, or remove it."""
        built = self._built.get(stage.name)
        if self.keep and built is not None and built.paths.directory.is_dir() and log.is_file():
            shutil.move(log, built.paths.log)
        else:
            log.unlink(missing_ok=True)

    def outcome(self, stage: StagePlan, order: TaskOrder) -> Outcome:
        """Run a fit stage; its result is there for the stages after it."""
        from orchestrator.production.work.fit_target import Outcome

        built = self._build(stage)
        results = [self._result(name) for name in self._fits_before(stage)]
        found = self._run(stage, order, built, results)
        result = found.result
        flags, remarks = flags_of(result)
        flags |= flag_bits(["no_derived"]) if found.problems else 0
        remarks = "; ".join([*([remarks] if remarks else []), *found.problems])
        outcome = Outcome(flags=flags, remarks=remarks, verdict=result.verdict)
        outcome.seconds, outcome.cpu_seconds = found.seconds, found.cpu_seconds
        if result.verdict == "not_converged" and order.recipe < len(stage.recipes):
            outcome.failure = Failure(ErrorClass.NUMERICAL, f"not converged: {result.verdict_reason}")
            return outcome
        row = fit_row(result, None if found.derived is None else found.derived.parameters, found.goodness)
        outcome.values, outcome.columns = row.values, row.columns
        self._results[stage.name] = result
        self._keep_samples(outcome, found, built)
        return outcome

    def stored(self, stage: str) -> StoredFit:
        """Return the samples of a stage that has finished earlier.

        Raises
        ------
        DataError
            If it left none.
        ProductionError
            If they are gone.
        """
        if stage not in self._stored:
            self._stored[stage] = read_samples(self.setting.production, self._reference(stage))
        return self._stored[stage]

    def _run(
        self, stage: StagePlan, order: TaskOrder, built: Stage, results: list[StageResult]
    ) -> FitResult:
        plan = self.setting.plan
        run = partial(
            run_fit,
            mpi_command=plan.mpi_command,
            log=self.log_of(stage),
            keep=self.keep,
            with_models=plan.samples == SHARDS,
        )
        with limited_memory(stage.memory_limit * order.budget):
            if not self.keep:
                built.paths.directory.mkdir(parents=True, exist_ok=True)
                return run(built, results)
            with hold_lock(built.paths):  # a worker that was given up may still write
                set_aside(built)
                return run(built, results)

    def _keep_samples(self, outcome: Outcome, found: FitResult, built: Stage) -> None:
        result = found.result
        if self.keep:
            outcome.samples = str(built.paths.chain.relative_to(self.setting.production))
        elif self.setting.plan.samples == SHARDS and result.chain is not None and result.summary is not None:
            stored = stored_fit(
                result, chain_lines(result.chain), outcome.values, found.models, found.derived, found.products
            )
            outcome.blob = blob_of(stored.arrays())

    def _fits_before(self, stage: StagePlan) -> list[str]:
        """Return the fits that a stage needs, in the order of the pipeline."""
        plan = self.setting.plan
        return [
            one.name
            for one in plan.stages
            if one.kind == "fit" and one.name in stage.needs and self._hands_over(one)
        ]

    def _hands_over(self, stage: StagePlan) -> bool:
        """Whether a stage leaves a chain."""
        sampler = str(stage.sections.get("runtime", {}).get("sampler", "")).split()
        return stage.name in self._orders or not sampler or sampler[-1] not in NO_CHAIN

    def _result(self, stage: str) -> StageResult:
        """Return the result of a fit of this run, or bring back that of an earlier one."""
        if stage not in self._results:
            if self.setting.plan.samples == "none":
                self._results[stage] = self._repeated(stage)
            elif "#" in self._reference(stage):
                self._results[stage] = load_run(self.stored(stage).write_directory(self.folder))
            else:
                self._results[stage] = load_run(self.setting.production / self._reference(stage))
        return self._results[stage]

    def _reference(self, stage: str) -> str:
        """Return the place of the samples of a stage that has finished earlier.

        Raises
        ------
        DataError
            If it has none: its input could not be fitted.
        """
        reference = self.work.upstream.get(stage, "")
        if not reference:
            msg = f"stage {stage}: it has no result to go on from"
            raise DataError(msg)
        return reference

    def _repeated(self, name: str) -> StageResult:
        """Run a stage again whose samples were not kept; the same seed gives the same result."""
        stage = self.setting.plan.stage(name)
        built = self._build(stage)
        results = [self._result(before) for before in self._fits_before(stage)]
        return self._run(stage, TaskOrder(name), built, results).result

    def _build(self, stage: StagePlan) -> Stage:
        """Return a stage for this target, with the checks against those before it.

        Raises
        ------
        ConfigError
            If it has a fault; those of other stages are theirs.
        """
        if not self._built:
            wanted = self._wanted()
            try:
                self._built = self._build_all(wanted)
            except ConfigError:
                if len(wanted) == 1:
                    raise
        if stage.name not in self._built:  # another one has the fault, or this one
            wanted = [*(self.setting.plan.stage(name) for name in self._fits_before(stage)), stage]
            self._built[stage.name] = self._build_all(wanted)[stage.name]
        return self._built[stage.name]

    def _wanted(self) -> list[StagePlan]:
        """Return the fits to run and those that they need, in order: a handover is checked against them."""
        plan = self.setting.plan
        needed = set(self._orders)
        for stage in reversed(plan.stages):
            if stage.name in needed:
                needed.update(stage.needs)
        return [stage for stage in plan.stages if stage.kind == "fit" and stage.name in needed]

    def _build_all(self, wanted: list[StagePlan]) -> dict[str, Stage]:
        configs: list[Mapping[str, Mapping[str, Any]]] = []
        for stage in wanted:
            order = self._orders.get(stage.name, TaskOrder(stage.name))
            configs.append(
                stage_sections(
                    self.setting.plan, stage, self.work.target, recipe=order.recipe, output=self.folder / stage.name
                )
            )
        try:
            built = build_stages(configs, [stage.n_cores for stage in wanted], directory=self.setting.production)
        except ConfigError as error:  # their numbers are those of this list
            raise ConfigError([re.sub(r"^stage \d+: ", "", fault) for fault in error.faults]) from None
        return {stage.name: one for stage, one in zip(wanted, built, strict=True)}
