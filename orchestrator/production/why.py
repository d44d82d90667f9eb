"""What makes a task current, stale, missing or failed: its key as it is and as it would be now, part by part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from orchestrator.errors import ConfigError, ProductionError
from orchestrator.fit.identity import changed_parts
from orchestrator.production.identity import MISSING, input_paths, key_parts, task_key
from orchestrator.production.ledger.reader import LedgerReader
from orchestrator.production.ledger.reading import AttemptRow, TaskRow
from orchestrator.production.plan import Plan, read_plan
from orchestrator.production.reconcile import Checksums
from orchestrator.production.records import ALL_TARGETS, InputFile, StagePlan, State
from orchestrator.production.selection import Selection
from orchestrator.production.status_records import StageWhy, TargetWhy
from orchestrator.production.target_tasks import SelectedTarget, selected_targets

__all__ = ["target_reasons"]

_UNKNOWN = "its row in the table, a result that it needs, an SSP library or the version was another one"


def target_reasons(plan: Plan, ledger: LedgerReader, selection: Selection) -> Iterator[TargetWhy]:
    """Yield for every selected target what makes its tasks what they are.

    Parameters
    ----------
    plan : Plan
        What they are compared with, with the folder of the production.
    ledger : LedgerReader
    selection : Selection

    Raises
    ------
    ConfigError
        If the selection names what does not exist.
    """
    plans = _FormerPlans(plan, ledger)
    for found in selected_targets(ledger, selection):
        attempts = ledger.attempts(found.target.name)
        checksums = Checksums()
        for files in found.files.values():
            checksums.learn(files)
        now = _Now(plan, found, checksums, ledger)
        stages = [_stage_why(plans, now, row, attempts) for row in found.tasks]
        yield TargetWhy(found.target.name, tuple(stages))


class _FormerPlans:
    """The plans that runs were made with, read once each."""

    def __init__(self, plan: Plan, ledger: LedgerReader) -> None:
        self._folder = plan.folder
        self._hashes = {int(run["run_id"]): str(run["plan"]) for run in ledger.runs()}
        self._plans: dict[str, Plan | None] = {plan.hash: plan}

    def of_run(self, run_id: int) -> Plan | None:
        """Return the plan of a run; None if its file is not there any more."""
        name = self._hashes.get(run_id, "")
        if name and name not in self._plans:
            try:
                self._plans[name] = read_plan(self._folder, f"plan/{name}.json")
            except ProductionError:
                self._plans[name] = None
        return self._plans.get(name)


class _Now:
    """The keys of the stages of a target as they would be now."""

    def __init__(self, plan: Plan, found: SelectedTarget, checksums: Checksums, ledger: LedgerReader) -> None:
        self.plan = plan
        self.found = found
        self.keys: dict[str, str] = {}
        self.files: dict[str, dict[str, str]] = {}
        self.faults: dict[str, str] = {}
        own_over = "all" if found.target.name == ALL_TARGETS else "target"
        self.keys |= ledger.keys_over_all()
        for stage in plan.stages:
            if stage.over != own_over:
                if own_over == "all":
                    self.keys[stage.name] = ledger.input_digest(stage.name)
                continue
            try:
                paths = input_paths(plan, stage, found.target)
                self.files[stage.name] = {str(path): checksums.of(path) for path in paths}
                upstream = {need: self.keys.get(need, "") for need in stage.needs}
                self.keys[stage.name] = task_key(plan, stage, found.target, self.files[stage.name], upstream)
            except ConfigError as error:
                self.keys[stage.name], self.faults[stage.name] = "", str(error)

    def parts(self, stage: StagePlan) -> dict[str, Any]:
        """Return what the key of a stage would be made of."""
        upstream = {need: self.keys.get(need, "") for need in stage.needs}
        return key_parts(self.plan, stage, self.found.target, self.files[stage.name], upstream)


def _stage_why(plans: _FormerPlans, now: _Now, row: TaskRow, attempts: list[AttemptRow]) -> StageWhy:
    own = [attempt for attempt in attempts if attempt.stage == row.stage]
    state, key, expected = str(row.state), row.key or "", now.keys[row.stage]
    if row.stage in now.faults:
        return StageWhy(row.stage, state, "failed", now.faults[row.stage], (), key, "")
    if key and key == expected and row.state == State.DONE:
        sentence = "its options, inputs and needed results are those that it was made from"
        return StageWhy(row.stage, state, "current", sentence, (), key, expected)
    if row.state == State.FAILED and (not key or key == expected):
        return StageWhy(row.stage, state, "failed", _failure(own), (), key, expected)
    done = [attempt for attempt in own if attempt.outcome == "done"]
    if key and key != expected and (done or row.state == State.FAILED):
        changes = _changes(plans, now, row, (done or own)[-1] if own else None)
        found = "result" if done else "failure"
        sentence = f"the {found} is that of another configuration; the next run does it again"
        return StageWhy(row.stage, state, "stale", sentence, changes, key, expected)
    return StageWhy(row.stage, state, "missing", _waiting(row, own), (), key, expected)


def _failure(attempts: list[AttemptRow]) -> str:
    if not attempts:
        return "it has failed; orchestrator retry lets it be tried again"
    last = attempts[-1]
    tries = f"{len(attempts)} attempts" if len(attempts) > 1 else "1 attempt"
    message = " ".join(last.message.split())
    return f"{last.error_class} after {tries}: {message}; orchestrator retry lets it be tried again"


def _waiting(row: TaskRow, attempts: list[AttemptRow]) -> str:
    words = {
        State.WAITING: "it waits for a stage that it needs",
        State.READY: "the next run does it",
        State.RUNNING: "it is being done",
        State.BLOCKED: "a stage that it needs has failed",
        State.HELD: "its stage was stopped, because it failed everywhere; orchestrator retry lets it go on",
        State.DONE: "there is a result, but not of this identity",
        State.FAILED: _failure(attempts),
    }
    return words[row.state] + (f" ({row.reason})" if row.reason else "")


def _changes(plans: _FormerPlans, now: _Now, row: TaskRow, attempt: AttemptRow | None) -> tuple[str, ...]:
    """Return the parts of the identity that differ between a result and what it would be now."""
    former = None if attempt is None else plans.of_run(attempt.run_id)
    if former is None:
        return ("the plan that it was made with is not there any more",)
    try:
        stage = former.stage(row.stage)
    except KeyError:
        return ("the stage is a new one",)
    upstream = {need: now.keys.get(need, "") for need in stage.needs}
    try:
        files = _recorded(now.found.files.get(row.stage, ()), input_paths(former, stage, now.found.target))
        arguments = (stage, now.found.target, files, upstream)
        before = key_parts(former, *arguments)
        explained = task_key(former, *arguments) == row.key
    except (ConfigError, KeyError):
        return (_UNKNOWN,)
    changes = changed_parts(before, now.parts(now.plan.stage(row.stage)))
    stale = [need for need in stage.needs if _is_stale(now, need)]
    if stale:
        return (*changes, *(f"upstream: {need} is stale" for need in stale))
    return tuple(changes) if explained and changes else (*changes, _UNKNOWN)


def _recorded(files: Iterable[InputFile], paths: Iterable[Path]) -> dict[str, str]:
    """Return the recorded checksums by path; those of files that were moved are found by their name."""
    by_path = {file.path: file.checksum for file in files}
    by_name = {Path(path).name: checksum for path, checksum in by_path.items()}
    return {str(path): by_path.get(str(path), by_name.get(path.name, MISSING)) for path in paths}


def _is_stale(now: _Now, stage: str) -> bool:
    for row in now.found.tasks:
        if row.stage == stage:
            return bool(row.key) and row.key != now.keys.get(stage)
    return False
