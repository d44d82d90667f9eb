"""A check of everything that can be checked before anything runs: `MainPipeline`'s own checks, on some targets."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import ConfigError
from orchestrator.production.functions import declare
from orchestrator.production.identity import input_paths
from orchestrator.production.placeholders import columns_of
from orchestrator.production.plan import Plan, plan_of
from orchestrator.production.products import is_product
from orchestrator.production.records import ALL_TARGETS, StagePlan, Target
from orchestrator.production.run_file import RunFile
from orchestrator.production.target_config import stage_sections
from orchestrator.production.targets import read_targets

__all__ = ["CheckReport", "check_run_file"]

_FILES_OF = 1000
"""Targets whose input files are looked for."""
_NUMBER = re.compile(r"stage (\d+): ")
_SCRATCH = "/orchestrator_check"


@dataclass(frozen=True)
class CheckReport:
    """What a check has seen.

    Attributes
    ----------
    name : str
    stages : tuple of str
    n_targets : int
    checked : tuple of str
        Targets that were checked in full.
    notes : tuple of str
        What is no fault of the configuration, but makes single targets fail.
    """

    name: str
    stages: tuple[str, ...]
    n_targets: int
    checked: tuple[str, ...]
    notes: tuple[str, ...] = ()


def check_run_file(run_file: RunFile, n_targets: int = 3) -> CheckReport:
    """Check a run file on some of its targets, without running or writing anything.

    Every variant is checked on its first target; the inputs of the first few targets that have all of theirs are
    read. Functions are imported. A fault that other targets have too is told once.

    Parameters
    ----------
    run_file : RunFile
    n_targets : int
        Targets whose inputs are read.

    Returns
    -------
    CheckReport

    Raises
    ------
    ConfigError
        Listing every fault, each with its stage and target.
    """
    plan = plan_of(run_file)
    plan.add_python_path()
    faults = [f"stage {stage.name!r}: {fault}" for stage in plan.stages for fault in _function_faults(stage)]
    try:
        targets = read_targets(run_file)
        first = list(itertools.islice(targets, _FILES_OF))
    except ConfigError as error:
        raise ConfigError([*faults, *error.faults]) from None
    missing = {
        stage.name: _missing_files(plan, stage, first if stage.over == "target" else [Target(ALL_TARGETS)])
        for stage in plan.stages
    }
    without = {name for by_target in missing.values() for name in by_target}
    complete = [target for target in first if target.name not in without]
    chosen = _chosen(plan, complete or first, n_targets)
    told: set[tuple[str, str]] = set()
    for index, target in enumerate(chosen):
        for stage, fault in _target_faults(plan, target, inputs=index < n_targets):
            if (stage, fault) not in told:
                told.add((stage, fault))
                faults.append(f"{stage}, target {target.name!r}: {fault}")
    if faults:
        raise ConfigError(faults)
    return CheckReport(
        run_file.name,
        tuple(stage.name for stage in plan.stages),
        len(first) + sum(1 for _ in targets),
        tuple(target.name for target in chosen),
        tuple(_note(stage, found, len(first)) for stage, found in missing.items() if found),
    )


def _function_faults(stage: StagePlan) -> list[str]:
    try:
        declare(stage)
    except ConfigError as error:
        return error.faults
    return []


def _chosen(plan: Plan, targets: Sequence[Target], n_targets: int) -> list[Target]:
    """Return the first targets, and the first of every combination of variants and of overridden options."""
    chosen = list(targets[:n_targets])
    seen = {_kind(plan, target) for target in chosen}
    for target in targets[n_targets:]:
        kind = _kind(plan, target)
        if kind not in seen:
            seen.add(kind)
            chosen.append(target)
    return chosen


def _kind(plan: Plan, target: Target) -> tuple[object, ...]:
    variants = (str(target.values.get(axis)) for axis, choices in plan.axes.items() if choices is not None)
    return (*variants, *sorted(target.overrides))


def _target_faults(plan: Plan, target: Target, *, inputs: bool) -> Iterator[tuple[str, str]]:
    """Yield stage and fault of one target."""
    from orchestrator.config.check import build_stages, check_inputs
    from orchestrator.forward_model.first_look import look_at_model, look_at_spectrum

    fits = [stage for stage in plan.stages if stage.kind == "fit"]
    names = [stage.name for stage in fits]
    configs = []
    for stage in plan.stages:
        if stage.over == "all":
            continue
        try:
            output = f"{_SCRATCH}/{stage.name}"
            sections = stage_sections(plan, stage, target, output=output)
            for number in range(1, len(stage.recipes) + 1):
                stage_sections(plan, stage, target, recipe=number, output=output)
        except ConfigError as error:
            yield from ((f"stage {stage.name!r}", fault) for fault in error.faults)
            return
        if stage.kind == "fit":
            configs.append(sections)
    if not configs:
        return
    cores = [stage.n_cores for stage in fits]
    try:
        stages = build_stages(configs, cores, directory=plan.folder)
        # What another stage makes is not there yet.
        ready = inputs and not any(map(is_product, columns_of([stage.sections for stage in fits])))
        found = check_inputs(stages, look_at_spectrum, look_at_model) if ready else []
    except ConfigError as error:
        found = error.faults
    yield from _named(found, names)
    if not found:
        yield from _recipe_faults(plan, target)


def _recipe_faults(plan: Plan, target: Target) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the further recipes of a target."""
    from orchestrator.config.check import build_stages

    fits = [stage for stage in plan.stages if stage.kind == "fit"]
    for position, stage in enumerate(fits):
        for number in range(1, len(stage.recipes) + 1):
            configs = [
                stage_sections(
                    plan, each, target, recipe=number if each is stage else 0, output=f"{_SCRATCH}/{each.name}"
                )
                for each in fits[: position + 1]
            ]
            try:
                build_stages(configs, [each.n_cores for each in fits[: position + 1]], directory=plan.folder)
            except ConfigError as error:
                for name, fault in _named(error.faults, [each.name for each in fits]):
                    yield f"{name}, recipe {number}", fault


def _named(faults: Iterable[str], names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Replace the number of a stage in a fault by its name."""
    for fault in faults:
        match = _NUMBER.match(fault)
        if match is None:
            yield "pipeline", fault
        else:
            yield f"stage {names[int(match[1]) - 1]!r}", fault[match.end() :]


def _missing_files(plan: Plan, stage: StagePlan, targets: Sequence[Target]) -> dict[str, Path]:
    """Return targets that name a file that is not there, with the first such file."""
    there: dict[Path, bool] = {}
    missing: dict[str, Path] = {}
    for target in targets:
        try:
            paths = input_paths(plan, stage, target)
        except ConfigError:
            continue  # told with the other faults of the target
        for path in paths:
            if path not in there:
                there[path] = os.path.exists(path)
            if not there[path]:
                missing.setdefault(target.name, path)
    return missing


def _note(stage: str, missing: Mapping[str, Path], n_targets: int) -> str:
    name, path = next(iter(missing.items()))
    return (
        f"stage {stage!r}: {len(missing)} of the first {n_targets} targets name files that are not there, for "
        f"example {name!r}: {str(path)!r}; they become results with the flag bad_input"
    )
