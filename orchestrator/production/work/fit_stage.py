"""One fit of one target, in this process: files, samplers, result, and all that follows from the warm modules.

The steps are those of `orchestrator.main_pipeline`; the modules are set up once, and serve the samplers, the derived
quantities, the goodness of the fit and the best-fit models.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.config.check import stage_values
from orchestrator.config.text_files import passing_files, write_atomically
from orchestrator.fit.derive import Derived, derive
from orchestrator.fit.handover import make_handover
from orchestrator.fit.launch import sampled_pipeline
from orchestrator.fit.module_file import NoModuleClassError
from orchestrator.fit.prepare import PreparedStage, prepare_stage, write_inputs, write_missing_values
from orchestrator.fit.reader import Reader
from orchestrator.fit.runner import RunRecord
from orchestrator.fit.stage_result import StageResult, stage_result
from orchestrator.forward_model.goodness import Goodness
from orchestrator.production.work.failures import NoResultError
from orchestrator.production.work.model_arrays import model_arrays
from orchestrator.production.work.rank_stage import run_ranks
from orchestrator.stage import Stage

__all__ = ["NO_CHAIN", "FitResult", "run_fit"]

logger = logging.getLogger(__name__)

NO_CHAIN = ("test", "cosmopower")
"""Samplers that write no results file."""


@dataclass
class FitResult:
    """What a fit gave.

    Attributes
    ----------
    result : StageResult
    seconds, cpu_seconds : float
        Of set-up of the modules, samplers, and what is derived from the samples.
    derived : Derived or None
    goodness : dict of str to Goodness
        By module.
    models : dict
        Module to its arrays.
    problems : list of str
        What could not be made beside the chain.
    """

    result: StageResult
    seconds: float
    cpu_seconds: float
    derived: Derived | None = None
    goodness: dict[str, Goodness] = field(default_factory=dict)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def products(self) -> dict[str, Any]:
        """What `MainPipeline` writes as ``NAME_products.json``."""
        goodness = {name: asdict(entry) for name, entry in self.goodness.items()}
        return {"figures": {}, "goodness": goodness, "problems": self.problems}


def run_fit(
    stage: Stage, results: Sequence[StageResult], *, mpi_command: str, log: Path, keep: bool, with_models: bool
) -> FitResult:
    """Run one fit stage.

    Parameters
    ----------
    stage : Stage
        Validated, its folder there.
    results : sequence of StageResult
        The stages that it needs, in order.
    mpi_command : str
        Template that starts a stage on several processes.
    log : Path
        File for their output; that of this process is captured already.
    keep : bool
        Whether its files stay: they are made to last, and tables are written.
    with_models : bool
        Whether best-fit models are wanted.

    Raises
    ------
    OrchestratorError
        If the fit has no result; what the modules raise comes as its cause.
    """
    with contextlib.nullcontext() if keep else passing_files(), _nothing_left_behind(stage):
        prepared = _prepared(stage, results)
        write_inputs(prepared)
        begun, cpu = time.perf_counter(), time.process_time()
        if stage.n_cores > 1:
            spent = run_ranks(prepared.stage, mpi_command, log)
            return _finished(prepared, None, time.perf_counter() - begun, spent, keep, with_models)
        pipeline = sampled_pipeline(str(stage.paths.params), stage.seed)
        try:
            seconds, spent = time.perf_counter() - begun, time.process_time() - cpu
            return _finished(prepared, pipeline, seconds, spent, keep, with_models)
        finally:
            pipeline.cleanup()


def _prepared(stage: Stage, results: Sequence[StageResult]) -> PreparedStage:
    values = stage_values(stage)
    write_missing_values(stage, values)
    handover = make_handover(results, stage, values)
    return prepare_stage(stage, values, handover)


def _finished(
    prepared: PreparedStage, pipeline: Any, seconds: float, cpu_seconds: float, keep: bool, with_models: bool
) -> FitResult:
    """Read the result of the samplers, and make what belongs to it."""
    stage = prepared.stage
    record = RunRecord(0, seconds, stage.paths.log, "", complete=True, n_rows=int(stage.samplers[-1] not in NO_CHAIN))
    result = stage_result(stage, record, prepared.handover)
    found = FitResult(result, seconds, cpu_seconds)
    chain = result.chain
    if chain is None:
        return found
    if not chain.complete and stage.samplers[-1] != "fisher":
        msg = f"Stage {stage.name!r} stopped before its end ({chain.n_rows} rows, no '#complete=1' in its results)."
        raise NoResultError(msg)
    if result.summary is None:
        msg = f"None of the {chain.n_rows} points of stage {stage.name!r} has a finite posterior."
        raise NoResultError(msg)
    run = replace(record, n_rows=chain.n_rows, n_infinite=chain.n_infinite)
    found.result = replace(result, run=run)
    begun, cpu = time.perf_counter(), time.process_time()
    _Following(found, prepared, pipeline).make(with_models)
    found.seconds += time.perf_counter() - begun
    found.cpu_seconds += time.process_time() - cpu
    found.result = replace(found.result, goodness=found.goodness)
    if keep:
        _write_tables(found, stage)
    return found


class _Following:
    """What follows from the modules at hand; what fails is noted and the rest goes on."""

    def __init__(self, found: FitResult, prepared: PreparedStage, pipeline: Any) -> None:
        self.found = found
        self.prepared = prepared
        self.pipeline = pipeline

    def make(self, with_models: bool) -> None:
        """Make derived quantities, goodness of the fit, and models."""
        result = self.found.result
        summary, chain = result.summary, result.chain
        assert summary is not None
        assert chain is not None
        state: dict[str, Any] = {}

        def build() -> None:
            state["reader"], state["modules"], state["block"] = self._modules(summary.best_fit.row)

        if not self._attempt("the modules cannot be evaluated at the best fit", build):
            return
        if self.prepared.stage.sections.get("output", {}).get("derived", True):
            self._attempt("no derived quantities", partial(self._derive, state))
        for name, module in state["modules"].items():
            if callable(getattr(module, "goodness_of_fit", None)):
                self._attempt(f"no goodness of fit of {name}", partial(self._goodness, name, module, state))
            if self._options(name).get("measure_emission_lines"):
                self._attempt(f"no emission lines of {name}", partial(self._lines, name, module, state))
            if with_models:
                self._attempt(f"no best-fit model of {name}", partial(self._model, name, module, state))

    def _modules(self, row: int) -> tuple[Reader, dict[str, Any], Any]:
        """Return a reader of the chain, the modules, and a block executed at one row."""
        chain = self.found.result.chain
        assert chain is not None
        if self.pipeline is not None:
            reader = Reader({}, chain.path, self.prepared.values)
            reader.__dict__["chain"] = chain
            block = self.pipeline.run_results(chain.samples[row]).block
            return reader, {module.name: module.data for module in self.pipeline.modules if _is_ours(module)}, block
        reader = Reader.from_chain(chain)  # the ranks have taken their modules along
        block = reader.solution_to_datablock(reader.solution_to_dict(row))
        modules = {}
        for name in reader.modules:
            with contextlib.suppress(NoModuleClassError):
                modules[name] = reader.get_module(name)
        for module in modules.values():
            module.execute(block)
        return reader, modules, block

    def _derive(self, state: Mapping[str, Any]) -> None:
        assert self.found.result.summary is not None
        self.found.derived = derive(self.found.result.summary, state["reader"], state["modules"])

    def _goodness(self, name: str, module: Any, state: Mapping[str, Any]) -> None:
        self.found.goodness[name] = module.goodness_of_fit(state["block"])

    def _options(self, name: str) -> Mapping[str, Any]:
        return next((one.options for one in self.prepared.stage.modules if one.name == name), {})

    def _lines(self, name: str, module: Any, state: Mapping[str, Any]) -> None:
        module.measure_emission_lines(state["block"]).write(self.prepared.stage.paths.emission_lines(name))

    def _model(self, name: str, module: Any, state: Mapping[str, Any]) -> None:
        arrays = model_arrays(module, state["block"])
        if arrays:
            self.found.models[name] = arrays

    def _attempt(self, failure: str, work: Callable[[], object]) -> bool:
        try:
            work()
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - a module may raise anything, and its tables are not worth the fit
            logger.warning("%s", failure, exc_info=True)
            self.found.problems.append(f"{failure}: {type(error).__name__}: {error}")
            return False
        return True


def _is_ours(module: Any) -> bool:
    return hasattr(module.data, "evaluate_batch") and hasattr(module.data, "read_parameters")


def _write_tables(found: FitResult, stage: Stage) -> None:
    """Write what `MainPipeline` leaves beside a chain."""
    paths = stage.paths
    if found.derived is not None:
        found.derived.parameters.write(paths.derived_parameters)
        if found.derived.history is not None:
            found.derived.history.write(paths.formation_history)
    write_atomically(paths.products, json.dumps(_finite(found.products), indent=1) + "\n")


def _finite(products: Any) -> Any:
    if isinstance(products, dict):
        return {key: _finite(value) for key, value in products.items()}
    return None if isinstance(products, float) and not math.isfinite(products) else products


@contextlib.contextmanager
def _nothing_left_behind(stage: Stage) -> Iterator[None]:
    """Take back what a fit leaves in a process that goes on with another one.

    CosmoSIS imports a user's module by its bare name, so that a file of the same name in another folder would be
    taken for it; and a module may add a log file of its own.
    """
    for module in stage.modules:
        loaded = sys.modules.get(module.file.stem)
        file = getattr(loaded, "__file__", None)
        if loaded is not None and file is not None and Path(file) != module.file:
            del sys.modules[module.file.stem]
    package = logging.getLogger("orchestrator")
    before, level, path = list(package.handlers), package.level, list(sys.path)
    try:
        yield
    finally:
        for handler in [one for one in package.handlers if one not in before]:
            package.removeHandler(handler)
            handler.close()
        package.setLevel(level)
        sys.path[:] = path
