"""Stages joined by the names of what they make and take; their order follows, and every fault is told.

A **product** is a file that a stage makes, ``stage.name``, or ``name`` where no other stage makes one of that name;
a **result** is the row of a stage, ``stage``, or one column of it, ``stage.column``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from orchestrator.errors import nearest_known
from orchestrator.production.command_declaration import JOINTS
from orchestrator.production.declaration import Declaration, Parameter, option_faults
from orchestrator.production.nesting import Scope
from orchestrator.production.pipeline_stages import Draft, absolute_text
from orchestrator.production.records import StagePlan

__all__ = ["wired"]

_REFERENCE = re.compile(r"(?<!\{)\{([A-Za-z]\w*)\.(\w+)((?::[^{}]*)?)\}(?!\})")
_PLAIN_WORD = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?")
_ANY_COLUMNS = frozenset({"verdict", "flags", "remarks", "seed", "seconds", "cpu_seconds", "version", "recipe"})


def wired(
    drafts: Sequence[Draft],
    declare: Callable[[StagePlan], Declaration | None],
    columns: Sequence[str] | None,
    faults: list[str],
) -> tuple[StagePlan, ...]:
    """Return stages in an order in which each comes after what it needs.

    Parameters
    ----------
    drafts : sequence of Draft
    declare : callable
        Returns what a stage declares; None if that is not known.
    columns : sequence of str or None
        Columns of the targets; None if they are not known, and then no input is missing.
    faults : list of str
        Faults are added here.
    """
    declarations = {draft.stage.name: declare(draft.stage) for draft in drafts}
    names = _Names(drafts, declarations, columns)
    joined = {draft.stage.name: _join(draft, declarations[draft.stage.name], names, faults) for draft in drafts}
    needs = {draft.stage.name: _needs(draft, joined[draft.stage.name], names, joined, faults) for draft in drafts}
    order = _order([draft.stage.name for draft in drafts], needs, faults)
    place = {name: index for index, name in enumerate(order)}
    return tuple(
        replace(joined[name].stage, needs=tuple(sorted(needs[name], key=lambda need: place[need]))) for name in order
    )


@dataclass(frozen=True)
class _Joined:
    """A stage with its names resolved.

    Attributes
    ----------
    stage : StagePlan
    uses : frozenset of str
        Stages that it names as inputs.
    infers : bool
        Whether these are all that it needs.
    """

    stage: StagePlan
    uses: frozenset[str]
    infers: bool


class _Names:
    """What can be named in a pipeline."""

    def __init__(
        self,
        drafts: Sequence[Draft],
        declarations: Mapping[str, Declaration | None],
        columns: Sequence[str] | None,
    ) -> None:
        self.stages = {draft.stage.name: draft.stage for draft in drafts}
        self.results = {
            name: None if declared is None or not declared.columns else {column.name for column in declared.columns}
            for name, declared in declarations.items()
        }
        self.columns = columns
        self.outputs = {
            draft.stage.name: _output_files(draft.stage, declarations[draft.stage.name]) for draft in drafts
        }

    def stage(self, name: str, scope: Scope | None) -> str | None:
        """Return the full name of a stage."""
        while scope is not None:
            if scope.prefix + name in self.stages:
                return scope.prefix + name
            if name in scope.aliases:
                return self.stage(scope.aliases[name], scope.outer)
            scope = scope.outer
        return None

    def products(self, name: str, scope: Scope | None) -> list[str]:
        """Return the full names ``stage.product`` that a name may mean: none, one, or several."""
        first, dot, product = name.partition(".")
        if dot:
            stage = self.stage(first, scope)
            return [f"{stage}.{product}"] if stage and product in self.outputs[stage] else []
        while scope is not None:
            found = [
                f"{stage}.{name}"
                for stage, outputs in self.outputs.items()
                if name in outputs and stage.startswith(scope.prefix)
            ]
            if found:
                return found
            if name in scope.aliases:
                return self.products(scope.aliases[name], scope.outer)
            scope = scope.outer
        return []

    def known_products(self) -> list[str]:
        """Return every product, by both names."""
        full = [f"{stage}.{name}" for stage, outputs in self.outputs.items() for name in outputs]
        return [*full, *(name.partition(".")[2] for name in full)]


def _output_files(stage: StagePlan, declared: Declaration | None) -> dict[str, str]:
    """Return the products of a stage: those that it declares, with the names of files that the run file gives."""
    own = {} if declared is None else {each.name: str(each.default) for each in declared.of_use("output")}
    return {**own, **{name: str(file) for name, file in stage.outputs.items()}}


def _join(draft: Draft, declared: Declaration | None, names: _Names, faults: list[str]) -> _Joined:
    """Resolve the names that a stage uses."""
    stage, scope = draft.stage, draft.scope
    place = f"stage {stage.name!r}"
    uses: set[str] = set()
    inputs = dict(stage.sections.get("inputs", {}))
    wires = {name: _full_wire(wire, scope, names) for name, wire in stage.wires.items()}
    uses |= {wire.partition(".")[0] for wire in wires.values()} & names.stages.keys()
    sections = {name: options for name, options in stage.sections.items() if name not in JOINTS}
    if declared is not None and not declared.is_plain and stage.kind != "fit":
        faults += option_faults(declared, sections.get("options", {}), place)
        _joints_of(draft, declared, names, inputs, wires, faults)
        uses |= {wire.partition(".")[0] for wire in wires.values()} & names.stages.keys()
    elif inputs and stage.kind == "fit":
        faults.append(f"{place}: a fit has no inputs; write \"{{stage.product}}\" for the value of an option")
    outputs = names.outputs[stage.name]
    if stage.kind == "function" and declared is not None:
        written = [parameter.name for parameter in declared.of_use("output")]
        for name in stage.outputs.keys() - set(written):
            faults.append(f"{place}: outputs: its function writes no {name!r}{nearest_known(name, written)}")
    joints = (("inputs", inputs), ("outputs", outputs), ("wires", wires))
    sections |= {name: dict(content) for name, content in joints if content}
    sections = {name: _rewritten(content, scope, names, uses) for name, content in sections.items()}
    recipes = tuple(_rewritten(recipe, scope, names, uses) for recipe in stage.recipes)
    infers = stage.kind == "command" or (declared is not None and not declared.is_plain and stage.kind == "function")
    return _Joined(replace(stage, sections=sections, recipes=recipes), frozenset(uses), infers)


def _full_wire(wire: str, scope: Scope, names: _Names) -> str:
    first, dot, column = str(wire).partition(".")
    return (names.stage(first, scope) or first) + dot + column


def _joints_of(
    draft: Draft,
    declared: Declaration,
    names: _Names,
    inputs: dict[str, Any],
    wires: dict[str, str],
    faults: list[str],
) -> None:
    """Find out where every input of a stage comes from."""
    place = f"stage {draft.stage.name!r}"
    wanted = {parameter.name: parameter for parameter in declared.of_use("file", "input", "row", "table", "column")}
    for name in inputs.keys() - wanted.keys():
        faults.append(f"{place}: unknown input {name!r}{nearest_known(name, wanted)}")
    for name, parameter in wanted.items():
        if name in wires:
            continue
        given = inputs.pop(name, None)
        if given is not None and not isinstance(given, str):
            faults.append(f"{place}: inputs.{name} = {given!r}: expected a name or a file")
            continue
        found = _source(parameter, given, names, draft)
        if isinstance(found, str):
            faults += [f"{place}: {found}"] if found else []
        elif found.is_file:
            inputs[name] = found.text
        else:
            wires[name] = found.text


@dataclass(frozen=True)
class _Source:
    """Where an input comes from: a text for ``inputs``, or a wire."""

    text: str
    is_file: bool


def _source(parameter: Parameter, given: str | None, names: _Names, draft: Draft) -> _Source | str:
    """Return where an input comes from, or what is wrong; an empty text if it is left at its default."""
    scope, stage = draft.scope, draft.stage
    word = parameter.name if given is None else given
    if "{" in word:
        if parameter.use in ("file", "input"):
            return _Source(absolute_text(word, "read", draft.folder), True)
        return _no(parameter, word, "a result of a stage")
    if parameter.use in ("row", "table"):
        return _whole_result(parameter, given, word, scope, names, stage)
    if parameter.use in ("column", "input"):
        found = _column(word, scope, names)
        if found:
            return _Source(found, False)
    if parameter.use in ("file", "input"):
        found_file = _file(parameter, given, word, names, draft)
        if found_file is not None:
            return found_file
    if not parameter.is_required and given is None:
        return ""
    known = _known(parameter, names)
    if names.columns is None and given is None:
        return ""
    made = "no stage makes it, and no column names it" if given is None else f"there is no {word!r}"
    return f"input {parameter.name!r}: {made}{nearest_known(word, known)}"


def _known(parameter: Parameter, names: _Names) -> list[str]:
    columns = [f"{stage}.{column}" for stage, own in names.results.items() for column in own or ()]
    if parameter.use in ("row", "table"):
        return list(names.stages)
    if parameter.use == "column":
        return [*columns, *(column.partition(".")[2] for column in columns)]
    return [*names.known_products(), *(names.columns or ()), *names.stages]


def _no(parameter: Parameter, word: str, expected: str) -> str:
    return f"input {parameter.name!r} = {word!r}: expected {expected}"


def _whole_result(
    parameter: Parameter, given: str | None, word: str, scope: Scope, names: _Names, stage: StagePlan
) -> _Source | str:
    found = names.stage(word, scope)
    if found is None or found == stage.name:
        if not parameter.is_required and given is None:
            return ""
        return f"input {parameter.name!r}: there is no stage {word!r}{nearest_known(word, names.stages)}"
    over = names.stages[found].over
    if parameter.use == "table" and (stage.over == "target" or over == "all"):
        return f"input {parameter.name!r}: a Table goes to a stage 'over: all', from one that is 'over: target'"
    if parameter.use == "row" and stage.over == "all" and over == "target":
        return f"input {parameter.name!r}: {found!r} has a row for each target; take them as a Table"
    return _Source(found, False)


def _column(word: str, scope: Scope, names: _Names) -> str:
    """Return ``stage.column`` of a word; empty if it means none, or several."""
    first, dot, column = word.partition(".")
    if dot:
        stage = names.stage(first, scope)
        if stage is None or column in names.outputs[stage]:
            return ""
        known = names.results[stage]
        return f"{stage}.{column}" if known is None or column in known | _ANY_COLUMNS else ""
    found = [stage for stage, known in names.results.items() if known and word in known]
    return f"{found[0]}.{word}" if len(found) == 1 else ""


def _file(parameter: Parameter, given: str | None, word: str, names: _Names, draft: Draft) -> _Source | str | None:
    scope, stage, folder = draft.scope, draft.stage, draft.folder
    own = [product for product in names.products(word, scope) if product.partition(".")[0] != stage.name]
    if len(own) == 1:
        return _Source(f"{{{own[0]}}}", True)
    if own:
        return f"input {parameter.name!r}: {word!r} is made by several stages: {', '.join(own)}; name one of them"
    if parameter.use == "input" and names.stage(word, scope):
        return _Source(str(names.stage(word, scope)), False)
    if word in (names.columns or ()) and stage.over == "target":
        return _Source(f"{{{word}}}", True)
    if given is not None and (_PLAIN_WORD.fullmatch(given) is None or (folder / given).is_file()):
        return _Source(absolute_text(given, "read", folder), True)
    return None


def _rewritten(value: Any, scope: Scope, names: _Names, uses: set[str]) -> Any:
    """Return content with ``{stage.product}`` by full names; the stages are added to `uses`."""
    if isinstance(value, Mapping):
        return {key: _rewritten(entry, scope, names, uses) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rewritten(entry, scope, names, uses) for entry in value]
    if not isinstance(value, str) or "{" not in value:
        return value

    def full(match: re.Match[str]) -> str:
        found = names.products(f"{match[1]}.{match[2]}", scope)
        if not found:
            return match[0]  # told with the placeholders
        uses.add(found[0].partition(".")[0])
        return f"{{{found[0]}{match[3]}}}"

    return _REFERENCE.sub(full, value)


def _needs(
    draft: Draft, joined: _Joined, names: _Names, every: Mapping[str, _Joined], faults: list[str]
) -> tuple[str, ...]:
    """Return what a stage needs: what it names and what it says.

    One that says nothing needs all earlier ones: a function that declares nothing takes their rows, a fit their best
    fits and not what functions with declarations or commands make, unless it names it.
    """
    name, place = draft.stage.name, f"stage {draft.stage.name!r}"
    order = list(names.stages)
    earlier = order[: order.index(name)]
    found = dict.fromkeys(joined.uses - {name})
    if draft.needs is None and not joined.infers:
        is_fit = draft.stage.kind == "fit"
        found |= dict.fromkeys(
            before
            for before in earlier
            if every[before].stage.over == "target" and not (is_fit and every[before].infers)
        )
    for need in draft.needs or ():
        full = names.stage(need, draft.scope)
        if full is None or full not in earlier:
            where = "comes later" if full is not None and full != name else "is no stage"
            hint = "" if full is not None else nearest_known(need, earlier)
            faults.append(f"{place}: needs {need!r}, which {where}{hint}; order is the order of execution")
        else:
            found[full] = None
    if draft.stage.over == "all" and not found and draft.needs is None:
        found = dict.fromkeys(before for before in earlier if every[before].stage.over == "target")
    return tuple(found)


def _order(names: Sequence[str], needs: Mapping[str, Sequence[str]], faults: list[str]) -> list[str]:
    """Return the stages in order: as written, as far as each comes after what it needs."""
    sorter = TopologicalSorter({name: needs[name] for name in names})
    try:
        sorter.prepare()
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        faults.append(f"pipeline: stages need each other in a circle: {circle}")
        return list(names)
    place = {name: index for index, name in enumerate(names)}
    order: list[str] = []
    ready = set(sorter.get_ready())
    while ready:
        first = min(ready, key=lambda name: place[name])
        ready.remove(first)
        order.append(first)
        sorter.done(first)
        ready |= set(sorter.get_ready())
    return order
