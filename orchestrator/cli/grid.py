"""Tables and lines on the screen: in colour on a terminal, plain and never cut elsewhere."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["COLOURS", "Cell", "Grid", "in_colour", "print_json", "renderable", "show", "styled"]

COLOURS = {
    "waiting": "white",
    "ready": "blue",
    "running": "yellow",
    "done": "green",
    "failed": "red",
    "blocked": "magenta",
    "held": "dim",
    "stale": "cyan",
    "missing": "blue",
    "current": "green",
}
"""State of a task to the colour that users of desi_pipe know."""


@dataclass(frozen=True)
class Cell:
    """A text with a style of rich."""

    text: str
    style: str = ""


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes
    ----------
    heads : tuple of str
        Headings; those that begin with ``>`` stand above numbers, at the right.
    rows : list of tuple of Cell or str
    title : str
    """

    heads: tuple[str, ...]
    rows: list[tuple[Cell | str, ...]] = field(default_factory=list)
    title: str = ""


def styled(state: str, text: str | None = None) -> Cell:
    """Return a text in the colour of a state."""
    return Cell(state if text is None else text, COLOURS.get(state, ""))


def in_colour() -> bool:
    """Whether colours can and may be used: a terminal, and no NO_COLOR (see https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def show(*parts: Grid | Cell | str) -> None:
    """Print tables and lines."""
    if in_colour():
        from rich.console import Console

        console = Console(highlight=False)
        for part in parts:
            console.print(renderable(part), soft_wrap=not isinstance(part, Grid))
        return
    for part in parts:
        text = _plain_table(part) if isinstance(part, Grid) else part.text if isinstance(part, Cell) else part
        sys.stdout.write(f"{text}\n")


def renderable(part: Grid | Cell | str) -> RenderableType:
    """Return what rich prints."""
    from rich.table import Table
    from rich.text import Text

    if isinstance(part, str):
        return Text(part)
    if isinstance(part, Cell):
        return Text(part.text, style=part.style)
    table = Table(title=part.title or None, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in part.heads:
        table.add_column(head.lstrip(">"), justify="right" if head.startswith(">") else "left", overflow="fold")
    for row in part.rows:
        table.add_row(*(Text(cell.text, style=cell.style) if isinstance(cell, Cell) else Text(cell) for cell in row))
    return table


def _plain_table(grid: Grid) -> str:
    rows = [[cell.text if isinstance(cell, Cell) else cell for cell in row] for row in grid.rows]
    heads = [head.lstrip(">") for head in grid.heads]
    right = [head.startswith(">") for head in grid.heads]
    widths = [max(len(row[index]) for row in [heads, *rows]) for index in range(len(heads))]
    lines = [grid.title] if grid.title else []
    lines += [_line(row, widths, right) for row in [heads, *rows]]
    return "\n".join(lines)


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = zip(row, widths, right, strict=True)
    return "  ".join(text.rjust(width) if at_right else text.ljust(width) for text, width, at_right in cells).rstrip()


def print_json(content: Any) -> None:
    """Print plain content as JSON; what is not finite becomes null."""
    sys.stdout.write(json.dumps(_finite(content), indent=1, ensure_ascii=False, default=str) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    return [_finite(entry) for entry in value] if isinstance(value, list) else value
