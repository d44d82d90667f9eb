"""What a stage of a production is given for one target: its options, files and earlier results, from the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.errors import ProductionError, nearest_known
from orchestrator.production.functions import declare
from orchestrator.production.ledger.ledger import open_ledger
from orchestrator.production.ledger.reader import LedgerReader
from orchestrator.production.one_stage import Given
from orchestrator.production.over_all import write_table
from orchestrator.production.plan import Plan
from orchestrator.production.records import ALL_TARGETS, StagePlan, Target
from orchestrator.production.run_file import RunFile
from orchestrator.production.selection import Selection
from orchestrator.production.target_config import stage_sections
from orchestrator.production.targets import read_targets

__all__ = ["given_in_production", "named_stage"]


def named_stage(plan: Plan, name: str) -> StagePlan:
    """Return a stage of a plan.

    Raises
    ------
    ProductionError
        If there is none; with the nearest known one.
    """
    names = [stage.name for stage in plan.stages]
    if name not in names:
        msg = f"there is no stage {name!r}{nearest_known(name, names)}"
        raise ProductionError(msg)
    return plan.stage(name)


def given_in_production(run_file: RunFile, plan: Plan, stage: StagePlan, target_name: str, output: Path) -> Given:
    """Return what a production gives to a stage of a target.

    Parameters
    ----------
    run_file : RunFile
    plan : Plan
    stage : StagePlan
    target_name : str
        ``@all`` for a stage over all.
    output : Path
        Folder for the tables of a stage over all.

    Raises
    ------
    ProductionError
        If there is no such target, or a stage that it needs has no result yet.
    """
    if not stage.needs:
        target = _of_table(run_file, target_name)
        return _given(plan, stage, target, None, output)
    with open_ledger(run_file.ledger_url, read_only=True) as ledger:
        found = ledger.target(target_name)
        if found is None:
            raise ProductionError(_no_target(target_name, run_file))
        return _given(plan, stage, found[1], ledger, output)


def _of_table(run_file: RunFile, name: str) -> Target:
    if name == ALL_TARGETS:
        return Target(ALL_TARGETS)
    for target in read_targets(run_file):
        if target.name == name:
            return target
    raise ProductionError(_no_target(name, run_file))


def _no_target(name: str, run_file: RunFile) -> str:
    return f"there is no target {name!r} in {run_file.name}"


def _given(plan: Plan, stage: StagePlan, target: Target, ledger: LedgerReader | None, output: Path) -> Given:
    sections: dict[str, Any] = stage_sections(plan, stage, target)
    files = {name: value for name, value in sections.get("inputs", {}).items() if value is not None}
    results: dict[str, Any] = {}
    wires = dict(sections.get("wires", {}))
    declared = declare(stage)
    if declared is not None and declared.is_plain:
        wires |= {need: need for need in stage.needs}
    for name, wire in wires.items():
        first, _, column = wire.partition(".")
        assert ledger is not None
        maker = plan.stage(first)
        if stage.over == "all" and maker.over == "target":
            files[name] = str(output.absolute() / write_table(ledger, output, first, ledger.input_digest(first)))
        else:
            row = _row(ledger, first, ALL_TARGETS if maker.over == "all" else target.name)
            results[name] = row[column] if column else row
    options = {key: value for key, value in sections.get("function", {}).items() if key != "call"}
    return Given({**options, **sections.get("options", {})}, files, results, target)


def _row(ledger: LedgerReader, stage: str, target: str) -> dict[str, Any]:
    results = ledger.results(stage, Selection(targets=(target,)))
    for batch in results.batches:
        for _, values in batch:
            return dict(zip([column.name for column in results.columns], values, strict=True))
    msg = f"stage {stage!r} has no result for {target!r} yet"
    raise ProductionError(msg)
