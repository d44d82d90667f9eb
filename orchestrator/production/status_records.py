"""What the commands that look at a production show: plain frozen records, printed as tables or as JSON.

Nothing heavy is imported here: the command line must be quick to say how things stand.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "AttemptLine",
    "ErrorLine",
    "Preview",
    "PreviewTask",
    "StageStatus",
    "StageStory",
    "StageWhy",
    "StatusTable",
    "TargetStory",
    "TargetWhy",
    "TaskLine",
    "as_plain",
]


@dataclass(frozen=True)
class StageStatus:
    """How one stage stands, over the selected targets.

    Attributes
    ----------
    stage : str
    counts : Mapping of str to int
        State to number of tasks; states without any may be left out.
    per_second : float
        Tasks that were finished per second of late; 0 if none.
    mean_seconds : float
        Mean wall time of one task of late; 0 if unknown.
    seconds_left : float or None
        Until its open tasks are done at that rate; None if it cannot be told.
    """

    stage: str
    counts: Mapping[str, int]
    per_second: float = 0.0
    mean_seconds: float = 0.0
    seconds_left: float | None = None

    @property
    def total(self) -> int:
        """Number of tasks."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class ErrorLine:
    """Failures that are alike.

    Attributes
    ----------
    stage, error_class : str
    message : str
        Of one of them; the others differ in numbers, quoted words and paths at most.
    n : int
    example : str
        Name of a target.
    """

    stage: str
    error_class: str
    message: str
    n: int
    example: str


@dataclass(frozen=True)
class TaskLine:
    """One task.

    Attributes
    ----------
    target, stage, state : str
    attempt : int
    error_class : str
        Of its last failure.
    reason : str
        Why it is as it is, in words.
    """

    target: str
    stage: str
    state: str
    attempt: int = 0
    error_class: str = ""
    reason: str = ""


@dataclass(frozen=True)
class StatusTable:
    """How a production stands.

    Attributes
    ----------
    name : str
    folder : str
    stages : tuple of StageStatus
        In the order of execution.
    errors : tuple of ErrorLine
        Failures grouped, most first.
    tasks : tuple of TaskLine
        Task by task, where the selection is narrow enough; else empty.
    n_more : int
        Tasks that are selected and not listed in `tasks`.
    driver : str
        Who is at work, in words; empty if nobody is.
    seconds_left : float or None
        Until all is done; None if it cannot be told.
    """

    name: str
    folder: str
    stages: tuple[StageStatus, ...]
    errors: tuple[ErrorLine, ...] = ()
    tasks: tuple[TaskLine, ...] = ()
    n_more: int = 0
    driver: str = ""
    seconds_left: float | None = None

    def count(self, *states: str) -> int:
        """Return the number of tasks in these states."""
        return sum(stage.counts.get(state, 0) for stage in self.stages for state in states)

    @property
    def total(self) -> int:
        """Number of tasks."""
        return sum(stage.total for stage in self.stages)


@dataclass(frozen=True)
class AttemptLine:
    """One attempt at a task; see `orchestrator.production.records.TaskRecord`."""

    number: int
    outcome: str
    recipe: int = 0
    error_class: str = ""
    message: str = ""
    started: float = 0.0
    seconds: float | None = None
    peak_memory: float | None = None
    host: str = ""
    log: str = ""


@dataclass(frozen=True)
class StageStory:
    """What there is to know about one task.

    Attributes
    ----------
    stage, state : str
    reason : str
        Why it is as it is, in words; empty if that is plain.
    key : str
        Identity of its result; empty if there is none.
    seed : int or None
    attempts : tuple of AttemptLine
    inputs : Mapping of str to str
        Input file to ``ok``, ``changed``, ``missing`` or ``not read yet``.
    files : tuple of str
        Where chain, best fit and log are, relative to the production.
    result : Mapping of str to plain value
        Columns of its result.
    units : Mapping of str to str
        Column to unit.
    command : str
        The shell command that does this task alone.
    """

    stage: str
    state: str
    reason: str = ""
    key: str = ""
    seed: int | None = None
    attempts: tuple[AttemptLine, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    result: Mapping[str, Any] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    command: str = ""


@dataclass(frozen=True)
class TargetStory:
    """What there is to know about one target.

    Attributes
    ----------
    target : str
    values, overrides : Mapping of str to plain value
    stages : tuple of StageStory
    """

    target: str
    values: Mapping[str, Any]
    overrides: Mapping[str, Any]
    stages: tuple[StageStory, ...]


@dataclass(frozen=True)
class StageWhy:
    """What makes a task what it is.

    Attributes
    ----------
    stage, state : str
    verdict : str
        ``current``, ``stale``, ``missing`` or ``failed``.
    sentence : str
        Why, in words.
    changes : tuple of str
        Parts of the identity that differ, such as ``[KinDust]: velscale``.
    key, expected_key : str
    """

    stage: str
    state: str
    verdict: str
    sentence: str
    changes: tuple[str, ...] = ()
    key: str = ""
    expected_key: str = ""


@dataclass(frozen=True)
class TargetWhy:
    """What makes each task of a target current, stale, missing or failed."""

    target: str
    stages: tuple[StageWhy, ...]


@dataclass(frozen=True)
class PreviewTask:
    """A task that a command would act on, with the shell command that does it alone."""

    target: str
    stage: str
    state: str
    command: str = ""


@dataclass(frozen=True)
class Preview:
    """What a command would do.

    Attributes
    ----------
    action : str
        In words, such as ``run``.
    counts : Mapping of str to int
        Stage to number of tasks.
    tasks : tuple of PreviewTask
        The first of them.
    notes : tuple of str
        What else would happen.
    """

    action: str
    counts: Mapping[str, int]
    tasks: tuple[PreviewTask, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Number of tasks."""
        return sum(self.counts.values())


def as_plain(record: Any) -> Any:
    """Return a record as plain types, for JSON."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return {entry.name: as_plain(getattr(record, entry.name)) for entry in dataclasses.fields(record)}
    if isinstance(record, Mapping):
        return {str(key): as_plain(value) for key, value in record.items()}
    if isinstance(record, (list, tuple)):
        return [as_plain(value) for value in record]
    return record
