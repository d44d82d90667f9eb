"""The loop over stages: read this file first.

::

    configuration dict -> Stage -> values, priors and ini files -> CosmoSIS
        -> Chain -> BestFit -> Handover -> the next stage

Each arrow is a function from one frozen record to the next; the user's dictionaries are never modified.
What a stage read, did and found stays on disk beside its results and can be replayed with ``cosmosis
NAME.ini``.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.config.check import build_stages, check_inputs, stage_values
from orchestrator.errors import ConfigError, OrchestratorError, StageError
from orchestrator.fit.diagnostics import write_failure
from orchestrator.fit.handover import make_handover
from orchestrator.fit.lock import hold_lock
from orchestrator.fit.prepare import prepare_stage, write_missing_values
from orchestrator.fit.runner import run_prepared
from orchestrator.fit.stage_result import StageResult, stage_result
from orchestrator.fit.verdict import Verdict
from orchestrator.fit.warm import start_server
from orchestrator.report.closing import close_stage
from orchestrator.stage import Stage

__all__ = ["MainPipeline"]

logger = logging.getLogger(__name__)


class MainPipeline:
    """Fit in stages, each starting from what the earlier ones found.

    Parameters
    ----------
    pipeline_configuration_list : sequence of Mapping
        One dictionary of ini sections per stage: ``runtime``, the samplers', ``output``, ``pipeline``, one
        per module, and optionally ``values`` and ``handover``.
    n_cores_list : sequence of int, optional
        Processes per stage; -1 for all of the machine. One each by default.
    ini_files : sequence of path or None, optional
        Ready ini files in place of the configurations' sections.
    ini_values_files : sequence of path or None, optional
        Values files in place of ``pipeline.values``.

    Attributes
    ----------
    stages : tuple of Stage
        The validated stages.
    results : list of StageResult
        One per finished stage.

    Raises
    ------
    ConfigError
        Listing every fault of every stage.

    Examples
    --------
    >>> pipeline = MainPipeline([kinematics, star_formation], n_cores_list=[2, 2])  # doctest: +SKIP
    >>> status = pipeline.execute_all(plot_result=True)  # doctest: +SKIP
    """

    def __init__(
        self,
        pipeline_configuration_list: Sequence[Mapping[str, Mapping[str, Any]]],
        n_cores_list: Sequence[int] | None = None,
        ini_files: Sequence[str | Path | None] | None = None,
        ini_values_files: Sequence[str | Path | None] | None = None,
    ) -> None:
        if n_cores_list is None or 1 in n_cores_list:
            start_server()  # it imports while we check the configuration and look at the inputs
        self.stages: tuple[Stage, ...] = build_stages(
            pipeline_configuration_list, n_cores_list, ini_files, ini_values_files, Path.cwd()
        )
        self.results: list[StageResult] = []

    def execute_all(self, plot_result: bool = False) -> int:
        """Run all stages; stop at the first that fails and say why.

        Parameters
        ----------
        plot_result : bool
            Draw the best fit of each module.

        Returns
        -------
        int
            0, or 1 if a stage failed. The stages before it are finished and stay.
        """
        if not logging.getLogger().handlers:
            logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
        try:
            self.run(plot_result)
        except (OrchestratorError, OSError) as error:
            logger.error("%s", error)
            if len(self.stages) > 1:
                finished = ", ".join(result.name for result in self.results) or "none"
                logger.error("%d of %d stages finished: %s", len(self.results), len(self.stages), finished)
            return 1
        return 0

    def run(self, plot_result: bool = False) -> tuple[StageResult, ...]:
        """Run all stages and return their results.

        Parameters
        ----------
        plot_result : bool
            Draw the best fit of each module; a figure that fails is reported and loses nothing.

        Returns
        -------
        tuple of StageResult

        Raises
        ------
        ConfigError
            If an input cannot be fitted; listing every fault, before anything starts.
        StageError
            If a stage fails, or another run writes to one of its outputs.
        HandoverError
            If a value cannot move to the next stage.
        """
        from orchestrator.forward_model.first_look import look_at_model, look_at_spectrum

        faults = check_inputs(self.stages, look_at_spectrum, look_at_model)
        if faults:
            raise ConfigError(faults)
        self.results = []
        with contextlib.ExitStack() as held:
            # All at once: a second run is refused before either has done anything to the other's later
            # stages.
            locks = [held.enter_context(hold_lock(stage.paths)) for stage in self.stages]
            for stage, lock in zip(self.stages, locks, strict=True):
                self.results.append(self._run_stage(stage, lock))
                self.results[-1] = close_stage(self.results[-1], plot_result)
        return tuple(self.results)

    def _run_stage(self, stage: Stage, lock: int) -> StageResult:
        """Hand over, run, and read one stage."""
        values = stage_values(stage)
        write_missing_values(stage, values)
        handover = make_handover(self.results, stage, values)
        for update in handover.updates:
            logger.info("stage %s receives %s", stage.name, update)
        for note in handover.notes:
            logger.info("stage %s: %s", stage.name, note)
        prepared = prepare_stage(stage, values, handover)
        try:
            record = run_prepared(prepared, lock=lock)
        except StageError as error:
            if error.command:  # it ran; a result that cannot be resumed keeps its own diagnostics
                write_failure(stage.paths, Verdict("failed", str(error).splitlines()[0]))
            raise
        result = stage_result(prepared.stage, record, handover)
        if result.summary is not None:
            logger.info("stage %s:\n%s", stage.name, result.summary.to_text())
        if result.diagnostics is not None:
            level = logging.INFO if result.verdict == "ok" else logging.WARNING
            logger.log(level, "stage %s: %s", stage.name, result.diagnostics.to_text())
        for flag in result.flags:
            logger.warning("stage %s: %s", stage.name, flag)
        return result
