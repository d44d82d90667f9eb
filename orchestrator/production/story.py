"""What happened to a target: its attempts, inputs, results, files, and the commands that repeat its stages alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import ConfigError
from orchestrator.production.alone import alone_command
from orchestrator.production.identity import MISSING, input_paths
from orchestrator.production.ledger.reader import LedgerReader
from orchestrator.production.ledger.reading import AttemptRow, TaskRow
from orchestrator.production.ledger.schema import RESERVED_COLUMNS
from orchestrator.production.plan import Plan
from orchestrator.production.products import product_paths
from orchestrator.production.reconcile import Checksums
from orchestrator.production.records import StagePlan
from orchestrator.production.selection import Selection
from orchestrator.production.status_records import AttemptLine, StageStory, TargetStory
from orchestrator.production.target_config import target_seed
from orchestrator.production.target_tasks import SelectedTarget, selected_targets

__all__ = ["target_stories"]


def target_stories(plan: Plan, ledger: LedgerReader, selection: Selection) -> Iterator[TargetStory]:
    """Yield the story of every selected target.

    Parameters
    ----------
    plan : Plan
        As it is now, with the folder of the production.
    ledger : LedgerReader
    selection : Selection

    Raises
    ------
    ConfigError
        If the selection names what does not exist.
    """
    for found in selected_targets(ledger, selection):
        attempts = ledger.attempts(found.target.name)
        stages = []
        for row in found.tasks:
            own = [attempt for attempt in attempts if attempt.stage == row.stage]
            stages.append(_stage_story(plan, ledger, found, row, own))
        yield TargetStory(found.target.name, found.target.values, found.target.overrides, tuple(stages))


def _stage_story(
    plan: Plan, ledger: LedgerReader, found: SelectedTarget, row: TaskRow, attempts: list[AttemptRow]
) -> StageStory:
    stage = plan.stage(row.stage)
    result, units = _result(ledger, row)
    samples = ledger.samples(row.stage, [found.target_id]).get(found.target_id)
    return StageStory(
        stage=row.stage,
        state=str(row.state),
        reason=row.reason,
        key=row.key or "",
        seed=target_seed(plan, row.stage, found.target, row.recipe),
        attempts=tuple(_attempt_line(attempt) for attempt in attempts),
        inputs=_inputs(plan, stage, found),
        files=(*([samples] if samples else []), *_products(plan, stage, found.target.name)),
        result=result,
        units=units,
        command=alone_command(plan.folder, found.target.name, row.stage, row.recipe),
    )


def _products(plan: Plan, stage: StagePlan, target: str) -> list[str]:
    """Return the files that the stage has made of a target and that are there, relative to the production."""
    paths = product_paths([stage], [f"{stage.name}.{name}" for name in stage.outputs], target).values()
    return [path for path in paths if (Path(plan.folder) / path).exists()]


def _attempt_line(row: AttemptRow) -> AttemptLine:
    return AttemptLine(
        row.number, row.outcome, row.recipe, row.error_class, row.message, row.started, row.seconds, row.peak_memory,
        f"{row.host}, process {row.process}", row.log,
    )  # fmt: skip


def _result(ledger: LedgerReader, row: TaskRow) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the present result of a task and its units."""
    results = ledger.results(row.stage, Selection(targets=(row.target,)))
    for batch in results.batches:
        for number, values in batch:
            if number == row.target_id:
                named = dict(zip([column.name for column in results.columns], values, strict=True))
                units = {column.name: column.unit for column in results.columns if column.unit}
                return {name: value for name, value in named.items() if name not in RESERVED_COLUMNS}, units
    return {}, {}


def _inputs(plan: Plan, stage: StagePlan, found: SelectedTarget) -> Mapping[str, str]:
    """Return the input files of a task, and whether they are as they were when it read them."""
    try:
        paths = input_paths(plan, stage, found.target)
    except ConfigError as error:
        return {"?": str(error)}
    recorded = {file.path: file.checksum for file in found.files.get(stage.name, ())}
    now = Checksums()
    now.learn(found.files.get(stage.name, ()))
    states = {}
    for path in paths:
        checksum = now.of(path)
        if checksum == MISSING:
            states[str(path)] = "missing"
        elif str(path) not in recorded:
            states[str(path)] = "not read yet"
        else:
            states[str(path)] = "ok" if checksum == recorded[str(path)] else "changed"
    return states
