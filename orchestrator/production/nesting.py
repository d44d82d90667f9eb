"""A pipeline as a stage of another one: flattened, its stages with the name of the outer one before theirs.

::

    pipeline:
      mocks:
        pipeline: simulate.yaml                 # or the stages themselves
        inputs: {template: prepare.spectrum}    # what the pipeline calls 'template'
        stage: {time_limit: 60}                 # for each of its stages that does not say otherwise

Its stage ``noise`` becomes ``mocks_noise``. Names in it mean its own stages and products first, then those outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.errors import ConfigError
from orchestrator.production.file_options import absolute_path
from orchestrator.production.yaml_text import read_yaml

__all__ = ["Entry", "Scope", "flattened"]

_DEEPEST = 10


@dataclass(frozen=True)
class Scope:
    """Where names of a pipeline are looked up.

    Attributes
    ----------
    prefix : str
        Of the names of its stages; empty for the outermost.
    aliases : Mapping of str to str
        What it calls a product, to its name outside.
    outer : Scope or None
    """

    prefix: str = ""
    aliases: Mapping[str, str] = field(default_factory=dict)
    outer: Scope | None = None


@dataclass(frozen=True)
class Entry:
    """A stage as it is written, with where it stands.

    Attributes
    ----------
    name : str
        With the names of the pipelines around it.
    content : Any
    folder : Path
        That relative files start from.
    scope : Scope
    """

    name: str
    content: Any
    folder: Path
    scope: Scope = field(default_factory=Scope)


def flattened(content: Any, folder: Path, faults: list[str]) -> list[Entry]:
    """Return the stages of a pipeline and of those in it, in order.

    Parameters
    ----------
    content : Mapping or str
        Stages by name, or a YAML file with them.
    folder : Path
    faults : list of str
        Faults are added here.
    """
    content, folder = _opened(content, folder, faults)
    if content is None:
        return []
    if not isinstance(content, Mapping) or not content:
        faults.append(f"pipeline: expected stages by name, each with its sections; found {content!r}")
        return []
    return _flattened(content, folder, Scope(), faults, 1)


def _flattened(
    content: Mapping[Any, Any], folder: Path, scope: Scope, faults: list[str], depth: int
) -> list[Entry]:
    entries = []
    for key, stage in content.items():
        name = f"{scope.prefix}{key}"
        if not _is_pipeline(stage):
            entries.append(Entry(name, stage, folder, scope))
            continue
        inner, inner_folder = _opened(stage["pipeline"], folder, faults)
        place = f"stage {name!r}"
        unknown = sorted(set(stage) - {"pipeline", "inputs", "stage"})
        if unknown:
            faults.append(f"{place}: a pipeline as a stage has pipeline, inputs and stage; found {unknown[0]!r} too")
        if depth == _DEEPEST:
            faults.append(f"{place}: pipelines are nested more than {_DEEPEST} deep; does one contain itself?")
        elif not isinstance(inner, Mapping) or not inner:
            faults.append(f"{place}: pipeline: expected stages by name, or a YAML file with them")
        else:
            aliases = {str(own): str(outside) for own, outside in _mapping(stage.get("inputs")).items()}
            theirs = Scope(f"{name}_", aliases, scope)
            defaults = _mapping(stage.get("stage"))
            stages = {own: _with_defaults(sections, defaults) for own, sections in inner.items()}
            entries += _flattened(stages, inner_folder, theirs, faults, depth + 1)
    return entries


def _is_pipeline(stage: Any) -> bool:
    """Whether a stage is a pipeline: a fit has options in its section of that name, such as ``modules``."""
    if not isinstance(stage, Mapping) or "runtime" in stage or "pipeline" not in stage:
        return False
    content = stage["pipeline"]
    return isinstance(content, str) or (
        isinstance(content, Mapping) and bool(content) and all(isinstance(one, Mapping) for one in content.values())
    )


def _with_defaults(sections: Any, defaults: Mapping[str, Any]) -> Any:
    if not defaults or not isinstance(sections, Mapping):
        return sections
    return {**sections, "stage": {**defaults, **_mapping(sections.get("stage"))}}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _opened(content: Any, folder: Path, faults: list[str]) -> tuple[Any, Path]:
    """Return the content of a file with a pipeline, and its folder; anything else as it is."""
    if not isinstance(content, str):
        return content, folder
    path = Path(absolute_path(content, "read", folder))
    try:
        read = read_yaml(path)
    except ConfigError as error:
        faults += [f"pipeline: {fault}" for fault in error.faults]
        return None, folder
    if isinstance(read, Mapping) and set(read) == {"pipeline"}:
        read = read["pipeline"]
    return read, path.parent
