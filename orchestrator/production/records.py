"""The records that travel through a production: targets, stages, chunks of work and what became of them.

All are frozen and made of plain types, so that they can be written as JSON and sent to another machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = [
    "ALL_TARGETS",
    "ChunkOrder",
    "ChunkReport",
    "ErrorClass",
    "InputFile",
    "StagePlan",
    "State",
    "Target",
    "TaskOrder",
    "TaskRecord",
    "Work",
]


class State(StrEnum):
    """State of a task, one stage of one target. ``stale`` is none: it follows from the key of the task."""

    WAITING = "waiting"
    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    BLOCKED = "blocked"
    HELD = "held"


class ErrorClass(StrEnum):
    """Why an attempt gave no result; the retry policy goes by it."""

    LOST = "lost"
    """The worker, its node or a disk went away; the target is not to blame."""
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    CRASH = "crash"
    """The process of the fit died: a segmentation fault, ``exit`` in a library."""
    NUMERICAL = "numerical"
    """No convergence, no finite posterior."""
    BAD_INPUT = "bad_input"
    UNKNOWN = "unknown"


ALL_TARGETS = "@all"
"""Name of the pseudo-target whose tasks are those of the stages ``over: all``; its number is 0."""


@dataclass(frozen=True)
class Target:
    """One object, a row of the table of targets.

    Attributes
    ----------
    name : str
        Unique in the production; with ``cross`` axes ``NAME/axis=value/...``.
    values : Mapping of str to plain value
        Columns of its row and values of the axes, for the placeholders ``{column}`` of the configuration.
    overrides : Mapping of str to plain value
        ``stage.section.key`` or ``section.key`` (every stage that has the section) to the value of this target.
    """

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StagePlan:
    """One stage of the pipeline, before it meets a target.

    Attributes
    ----------
    name : str
    kind : {'fit', 'function', 'command'}
    sections : Mapping
        For a fit the ini sections of `MainPipeline`, placeholders included; for a function
        ``{"function": {"call": "package.module:name"}, "options": {...}}``, for a command ``{"command": {"program":
        ...}, "options": {...}}``. Both may have ``inputs`` (name to file or column), ``outputs`` (name to the name of
        a file) and ``wires`` (parameter to ``stage`` or ``stage.column``).
    needs : tuple of str
        Earlier stages whose results it uses; all earlier ones unless the run file says otherwise.
    recipes : tuple of Mapping
        Changes of `sections` for further tries after a numerical failure; the first try has none.
    n_cores : int
    time_limit : float
        Seconds per attempt; infinite by default.
    memory_limit : float
        Megabytes of the process of the fit; infinite by default.
    retries : Mapping of str to int
        Error class to further attempts, beyond the defaults of `orchestrator.production.retry`.
    max_failed : float
        Fraction of recent attempts that may fail before the stage is stopped everywhere; for ``over: all`` the
        fraction of targets without a result, in a stage that it needs, with which it runs.
    over : {'target', 'all'}
        Once for each target, or once when all targets have ended.
    words : tuple
        Words of a command after its program; a list among them is left out as a whole where its option has no value.
    declared : Mapping
        Option of a command to its ``type`` and ``help``.
    code : str
        Identity of the code of a function or of its declared version.
    scratch : bool
        Whether input files are copied to the scratch folder first.
    """

    name: str
    kind: str = "fit"
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    recipes: tuple[Mapping[str, Mapping[str, Any]], ...] = ()
    n_cores: int = 1
    time_limit: float = float("inf")
    memory_limit: float = float("inf")
    retries: Mapping[str, int] = field(default_factory=dict)
    max_failed: float = 0.9
    over: str = "target"
    words: tuple[Any, ...] = ()
    declared: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""
    scratch: bool = False

    @property
    def outputs(self) -> Mapping[str, Any]:
        """Products: name to the name of a file."""
        return self.sections.get("outputs", {})

    @property
    def wires(self) -> Mapping[str, str]:
        """Parameter to ``stage`` or ``stage.column``."""
        return self.sections.get("wires", {})


@dataclass(frozen=True)
class TaskOrder:
    """One stage to carry out for one target.

    Attributes
    ----------
    stage : str
    attempt : int
        Number of this attempt, from 1.
    recipe : int
        0 for the configuration as it is.
    budget : float
        Factor on the limits of time and memory.
    """

    stage: str
    attempt: int = 1
    recipe: int = 0
    budget: float = 1.0


@dataclass(frozen=True)
class Work:
    """One target with the stages to carry out, in order.

    Attributes
    ----------
    target_id : int
    target : Target
    tasks : tuple of TaskOrder
        Stages that are ready, and those that become ready when these are done.
    upstream : Mapping of str to str
        Finished stage to the place of its samples, ``FILE#ENTRY`` or a results file, relative to the production.
    upstream_keys : Mapping of str to str
        Finished stage to its key.
    alone : bool
        Whether the target has cost a worker its process before and gets a chunk of its own.
    upstream_columns : Mapping of str to Mapping
        Finished stage to its row, for function stages that need it. A fit that is not in it is read from its samples.
    """

    target_id: int
    target: Target
    tasks: tuple[TaskOrder, ...]
    upstream: Mapping[str, str] = field(default_factory=dict)
    upstream_keys: Mapping[str, str] = field(default_factory=dict)
    alone: bool = False
    upstream_columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class ChunkOrder:
    """What the driver hands to the engine.

    Attributes
    ----------
    chunk : str
        Unique name, ``RUN-NUMBER``.
    production : str
        Folder of the production.
    plan : str
        File of the resolved plan, relative to the production; read once per worker.
    works : tuple of Work
    stop_at : float or None
        Unix time after which no further target is begun.
    """

    chunk: str
    production: str
    plan: str
    works: tuple[Work, ...]
    stop_at: float | None = None


@dataclass(frozen=True)
class ChunkReport:
    """What comes back; the records themselves are in the journal.

    Attributes
    ----------
    chunk : str
    journal : str
        Its file, relative to the production.
    n_records : int
    seconds : float
        Wall time of the chunk on the worker.
    unfinished : tuple of int
        Targets that were not begun, or not finished, because the chunk had to stop.
    """

    chunk: str
    journal: str
    n_records: int
    seconds: float
    unfinished: tuple[int, ...] = ()


@dataclass(frozen=True)
class InputFile:
    """A file that a task has read, and what it was then."""

    path: str
    size: int
    mtime_ns: int
    checksum: str


@dataclass(frozen=True)
class TaskRecord:
    """What became of one attempt at one task.

    Attributes
    ----------
    target_id : int
    stage : str
    attempt, recipe : int
    outcome : {'done', 'failed'}
        A result with flags is done.
    key : str
        Identity of the result (`orchestrator.production.identity`); empty if it could not be computed.
    error_class : str
        Of `ErrorClass`, empty if done.
    message : str
        What failed, for people; at most 2 kB.
    log : str
        End of the log; kept for what is not ``ok``.
    started : float
        Unix time.
    columns : Mapping of str to plain value
        Values of the result, the common ones included.
    samples : str
        Entry in the journal that holds chain and best fit, or results file relative to the production; empty if
        there are none.
    files : tuple of InputFile
        Input files, for the identity.
    host, process : str, int
        Where it ran.
    products : tuple of InputFile
        Files that it has published, relative to the production.
    """

    target_id: int
    stage: str
    attempt: int
    recipe: int
    outcome: str
    key: str = ""
    error_class: str = ""
    message: str = ""
    log: str = ""
    started: float = 0.0
    columns: Mapping[str, Any] = field(default_factory=dict)
    samples: str = ""
    files: tuple[InputFile, ...] = ()
    host: str = ""
    process: int = 0
    products: tuple[InputFile, ...] = ()
