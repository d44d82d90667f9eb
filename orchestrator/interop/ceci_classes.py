"""Stages of ceci through the interface of their classes: what they read and write, their options, their command.

ceci's own `Pipeline` is not used: it changes between versions, while `inputs_`, `outputs_` and `generate_command`
have been the same since 2022.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.errors import OrchestratorError, nearest_known

__all__ = [
    "command_of",
    "find_class",
    "import_modules",
    "known_options",
    "option_faults",
    "products_of",
    "source_files",
]

_STANDARD = frozenset(("name", "config", "mpi", "aliases", "pdb", "cprofile", "memmon", "trace", "stage_name"))
"""Options that every stage takes."""


def import_modules(modules: Sequence[str], folders: Sequence[Path], faults: list[str]) -> None:
    """Import the modules that define stages; they stay imported, and the folders on the path.

    Parameters
    ----------
    modules : sequence of str
    folders : sequence of Path
        Searched first.
    faults : list of str
        Modules that cannot be imported are added here.
    """
    sys.path[:0] = [str(folder) for folder in folders if str(folder) not in sys.path]
    importlib.invalidate_caches()
    for module in modules:
        try:
            importlib.import_module(module)
        except OrchestratorError as error:
            faults.append(f"modules: {module!r}: {error}")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's module may raise anything
            faults.append(f"modules: {module!r} cannot be imported: {type(error).__name__}: {error}")


def find_class(name: str, module: str | None, place: str, faults: list[str]) -> Any:
    """Return a class of stages by its name, or None with a fault."""
    from ceci import PipelineStage

    if name not in PipelineStage.pipeline_stages and module:
        import_modules([module], [], faults)
    if name in PipelineStage.pipeline_stages:
        return PipelineStage.pipeline_stages[name][0]
    if name in PipelineStage.incomplete_pipeline_stages:
        faults.append(f"{place}: the class {name!r} is not complete: it lacks inputs, outputs or a method 'run'")
    elif not any("cannot be imported" in fault for fault in faults):  # it may be in that module
        hint = nearest_known(name, PipelineStage.pipeline_stages) if len(PipelineStage.pipeline_stages) < 200 else ""
        faults.append(f"{place}: no module defines a stage {name!r}{hint}")
    return None


def command_of(
    stage_class: Any,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    config: str,
    aliases: Mapping[str, str],
    name: str,
) -> list[str]:
    """Return the command of a stage as a list of arguments, for this Python.

    ceci writes it as one text for a shell, so that a blank in a path ends the path. The paths are put in afterwards.

    Parameters
    ----------
    stage_class : type
    inputs, outputs : Mapping of str to str
        Tag in the pipeline to path.
    config : str
        File with the options.
    aliases : Mapping of str to str
    name : str
        Of the instance.
    """
    paths: list[str] = []

    def mark(path: str) -> str:
        paths.append(path)
        return f"@@path{len(paths) - 1}@@"

    text = stage_class.generate_command(
        {tag: mark(path) for tag, path in inputs.items()},
        mark(config),
        {tag: mark(path) for tag, path in outputs.items()},
        dict(aliases),
        name,
    )
    words = text.split()
    for number in reversed(range(len(paths))):
        words = [word.replace(f"@@path{number}@@", paths[number]) for word in words]
    if words and Path(words[0]).name in ("python", "python3"):
        words[0] = sys.executable
    return words


def known_options(stage_class: Any) -> set[str]:
    """Return the names that a section of options may hold."""
    tags = {tag for tag, _ in (*stage_class.inputs_(), *stage_class.outputs_())}
    return {*map(str, stage_class.config_options or {}), *tags, *_STANDARD}


def option_faults(stage_class: Any, section: str, options: Mapping[str, Any], shared: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the options of a stage: unknown ones, those without a value, wrong types.

    Parameters
    ----------
    stage_class : type
    section : str
        Name of the stage.
    options, shared : Mapping
        Its section, and ``global``.
    """
    known = known_options(stage_class)
    faults = [
        f"section {section!r}: unknown option {name!r}{nearest_known(str(name), known)}"
        for name in options
        if str(name) not in known
    ]
    given = {**shared, **options}
    tags = {tag for tag, _ in (*stage_class.inputs_(), *stage_class.outputs_())}
    for name, declared in (stage_class.config_options or {}).items():
        if given.get(name) is None:
            required = declared is None or isinstance(declared, type) or bool(getattr(declared, "required", False))
            if required and name not in tags:
                dtype = declared if isinstance(declared, type) else getattr(declared, "dtype", None)
                kind = getattr(dtype, "__name__", "")
                faults.append(f"section {section!r}: option {name!r}{f' ({kind})' if kind else ''} is missing")
        elif fault := _type_fault(declared, given[name]):
            faults.append(f"section {section!r}: {name} = {given[name]!r:.60}: {fault}")
    return faults


def _type_fault(declared: Any, value: Any) -> str:
    kind = declared if isinstance(declared, type) else getattr(declared, "dtype", None)
    if kind is None and isinstance(declared, (bool, int, float, str)):
        kind = type(declared)
    if value is None or kind not in (int, float, bool):
        return ""
    if kind is bool:
        return "" if isinstance(value, bool) or value in (0, 1) else "expected true or false"
    try:
        kind(value)
    except (TypeError, ValueError):
        return f"expected a number ({kind.__name__})"
    return ""


def source_files(stage_class: Any) -> list[Path]:
    """Return the files that define a stage: of its class and those that it is derived from, ceci's own aside."""
    found: dict[Path, None] = {}
    for one in stage_class.__mro__:
        if one.__module__.partition(".")[0] in ("builtins", "ceci", "abc", "typing"):
            continue
        with contextlib.suppress(TypeError, OSError):
            found[Path(inspect.getfile(one)).resolve()] = None
    return list(found)


def products_of(stage_class: Any, aliases: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield tag in the pipeline and file name of each output."""
    for tag, kind in stage_class.outputs_():
        own = aliases.get(tag, tag)
        yield own, kind.make_name(own)
