"""Placeholders ``{column}`` in the texts of a configuration.

A text that is exactly one placeholder takes the value of the column with its type; in a longer text the value is
formatted, with a format if one is given (``{row:04d}``). ``{{`` and ``}}`` stand for braces.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import ConfigError

__all__ = ["TARGET", "Template", "columns_of", "fill_in", "parse_template"]

TARGET = "target"
"""The placeholder for the name of the target."""


@dataclass(frozen=True)
class Template:
    """A text with placeholders.

    Attributes
    ----------
    text : str
        As the user wrote it.
    parts : tuple of (str, str or None, str)
        Literal text, then the column or None, then its format.
    """

    text: str
    parts: tuple[tuple[str, str | None, str], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that it needs."""
        return tuple(column for _, column, _ in self.parts if column is not None)

    @property
    def exact(self) -> str | None:
        """The column, if the text is that placeholder and nothing else."""
        if len(self.parts) != 1:
            return None
        literal, column, form = self.parts[0]
        return column if not literal and not form else None

    @property
    def begins_with_column(self) -> bool:
        """Whether the first thing in the text is a placeholder."""
        return not self.parts[0][0]

    def value(self, target: str, values: Mapping[str, Any]) -> Any:
        """Return what the text becomes for one target.

        Raises
        ------
        ConfigError
            If the target has no value in a column that stands inside a longer text, or one that the format refuses.
        """
        if self.exact is not None:
            return target if self.exact == TARGET else values.get(self.exact)
        words = []
        for literal, column, form in self.parts:
            words.append(literal)
            if column is not None:
                words.append(_formatted(self.text, target if column == TARGET else values.get(column), column, form))
        return "".join(words)


def _formatted(text: str, value: Any, column: str, form: str) -> str:
    if value is None:
        msg = f"column {column!r} has no value for this target, but {text!r} needs it"
        raise ConfigError(msg)
    try:
        return format(value, form)
    except (ValueError, TypeError) as error:
        msg = f"{text!r}: the value {value!r} of column {column!r} cannot be written with format {form!r}: {error}"
        raise ConfigError(msg) from None


def parse_template(text: str) -> Template | None:
    """Read the placeholders of a text.

    Parameters
    ----------
    text : str

    Returns
    -------
    Template or None
        None if there is no brace in the text.

    Raises
    ------
    ConfigError
        If a brace is left open, or a placeholder is more than a column and a format.
    """
    if "{" not in text and "}" not in text:
        return None
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        msg = f"{text!r}: {str(error).lower()}; write {{{{ and }}}} for braces that are no placeholder"
        raise ConfigError(msg) from None
    found = []
    for literal, column, form, conversion in parts:
        if column is not None and (not column or conversion or "{" in (form or "")):
            msg = f"{text!r}: expected a placeholder such as {{column}} or {{column:.2f}}"
            raise ConfigError(msg)
        found.append((literal, column, form or ""))
    return Template(text, tuple(found))


def columns_of(value: Any) -> Iterable[str]:
    """Return every column that the texts in a nested value need."""
    if isinstance(value, str):
        template = parse_template(value)
        return () if template is None else template.columns
    if isinstance(value, Mapping):
        return [column for entry in value.values() for column in columns_of(entry)]
    if isinstance(value, (list, tuple)):
        return [column for entry in value for column in columns_of(entry)]
    return ()


def fill_in(value: Any, target: str, values: Mapping[str, Any]) -> Any:
    """Return a nested value with the placeholders of its texts filled in; the given one stays as it is."""
    if isinstance(value, str):
        template = parse_template(value)
        return value if template is None else template.value(target, values)
    if isinstance(value, Mapping):
        return {key: fill_in(entry, target, values) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [fill_in(entry, target, values) for entry in value]
    return value
