"""The words in which a function declares itself as a stage: what it takes, what it gives, what it may say of it.

::

    @dataclass(frozen=True)
    class Colours:
        g_r: Annotated[float, Column("mag", "colour g - r")]
        blended: Annotated[bool, Flag("a neighbour contributes")] = False

    def colours(target: Target, *, aperture: float = 3.0, history: Upstream, image: InputFile) -> Colours: ...

It stays a plain function: it can be called, tested and used elsewhere as it is. `docs/stages.md` explains the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

__all__ = [
    "Column",
    "Flag",
    "Flagged",
    "Help",
    "Input",
    "InputFile",
    "Output",
    "OutputFile",
    "Result",
    "Table",
    "Target",
    "Upstream",
]

Content = TypeVar("Content")


@dataclass(frozen=True)
class Column:
    """Declares a field of a result.

    Attributes
    ----------
    unit : str
        As astropy reads it; empty for a pure number.
    description, group : str
        Comment of the column, and heading under which exported files list it.
    """

    unit: str = ""
    description: str = ""
    group: str = ""


@dataclass(frozen=True)
class Flag:
    """Declares a field that says yes or no about the quality of a result; it becomes a column."""

    description: str = ""


@dataclass(frozen=True)
class Flagged(Generic[Content]):
    """A result that is not to be taken at face value, or None: done, and nothing that is tried again.

    Attributes
    ----------
    result : record or None
        None leaves the columns empty.
    flags : tuple of str
        Fields that are declared with `Flag`, or names in `orchestrator.production.columns.FLAGS`.
    remarks : str
        A sentence for people.
    """

    result: Content | None
    flags: tuple[str, ...] = ()
    remarks: str = ""


@dataclass(frozen=True)
class Help:
    """Describes an option, for its help and the documentation."""

    description: str


@dataclass(frozen=True)
class Input:
    """Marks a parameter that takes a file, as a path."""

    description: str = ""


@dataclass(frozen=True)
class Output:
    """Marks a parameter that takes the path of a file to write; it is published when the function has returned.

    Attributes
    ----------
    file : str
        Its name, that of the parameter if empty.
    description : str
    """

    file: str = ""
    description: str = ""


@dataclass(frozen=True)
class Result:
    """Marks a parameter that takes one column of an earlier result, by its name."""

    description: str = ""


@dataclass(frozen=True)
class Row:
    """Marks a parameter that takes the row of an earlier stage."""


@dataclass(frozen=True)
class Rows:
    """Marks a parameter that takes the results of a stage for all targets."""


Target = Mapping[str, Any]
"""The columns of the target's row; its name is under ``target``."""
InputFile = Annotated[Path, Input()]
OutputFile = Annotated[Path, Output()]
Upstream = Annotated[Mapping[str, Any], Row()]
"""Columns of the stage that the parameter is named after."""
Table = Annotated[Any, Rows()]
"""An `astropy.table.Table`: columns of the targets, and of the results of the stage that it is named after."""
