"""The form of a key: what is the same for all targets of a stage as ready text, with leaves for the rest.

A key costs microseconds then, which matters when a production of 10^7 targets is compared with its configuration.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from orchestrator.errors import OrchestratorError
from orchestrator.production.canonical import canonical_text
from orchestrator.production.file_options import FileUse, canonical_name, file_use
from orchestrator.production.placeholders import TARGET, columns_of
from orchestrator.production.plan import Plan
from orchestrator.production.products import is_product
from orchestrator.production.records import StagePlan, Target
from orchestrator.production.target_config import Hole, Prepared, target_seed

__all__ = ["MISSING", "Given", "KeyForm", "library_checksum", "make_form"]

MISSING = "missing"
"""In place of the checksum of a file or library that is not there."""

_COSMETIC: Mapping[str, frozenset[str]] = {
    "output": frozenset({"filename", "figurename", "format", "lock", "privacy", "delimiter", "blinding-header"}),
    "runtime": frozenset({"resume", "verbosity", "timeout", "pool_stdout", "output", "root"}),
    "pipeline": frozenset({"quiet", "debug", "timing"}),
}
_COSMETIC_OF_MODULES = frozenset({"logging_console"})
_LIBRARY = ("sspmodel", "sspdir", "sspmodelargs")
_LEAF = re.compile(r'"\\u0000(\d+)\\u0000"')


class Given(NamedTuple):
    """What a key is computed from, beside the plan.

    Attributes
    ----------
    target : Target
    checksums : Mapping of str to str
        Absolute path to checksum.
    upstream_keys : Mapping of str to str
        Stage to key.
    """

    target: Target
    checksums: Mapping[str, str]
    upstream_keys: Mapping[str, str]


Leaf = Callable[[Given], Any]
"""What one part of the key is."""


@dataclass(frozen=True)
class FileOption:
    """An option that names files: a fixed value, or a hole."""

    value: Any
    use: FileUse

    def paths(self, target: Target) -> list[str]:
        """Return the absolute paths that it names for a target."""
        value = self.value.value(target) if isinstance(self.value, Hole) else self.value
        if not isinstance(value, str) or not value.startswith("/"):
            return []
        return value.split() if self.use == "words" else [value]

    def part(self, given: Given) -> Any:
        """Return the checksums of the files, or the value where it names none."""
        paths = self.paths(given.target)
        if not paths:
            return self.value.value(given.target) if isinstance(self.value, Hole) else self.value
        found = [given.checksums.get(path, MISSING) for path in paths]
        return found if self.use == "words" else found[0]


@dataclass(frozen=True)
class KeyForm:
    """The key of a stage for all targets of one kind.

    Attributes
    ----------
    skeleton : Mapping
        The parts; a text ``NUL number NUL`` stands for a leaf.
    leaves : tuple of Leaf
    pieces : tuple of str
        Canonical text of the skeleton, cut at its leaves.
    order : tuple of int
        Leaf after each piece but the last.
    files : tuple of FileOption
    """

    skeleton: Mapping[str, Any]
    leaves: tuple[Leaf, ...]
    pieces: tuple[str, ...]
    order: tuple[int, ...]
    files: tuple[FileOption, ...]


class _Leaves:
    """The leaves of a form while it is made."""

    def __init__(self) -> None:
        self.functions: list[Leaf] = []

    def add(self, function: Leaf) -> str:
        """Return the text that stands for a new leaf."""
        self.functions.append(function)
        return f"\0{len(self.functions) - 1}\0"


def make_form(plan: Plan, stage: StagePlan, prepared: Prepared) -> KeyForm:
    """Return the form of the key of a stage, for the targets that `prepared` is for."""
    leaves = _Leaves()
    kept = _sections(prepared, leaves)
    skeleton: dict[str, Any] = {
        **{f"[{section}]": options for section, options in kept.sections.items() if options},
        "stage": {"kind": stage.kind, "name": stage.name},
        "recipes": _recipes(stage, leaves),
        "input files": kept.files,
        "SSP libraries": kept.libraries,
        "upstream": {name: leaves.add(_upstream(name)) for name in stage.needs},
        "version": _version(),
    }
    if stage.code:
        skeleton["code"] = stage.code
    if stage.words:
        skeleton["command"] = list(stage.words)
    if stage.kind == "function" and stage.over == "target":
        skeleton["target"] = leaves.add(lambda given: dict(given.target.values))
    if "seed" not in kept.sections.get("runtime", {}):
        skeleton["seed"] = leaves.add(lambda given: target_seed(plan, stage.name, given.target))
    cut = _LEAF.split(canonical_text(skeleton))
    return KeyForm(
        skeleton, tuple(leaves.functions), tuple(cut[::2]), tuple(map(int, cut[1::2])), tuple(kept.all_files)
    )


@dataclass
class _Kept:
    """What counts of the sections of a stage.

    Attributes
    ----------
    sections : dict
        Options by section, without those below and without those that only change what is printed.
    files : dict
        ``section.option`` to the leaf of its checksums.
    libraries : dict
        Section to the checksum of its SSP library, or its leaf.
    all_files : list of FileOption
        Every option that may name a file.
    """

    sections: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, Any] = field(default_factory=dict)
    libraries: dict[str, Any] = field(default_factory=dict)
    all_files: list[FileOption] = field(default_factory=list)


def _sections(prepared: Prepared, leaves: _Leaves) -> _Kept:
    """Sort the options of all sections."""
    with_holes = _copy(prepared.sections)
    for hole in prepared.holes:
        place: Any = with_holes
        for name in hole.path[:-1]:
            place = place[name]
        place[hole.path[-1]] = hole
    kept = _Kept()
    for section, options in with_holes.items():
        library = {}
        for option, value in options.items():
            name = canonical_name(section, option)
            if name in _LIBRARY:
                library[name] = value
            elif name not in _COSMETIC.get(section, _COSMETIC_OF_MODULES):
                own_file = any(str(each).lower() == "file" for each in options)
                _keep(kept, section, name, value, file_use(section, option, own_file), leaves)
        if library:
            leaf = _library(library)
            kept.libraries[section] = leaves.add(leaf) if _has_hole(library) else leaf(Given(Target(""), {}, {}))
    return kept


def _keep(kept: _Kept, section: str, name: str, value: Any, use: FileUse, leaves: _Leaves) -> None:
    """Put one option where it belongs."""
    if use == "written" or (name == "file" and _is_ours(section, value)):
        return
    options = kept.sections.setdefault(section, {})
    if isinstance(value, Hole) and value.is_product:
        options[name] = _product(value, leaves)
        return
    if use == "no file" or not (isinstance(value, Hole) or (isinstance(value, str) and value.startswith("/"))):
        options[name] = _with_leaves(value, leaves)
        return
    file = FileOption(value, use)
    kept.all_files.append(file)
    if use == "if there":
        options[name] = leaves.add(file.part)
    else:
        kept.files[f"{section}.{name}"] = leaves.add(file.part)


def _product(hole: Hole, leaves: _Leaves) -> Any:
    """Return what counts of a value that names products: their names; the key of their stage says the rest."""
    assert hole.template is not None
    columns = [column for column in hole.template.columns if not is_product(column)]
    if not columns:
        return f"product {hole.template.text}"
    return [f"product {hole.template.text}", leaves.add(lambda given: [given.target.values.get(c) for c in columns])]


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(entry) for key, entry in value.items()}
    return [_copy(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def _with_leaves(value: Any, leaves: _Leaves) -> Any:
    if isinstance(value, Hole) and value.is_product:
        return _product(value, leaves)
    if isinstance(value, Hole):
        return leaves.add(lambda given: value.value(given.target))
    if isinstance(value, Mapping):
        return {key: _with_leaves(entry, leaves) for key, entry in value.items()}
    return [_with_leaves(entry, leaves) for entry in value] if isinstance(value, list) else value


def _recipes(stage: StagePlan, leaves: _Leaves) -> list[Any]:
    """Return the recipes as written, and what the columns in them hold."""
    columns = sorted(set(columns_of(list(stage.recipes))) - {TARGET})
    if not columns:
        return list(stage.recipes)
    values = leaves.add(lambda given: [given.target.values.get(column) for column in columns])
    return [*stage.recipes, values]


def _upstream(name: str) -> Leaf:
    return lambda given: given.upstream_keys[name]


def _is_ours(section: str, value: Any) -> bool:
    """Whether an option ``file`` names the module of this package that serves the section anyway."""
    from orchestrator.config.module_options import MODULES, module_of_section
    from orchestrator.paths import module_file

    class_name = module_of_section(section)
    return class_name is not None and str(module_file(MODULES[class_name].file)) == str(value)


def _has_hole(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_hole, value.values()))
    return isinstance(value, Hole) or (isinstance(value, list) and any(map(_has_hole, value)))


def _library(options: Mapping[str, Any]) -> Leaf:
    """Return the leaf of an SSP library: the checksum of its content and its arguments."""

    def checksum(given: Given) -> Any:
        name, directory, arguments = (_resolved(options.get(option), given.target) for option in _LIBRARY)
        return [library_checksum(name, directory, arguments), arguments]

    return checksum


def _resolved(value: Any, target: Target) -> Any:
    if isinstance(value, Hole):
        return value.value(target)
    return [_resolved(entry, target) for entry in value] if isinstance(value, list) else value


def library_checksum(name: Any, directory: Any, arguments: Any) -> str:
    """Return the checksum of the content of an SSP library, remembered in this process.

    Parameters
    ----------
    name, directory, arguments : as of `orchestrator.ssp_libraries.load.load_library`

    Returns
    -------
    str
        `MISSING` if the library is not here, or cannot be read.
    """
    words = tuple(map(str, arguments)) if isinstance(arguments, (list, tuple)) else str(arguments or "")
    try:
        return _library_checksum(str(name), None if directory is None else str(directory), words)
    except OrchestratorError:
        return MISSING


@functools.lru_cache(maxsize=64)
def _library_checksum(name: str, directory: str | None, arguments: str | tuple[str, ...]) -> str:
    from orchestrator.ssp_libraries.load import load_library

    return load_library(name, directory, arguments).checksum


@functools.cache
def _version() -> str:
    from orchestrator.fit.identity import package_version

    return ".".join(package_version().split(".")[:2])
