"""Values files: the range and the starting value of every parameter of a stage.

An entry is ``value`` (fixed), ``lower upper`` (starting in the middle) or ``lower start upper``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.config.plain import words
from orchestrator.config.text_files import ParsedText, parse_entries, parse_sections, read_sections, write_atomically
from orchestrator.errors import nearest_known
from orchestrator.physics.parameter import Parameter

__all__ = [
    "ValueEntry",
    "ValuesFile",
    "check_values",
    "complete_values",
    "default_values",
    "parse_values",
    "read_values",
    "render_values",
    "values_from_mapping",
    "write_values",
]

_FORMS = "expected a number (fixed), 'lower upper' or 'lower start upper'"


@dataclass(frozen=True)
class ValueEntry:
    """Range and start of one parameter; all three equal for a fixed one."""

    lower: float
    start: float
    upper: float

    @classmethod
    def fixed(cls, value: float) -> ValueEntry:
        """Return an entry that holds the parameter at `value`."""
        return cls(value, value, value)

    @property
    def is_fixed(self) -> bool:
        """Whether the parameter does not vary."""
        return self.lower == self.upper

    def started_at(self, value: float) -> ValueEntry:
        """Return the entry with another start; of a fixed one, fixed there.

        Raises
        ------
        ValueError
            If `value` is outside the range.
        """
        if self.is_fixed:
            return ValueEntry.fixed(value)
        if not self.lower <= value <= self.upper:
            msg = f"start {value!r} is outside the range from {self.lower!r} to {self.upper!r}"
            raise ValueError(msg)
        return ValueEntry(self.lower, value, self.upper)

    def text(self) -> str:
        """Return the entry as written in a file; a fixed value never looks like an integer.

        CosmoSIS keeps ``3`` as an integer, and a module that asks for a double then fails.
        """
        if self.is_fixed:
            return repr(float(self.start))
        return " ".join(repr(float(number)) for number in (self.lower, self.start, self.upper))


@dataclass(frozen=True)
class ValuesFile:
    """Entries by section and name, in order."""

    sections: Mapping[str, Mapping[str, ValueEntry]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[tuple[tuple[str, str], ValueEntry]]:
        """Iterate over ``((section, name), entry)``."""
        for section, entries in self.sections.items():
            for name, entry in entries.items():
                yield (section, name), entry

    def get(self, section: str, name: str) -> ValueEntry | None:
        """Return one entry, or None."""
        return self.sections.get(section, {}).get(name)

    @property
    def varied(self) -> tuple[tuple[str, str], ...]:
        """The (section, name) of every parameter that varies, in order."""
        return tuple(key for key, entry in self if not entry.is_fixed)

    def apply(self, updates: Mapping[tuple[str, str], ValueEntry]) -> ValuesFile:
        """Return a copy with entries replaced or added.

        Parameters
        ----------
        updates : Mapping of (section, name) to ValueEntry
            New entries.
        """
        sections = {section: dict(entries) for section, entries in self.sections.items()}
        for (section, name), entry in updates.items():
            sections.setdefault(section, {})[name] = entry
        return ValuesFile(sections)


def read_values(path: str | Path) -> ValuesFile:
    """Read a values file.

    Raises
    ------
    ConfigError
        With every malformed entry, its line and the right form.
    """
    return _values(read_sections(Path(path)), str(path))


def parse_values(text: str, source: str = "values") -> ValuesFile:
    """Read the text of a values file; see `read_values`."""
    return _values(parse_sections(text, source), source)


def values_from_mapping(sections: Mapping[str, Mapping[str, Any]], source: str = "values") -> ValuesFile:
    """Read values given in Python: section to name to text, number, or list of two or three numbers.

    Raises
    ------
    ConfigError
        With every malformed entry.
    """
    texts: dict[str, dict[str, str]] = {}
    faults: list[str] = []
    for section, entries in sections.items():
        if not isinstance(entries, Mapping):
            faults.append(f"{source}: [{section}] = {entries!r}: expected a dictionary of names and ranges")
            continue
        texts[section] = {str(name).lower(): " ".join(words(entry)) for name, entry in entries.items()}
    return _values(ParsedText(texts, {}, faults), source)


def _values(parsed: ParsedText, source: str) -> ValuesFile:
    return ValuesFile(parse_entries(parsed, source, _entry))


def _entry(text: str) -> ValueEntry | str:
    """Return the entry that `text` means, or what is wrong with it."""
    words = text.split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return f"{_FORMS}, separated by blanks" if "," in text else _FORMS
    if not 1 <= len(numbers) <= 3:
        return f"found {len(numbers)} numbers; {_FORMS}"
    if not all(math.isfinite(number) for number in numbers):
        return f"the numbers must be finite; {_FORMS}"
    lower, upper = numbers[0], numbers[-1]
    if lower > upper:
        return f"the lower limit {lower:g} is above the upper limit {upper:g}; {_FORMS}"
    start = {1: lower, 2: 0.5 * (lower + upper), 3: numbers[len(numbers) // 2]}[len(numbers)]
    if not lower <= start <= upper:
        return f"the start {start:g} is outside the range from {lower:g} to {upper:g}; {_FORMS}"
    return ValueEntry(lower, start, upper)


def default_values(parameters: Iterable[Parameter]) -> ValuesFile:
    """Return the values file that the declarations stand for; optional parameters are held at their start."""
    sections: dict[str, dict[str, ValueEntry]] = {}
    for parameter in parameters:
        entry = ValueEntry(parameter.lower, parameter.start, parameter.upper)
        if parameter.optional:
            entry = ValueEntry.fixed(parameter.start)
        sections.setdefault(parameter.section, {})[parameter.name] = entry
    return ValuesFile(sections)


def complete_values(values: ValuesFile, declared: Iterable[Parameter]) -> ValuesFile:
    """Add the optional parameters, and those without effect (equal limits), that a values file leaves out."""
    missing = {
        (parameter.section, parameter.name): ValueEntry.fixed(parameter.start)
        for parameter in declared
        if parameter.may_be_missing
        and values.get(parameter.section, parameter.name) is None
    }
    return values.apply(missing)


def check_values(
    values: ValuesFile,
    declared: Sequence[Parameter],
    source: str = "values",
    *,
    allow_other_sections: bool = False,
) -> list[str]:
    """Compare a values file with the parameters that the modules read.

    A parameter that no module reads would be sampled and change nothing, so it is a fault.

    Parameters
    ----------
    values : ValuesFile
        What the user gave.
    declared : sequence of Parameter
        What the modules of the stage read.
    source : str
        Name of the file, for messages.
    allow_other_sections : bool
        Accept sections that no declared parameter is in (for a user's own modules).

    Returns
    -------
    list of str
        Faults, empty if all is well.
    """
    faults = [fault for parameter in declared if (fault := _missing_or_idle(values, parameter, source))]
    names: dict[str, set[str]] = {}
    for parameter in declared:
        names.setdefault(parameter.section, set()).add(parameter.name)
    for section, entries in values.sections.items():
        if section not in names:
            if not allow_other_sections and entries:
                hint = nearest_known(section, names)
                faults.append(f"{source}: no module of the stage reads section [{section}]{hint}")
            continue
        faults.extend(
            f"{source}: no module of the stage reads {section}/{name}{nearest_known(name, names[section])}"
            for name in entries
            if name not in names[section]
        )
    return faults


def _missing_or_idle(values: ValuesFile, parameter: Parameter, source: str) -> str | None:
    entry = values.get(parameter.section, parameter.name)
    key = f"{parameter.section}/{parameter.name}"
    idle = parameter.lower == parameter.upper
    if entry is None:
        if parameter.may_be_missing:
            return None
        default = ValueEntry(parameter.lower, parameter.start, parameter.upper).text()
        return (
            f"parameter {key} is missing from {source}; add to section [{parameter.section}] for example "
            f"`{parameter.name} = {default}` ({_comment(parameter)})"
        )
    if idle and (not entry.is_fixed or entry.start != parameter.start):
        return (
            f"{source}: {key} = {entry.text()!r} has no effect ({parameter.meaning}); remove it, or set "
            f"`{parameter.name} = {parameter.start!r}`"
        )
    return None


def _comment(parameter: Parameter) -> str:
    return f"{parameter.meaning} [{parameter.unit}]" if parameter.unit else parameter.meaning


def render_values(values: ValuesFile, declared: Iterable[Parameter] = (), heading: str = "") -> str:
    """Return the text of a values file, each declared parameter under a comment with meaning and unit.

    Parameters
    ----------
    values : ValuesFile
        Entries to write.
    declared : iterable of Parameter
        Declarations that explain them.
    heading : str
        Comment for the top of the file.
    """
    comments = {(parameter.section, parameter.name): _comment(parameter) for parameter in declared}
    blocks = ["\n".join(f"; {line}" for line in heading.splitlines())] if heading else []
    for section, entries in values.sections.items():
        lines = [f"[{section}]"]
        for name, entry in entries.items():
            if (section, name) in comments:
                lines.append(f"; {comments[section, name]}")
            lines.append(f"{name} = {entry.text()}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def write_values(
    path: Path, values: ValuesFile, declared: Iterable[Parameter] = (), heading: str = ""
) -> None:
    """Write a values file as a whole; see `render_values`."""
    write_atomically(path, render_values(values, declared, heading))
