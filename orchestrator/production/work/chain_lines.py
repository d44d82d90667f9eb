"""A CosmoSIS results file as arrays and text, from which the same file can be written again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.fit.chain import Chain
from orchestrator.fit.chain_text import files_of

__all__ = ["ChainLines", "chain_lines"]

_DELIMITER = "\t"


@dataclass(frozen=True)
class ChainLines:
    """The parts of one results file.

    Attributes
    ----------
    columns : tuple of str
        As the file spells them.
    rows : ndarray, shape (n_rows, n_columns)
    header, footer : str
        Lines that begin with ``#`` before and after the first row, without the names of the columns.
    """

    columns: tuple[str, ...]
    rows: NDArray[np.float64]
    header: str
    footer: str

    def to_text(self) -> str:
        """Return the text of the file; numbers as CosmoSIS writes them, in full precision."""
        names = "#" + _DELIMITER.join(self.columns)
        body = (_DELIMITER.join(map(repr, row)) for row in self.rows.tolist())
        lines = [names, *_split(self.header), *body, *_split(self.footer)]
        return "\n".join(lines) + "\n"


def chain_lines(chain: Chain) -> ChainLines:
    """Return the parts of the results file that a chain was read from.

    A run that wrote one file per process becomes one file, its chains step by step.

    Raises
    ------
    ChainError
        If the file has gone.
    """
    files = files_of(chain.path)
    names, *lines = files[0].read_text(encoding="utf-8").removesuffix("\n").split("\n")
    columns = tuple(names[1:].split())
    first = next(index for index, line in enumerate(lines) if line[:1] != "#")
    header = lines[:first]
    if len(files) > 1:
        header.append(f"#n_chains={len(files)}")
    footer = [line for line in lines[first:] if line[:1] == "#"]
    rows = np.column_stack([chain.column(name) for name in columns])
    return ChainLines(columns, rows, "\n".join(header), "\n".join(footer))


def _split(text: str) -> list[str]:
    return text.split("\n") if text else []
