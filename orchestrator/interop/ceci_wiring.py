"""Stages of ceci joined by the tags of what they read and write, with every fault in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from orchestrator.errors import nearest_known
from orchestrator.interop.ceci_classes import find_class, known_options, option_faults, products_of
from orchestrator.interop.lbg_files import RunContent, absolute
from orchestrator.interop.lbg_model import RunModel, StageModel

__all__ = ["CeciStage", "chosen_stages", "in_order", "missing_files", "section_faults", "wire"]


@dataclass(frozen=True)
class CeciStage:
    """One stage of ceci in a pipeline.

    Attributes
    ----------
    entry : StageModel
    stage_class : type
    inputs : Mapping of str to Path or None
        Tag in the pipeline to file; None where the run says that there is none.
    outputs : Mapping of str to Path
    makers : Mapping of str to str
        Tag of an input to the stage that makes it.
    options : Mapping
        Those of ``global`` and of its section, the section last.
    """

    entry: StageModel
    stage_class: Any
    inputs: Mapping[str, Path | None]
    outputs: Mapping[str, Path]
    makers: Mapping[str, str]
    options: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of the stage."""
        return self.entry.name

    @property
    def needs(self) -> tuple[str, ...]:
        """Stages that make what it reads, each once."""
        return tuple(dict.fromkeys(self.makers.values()))

    @property
    def n_threads(self) -> int:
        """Threads that it takes."""
        return self.entry.nprocess * self.entry.threads_per_process


def wire(
    content: RunContent, run: RunModel, entries: Sequence[StageModel], faults: list[str]
) -> dict[str, CeciStage]:
    """Join the stages by the tags of what they read and write."""
    classes = {}
    for entry in entries:
        found = find_class(entry.classname or entry.name, entry.module_name, f"stage {entry.name!r}", faults)
        if found is not None:
            classes[entry.name] = found
            _alias_faults(entry, found, faults)
    output_dir = absolute(content.root, run.output_dir)
    makers: dict[str, str] = {}
    files: dict[str, Path | None] = {
        tag: None if file is None else absolute(content.root, file) for tag, file in run.inputs.items()
    }
    products: dict[str, dict[str, Path]] = {}
    for entry in entries:
        if entry.name not in classes:
            continue
        products[entry.name] = {}
        for tag, name in products_of(classes[entry.name], entry.aliases):
            if tag in makers:
                faults.append(
                    f"product {tag!r} is made by two stages, {makers[tag]!r} and {entry.name!r}; "
                    "rename one with 'aliases'"
                )
            elif tag in run.inputs:
                found = f"inputs: {tag!r} is given, and stage {entry.name!r} makes it"
                faults.append(f"{found}; drop one, or use 'aliases'")
            makers.setdefault(tag, entry.name)
            products[entry.name][tag] = files[tag] = output_dir / name
    missing: dict[str, list[str]] = {}
    stages = {}
    for entry in entries:
        if entry.name not in classes:
            continue
        tags = list(dict.fromkeys(entry.aliases.get(tag, tag) for tag, _ in classes[entry.name].inputs_()))
        for tag in tags:
            if tag not in files:
                missing.setdefault(tag, []).append(entry.name)
        stages[entry.name] = CeciStage(
            entry,
            classes[entry.name],
            {tag: files.get(tag) for tag in tags},
            products[entry.name],
            {tag: makers[tag] for tag in tags if tag in makers},
            _options(content, classes, entry.name),
        )
    complete = len(classes) == len(entries)
    for tag, names in missing.items():
        hint = nearest_known(tag, files) if complete else ""
        users = ", ".join(map(repr, names))
        faults.append(f"input {tag!r} of {users}: no stage makes it, and 'inputs' has it not{hint}")
    return stages


