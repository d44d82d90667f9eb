"""A stage as a command of its own: its options and inputs are words that follow from its declaration.

The same declaration gives the Python function, this command, its help, and the stage of a production.
"""

from __future__ import annotations

import argparse
import json
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.errors import ConfigError, ProductionError
from orchestrator.production.declaration import Declaration, Parameter
from orchestrator.production.functions import declare
from orchestrator.production.records import ALL_TARGETS, StagePlan, Target
from orchestrator.production.work.command_stage import command_words, run_command
from orchestrator.production.work.record_text import plain_number
from orchestrator.production.work.step import Step
from orchestrator.production.work.typed_function import run_function
from orchestrator.production.yaml_text import parse_yaml

__all__ = ["Given", "bare_stage", "describe", "parser_of", "run_stage", "step_of"]


@dataclass(frozen=True)
class Given:
    """What a stage is given on the command line, or by a production.

    Attributes
    ----------
    options : Mapping of str to Any
    files : Mapping of str to str
        Input to its file.
    results : Mapping of str to Any
        Parameter to a row, a table file or a value.
    target : Target
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    results: Mapping[str, Any] = field(default_factory=dict)
    target: Target = field(default_factory=lambda: Target("target"))


def bare_stage(call: str) -> StagePlan:
    """Return a function ``module:name`` as a stage without a pipeline around it.

    Raises
    ------
    ConfigError
        If it cannot be imported, or its signature is that of no stage.
    """
    stage = StagePlan(call.rpartition(":")[2], "function", {"function": {"call": call}, "options": {}})
    declared = declare(stage)
    assert declared is not None
    outputs = {each.name: str(each.default) for each in declared.of_use("output")}
    tables = bool(declared.of_use("table"))
    sections = {**stage.sections, "outputs": outputs} if outputs else stage.sections
    return replace(stage, sections=sections, over="all" if tables else "target")


def parser_of(stage: StagePlan, declared: Declaration) -> argparse.ArgumentParser:
    """Return the parser of the words of a stage, its help included."""
    parser = argparse.ArgumentParser(
        prog=f"orchestrator stage {stage.name}", description=declared.description or None, allow_abbrev=False
    )
    own = stage.sections.get("options", {})
    for parameter in declared.parameters:
        if parameter.use == "output":
            continue
        default = own.get(parameter.name, parameter.default)
        text = ", ".join(filter(None, [_kind(parameter), parameter.description]))
        if parameter.use == "option" and not (parameter.is_required and parameter.name not in own):
            text += f" (default {default!r})"
        parser.add_argument(
            f"--{parameter.name.replace('_', '-')}", dest=f"own_{parameter.name}", metavar=_metavar(parameter),
            help=text.replace("%", "%%"),
        )  # fmt: skip
    parser.add_argument("--set", action="append", default=[], metavar="COLUMN=VALUE", help="a column of the target")
    parser.add_argument("--target", metavar="NAME", help="a target of the run file: its columns, inputs and results")
    parser.add_argument("--output", default=".", metavar="FOLDER", help="folder for what it writes")
    parser.add_argument("--dry-run", action="store_true", help="print the command, and do nothing")
    return parser


def _kind(parameter: Parameter) -> str:
    kinds = {
        "file": "file", "input": "file or value", "row": "JSON file with columns", "table": "FITS table",
        "column": "value",
    }  # fmt: skip
    return kinds.get(parameter.use, parameter.type_name)


def _metavar(parameter: Parameter) -> str:
    return {"file": "FILE", "input": "FILE", "row": "FILE", "table": "FILE"}.get(parameter.use, "VALUE")


def describe(stage: StagePlan) -> str:
    """Return the help of a stage: the page that documentation shows."""
    declared = declare(stage)
    if declared is None:
        return f"{stage.name}: a fit, with the sections {', '.join(stage.sections)}"
    text = parser_of(stage, declared).format_help()
    for each in declared.of_use("output"):
        text += f"\nwrites {each.name}: {stage.outputs.get(each.name, each.default)}  {each.description}".rstrip()
    for column in declared.columns:
        unit = f" [{column.unit}]" if column.unit else ""
        text += f"\ngives {column.name}{unit}  {column.description}".rstrip()
    return text.rstrip() + "\n"


def given_of(declared: Declaration, words: argparse.Namespace, before: Given) -> Given:
    """Return what the command line gives, over what was there before.

    Raises
    ------
    ConfigError
        If a value cannot be read.
    """
    options, files, results = dict(before.options), dict(before.files), dict(before.results)
    for parameter in declared.parameters:
        text = getattr(words, f"own_{parameter.name}", None)
        if text is None:
            continue
        if parameter.use == "option":
            options[parameter.name] = parse_yaml(text, f"--{parameter.name}")
        elif parameter.use in ("file", "table", "input"):
            files[parameter.name] = str(Path(text).absolute()) if Path(text).exists() else text
        elif parameter.use == "row":
            results[parameter.name] = json.loads(Path(text).read_text(encoding="utf-8"))
        else:
            results[parameter.name] = parse_yaml(text, f"--{parameter.name}")
    values = dict(before.target.values)
    for entry in words.set:
        name, equals, text = entry.partition("=")
        if not equals:
            msg = f"--set {entry!r}: expected COLUMN=VALUE"
            raise ConfigError(msg)
        values[name] = parse_yaml(text, f"--set {name}")
    return Given(options, files, results, replace(before.target, values=values))


def step_of(stage: StagePlan, declared: Declaration, given: Given, output: Path, folder: Path) -> Step:
    """Return a stage with what it is given, ready to run."""
    names = {parameter.name for parameter in declared.parameters}
    wires, rows, tables = {}, {}, {}
    for name, value in given.results.items():
        if name not in names and not declared.is_plain:
            continue
        wires[name] = name if isinstance(value, Mapping) else f"{name}.{name}"
        rows[name] = value if isinstance(value, Mapping) else {name: value}
    files = dict(given.files)
    for parameter in declared.of_use("table"):
        if parameter.name in files:
            wires[parameter.name], tables[parameter.name] = parameter.name, files.pop(parameter.name)
    for parameter in declared.of_use("input"):
        text = files.get(parameter.name, "")
        if text and not Path(text).is_absolute():  # a value, not a file
            wires[parameter.name] = f"{parameter.name}.value"
            rows[parameter.name] = {"value": files.pop(parameter.name)}
    sections = {key: value for key, value in stage.sections.items() if key not in ("inputs", "wires")}
    sections |= {"options": dict(given.options), "inputs": files, "wires": wires}
    return Step(
        stage=replace(stage, sections=sections, needs=tuple(rows) if declared.is_plain else ()),
        sections=sections,
        target=given.target,
        row_of=rows.__getitem__,
        production=output.absolute(),
        folder=folder,
        tables=tables,
        place=".",
    )


def run_stage(stage: StagePlan, words: Sequence[str], before: Given | None = None) -> str:
    """Do a stage alone, and return what it gives as JSON, or the command for ``--dry-run``.

    Raises
    ------
    OrchestratorError
        If something is missing or does not fit, or the stage fails.
    """
    declared = declare(stage)
    if declared is None:
        msg = f"stage {stage.name!r} is a fit: name one of its targets with --target"
        raise ProductionError(msg)
    parsed = parser_of(stage, declared).parse_args(list(words))
    target = Target(ALL_TARGETS if stage.over == "all" else "target")
    given = given_of(declared, parsed, before or Given(stage.sections.get("options", {}), target=target))
    output = Path(parsed.output)
    with tempfile.TemporaryDirectory(prefix="orchestrator-stage-") as folder:
        if parsed.dry_run:
            step = step_of(replace(stage, scratch=False), declared, given, output, Path(folder))
            return _command_text(step, declared)
        step = step_of(stage, declared, given, output, Path(folder))
        output.mkdir(parents=True, exist_ok=True)
        result, products = run_command(step) if stage.kind == "command" else run_function(step)
    content = {name: plain_number(value) for name, value in result.row.values.items()}
    if result.verdict != "ok" or result.remarks:
        content |= {"verdict": result.verdict, "remarks": result.remarks, "flags": result.flags}
    content |= {"files": [str(output / file.path) for file in products]} if products else {}
    return json.dumps(content, indent=1)


def _command_text(step: Step, declared: Declaration) -> str:
    """Return the shell command of a step: the Unix command itself, or this one with every option."""
    if step.stage.kind == "command":
        return shlex.join(command_words(step))
    words = ["orchestrator", "stage", str(step.sections["function"]["call"])]
    for name, value in {**step.options, **step.sections.get("inputs", {})}.items():
        words += [f"--{name.replace('_', '-')}", _text(value)]
    for name, wire in step.sections.get("wires", {}).items():
        found: Any = step.tables[name] if name in step.tables else step.row_of(wire.partition(".")[0])
        if "." in wire:
            found = found[wire.partition(".")[2]]
        words += [f"--{name.replace('_', '-')}", found if name in step.tables else _text(found)]
    if declared.takes_target:
        for name, value in step.target.values.items():
            words += ["--set", f"{name}={_text(value)}"]
    return shlex.join(words)


def _text(value: Any) -> str:
    """Return a value as a word that is read back as it is."""
    if isinstance(value, str):
        try:
            return value if parse_yaml(value, "") == value else json.dumps(value)
        except ConfigError:
            return json.dumps(value)
    return json.dumps(plain_number(value) if not isinstance(value, (dict, list)) else value, default=str)
