"""The configuration of one stage for one target: placeholders and overrides applied.

Order of precedence, the last wins: the stage as it is in the plan, the variants of the target's axes, its own
overrides, the recipe of the attempt. What is the same for all targets is prepared once per plan.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import ConfigError
from orchestrator.production.canonical import digest
from orchestrator.production.file_options import FileUse, absolute_path, file_use
from orchestrator.production.overrides import apply_overrides, merged, overrides_of_stage
from orchestrator.production.placeholders import TARGET, Template, parse_template
from orchestrator.production.plan import Plan
from orchestrator.production.products import is_product, product_paths
from orchestrator.production.records import StagePlan, Target

__all__ = ["Hole", "Prepared", "base_name", "prepare", "seed_of", "stage_sections", "target_seed"]

SEED_AXIS = "seed"
"""The axis of ``cross`` whose values are seeds of the fits."""


@dataclass(frozen=True)
class Hole:
    """A place in the sections of a stage whose value depends on the target.

    Attributes
    ----------
    path : tuple of str or int
        Section, option, and places within its value.
    template : Template or None
        None for an override.
    override : str
        Its name among the target's overrides.
    use : str
        Whether it names a file.
    folder : str
        Where a relative path starts.
    products : tuple of StagePlan
        Stages whose products it may name.
    """

    path: tuple[str | int, ...]
    template: Template | None
    override: str
    use: FileUse
    folder: str
    products: tuple[StagePlan, ...] = ()

    def value(self, target: Target) -> Any:
        """Return the value for one target, a file as an absolute path.

        Raises
        ------
        ConfigError
            If a column that a text needs has no value.
        """
        if self.template is None:
            value = target.overrides[self.override]
        else:
            try:
                value = self.template.value(target.name, self._values(target))
            except ConfigError as error:
                place = ".".join(map(str, self.path[1:]))
                msg = f"target {target.name!r}, [{self.path[0]}] {place}: {error}"
                raise ConfigError(msg) from None
        return value if self.use == "no file" else absolute_path(value, self.use, self.folder)

    @property
    def is_product(self) -> bool:
        """Whether it names what another stage makes."""
        return bool(self.products)

    def _values(self, target: Target) -> Mapping[str, Any]:
        """Return what the placeholders stand for, products as absolute paths."""
        if not self.products or self.template is None:
            return target.values
        found = product_paths(self.products, self.template.columns, target.name)
        return {**target.values, **{name: f"{self.folder}/{path}" for name, path in found.items()}}


@dataclass(frozen=True)
class Prepared:
    """The sections of a stage with holes for what depends on the target.

    Attributes
    ----------
    sections : Mapping
        None where there is a hole.
    holes : tuple of Hole
    """

    sections: Mapping[str, Any]
    holes: tuple[Hole, ...]


@dataclass(frozen=True)
class _OwnValue:
    """Stands for the value of a target's override."""

    name: str


def prepare(plan: Plan, stage: StagePlan, target: Target, recipe: int = 0) -> Prepared:
    """Return the sections of a stage for all targets with the same variants and the same overridden names.

    Raises
    ------
    ConfigError
        If an override matches nothing, or a brace is left open.
    """
    variants = tuple((axis, target.values.get(axis)) for axis, choices in plan.axes.items() if choices is not None)
    key = (stage.name, recipe, variants, tuple(target.overrides))
    if key not in plan.prepared:
        plan.prepared[key] = _prepare(plan, stage, variants, target, recipe)
    return plan.prepared[key]


def _prepare(
    plan: Plan, stage: StagePlan, variants: tuple[tuple[str, Any], ...], target: Target, recipe: int
) -> Prepared:
    sections: Mapping[str, Any] = stage.sections
    for axis, variant in variants:
        choices = plan.axes[axis] or {}
        changes = overrides_of_stage(choices.get(str(variant), {}), stage, plan.stages)
        sections = apply_overrides(sections, changes)
    own: Mapping[str, Any] = {name: _OwnValue(name) for name in target.overrides}
    sections = apply_overrides(sections, overrides_of_stage(own, stage, plan.stages))
    if recipe:
        sections = merged(sections, stage.recipes[recipe - 1])
    holes: list[Hole] = []
    filled = {}
    for section, options in sections.items():
        own_file = any(str(option).lower() == "file" for option in options)
        filled[section] = {
            option: _walk(value, (section, option), file_use(section, option, own_file), plan, holes)
            for option, value in options.items()
        }
    return Prepared(filled, tuple(holes))


