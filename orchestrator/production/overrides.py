"""Overrides: ``stage.section.key`` for one stage, ``section.key`` for every stage that has the section.

An option that is overridden keeps its place; names are compared as in the configuration itself, capitals and
aliases do not matter. In the section ``values`` the key is ``section.name`` of a parameter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import ConfigError, nearest_known
from orchestrator.production.file_options import canonical_name
from orchestrator.production.records import StagePlan

__all__ = ["ALWAYS", "Override", "apply_overrides", "merged", "overrides_of_stage", "parse_override"]

ALWAYS = ("runtime", "pipeline", "output", "values", "handover")
"""Sections that an override may begin, if the stage is named."""


@dataclass(frozen=True)
class Override:
    """One change of one option.

    Attributes
    ----------
    stage : str or None
        None for every stage that has the section.
    section : str
    key : tuple of str
        Option, or parameter's section and name in ``values``.
    """

    stage: str | None
    section: str
    key: tuple[str, ...]


def parse_override(name: str, stages: Sequence[StagePlan]) -> Override:
    """Read the name of an override.

    Parameters
    ----------
    name : str
        ``stage.section.key`` or ``section.key``; for a function or command ``stage.key`` too.
    stages : sequence of StagePlan

    Raises
    ------
    ConfigError
        If no stage has the section.
    """
    by_name = {stage.name: stage for stage in stages}
    first, *rest = name.split(".")
    if first in by_name and len(rest) >= 2 and _may_have(by_name[first], rest[0]):
        return Override(first, rest[0], _key(rest[0], rest[1:]))
    if first in by_name and by_name[first].kind != "fit" and len(rest) == 1:
        return Override(first, "options", tuple(rest))
    if rest and any(first in stage.sections for stage in stages):
        return Override(None, first, _key(first, rest))
    sections = {section for stage in stages for section in stage.sections}
    if first in by_name and rest:
        hint = nearest_known(rest[0], {*by_name[first].sections, *ALWAYS})
        msg = f"override {name!r}: stage {first!r} has no section {rest[0]!r}{hint}"
    elif not rest:
        msg = f"override {name!r}: expected stage.section.key or section.key"
    else:
        msg = f"override {name!r}: no stage has a section {first!r}{nearest_known(first, sections | by_name.keys())}"
    raise ConfigError(msg)


def _may_have(stage: StagePlan, section: str) -> bool:
    if section in stage.sections:
        return True
    if stage.kind != "fit":
        return section in ("options", "inputs")
    samplers = str(stage.sections.get("runtime", {}).get("sampler", "")).replace(",", " ").split()
    for recipe in stage.recipes:
        samplers += str(recipe.get("runtime", {}).get("sampler", "")).split()
    return section in (*ALWAYS, *samplers)


def _key(section: str, parts: list[str]) -> tuple[str, ...]:
    if section == "values" and len(parts) > 1:
        return (".".join(parts[:-1]), parts[-1])
    return (".".join(parts),)


def overrides_of_stage(
    overrides: Mapping[str, Any], stage: StagePlan, stages: Sequence[StagePlan]
) -> list[tuple[Override, Any]]:
    """Return the overrides that concern one stage, those for every stage first.

    Raises
    ------
    ConfigError
        Listing every name that matches nothing.
    """
    general, own, faults = [], [], []
    for name, value in overrides.items():
        try:
            parsed = parse_override(name, stages)
        except ConfigError as error:
            faults += error.faults
            continue
        if parsed.stage == stage.name:
            own.append((parsed, value))
        elif parsed.stage is None and parsed.section in stage.sections:
            general.append((parsed, value))
    if faults:
        raise ConfigError(faults)
    return general + own


def apply_overrides(
    sections: Mapping[str, Any], overrides: Sequence[tuple[Override, Any]]
) -> dict[str, dict[str, Any]]:
    """Return sections with overrides; the given ones stay as they are."""
    changed = {name: dict(options) for name, options in sections.items()}
    for override, value in overrides:
        options = changed.setdefault(override.section, {})
        *outer, last = override.key
        if outer:
            inner = dict(options.get(outer[0]) or {})
            inner[last] = value
            options[outer[0]] = inner
        else:
            options[_spelling(override.section, last, options)] = value
    return changed


def _spelling(section: str, key: str, options: Mapping[str, Any]) -> str:
    """Return how an option is spelled in a section already, or `key` if it is new."""
    wanted = canonical_name(section, key)
    return next((name for name in options if canonical_name(section, str(name)) == wanted), key)


def merged(sections: Mapping[str, Any], changes: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return sections with those of a recipe laid over them, option by option."""
    flat = []
    for section, options in changes.items():
        for key, value in options.items():
            if section == "values" and isinstance(value, Mapping):
                flat += [(Override(None, section, (str(key), str(name))), entry) for name, entry in value.items()]
            else:
                flat.append((Override(None, section, (str(key),)), value))
    return apply_overrides(sections, flat)
