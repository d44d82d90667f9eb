"""The result of one stage, and how it is read back from disk."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from orchestrator.config.text_files import write_atomically
from orchestrator.errors import ChainError
from orchestrator.fit.best_fit import BestFit
from orchestrator.fit.chain import OPTIMISERS, Chain, read_chain
from orchestrator.fit.derived_parameters import DerivedParameters, FormationHistoryBands, tables_match
from orchestrator.fit.diagnostics import Diagnostics, diagnostics_of, write_failure
from orchestrator.fit.embedded import embedded_sections
from orchestrator.fit.handover_record import Handover, Update
from orchestrator.fit.runner import RunRecord
from orchestrator.fit.summary import ResultsSummary, summarize_results
from orchestrator.fit.verdict import FAILED, OK, VerdictWord
from orchestrator.forward_model.goodness import Goodness
from orchestrator.stage import ModuleSection, Stage, StagePaths

__all__ = ["Products", "StageResult", "load_run", "read_products", "stage_result"]

logger = logging.getLogger(__name__)

_Table = TypeVar("_Table", DerivedParameters, FormationHistoryBands)


@dataclass(frozen=True)
class StageResult:
    """Everything about one finished stage.

    Attributes
    ----------
    stage : Stage
        As it ran, with the handover applied.
    run : RunRecord
    chain : Chain or None
        None for a sampler that writes none (``test``).
    best_fit : BestFit or None
        Maximum posterior.
    summary : ResultsSummary or None
    handover : Handover
        What the stage received.
    flags : tuple of str
        What is not to be taken at face value, from the chain and from the modules; empty if all is well.
    figures : Mapping of str to Path
        Module to its figure.
    goodness : Mapping of str to Goodness
        Module to chi2 and numbers of data and free parameters at the best fit.
    """

    stage: Stage
    run: RunRecord
    chain: Chain | None = field(repr=False)
    best_fit: BestFit | None
    summary: ResultsSummary | None = field(repr=False)
    handover: Handover
    flags: tuple[str, ...] = ()
    figures: Mapping[str, Path] = field(default_factory=dict)
    goodness: Mapping[str, Goodness] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the stage."""
        return self.stage.name

    @property
    def verdict(self) -> VerdictWord:
        """Whether the posterior is to be trusted: ``ok``, ``not_converged``, ``at_bound`` or ``failed``."""
        if self.summary is not None:
            return self.summary.verdict
        return OK.word if self.chain is None else FAILED.word

    @property
    def verdict_reason(self) -> str:
        """The sentence that explains the verdict."""
        if self.summary is not None:
            return self.summary.verdict_reason
        return "This sampler writes no chain." if self.chain is None else FAILED.reason

    @property
    def diagnostics(self) -> Diagnostics | None:
        """Convergence, acceptance, evaluations, time and verdict; None where nothing could be summarised."""
        if self.summary is None:
            return None
        seconds = float("nan") if self.run.reused else self.run.seconds
        return diagnostics_of(self.summary, seconds=seconds, flags=self.flags)

    @cached_property
    def derived(self) -> DerivedParameters | None:
        """Masses, rates, ages and metallicities with their errors; None for a stage without stars that form."""
        path = self.stage.paths.derived_parameters
        return self._if_of_this_chain(DerivedParameters.read(path)) if path.is_file() else None

    @cached_property
    def formation_history(self) -> FormationHistoryBands | None:
        """The reconstructed star-formation history; None for a stage without one."""
        path = self.stage.paths.formation_history
        return self._if_of_this_chain(FormationHistoryBands.read(path)) if path.is_file() else None

    def _if_of_this_chain(self, table: _Table) -> _Table | None:
        if self.chain is None or self.best_fit is None:
            return None
        known = tables_match(table.meta, self.best_fit.log_posterior, self.chain.n_rows)
        return table if known else None


def stage_result(stage: Stage, run: RunRecord, handover: Handover) -> StageResult:
    """Read, summarise and record the result of a stage that has run.

    Raises
    ------
    ChainError
        If its chain cannot be read.
    """
    if run.n_rows == 0:
        return StageResult(stage, run, None, None, None, handover)
    chain = read_chain(stage.paths.chain)
    if not chain.finite.any():
        write_failure(stage.paths, FAILED)
        return StageResult(stage, run, chain, None, None, handover, _module_flags(chain))
    summary = summarize_results(chain, optimum=_optimum(stage.paths, stage.samplers))
    flags = summary.flags + _module_flags(chain)
    record = {**summary.to_dict(), "flags": list(flags)}
    write_atomically(stage.paths.best_fit, json.dumps(record, indent=1) + "\n")
    result = StageResult(stage, run, chain, summary.best_fit, summary, handover, flags)
    if result.diagnostics is not None and not (run.reused and stage.paths.diagnostics.is_file()):
        result.diagnostics.write(stage.paths)
    return result