def _options(content: RunContent, classes: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the options of a stage; of ``global`` without what only other stages declare."""
    shared = content.sections.get("global") or {}
    declared = {option: [one for one in classes if option in known_options(classes[one])] for option in shared}
    used = {option: value for option, value in shared.items() if not declared[option] or name in declared[option]}
    return {**used, **(content.sections.get(name) or {})}


def _alias_faults(entry: StageModel, stage_class: Any, faults: list[str]) -> None:
    known = {tag for tag, _ in (*stage_class.inputs_(), *stage_class.outputs_())}
    for tag in entry.aliases:
        if tag not in known:
            faults.append(f"stage {entry.name!r}: aliases: the stage has no tag {tag!r}{nearest_known(tag, known)}")
    if entry.nprocess > 1 and not getattr(stage_class, "parallel", True):
        faults.append(f"stage {entry.name!r}: nprocess = {entry.nprocess}: this stage cannot be run in parallel")


def section_faults(
    content: RunContent, entries: Sequence[StageModel], stages: Mapping[str, CeciStage], faults: list[str]
) -> list[str]:
    """Check options against what the classes declare; return notes on sections that no stage reads.

    A file of options may serve several pipelines; a section that none of these stages reads is a fault only where it
    looks like the misspelt name of one that has no section.
    """
    shared = content.sections.get("global") or {}
    for stage in stages.values():
        faults += option_faults(stage.stage_class, stage.name, content.sections.get(stage.name) or {}, shared)
    names = [entry.name for entry in entries]
    without = [name for name in names if name not in content.sections]
    notes = []
    for section, options in content.sections.items():
        if section in ("global", *names):
            continue
        hint = nearest_known(section, without)
        if options and "did you mean" in hint:
            faults.append(f"section {section!r}: there is no such stage{hint}")
        else:
            notes.append(f"section {section!r} is for no stage of this pipeline")
    return notes


def in_order(stages: Mapping[str, CeciStage], faults: list[str]) -> tuple[CeciStage, ...]:
    """Return the stages in an order in which they can be run; a circle is a fault."""
    sorter = TopologicalSorter({name: stage.needs for name, stage in stages.items()})
    try:
        return tuple(stages[name] for name in sorter.static_order())
    except CycleError as error:
        faults.append(f"stages need each other in a circle: {' -> '.join(reversed(error.args[1]))}")
        return tuple(stages.values())


def chosen_stages(
    stages: Sequence[CeciStage], begin: Sequence[str], end: Sequence[str], only: Sequence[str], faults: list[str]
) -> tuple[str, ...]:
    """Return the names of the stages to run."""
    makers = {tag: stage.name for stage in stages for tag in stage.outputs}
    known = {stage.name for stage in stages}

    def names(words: Sequence[str], option: str) -> set[str]:
        found = set()
        for word in words:
            if word not in known and word not in makers:
                hint = nearest_known(word, known | set(makers))
                faults.append(f"{option} {word}: there is no such stage or product{hint}")
            found.add(makers.get(word, word))
        return found

    after, before = names(begin, "--from"), names(end, "--to")
    for stage in stages:
        if set(stage.needs) & after:
            after.add(stage.name)
    for stage in reversed(stages):
        if stage.name in before:
            before.update(stage.needs)
    picked = names(only, "--only")
    return tuple(
        stage.name
        for stage in stages
        if (not begin or stage.name in after)
        and (not end or stage.name in before)
        and (not only or stage.name in picked)
    )


def missing_files(stages: Sequence[CeciStage], chosen: Sequence[str]) -> list[str]:
    """Return a fault for each file that must be there before the first stage, and is not."""
    users: dict[tuple[str, Path, str], list[str]] = {}
    for stage in stages:
        for tag, file in stage.inputs.items() if stage.name in chosen else ():
            maker = stage.makers.get(tag, "")
            if file is not None and maker not in chosen and not file.exists():
                users.setdefault((tag, file, maker), []).append(stage.name)
    faults = []
    for (tag, file, maker), names in users.items():
        advice = f"; run stage {maker!r} too, which makes it" if maker else ""
        faults.append(f"input {tag!r} of {', '.join(map(repr, names))}: there is no file {str(file)!r}{advice}")
    return faults
