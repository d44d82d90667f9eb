"""The row of a stage in the table of results, with the declaration of each of its columns."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from orchestrator.production.columns import Column

__all__ = ["Row"]


@dataclass
class Row:
    """Values of a row, and the declarations of its columns.

    Attributes
    ----------
    values : dict of str to plain value
        None where there is no number.
    columns : dict of str to Column
    """

    values: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, Column] = field(default_factory=dict)

    def add(self, name: str, value: Any, kind: str, unit: str = "", description: str = "", group: str = "") -> None:
        """Add a column."""
        if isinstance(value, float) and not math.isfinite(value):
            value = None
        self.values[name] = value
        self.columns[name] = Column(name, kind, unit, description, group)