def _optimum(paths: StagePaths, samplers: Sequence[str]) -> Chain | None:
    """Return what the last optimiser of the stage found before its last sampler."""
    for sampler in reversed(samplers[:-1]):
        if sampler in OPTIMISERS:
            with contextlib.suppress(ChainError):
                return read_chain(paths.intermediate_chain(sampler))
    return None


def _module_flags(chain: Chain) -> tuple[str, ...]:
    keys = sorted((key for key in chain.metadata if key.startswith("flag_")), key=lambda key: int(key[5:]))
    return tuple(chain.metadata[key] for key in keys)


def load_run(path: str | Path) -> StageResult:
    """Read a finished stage from its results file.

    Everything comes from the file that is given and what lies beside it, so a renamed or moved file serves
    too; then only the handover and the log are missing.

    Parameters
    ----------
    path : str or Path
        Results file, with or without ``.txt``.

    Returns
    -------
    StageResult

    Raises
    ------
    ChainError
        If it cannot be read.
    """
    given = Path(path)
    paths = StagePaths.from_output(given.absolute(), Path.cwd())
    chain = read_chain(paths.chain)
    sections = embedded_sections(chain)
    names = sections.get("pipeline", {}).get("modules", "").split()
    modules = tuple(
        ModuleSection(name, None, Path(sections.get(name, {}).get("file", "")), sections.get(name, {}))
        for name in names
    )
    samplers = sections.get("runtime", {}).get("stage_samplers", chain.sampler).split()
    stage = Stage(
        name=paths.name,
        paths=paths,
        samplers=tuple(samplers),
        modules=modules,
        sections={name: options for name, options in sections.items() if name not in names},
    )
    run = RunRecord(
        0, float("nan"), paths.log, "", chain.complete, chain.n_rows, chain.n_infinite, reused=True
    )
    handover = _read_handover(paths)
    if not chain.finite.any():
        return StageResult(stage, run, chain, None, None, handover, _module_flags(chain))
    summary = summarize_results(chain, optimum=_optimum(paths, samplers))
    products = read_products(paths)
    figures = {name: paths.figure(name) for name in names if paths.figure(name).is_file()} | products.figures
    flags = summary.flags + _module_flags(chain)
    return StageResult(
        stage, run, chain, summary.best_fit, summary, handover, flags, figures, products.goodness
    )


@dataclass(frozen=True)
class Products:
    """What was made beside the chain of a stage.

    Attributes
    ----------
    figures : dict of str to Path
        Module to its figure.
    goodness : dict of str to Goodness
    problems : tuple of str
        What could not be made, and why.
    """

    figures: dict[str, Path] = field(default_factory=dict)
    goodness: dict[str, Goodness] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def read_products(paths: StagePaths) -> Products:
    """Read the list of what was made; nothing where there is none. Figures that have gone are left out."""
    try:
        record = json.loads(paths.products.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Products()
    # relative to the folder, so that it can be moved; an absolute path stays what it is
    figures = {name: paths.directory / path for name, path in record.get("figures", {}).items()}
    return Products(
        {name: path for name, path in figures.items() if path.is_file()},
        {name: Goodness(**numbers) for name, numbers in record.get("goodness", {}).items()},
        tuple(record.get("problems", ())),
    )


def _read_handover(paths: StagePaths) -> Handover:
    """Read the record beside a results file; an empty one if there is none."""
    if not paths.handover.is_file():
        return Handover(paths.name)
    try:
        record = json.loads(paths.handover.read_text(encoding="utf-8"))
        updates = tuple(Update(**update) for update in record["updates"])
        return Handover(record["stage"], updates, notes=tuple(record.get("notes", ())))
    except (ValueError, KeyError, TypeError) as error:
        msg = (
            f"The handover record {str(paths.handover)!r} is damaged: {error}. Remove it to read "
            "the results alone."
        )
        raise ChainError(msg) from error
