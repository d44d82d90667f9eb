"""The resolved run file of a production: written beside the results, and the one that its commands read."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.config.text_files import write_atomically
from orchestrator.production.file_options import portable_path
from orchestrator.production.plan import plan_of
from orchestrator.production.production_folder import RUN_FILE
from orchestrator.production.records import StagePlan
from orchestrator.production.run_file import RunFile
from orchestrator.production.run_model import StageEntries
from orchestrator.production.yaml_text import render_yaml

__all__ = ["resolved_content", "write_resolved"]

_HEADING = """# Run file of this production, with everything resolved: the options of all levels are in the pipeline,
# files outside this folder are absolute. Every command in this folder reads it; it may be edited.
# Written {when} from {source}
"""


def resolved_content(run_file: RunFile) -> dict[str, Any]:
    """Return a run file as plain content, to lie in the folder of its production."""
    plan = plan_of(run_file)
    folder = str(run_file.output)
    targets: dict[str, Any] = {"table": _relative(run_file.table, folder), "identifier": run_file.targets.identifier}
    targets |= {
        key: list(value) if isinstance(value, tuple) else value
        for key in ("where", "columns", "extension")
        if (value := getattr(run_file.targets, key)) is not None
    }
    if run_file.targets.cross:
        targets["cross"] = {
            axis: choices if (variants := plan.axes[axis]) is None else _copied(variants)
            for axis, choices in run_file.targets.cross.items()
        }
    content: dict[str, Any] = {
        "name": run_file.name,
        "output": ".",
        "seed": run_file.seed,
        "ledger": run_file.ledger,
        "samples": run_file.samples,
        "targets": targets,
        "pipeline": {stage.name: _stage(stage) for stage in plan.stages},
        "site": run_file.site.model_dump(mode="json", exclude_defaults=True, exclude={"options"}),
        "sites": _portable(run_file.sites, folder),
        "python_path": list(plan.python_path),
        "pre_script": _relative(run_file.pre_script, folder),
        "post_script": _relative(run_file.post_script, folder),
    }
    return {key: value for key, value in content.items() if value not in (None, {}, [])}


def _relative(path: Path | None, folder: str) -> str | None:
    if path is None:
        return None
    return os.path.relpath(path, folder) if path.is_relative_to(folder) else str(path)


def _portable(value: Any, folder: str) -> Any:
    """Return a copy in which files inside the production are relative to it."""
    if isinstance(value, Mapping):
        return {key: _portable(entry, folder) for key, entry in value.items()}
    return portable_path(value, folder) if isinstance(value, str) else _copied(value)


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(entry) for key, entry in value.items()}
    return [_copied(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def _stage(stage: StagePlan) -> dict[str, Any]:
    """Return a stage as it stands in a run file."""
    entries: dict[str, Any] = {"needs": list(stage.needs)}
    defaults = {"max_failed": 0.0 if stage.over == "all" else 0.9}
    for name, field in StageEntries.model_fields.items():
        value = getattr(stage, name, None)
        if name != "needs" and value not in (defaults.get(name, field.default), {}, ()):
            entries[name] = _copied(value)
    if stage.code.startswith("version "):
        entries["version"] = stage.code.removeprefix("version ")
    sections: dict[str, Any] = _copied(stage.sections)
    options = sections.pop("options", {})
    if stage.kind == "function":
        sections["function"] = {**sections["function"], **options}
    elif stage.kind == "command":
        words = [sections["command"].pop("program"), *_copied(stage.words)]
        declared = {name: _option(entry, options, name) for name, entry in stage.declared.items()}
        more = {name: value for name, value in options.items() if name not in declared}
        sections["command"] |= {"words": words, "options": declared}
        sections |= {"options": more} if more else {}
    else:
        sections |= {"options": options} if "options" in stage.sections else {}
    return {**sections, "stage": entries}


def _option(declared: Mapping[str, Any], options: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return an option of a command, its value as default."""
    return {**declared, **({"default": options[name]} if name in options else {})}


def write_resolved(run_file: RunFile) -> Path:
    """Write the resolved run file into the folder of the production and return its path.

    The file is replaced as a whole, and left alone if nothing but its heading would change.
    """
    path = run_file.output / RUN_FILE
    body = render_yaml(resolved_content(run_file))
    source = run_file.source.name if run_file.source.parent == run_file.output else run_file.source
    words = [str(source), *(f"with {' '.join(run_file.settings)}" for _ in run_file.settings[:1])]
    heading = _HEADING.format(when=time.strftime("%Y-%m-%d %H:%M:%S"), source=" ".join(words).replace("\n", " "))
    if not path.is_file() or _body(path.read_text(encoding="utf-8")) != body:
        write_atomically(path, heading + body)
    return path


def _body(text: str) -> str:
    lines = text.splitlines(keepends=True)
    first = next((index for index, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return "".join(lines[first:])
