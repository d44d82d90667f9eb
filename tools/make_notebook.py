"""Make a notebook from a script in percent format: ``python tools/make_notebook.py [SCRIPT ...]``.

``# %% [markdown]`` begins a cell of text and ``# %%`` one of code. The notebook (format 4.5) lies beside the
script and holds no outputs. Ids of cells are numbers, so the same script always gives the same file.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "staged_fit.py"
_MARKER = re.compile(r"^# %%(?P<kind> \[markdown\])?\s*$")


def cells_of(script: str) -> list[tuple[str, str]]:
    """Return kind (``markdown`` or ``code``) and text of every cell of a script in percent format.

    Parameters
    ----------
    script : str
        The text of the script; lines before the first marker are a cell of code.

    Raises
    ------
    ValueError
        If a line of a cell of text is no comment, or a marker has another form.
    """
    cells: list[tuple[str, list[str]]] = []
    for number, line in enumerate(script.splitlines(), 1):
        marker = _MARKER.match(line)
        if marker:
            cells.append(("markdown" if marker["kind"] else "code", []))
            continue
        if line.startswith("# %%"):
            msg = f"line {number}: {line!r}: expected '# %%' or '# %% [markdown]'"
            raise ValueError(msg)
        if not cells:
            cells.append(("code", []))
        kind, lines = cells[-1]
        if kind == "markdown" and line.strip():
            if not line.startswith("#"):
                msg = f"line {number}: {line!r} in a cell of text; expected a comment"
                raise ValueError(msg)
            line = line.removeprefix("#").removeprefix(" ")
        lines.append(line)
    texts = [(kind, "\n".join(lines).strip("\n")) for kind, lines in cells]
    return [(kind, text) for kind, text in texts if text]


def notebook(script: str) -> dict[str, Any]:
    """Return the notebook of a script as plain types, in format 4.5."""
    cells: list[dict[str, Any]] = []
    for index, (kind, text) in enumerate(cells_of(script)):
        cell: dict[str, Any] = {
            "cell_type": kind,
            "id": f"cell-{index:02d}",
            "metadata": {},
            "source": text.splitlines(keepends=True),
        }
        if kind == "code":
            cell.update(execution_count=None, outputs=[])
        cells.append(cell)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def render(script: str) -> str:
    """Return the text of the notebook's file."""
    return json.dumps(notebook(script), indent=1, ensure_ascii=False) + "\n"


def main(scripts: list[str]) -> None:
    """Write the notebook beside each script."""
    for script in scripts or [str(EXAMPLE)]:
        path = Path(script)
        path.with_suffix(".ipynb").write_text(render(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
