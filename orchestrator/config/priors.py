"""Priors files: a density other than the uniform one, for parameters of the values file.

CosmoSIS ignores a prior whose name it does not find among the values, without a word; here it is a fault.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.config.text_files import ParsedText, parse_entries, parse_sections, read_sections, write_atomically
from orchestrator.config.values import ValueEntry, ValuesFile
from orchestrator.errors import nearest_known
from orchestrator.physics.parameter import Parameter

__all__ = [
    "PriorEntry",
    "PriorsFile",
    "check_priors",
    "default_priors",
    "parse_priors",
    "read_priors",
    "render_priors",
    "write_priors",
]

_PREFIXES = {
    "uni": "uniform",
    "gau": "gaussian",
    "nor": "gaussian",
    "exp": "exponential",
    "one": "oneoverx",
    "tab": "tabulated",
    "loa": "tabulated",
}
"""CosmoSIS looks at the first three letters only."""

_FORMS = {
    "uniform": "uniform lower upper",
    "gaussian": "gaussian mean sigma",
    "exponential": "exponential scale",
    "oneoverx": "oneoverx lower upper",
    "tabulated": "tabulated file",
}


@dataclass(frozen=True)
class PriorEntry:
    """One prior.

    Attributes
    ----------
    kind : str
        ``uniform``, ``gaussian``, ``exponential``, ``oneoverx`` or ``tabulated``.
    arguments : tuple of float or str
        Numbers; the file name of a tabulated one.
    """

    kind: str
    arguments: tuple[float | str, ...]

    def text(self) -> str:
        """Return the entry as written in a file."""
        return " ".join([self.kind, *(a if isinstance(a, str) else repr(float(a)) for a in self.arguments)])


@dataclass(frozen=True)
class PriorsFile:
    """Priors by section and name."""

    sections: Mapping[str, Mapping[str, PriorEntry]] = field(default_factory=dict)

    def apply(self, updates: Mapping[tuple[str, str], PriorEntry]) -> PriorsFile:
        """Return a copy with priors replaced or added."""
        sections = {section: dict(entries) for section, entries in self.sections.items()}
        for (section, name), entry in updates.items():
            sections.setdefault(section, {})[name] = entry
        return PriorsFile(sections)


def default_priors(declared: Iterable[Parameter], values: ValuesFile) -> PriorsFile:
    """Return the priors that parameters declare, for those that a values file varies.

    Parameters
    ----------
    declared : iterable of Parameter
    values : ValuesFile
    """
    updates = {}
    for parameter in declared:
        entry = values.get(parameter.section, parameter.name)
        if parameter.prior and entry is not None and not entry.is_fixed:
            parsed = _entry(parameter.prior)
            if isinstance(parsed, PriorEntry):
                updates[parameter.section, parameter.name] = parsed
    return PriorsFile().apply(updates)


def read_priors(path: str | Path) -> PriorsFile:
    """Read a priors file.

    Raises
    ------
    ConfigError
        With every malformed entry, its line and the right form.
    """
    return _priors(read_sections(Path(path)), str(path))


def parse_priors(text: str, source: str = "priors") -> PriorsFile:
    """Read the text of a priors file; see `read_priors`."""
    return _priors(parse_sections(text, source), source)


def _priors(parsed: ParsedText, source: str) -> PriorsFile:
    return PriorsFile(parse_entries(parsed, source, _entry))


def _entry(text: str) -> PriorEntry | str:
    """Return the prior that `text` means, or what is wrong with it."""
    words = text.split()
    kind = _PREFIXES.get(words[0].lower()[:3]) if words else None
    if kind is None:
        return f"unknown prior; expected one of: {', '.join(_FORMS.values())}"
    expected = f"expected '{_FORMS[kind]}'"
    if len(words) != len(_FORMS[kind].split()):
        return expected
    if kind == "tabulated":
        return PriorEntry(kind, (words[1],))
    try:
        numbers = tuple(float(word) for word in words[1:])
    except ValueError:
        return expected
    positive = {"gaussian": numbers[-1], "exponential": numbers[0], "oneoverx": numbers[0]}
    if not all(math.isfinite(number) for number in numbers):
        return f"the numbers must be finite; {expected}"
    if kind in positive and positive[kind] <= 0:
        return f"{positive[kind]:g} must be above 0; {expected}"
    if kind in ("uniform", "oneoverx") and numbers[0] >= numbers[1]:
        return f"the lower limit {numbers[0]:g} is not below the upper limit {numbers[1]:g}; {expected}"
    return PriorEntry(kind, numbers)


def check_priors(priors: PriorsFile, values: ValuesFile, source: str = "priors") -> list[str]:
    """Compare priors with the values file.

    Parameters
    ----------
    priors : PriorsFile
        What the user gave.
    values : ValuesFile
        The parameters of the stage.
    source : str
        Name of the priors file, for messages.

    Returns
    -------
    list of str
        Faults: names that are not parameters, priors of fixed ones, priors that exclude the start.
    """
    known = [f"{section}/{name}" for (section, name), _ in values]
    faults = []
    for section, entries in priors.sections.items():
        for name, prior in entries.items():
            key = f"{section}/{name}"
            value = values.get(section, name)
            if value is None:
                faults.append(f"{source}: {key} is not in the values file{nearest_known(key, known)}")
            elif value.is_fixed:
                faults.append(
                    f"{source}: {key} is fixed in the values file, so its prior has no effect; remove it"
                )
            elif fault := _excluded(prior, value):
                faults.append(f"{source}: {key} = {prior.text()!r}: {fault}")
    return faults


def _excluded(prior: PriorEntry, value: ValueEntry) -> str | None:
    """Say so if the prior is zero at the start of the parameter."""
    if prior.kind == "tabulated":
        if not Path(str(prior.arguments[0])).is_file():
            return "the file does not exist"
        return None
    lower, upper = -math.inf, math.inf
    if prior.kind in ("uniform", "oneoverx"):
        lower, upper = float(prior.arguments[0]), float(prior.arguments[1])
    elif prior.kind == "exponential":
        lower = 0.0
    if lower <= value.start <= upper:
        return None
    return f"the start {value.start:g} of the parameter is outside the prior; move one of them"


def render_priors(priors: PriorsFile, heading: str = "") -> str:
    """Return the text of a priors file."""
    blocks = ["\n".join(f"; {line}" for line in heading.splitlines())] if heading else []
    for section, entries in priors.sections.items():
        blocks.append(
            "\n".join([f"[{section}]", *(f"{name} = {entry.text()}" for name, entry in entries.items())])
        )
    return "\n\n".join(blocks) + "\n"


def write_priors(path: Path, priors: PriorsFile, heading: str = "") -> None:
    """Write a priors file as a whole."""
    write_atomically(path, render_priors(priors, heading))
