"""Command stages: words filled in, run in a process group, judged by the exit code."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import ConfigError, DataError
from orchestrator.production.command_declaration import command_declaration, fields_of
from orchestrator.production.declaration import REQUIRED, validated_options
from orchestrator.production.records import ErrorClass
from orchestrator.production.work.failures import StepError
from orchestrator.production.work.function_stage import row_of_mapping
from orchestrator.production.work.row import Row
from orchestrator.production.work.step import Step, StepResult, publish

__all__ = ["command_words", "run_command"]

_BAD_INPUT = os.EX_DATAERR
"""Exit code by which a command says that its input cannot be worked on (sysexits.h)."""


def command_words(step: Step) -> list[str]:
    """Return the command of a step, its program first.

    Raises
    ------
    ConfigError
        If an option does not fit.
    DataError
        If an input file is not there.
    """
    program = str(step.sections["command"]["program"])
    values = _values(step, program)
    inputs = _inputs(step)
    words = [program]
    for word in step.stage.words:
        if isinstance(word, (list, tuple)):
            used = {name for one in word for name, _ in fields_of(one)} - {"input", "output"}
            if any(values.get(name) is None or values[name] is False for name in used):
                continue
            for one in word:
                words += _filled(one, values, inputs, step.outputs)
        else:
            words += _filled(word, values, inputs, step.outputs)
    return words


def _values(step: Step, program: str) -> dict[str, Any]:
    declared = command_declaration(step.stage)
    defaults = {p.name: p.default for p in declared.of_use("option") if p.default is not REQUIRED}
    given = {"target": step.target.name, "cores": step.stage.n_cores, "seed": step.seed}
    return {**given, **defaults, **validated_options(declared, step.options, program)}


def _inputs(step: Step) -> dict[str, Any]:
    found: dict[str, Any] = dict(step.files)
    for name, wire in step.sections.get("wires", {}).items():
        if "." in wire:
            found[name] = step.wired[name]
        elif wire in step.tables:
            found[name] = step.table_file(wire)
        else:
            found[name] = step.folder / f"{name}.json"
            step.folder.mkdir(parents=True, exist_ok=True)
            found[name].write_text(json.dumps(dict(step.wired[name]), default=str))
    return found


def _filled(
    word: str, values: Mapping[str, Any], inputs: Mapping[str, Any], outputs: Mapping[str, Path]
) -> Iterator[str]:
    """Yield what a word becomes: several for a list, none for an option without a value or one that is yes."""
    fields = list(fields_of(word))
    if len(fields) == 1 and word == f"{{{fields[0][0]}}}":
        value = values[fields[0][0]]
        if isinstance(value, (list, tuple)):
            yield from map(str, value)
        elif value is not None and not isinstance(value, bool):
            yield str(value)
        return
    yield _Words(values, inputs, outputs).text(word)


class _Words:
    """Fills in words."""

    def __init__(self, values: Mapping[str, Any], inputs: Mapping[str, Any], outputs: Mapping[str, Path]) -> None:
        self.values = {**values, "input": _Named(inputs), "output": _Named(outputs)}

    def text(self, word: str) -> str:
        try:
            return word.format_map(self.values)
        except (KeyError, ValueError, TypeError) as error:
            msg = f"command: the word {word!r} cannot be filled in: {error}"
            raise ConfigError(msg) from None


class _Named:
    """Files that are named after a colon."""

    def __init__(self, files: Mapping[str, Any]) -> None:
        self.files = files

    def __format__(self, name: str) -> str:
        return str(self.files[name])


def run_command(step: Step) -> tuple[StepResult, tuple[Any, ...]]:
    """Run the command of a stage; return its columns, if it has any, and the files that it has published.

    Raises
    ------
    StepError
        If it ended with an exit code, by a signal, or without one of its outputs.
    DataError
        If it ended with exit code 65, by which it says that its input is bad.
    """
    words = command_words(step)
    command = step.sections["command"]
    step.folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        stdout = None
        if command.get("stdout"):
            stdout = stack.enter_context(step.outputs[str(command["stdout"])].open("wb"))
        code = _run(words, step, stdout)
    if code == _BAD_INPUT:
        msg = f"{words[0]} refused its input (exit code {code})"
        raise DataError(msg)
    if code < 0:
        msg = f"{words[0]} was ended by signal {-code} ({signal.Signals(-code).name})"
        raise StepError(msg, ErrorClass.CRASH)
    if code:
        msg = f"{words[0]} ended with exit code {code}"
        raise StepError(msg)
    row = Row()
    if command.get("columns"):
        row = _columns(step.outputs[str(command["columns"])], words[0])
    result = StepResult(row, 0, str(row.values.pop("remarks", "")), str(row.values.pop("verdict", "ok")))
    return result, publish(step)


def _run(words: list[str], step: Step, stdout: Any) -> int:
    """Run words, and end everything that they have started if they take too long."""
    program = shutil.which(words[0], path=os.environ.get("PATH")) or words[0]
    limit = None if math.isinf(step.time_limit) else step.time_limit
    try:
        process = subprocess.Popen(
            [program, *words[1:]],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            cwd=step.folder,
            process_group=0 if step.own_group else None,
        )
    except OSError as error:
        msg = f"the program {words[0]!r} cannot be run: {error.strerror}"
        raise StepError(msg) from error
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        msg = f"stopped after {limit:g} s, its limit of time"
        raise StepError(msg, ErrorClass.TIMEOUT) from None
    finally:
        if step.own_group:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _columns(path: Path, program: str) -> Row:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{program}: its columns cannot be read from {path.name!r}: {error}"
        raise StepError(msg) from error
    if not isinstance(content, Mapping):
        msg = f"{program}: expected an object of columns in {path.name!r}, found {content!r:.60}"
        raise StepError(msg)
    return row_of_mapping(content, program)
