"""A stage that is a Unix command: a list of words with placeholders, never a text for a shell.

::

    convert:
      command:
        words: [convert, --level, "{level}", [--mask, "{mask}"], "{input:raw}", "{output:clean}"]
        options: {level: 3, mask: {type: str, default: null, help: file of bad pixels}}
      inputs: {raw: "{spectrum}"}
      outputs: {clean: clean.fits}

``{level}`` is an option, or else a column of the target; ``{input:NAME}`` and ``{output:NAME}`` are files. A list
among the words is left out as a whole where one of its placeholders has no value or is false.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.production.declaration import REQUIRED, Declaration, Parameter
from orchestrator.production.placeholders import TARGET
from orchestrator.production.records import StagePlan

__all__ = ["GIVEN", "JOINTS", "command_declaration", "command_sections", "fields_of", "joints"]

JOINTS = ("inputs", "outputs", "wires")
"""Sections by which a stage is joined to others."""
GIVEN = (TARGET, "cores", "seed")
"""Placeholders of a command beside options, inputs and outputs."""
_ENTRIES = ("words", "options", "stdout", "columns")
_TYPES: Mapping[str, Any] = {
    "int": int, "float": float, "str": str, "text": str, "bool": bool, "path": Path, "list": list[str]
}  # fmt: skip


def fields_of(word: str) -> Iterator[tuple[str, str]]:
    """Yield the placeholders of a word: name and what comes after a colon.

    Raises
    ------
    ValueError
        If a brace is left open.
    """
    for _, name, form, _ in string.Formatter().parse(word):
        if name is not None:
            yield name, form or ""


def joints(place: str, own: Mapping[str, Any], faults: list[str]) -> dict[str, dict[str, Any]]:
    """Return the sections ``inputs``, ``outputs`` and ``wires`` of a stage, those that it has."""
    found = {}
    for section in JOINTS:
        content = own.get(section, {})
        if not isinstance(content, Mapping):
            faults.append(f"{place}: {section}: expected names and what they mean, found {content!r}")
        elif content:
            found[section] = {str(name): value for name, value in content.items()}
    for name, file in found.get("outputs", {}).items():
        if not isinstance(file, str) or not file or file.startswith("/") or ".." in Path(file).parts:
            faults.append(f"{place}: outputs.{name} = {file!r}: expected the name of a file, without a folder above")
        elif not name.isidentifier():
            faults.append(f"{place}: outputs: {name!r}: expected a name of letters, digits and underscores")
    return found


def command_sections(
    place: str, own: Mapping[str, Any], faults: list[str]
) -> tuple[dict[str, dict[str, Any]], tuple[Any, ...], dict[str, Any]]:
    """Return sections, words after the program, and declared options of a command.

    Parameters
    ----------
    place : str
        For messages.
    own : Mapping
        The sections of the stage as written.
    faults : list of str
        Faults are added here.
    """
    command = own["command"]
    if isinstance(command, (list, tuple)):
        command = {"words": command}
    if not isinstance(command, Mapping):
        faults.append(f"{place}: command: expected a list of words, or words and options; found {command!r}")
        command = {}
    for entry in command:
        if entry not in _ENTRIES:
            faults.append(f"{place}: command: unknown entry {entry!r}; expected {', '.join(_ENTRIES)}")
    for section in own:
        if section not in ("command", "options", *JOINTS):
            known = "command, options, inputs, outputs and stage"
            faults.append(f"{place}: a command has {known}; found {section!r} too")
    words = _words(place, command.get("words"), faults)
    declared, options = {}, {}
    for name, value in _mapping(command.get("options")).items():
        if isinstance(value, Mapping):
            declared[str(name)] = {key: entry for key, entry in value.items() if key != "default"}
            if "default" in value:
                options[str(name)] = value["default"]
        else:
            declared[str(name)] = {} if value is None else {"type": type(value).__name__}
            options[str(name)] = value
    options |= {str(name): value for name, value in _mapping(own.get("options")).items()}
    sections = {"command": {"program": words[0] if words else "", **_kept(command)}, "options": options}
    sections |= joints(place, own, faults)
    _fill_in(place, words, declared, sections, faults)
    return sections, tuple(words[1:]), declared


def _kept(command: Mapping[str, Any]) -> dict[str, Any]:
    return {name: command[name] for name in ("stdout", "columns") if command.get(name) is not None}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _words(place: str, given: Any, faults: list[str]) -> list[Any]:
    if not isinstance(given, (list, tuple)) or not given or not isinstance(given[0], str):
        faults.append(f"{place}: command: expected a list of words, the program first; found {given!r}")
        return []
    words: list[Any] = []
    for word in given:
        if isinstance(word, (list, tuple)):
            words.append([str(one) for one in word])
        else:
            words.append(str(word))
    return words


def _fill_in(
    place: str, words: Sequence[Any], declared: Mapping[str, Any], sections: dict[str, Any], faults: list[str]
) -> None:
    """Check the placeholders of the words; one that is nothing else is a column of the target."""
    flat = [one for word in words for one in (word if isinstance(word, list) else [word])]
    used: dict[str, set[str]] = {"input": set(), "output": set()}
    for word in flat:
        try:
            fields = list(fields_of(word))
        except ValueError as error:
            faults.append(f"{place}: command: {word!r}: {str(error).lower()}; write {{{{ and }}}} for braces")
            continue
        for name, form in fields:
            if name in used:
                used[name].add(form)
            elif name not in declared and name not in GIVEN:
                sections["options"].setdefault(name, f"{{{name}}}")
    for name in sorted(used["input"] - set(sections.get("inputs", {})) - set(sections.get("wires", {}))):
        sections.setdefault("inputs", {})[name] = name
    for name in sorted(used["output"] - set(sections.get("outputs", {}))):
        sections.setdefault("outputs", {})[name] = name
    stdout = sections["command"].get("stdout")
    if stdout is not None and stdout not in sections.get("outputs", {}):
        sections.setdefault("outputs", {})[str(stdout)] = str(stdout)
    columns = sections["command"].get("columns")
    if columns is not None and columns not in sections.get("outputs", {}):
        faults.append(f"{place}: command.columns = {columns!r}: expected one of its outputs, a JSON file of columns")
    for name, entry in declared.items():
        kind = entry.get("type", "str")
        if kind not in _TYPES and kind != "NoneType":
            faults.append(f"{place}: command.options.{name}: type {kind!r} is none of {', '.join(_TYPES)}")


def command_declaration(stage: StagePlan) -> Declaration:
    """Return what a command takes and gives."""
    parameters = []
    options = stage.sections.get("options", {})
    for name in dict.fromkeys([*stage.declared, *options]):
        entry = stage.declared.get(name, {})
        kind = _TYPES[str(entry["type"])] | None if entry.get("type") in _TYPES else Any
        default = options.get(name, REQUIRED)
        parameters.append(Parameter(name, "option", kind, default, str(entry.get("help", ""))))
    parameters += [Parameter(name, "input") for name in stage.sections.get("inputs", {})]
    parameters += [Parameter(name, "input") for name in stage.wires]
    parameters += [Parameter(name, "output", str, file) for name, file in stage.outputs.items()]
    program = str(stage.sections["command"].get("program", ""))
    return Declaration(program, "", tuple(parameters), takes_target=stage.over == "target")
