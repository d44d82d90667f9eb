"""What a fitter answers to an order: one answer per stage of a target, and one when it is done with the target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.production.columns import Column
from orchestrator.production.records import TaskRecord
from orchestrator.production.work.record_text import column_from, column_to, record_from, record_to

__all__ = ["Answer", "Finished", "Skipped", "answer_from", "answer_to"]


@dataclass(frozen=True)
class Answer:
    """One stage of one target is done, or has failed.

    Attributes
    ----------
    record : TaskRecord
    columns : tuple of Column
        Those of the record that were not declared before.
    blob : bytes
        Samples, see `orchestrator.production.work.frames.blob_of`.
    """

    record: TaskRecord
    columns: tuple[Column, ...] = ()
    blob: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Skipped:
    """A stage was not run: one that it needs has failed."""

    target_id: int
    stage: str


@dataclass(frozen=True)
class Finished:
    """A target is done.

    Attributes
    ----------
    target_id : int
    memory : int
        Bytes that the process holds.
    with_fits : bool
    """

    target_id: int
    memory: int = 0
    with_fits: bool = False


def answer_to(answer: Answer | Skipped | Finished) -> tuple[dict[str, Any], bytes]:
    """Return an answer as header and blob of a frame."""
    if isinstance(answer, Answer):
        header = {"record": record_to(answer.record), "columns": [column_to(one) for one in answer.columns]}
        return header, answer.blob
    return {type(answer).__name__.lower(): vars(answer)}, b""


def answer_from(header: Mapping[str, Any], blob: bytes) -> Answer | Skipped | Finished:
    """Return the answer of `answer_to`."""
    if "record" in header:
        return Answer(record_from(header["record"]), tuple(map(column_from, header["columns"])), blob)
    if "skipped" in header:
        return Skipped(**header["skipped"])
    return Finished(**header["finished"])
