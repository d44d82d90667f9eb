"""The declaration of a stage: what it takes and gives, read from the annotations of a function or from a command.

It is the one source of the checks before a run, of the wiring by names, of ``orchestrator stage NAME --help`` and of
the columns of the results.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from orchestrator.errors import ConfigError, nearest_known
from orchestrator.production import stage_types
from orchestrator.production.columns import COMMON_COLUMNS, Column
from orchestrator.production.placeholders import columns_of

__all__ = [
    "REQUIRED",
    "Declaration",
    "Parameter",
    "declaration_of",
    "option_faults",
    "result_fields",
    "validated_options",
]

REQUIRED: Any = inspect.Parameter.empty
"""Default of a parameter that has none."""
USES = {
    stage_types.Input: "file",
    stage_types.Output: "output",
    stage_types.Result: "column",
    stage_types.Row: "row",
    stage_types.Rows: "table",
}
_KINDS: Mapping[Any, str] = {bool: "bool", int: "int", float: "float", str: "text"}
_PLAIN_PARAMETERS = 3
_COMMON = frozenset(column.name for column in COMMON_COLUMNS)


@dataclass(frozen=True)
class Parameter:
    """One thing that a stage takes, or a file that it writes.

    Attributes
    ----------
    name : str
    use : {'option', 'file', 'row', 'table', 'column', 'output'}
        ``row`` is a result of the same target, ``table`` those of all targets, ``column`` one value of a row.
    annotation : type
        Of an option.
    default : Any
        `REQUIRED` if there is none; for an output the name of its file.
    description : str
    """

    name: str
    use: str = "option"
    annotation: Any = str
    default: Any = REQUIRED
    description: str = ""

    @property
    def is_required(self) -> bool:
        """Whether it has no default."""
        return self.default is REQUIRED

    @property
    def type_name(self) -> str:
        """Its type, for people."""
        bare = _bare(self.annotation)
        return bare.__name__ if isinstance(bare, type) else str(bare).replace("typing.", "")


@dataclass(frozen=True)
class Declaration:
    """What a stage takes and gives.

    Attributes
    ----------
    name : str
        ``package.module:name`` of a function, or the program of a command.
    description : str
    parameters : tuple of Parameter
    columns : tuple of Column
        Of its results; empty if only its first result tells.
    takes_target : bool
        Whether it gets the row of the target.
    is_plain : bool
        A function ``call(target, options, upstream)`` that declares nothing.
    """

    name: str
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    columns: tuple[Column, ...] = ()
    takes_target: bool = False
    is_plain: bool = False

    def of_use(self, *uses: str) -> tuple[Parameter, ...]:
        """Return the parameters of some uses."""
        return tuple(parameter for parameter in self.parameters if parameter.use in uses)


def declaration_of(function: Callable[..., Any], name: str = "") -> Declaration:
    """Return what the signature of a function declares.

    Raises
    ------
    ConfigError
        Listing everything in it that cannot be a stage.
    """
    name = name or f"{function.__module__}:{function.__qualname__}"
    description = (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ")
    try:
        signature = inspect.signature(function)
    except ValueError:  # some that are built in have none
        return Declaration(name, description, is_plain=True, takes_target=True)
    if _is_plain(signature):
        return Declaration(name, description, is_plain=True, takes_target=True)
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        msg = f"{name}: its annotations cannot be read: {error}; import the names that they use"
        raise ConfigError(msg) from error
    faults: list[str] = []
    positional = [each for each in signature.parameters.values() if each.kind != inspect.Parameter.KEYWORD_ONLY]
    if len(positional) > 1:
        more = ", ".join(each.name for each in positional[1:])
        faults.append(f"{name}: only the target comes without its name; put '*' before {more}")
    found = [
        _parameter(each, hints, name, faults)
        for each in signature.parameters.values()
        if each.kind == inspect.Parameter.KEYWORD_ONLY
    ]
    columns = tuple(field.column for field in result_fields(hints.get("return"), name, faults))
    if faults:
        raise ConfigError(faults)
    return Declaration(name, description, tuple(found), columns, takes_target=bool(positional))


def _is_plain(signature: inspect.Signature) -> bool:
    kinds = [each.kind for each in signature.parameters.values()]
    if inspect.Parameter.KEYWORD_ONLY in kinds:
        return False
    return len(kinds) == _PLAIN_PARAMETERS or inspect.Parameter.VAR_POSITIONAL in kinds


def _parameter(each: inspect.Parameter, hints: Mapping[str, Any], place: str, faults: list[str]) -> Parameter:
    annotation = hints.get(each.name, REQUIRED)
    if annotation is REQUIRED:
        if each.default is REQUIRED or each.default is None:
            faults.append(f"{place}: {each.name!r} has no annotation, so that its type is not known")
            return Parameter(each.name)
        annotation = type(each.default)
    notes = _notes(annotation)
    described = next((note.description for note in notes if getattr(note, "description", "")), "")
    for note in notes:
        use = USES.get(type(note))
        if use == "output":
            return Parameter(each.name, use, str, note.file or each.name, described)
        if use:
            return Parameter(each.name, use, annotation, each.default, described)
    return Parameter(each.name, "option", annotation, each.default, described)


def _notes(annotation: Any) -> tuple[Any, ...]:
    return annotation.__metadata__ if typing.get_origin(annotation) is typing.Annotated else ()


def _bare(annotation: Any) -> Any:
    """Return a type without its notes and without None."""
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        kinds = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
        return _bare(kinds[0]) if len(kinds) == 1 else annotation
    return annotation


@dataclass(frozen=True)
class ResultField:
    """A field of a typed result."""

    column: Column
    is_flag: bool = False


def result_fields(annotation: Any, place: str, faults: list[str]) -> list[ResultField]:
    """Return the fields of what a function returns; none if it is no dataclass.

    Parameters
    ----------
    annotation : type
        A dataclass, perhaps in a union with `orchestrator.production.stage_types.Flagged` or None.
    place : str
        For messages.
    faults : list of str
        Fields that cannot be columns are added here.
    """
    record = _record(annotation)
    if record is None:
        return []
    found = []
    hints = typing.get_type_hints(record, include_extras=True)
    for field in dataclasses.fields(record):
        notes = _notes(hints[field.name])
        is_flag = any(isinstance(note, stage_types.Flag) for note in notes)
        kind = _KINDS.get(_bare(hints[field.name]), "")
        where = f"{place}: field {field.name!r} of {record.__name__}"
        if not kind or (is_flag and kind != "bool"):
            faults.append(f"{where}: expected {'bool' if is_flag else 'float, int, str or bool'}")
        elif field.name in _COMMON:
            faults.append(f"{where}: every result has a column of that name")
        elif not field.name.islower():
            faults.append(f"{where}: expected lower-case letters, digits and _")
        else:
            found.append(ResultField(_column(field.name, kind, notes, is_flag), is_flag))
    return found


def _record(annotation: Any) -> type | None:
    """Return the dataclass in what a function returns."""
    for kind in (annotation, *typing.get_args(annotation)):
        if typing.get_origin(kind) is stage_types.Flagged:
            inner = _record(typing.get_args(kind)[0])
            if inner is not None:
                return inner
        elif isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind is not stage_types.Flagged:
            return kind
    return None


def _column(name: str, kind: str, notes: tuple[Any, ...], is_flag: bool) -> Column:
    for note in notes:
        if isinstance(note, stage_types.Column):
            return Column(name, kind, note.unit, note.description, note.group)
        if isinstance(note, stage_types.Flag):
            return Column(name, kind, "", note.description, "Flags")
    return Column(name, kind, group="Flags" if is_flag else "")


def option_faults(declaration: Declaration, options: Mapping[str, Any], place: str) -> list[str]:
    """Return everything that is wrong with the options of a stage; those with placeholders wait for their target."""
    known = {parameter.name: parameter for parameter in declaration.of_use("option")}
    faults = []
    for name, value in options.items():
        if name not in known:
            others = [parameter.name for parameter in declaration.parameters if parameter.use != "option"]
            hint = " (it is an input: put it under 'inputs')" if name in others else nearest_known(name, known)
            faults.append(f"{place}: unknown option {name!r}{hint}")
        elif not _has_placeholder(value):
            fault = _value(known[name], value)[1]
            faults += [f"{place}: {name} = {value!r}: {fault}"] if fault else []
    missing = [name for name, parameter in known.items() if parameter.is_required and name not in options]
    for name in missing:
        faults.append(f"{place}: option {name!r} is missing ({_described(known[name])})")
    return faults


def validated_options(declaration: Declaration, options: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return options with their types, defaults left out.

    Raises
    ------
    ConfigError
        Listing all that do not fit.
    """
    faults = option_faults(declaration, options, place)
    known = {parameter.name: parameter for parameter in declaration.of_use("option")}
    values = {}
    for name, value in options.items():
        if name in known:
            values[name], _ = _value(known[name], value)
    if faults:
        raise ConfigError(faults)
    return values


def _described(parameter: Parameter) -> str:
    return ", ".join(filter(None, [parameter.type_name, parameter.description]))


def _has_placeholder(value: Any) -> bool:
    try:
        return bool(list(columns_of(value)))
    except ConfigError:
        return True


def _value(parameter: Parameter, value: Any) -> tuple[Any, str]:
    """Return a value with its type, and what is wrong with it."""
    bare = _bare(parameter.annotation)
    if isinstance(value, bool) and bare in (int, float):
        return value, f"expected {bare.__name__}, found a yes/no value"
    try:
        return TypeAdapter(parameter.annotation).validate_python(value), ""
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"]
        described = f" ({parameter.description})" if parameter.description else ""
        return value, message[:1].lower() + message[1:] + described
