"""The entry ``pipeline`` of a run file: from plain content to stages, with every fault found."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchestrator.errors import ConfigError, nearest_known
from orchestrator.production.command_declaration import JOINTS, command_sections, joints
from orchestrator.production.file_options import FileUse, absolute_path, file_use, map_files
from orchestrator.production.model_faults import faults_of
from orchestrator.production.nesting import Entry, Scope
from orchestrator.production.overrides import ALWAYS, Override, apply_overrides, overrides_of_stage
from orchestrator.production.placeholders import TARGET, columns_of, parse_template
from orchestrator.production.records import StagePlan
from orchestrator.production.run_model import StageEntries

__all__ = [
    "Draft",
    "check_columns",
    "make_stages",
    "override_file",
    "placeholder_faults",
    "with_absolute_files",
    "with_overrides",
]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_CALL = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_RESERVED = frozenset({"stage", "all", "site", "targets", "options"})


@dataclass(frozen=True)
class Draft:
    """A stage before it is joined to the others.

    Attributes
    ----------
    stage : StagePlan
        Without ``needs``.
    needs : tuple of str or None
        As written; None if they are left to be found.
    scope : Scope
        Where its names are looked up.
    folder : Path
        That its inputs start from.
    """

    stage: StagePlan
    needs: tuple[str, ...] | None
    scope: Scope = field(default_factory=Scope)
    folder: Path = field(default_factory=Path)


def make_stages(entries: Sequence[Entry], faults: list[str]) -> list[Draft]:
    """Return the stages of a pipeline.

    Parameters
    ----------
    entries : sequence of Entry
        As written, from `orchestrator.production.nesting.flattened`.
    faults : list of str
        Faults are added here.
    """
    drafts: list[Draft] = []
    lowered: dict[str, str] = {}
    for entry in entries:
        name, sections = entry.name, entry.content
        if _NAME.fullmatch(name) is None or name.lower() in _RESERVED:
            faults.append(
                f"stage {name!r}: expected a name of letters, digits and underscores, at most 40, "
                f"and none of {', '.join(sorted(_RESERVED))}"
            )
        elif name.lower() in lowered:
            other = lowered[name.lower()]
            found = "differ in capitals only" if other != name else "have one name, with those of pipelines in it"
            faults.append(f"stages {other!r} and {name!r} {found}; rename one")
        lowered[name.lower()] = name
        if not isinstance(sections, Mapping):
            faults.append(f"stage {name!r}: expected its sections, found {sections!r}")
            continue
        draft = _draft(entry, faults)
        stage = with_absolute_files(draft.stage, entry.folder)
        if "inputs" in draft.stage.sections:  # they may be names of products; wiring tells
            stage = replace(stage, sections={**stage.sections, "inputs": draft.stage.sections["inputs"]})
        drafts.append(replace(draft, stage=stage))
    return drafts


def _draft(entry: Entry, faults: list[str]) -> Draft:
    place = f"stage {entry.name!r}"
    own = {str(section): options for section, options in entry.content.items() if options is not None}
    given = own.pop("stage", {})
    try:
        entries = StageEntries.model_validate(given)
    except ValidationError as error:
        faults += faults_of(error, StageEntries, f"{place}: stage")
        entries = StageEntries.model_validate({})
    words: tuple[Any, ...] = ()
    declared: dict[str, Any] = {}
    if "function" in own:
        kind, sections = "function", _function(place, own, faults)
    elif "command" in own:
        kind, (sections, words, declared) = "command", command_sections(place, own, faults)
    else:
        kind, sections = "fit", _fit(place, own, faults)
        if entries.over == "all":
            faults.append(f"{place}: a fit is one of a target; over: all is for functions and commands")
    known = {*sections, *ALWAYS, *_samplers(sections)}
    for number, recipe in enumerate(entries.recipes, 1):
        samplers = _samplers(recipe)
        for section in recipe:
            if section not in known and section not in samplers:
                faults.append(f"{place}: recipe {number} has a section {section!r} that the stage has not"
                              f"{nearest_known(section, known)}")  # fmt: skip
    default = 0.0 if entries.over == "all" else 0.9
    stage = StagePlan(
        entry.name,
        kind,
        sections,
        (),
        tuple({section: dict(options) for section, options in recipe.items()} for recipe in entries.recipes),
        entries.n_cores,
        entries.time_limit,
        entries.memory_limit,
        dict(entries.retries),
        default if entries.max_failed is None else entries.max_failed,
        over=entries.over,
        words=words,
        declared=declared,
        code=f"version {entries.version}" if entries.version else "",
        scratch=entries.scratch,
    )
    return Draft(stage, entries.needs, entry.scope, entry.folder)


def _samplers(sections: Mapping[str, Any]) -> list[str]:
    return str(sections.get("runtime", {}).get("sampler", "")).replace(",", " ").split()


def _fit(place: str, own: Mapping[str, Any], faults: list[str]) -> dict[str, dict[str, Any]]:
    sections = {}
    for section, options in own.items():
        if isinstance(options, Mapping):
            sections[section] = {str(key): value for key, value in options.items()}
        else:
            faults.append(f"{place}: section {section!r}: expected its options, found {options!r}")
    for section in ("runtime", "pipeline"):
        if section not in own:
            faults.append(f"{place}: section {section!r} is missing")
    if "filename" in map(str.lower, sections.get("output", {})):
        faults.append(f"{place}: output.filename is made for each target; leave it out")
    return sections


def _function(place: str, own: Mapping[str, Any], faults: list[str]) -> dict[str, dict[str, Any]]:
    function = own["function"]
    if isinstance(function, str):
        function = {"call": function}
    if not isinstance(function, Mapping):
        faults.append(f"{place}: function: expected call and options, found {function!r}")
        return {"function": {}, "options": {}}
    call = function.get("call")
    if not isinstance(call, str) or _CALL.fullmatch(call) is None:
        faults.append(f"{place}: function.call = {call!r}: expected package.module:name")
    options = {str(key): value for key, value in function.items() if key != "call"}
    for section, content in own.items():
        if section == "options" and isinstance(content, Mapping):
            options |= {str(key): value for key, value in content.items()}
        elif section not in ("function", *JOINTS):
            faults.append(f"{place}: a function stage has function and stage; found {section!r} too")
    return {"function": {"call": call}, "options": options, **joints(place, own, faults)}


def with_overrides(
    stages: Sequence[StagePlan], overrides: Mapping[str, Any], place: str, faults: list[str]
) -> tuple[StagePlan, ...]:
    """Return stages with overrides, those of ``stage.stage.key`` (limits, needs) aside.

    Parameters
    ----------
    stages : sequence of StagePlan
    overrides : Mapping of str to Any
    place : str
        Where they stand, for messages.
    faults : list of str
        Names that match nothing are added here.
    """
    changed = []
    for index, stage in enumerate(stages):
        try:
            concerned = overrides_of_stage(overrides, stage, stages)
        except ConfigError as error:
            if index == 0:
                faults += [f"{place}: {fault}" for fault in error.faults]
            return tuple(stages)
        changed.append(replace(stage, sections=apply_overrides(stage.sections, concerned)))
    return tuple(changed)


def with_absolute_files(stage: StagePlan, folder: Path) -> StagePlan:
    """Return a stage whose files are absolute, from `folder` on; those that begin with a column stay."""

    def absolute(value: Any, use: FileUse) -> Any:
        return absolute_text(value, use, folder)

    recipes = tuple(map_files(recipe, absolute) for recipe in stage.recipes)
    return replace(stage, sections=map_files(stage.sections, absolute), recipes=recipes)


def absolute_text(value: Any, use: FileUse, folder: Path) -> Any:
    """Return a file of a configuration as an absolute path; one that begins with a column stays."""
    try:
        template = parse_template(value) if isinstance(value, str) else None
    except ConfigError:
        return value  # reported with the placeholders
    if template is None:
        return absolute_path(value, use, folder)
    if template.begins_with_column and template.columns and template.columns[0] != TARGET:
        return value
    if use == "if there":
        prefix = template.parts[0][0].rpartition("/")[0]
        return absolute_path(value, "read", folder) if prefix and (folder / prefix).is_dir() else value
    return absolute_path(value, use, folder)


def override_file(override: Override, value: Any, stages: Sequence[StagePlan], folder: Path) -> Any:
    """Return the value of an override, as an absolute path if its option names a file."""
    concerned = [stage for stage in stages if override.stage in (None, stage.name)]
    own = any("file" in map(str.lower, stage.sections.get(override.section, {})) for stage in concerned)
    return absolute_text(value, file_use(override.section, override.key[-1], own), folder)


def check_columns(stages: Sequence[StagePlan], known: Sequence[str], faults: list[str]) -> None:
    """Add a fault for each placeholder that cannot be read or names no column and no product."""
    products = [f"{stage.name}.{product}" for stage in stages for product in stage.outputs]
    for stage in stages:
        names = [*products, TARGET, *(known if stage.over == "target" else ())]
        for content, kind in ((stage.sections, ""), *((recipe, "recipe, ") for recipe in stage.recipes)):
            for section, options in content.items():
                for option, value in options.items():
                    place = f"stage {stage.name!r}, {kind}[{section}] {option}"
                    faults += placeholder_faults(value, names, place)


def placeholder_faults(value: Any, known: Sequence[str], place: str) -> list[str]:
    """Return what is wrong with the placeholders of one value."""
    try:
        columns = columns_of(value)
    except ConfigError as error:
        return [f"{place}: {fault}" for fault in error.faults]
    return [
        f"{place}: there is no column {column!r}{' and no such product' if '.' in column else ''} for the "
        f"placeholder {{{column}}}{nearest_known(column, known)}"
        for column in dict.fromkeys(columns)
        if column not in known
    ]
