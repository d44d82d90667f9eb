"""Types of module options: what CosmoSIS reads from an ini file, turned into what the option means.

CosmoSIS guesses the type of a value from its text: ``10`` becomes an integer, ``T`` a boolean and
``3500 9000`` a list. A Python dictionary holds yet other forms (tuples, arrays, numpy scalars). The
validators here accept all of them, and refuse those where the guess changed the meaning.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

__all__ = ["Arguments", "Flag", "InputPath", "Integer", "Number", "Options", "Pair", "Range", "Text", "Words"]

_NO_VALUE = ("", "none", "None")
"""Texts that mean `no value`, compared as a whole: a folder called ``none_such`` is a folder."""


def _not_a_flag(value: Any) -> Any:
    """Refuse a boolean where a number is meant; Python would take True for 1."""
    if isinstance(value, bool):
        msg = "expected a number, found a yes/no value"
        raise ValueError(msg)
    return value


def _text(value: Any) -> Any:
    """Refuse what CosmoSIS mistook for a number, a list or a boolean."""
    if isinstance(value, (bool, int, float, list, tuple)):
        msg = "expected text; in an ini file, put it in double quotes"
        raise ValueError(msg)
    return value.strip() if isinstance(value, str) else value


def _path(value: Any) -> Any:
    """Expand environment variables and ``~``; the folder is left to the caller."""
    if isinstance(value, (str, Path)):
        return Path(os.path.expandvars(str(value))).expanduser()
    msg = "expected a path; in an ini file, put it in double quotes"
    raise ValueError(msg)


def _numbers(value: Any) -> Any:
    """Split ``"3500 9000"``, ``"3500, 9000"`` and ``"(3500, 9000)"``."""
    if isinstance(value, str):
        value = value.strip("()[] ").replace(",", " ").split()
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return tuple(value)
    msg = "expected two numbers, for example [3500, 9000]"
    raise ValueError(msg)


def _increasing(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] >= value[1]:
        msg = f"expected two increasing numbers, found {value[0]:g} and {value[1]:g}"
        raise ValueError(msg)
    return value


def _arguments(value: Any) -> Any:
    """Bring a list, one value or ``"0.3, 0.6, key=value"`` to a flat tuple of numbers and texts."""
    if isinstance(value, (list, tuple)):
        return tuple(entry for item in value for entry in _arguments(item))
    if not isinstance(value, str):
        return (_not_a_flag(value),)
    keyword, equals, rest = value.partition("=")
    if equals and rest.strip()[:1] in ("[", "("):
        return _arguments(rest)
    words = value.strip().strip("()[]").replace(",", " ").split()
    return tuple(_number_or_text(word) for word in words)


def _words(value: Any) -> Any:
    """Bring a list, one value or ``"BASTI, imf=cha"`` to a tuple of words."""
    if isinstance(value, (list, tuple)):
        return tuple(word for item in value for word in _words(item))
    return tuple(str(value).replace(",", " ").split())


def _number_or_text(word: str) -> float | str:
    try:
        return float(word)
    except ValueError:
        return word


Number = Annotated[float, BeforeValidator(_not_a_flag), Field(allow_inf_nan=False)]
"""A finite number."""
Integer = Annotated[int, BeforeValidator(_not_a_flag)]
"""A whole number."""
Flag = bool
"""T/F, true/false, yes/no, 1/0."""
Text = Annotated[str, BeforeValidator(_text)]
"""A word or a sentence."""
InputPath = Annotated[Path, BeforeValidator(_path)]
"""A path, environment variables expanded; relative ones as given."""
Pair = Annotated[tuple[Number, Number], BeforeValidator(_numbers)]
"""Two numbers as a list, a tuple, an array or text."""
Range = Annotated[Pair, AfterValidator(_increasing)]
"""Two increasing numbers."""
Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
"""Words as a list, or as text with commas or blanks between them."""
Arguments = Annotated[tuple[float | str, ...], BeforeValidator(_arguments)]
"""Arguments of a model: numbers, and texts such as ``key=value``."""


def _plain(value: Any) -> Any:
    """Replace numpy scalars and arrays by Python values."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return value


class Options(BaseModel):
    """Base of all option models: unknown names refused, values frozen, BESTA's spellings accepted."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, validate_default=False, protected_namespaces=()
    )

    @classmethod
    def spellings(cls) -> dict[str, str]:
        """Return every accepted spelling in lower case, with the spelling to write in a file."""
        known: dict[str, str] = {}
        for name, field in cls.model_fields.items():
            written = field.alias or name
            known[written.lower()] = written
            known[name.lower()] = written
        return known

    @model_validator(mode="before")
    @classmethod
    def _normalise(cls, data: Any) -> Any:
        """Bring names to their canonical spelling (CosmoSIS lower-cases them) and values to plain Python."""
        if not isinstance(data, Mapping):
            return data
        spellings = cls.spellings()
        result: dict[str, Any] = {}
        for key, value in data.items():
            name = spellings.get(str(key).lower(), str(key))
            if name in result:
                msg = f"option {name!r} is given twice (names are read without regard to capitals)"
                raise ValueError(msg)
            plain = _plain(value)
            if isinstance(plain, str) and plain.strip() in _NO_VALUE:
                plain = None
            if plain is None and cls._has_default(name):
                continue  # no value given: the default holds
            result[name] = plain
        return cls._derive(result)

    @classmethod
    def _derive(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Fill in options that follow from others; for the models that have such."""
        return given

    @classmethod
    def _has_default(cls, written: str) -> bool:
        return any(
            not field.is_required()
            for name, field in cls.model_fields.items()
            if written in (name, field.alias)
        )