def _walk(value: Any, path: tuple[str | int, ...], use: FileUse, plan: Plan, holes: list[Hole]) -> Any:
    """Return a value with its files absolute; what depends on the target becomes a hole."""
    table_folder = absolute_path(plan.table_folder, "read", plan.folder)
    if isinstance(value, _OwnValue):
        holes.append(Hole(path, None, value.name, use, table_folder))
        return None
    if isinstance(value, str):
        template = parse_template(value)
        if template is None:
            return absolute_path(value, use, plan.folder)
        if not template.columns:
            return absolute_path(template.value("", {}), use, plan.folder)
        if any(map(is_product, template.columns)):
            makers = {column.partition(".")[0] for column in template.columns if is_product(column)}
            products = tuple(stage for stage in plan.stages if stage.name in makers)
            holes.append(Hole(path, template, "", use, os.path.abspath(plan.folder), products))
            return None
        from_table = template.begins_with_column and template.columns[0] != TARGET
        holes.append(Hole(path, template, "", use, table_folder if from_table else plan.folder))
        return None
    if isinstance(value, Mapping):
        return {key: _walk(entry, (*path, key), "no file", plan, holes) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_walk(entry, (*path, index), "no file", plan, holes) for index, entry in enumerate(value)]
    return value


def stage_sections(
    plan: Plan, stage: StagePlan, target: Target, *, recipe: int = 0, output: str | Path = ""
) -> dict[str, dict[str, Any]]:
    """Return the configuration of a stage for one target.

    Parameters
    ----------
    plan : Plan
    stage : StagePlan
    target : Target
    recipe : int
        0 for the configuration as it is.
    output : path
        ``output.filename`` of a fit, and what its values file is named after.

    Returns
    -------
    dict
        For a fit the sections for `orchestrator.config.check.build_stages`; for a function or command its own and
        ``options``, ``inputs``, ``outputs``, ``wires``. A copy: the plan stays as it is.

    Raises
    ------
    ConfigError
        If the target lacks a value that is needed.
    """
    prepared = prepare(plan, stage, target, recipe)
    sections = _copy(prepared.sections)
    for hole in prepared.holes:
        place: Any = sections
        for name in hole.path[:-1]:
            place = place[name]
        place[hole.path[-1]] = hole.value(target)
    if stage.kind == "fit":
        sections.setdefault("output", {})["filename"] = str(output)
        sections.setdefault("pipeline", {}).setdefault("values", f"{output}_parameters.ini")
        sections.setdefault("runtime", {}).setdefault("seed", target_seed(plan, stage.name, target, recipe))
    return sections


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(entry) for key, entry in value.items()}
    return [_copy(entry) for entry in value] if isinstance(value, list) else value


def base_name(target: Target, axis: str) -> str:
    """Return the name of a target without its value on one axis."""
    return target.name.replace(f"/{axis}={target.values.get(axis)}", "", 1)


def target_seed(plan: Plan, stage_name: str, target: Target, recipe: int = 0) -> int:
    """Return the seed of a stage of one target: the production's, or that of the target's axis ``seed``."""
    if SEED_AXIS in plan.axes and SEED_AXIS in target.values:
        return _seed(target.values[SEED_AXIS], base_name(target, SEED_AXIS), stage_name, recipe)
    return _seed(plan.seed, target.name, stage_name, recipe)


def seed_of(plan: Plan, target_name: str, stage_name: str, recipe: int = 0) -> int:
    """Return the seed of a stage of a target without an axis ``seed``: the same for the same names, always.

    Parameters
    ----------
    plan : Plan
    target_name, stage_name : str
    recipe : int
        A further recipe starts elsewhere.

    Returns
    -------
    int
        From 0 to 2^31 - 1.
    """
    return _seed(plan.seed, target_name, stage_name, recipe)


def _seed(seed: Any, target_name: str, stage_name: str, recipe: int) -> int:
    words = f"{seed}\0{target_name}\0{stage_name}" + (f"\0{recipe}" if recipe else "")
    return int(digest(words, 4), 16) >> 1
