"""What is kept of each mock: one line of JSON, from which every figure and verdict is made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["MockRecord", "StageRecord", "append_record", "read_records"]


@dataclass(frozen=True)
class StageRecord:
    """What one stage found in one mock.

    Attributes
    ----------
    stage : str
    parameters : tuple of str
        ``section--name`` of those that were sampled and have a truth.
    truth, mean, width : tuple of float
    probability : tuple of float
        Posterior probability below the truth, from all samples.
    rank : tuple of int
        Draws below the truth.
    draws : tuple of tuple of float
        Independent draws, one per row.
    tarp : Mapping of str to float
        Reference point to share of draws nearer to it than the truth.
    effective_samples : float
    few_samples : bool
    verdict : str
        Of the stage's own diagnostics.
    flags : tuple of str
    seconds : float
        CPU time of the stage, set-up included.
    n_rows : int
        Of the chain.
    failure : str
        Why the stage failed; empty if it did not.
    """

    stage: str
    parameters: tuple[str, ...] = ()
    truth: tuple[float, ...] = ()
    mean: tuple[float, ...] = ()
    width: tuple[float, ...] = ()
    probability: tuple[float, ...] = ()
    rank: tuple[int, ...] = ()
    draws: tuple[tuple[float, ...], ...] = field(default=(), repr=False)
    tarp: Mapping[str, float] = field(default_factory=dict)
    effective_samples: float = 0.0
    few_samples: bool = False
    verdict: str = ""
    flags: tuple[str, ...] = ()
    seconds: float = 0.0
    n_rows: int = 0
    failure: str = ""

    @classmethod
    def of_failure(cls, stage: str, reason: str) -> StageRecord:
        """Return the record of a stage that failed."""
        return cls(stage=stage, failure=reason[:2000], verdict="failed")


@dataclass(frozen=True)
class MockRecord:
    """One mock.

    Attributes
    ----------
    index, seed : int
        Number of the mock, seed of its fit.
    truth : Mapping of str to float
        Every parameter of the model that made the data.
    log10_mass : float or None
        Of the data; None without a mass.
    stages : tuple of StageRecord
    """

    index: int
    seed: int
    truth: Mapping[str, float]
    log10_mass: float | None
    stages: tuple[StageRecord, ...]


def append_record(path: Path, record: MockRecord) -> None:
    """Append one line and have it on the disk."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(record)) + "\n")


def read_records(path: Path) -> dict[int, MockRecord]:
    """Return the records by index; a line that was cut off is left out, so its mock is made again."""
    records: dict[int, MockRecord] = {}
    if not path.is_file():
        return records
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = _record(json.loads(line))
        except (ValueError, TypeError, KeyError):
            continue
        records[record.index] = record
    return records


def _record(content: dict[str, Any]) -> MockRecord:
    stages = tuple(_stage(stage) for stage in content["stages"])
    return MockRecord(**{**content, "stages": stages})


def _stage(content: dict[str, Any]) -> StageRecord:
    plain: dict[str, Any] = {
        key: _tuples(value) if isinstance(value, list) else value for key, value in content.items()
    }
    return StageRecord(**plain)


def _tuples(values: list[Any]) -> tuple[Any, ...]:
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)
