"""What a command would do, found out without doing it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from orchestrator.production.alone import alone_command
from orchestrator.production.expression import parse_expression
from orchestrator.production.ledger.json_text import json_text
from orchestrator.production.production_folder import is_production
from orchestrator.production.reconcile import Checksums, compared_over_all, target_keys
from orchestrator.production.records import ALL_TARGETS, State, Target
from orchestrator.production.selection import Selection
from orchestrator.production.status_records import Preview, PreviewTask
from orchestrator.production.targets import read_targets

if TYPE_CHECKING:
    from orchestrator.production.ledger.ledger import Ledger
    from orchestrator.production.production import Production

__all__ = ["preview"]

_SHOWN = 20
_ENDED = (State.DONE, State.FAILED)
_OPEN = (State.WAITING, State.READY, State.RUNNING)


class _Plan:
    """Counts tasks and keeps the first ones."""

    def __init__(self, production: Production, selection: Selection) -> None:
        self.production = production
        self.stages = [
            stage.name
            for stage in production.plan.stages
            if not selection.stages or stage.name in selection.stages
        ]
        over = {stage.name: stage.over for stage in production.plan.stages}
        self.of_targets = [stage for stage in self.stages if over[stage] == "target"]
        self.over_all = [stage for stage in self.stages if over[stage] == "all"]
        self.all_counts = dict.fromkeys((stage.name for stage in production.plan.stages), 0)
        self.tasks: list[PreviewTask] = []

    def add(self, target: str, stage: str, state: str) -> None:
        self.all_counts[stage] += 1
        if stage not in self.stages:
            return
        if len(self.tasks) < _SHOWN:
            command = alone_command(self.production.folder, target, stage)
            self.tasks.append(PreviewTask(target, stage, state, command))

    def preview(self, action: str, *notes: str) -> Preview:
        counts = {stage: self.all_counts[stage] for stage in self.stages}
        return Preview(action, counts, tuple(self.tasks), tuple(note for note in notes if note))


def preview(production: Production, action: str, selection: Selection) -> Preview:
    """Return what an action would do.

    Parameters
    ----------
    production : Production
    action : {'run', 'retry', 'update'}
    selection : Selection
    """
    plan = _Plan(production, selection)
    if not is_production(production.folder):
        return _of_new(production, plan, action, selection)
    with production.reading() as ledger:
        if action == "retry":
            states = selection.states or ("failed",)
            chosen = Selection(selection.targets, selection.stages, states, selection.where, selection.limit)
            for task in ledger.tasks(chosen):
                plan.add(task.target, task.stage, str(task.state))
            return plan.preview(action)
        return _of_old(production, ledger, plan, action, selection)


def _of_new(production: Production, plan: _Plan, action: str, selection: Selection) -> Preview:
    """Everything in the table is new; a condition on results has nothing to look at yet."""
    condition = parse_expression(selection.where) if selection.where else None
    found = (
        target
        for target in read_targets(production.run_file)
        if (not selection.targets or any(fnmatchcase(target.name, pattern) for pattern in selection.targets))
        and (condition is None or condition.matches(target.values))
    )
    for target in itertools.islice(found, selection.limit):
        for stage in plan.of_targets:
            plan.add(target.name, stage, "new")
    for stage in plan.over_all if not selection.targets else ():
        plan.add(ALL_TARGETS, stage, "new")
    return plan.preview(action, f"{production.folder} is a new production")


def _of_old(production: Production, ledger: Ledger, plan: _Plan, action: str, selection: Selection) -> Preview:
    new, changed = _from_table(production, ledger)
    n_stale = 0
    checksums = Checksums()
    known_keys = ledger.keys_over_all()
    for entry in ledger.selected_targets(selection):
        renewed = replace(entry, target=changed.get(entry.target.name, entry.target))
        keys = target_keys(production.plan, renewed, checksums, known_keys)
        for stage, task in entry.tasks.items():
            stale = task.state in _ENDED and bool(task.key) and task.key != keys.get(stage, task.key)
            n_stale += stale
            if stale or (action == "run" and task.state in _OPEN):
                plan.add(entry.target.name, stage, "stale" if stale else str(task.state))
        checksums.forget()
    whole = not (selection.targets or selection.where or selection.limit)
    for name in new if whole else ():
        for stage in plan.of_targets:
            plan.add(name, stage, "new")
    if whole:
        n_stale += _stale_over_all(production, ledger, plan)
    notes = [
        f"{len(new)} new targets" if new and whole else "",
        f"{len(changed)} changed targets" if changed else "",
        f"{n_stale} results are stale" if n_stale else "",
        *_what_follows(production, plan),
    ]
    return plan.preview(action, *notes)


def _what_follows(production: Production, plan: _Plan) -> list[str]:
    """Name the stages of targets whose results hang on one over all targets that would be made again."""
    again = {stage for stage in plan.over_all if plan.all_counts[stage]}
    stages = production.plan.stages
    following = [stage.name for stage in stages if stage.over == "target" and again & set(stage.needs)]
    if not following:
        return []
    return [f"{', '.join(following)} of every target will follow a new {', '.join(sorted(again))}"]


def _from_table(production: Production, ledger: Ledger) -> tuple[list[str], dict[str, Target]]:
    """Return the names that the ledger does not know, and the targets whose row has changed."""
    new, changed = [], {}
    for target in read_targets(production.run_file):
        known = ledger.target(target.name)
        if known is None:
            new.append(target.name)
        elif _content(known[1]) != _content(target):
            changed[target.name] = target
    return new, changed


def _content(target: Target) -> tuple[str, str]:
    return json_text(target.values), json_text(target.overrides)


def _stale_over_all(production: Production, ledger: Ledger, plan: _Plan) -> int:
    """Add finished stages over all targets that would be done again, and return how many."""
    n_stale = 0
    for task, is_stale in compared_over_all(production.plan, ledger, lambda need: plan.all_counts[need] > 0):
        if is_stale:
            plan.add(ALL_TARGETS, task.stage, "stale")
            n_stale += 1
    return n_stale
