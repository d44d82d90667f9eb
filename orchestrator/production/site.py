"""The site: where the work of a production runs, and with what resources."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from orchestrator.errors import ConfigError, nearest_known
from orchestrator.production.model_faults import faults_of

__all__ = ["EXECUTORS", "Site", "make_site", "walltime_seconds"]

EXECUTORS = ("serial", "local", "allocation", "slurm")
"""The words for an engine; ``module:factory`` names any other."""

_FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_WALLTIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<hours>\d+):(?P<minutes>\d\d)(?::(?P<seconds>\d\d))?")


def _no_flag(value: Any) -> Any:
    """Refuse a yes/no value where a number is meant; Python would take True for 1."""
    if isinstance(value, bool):
        msg = "expected a number, found a yes/no value"
        raise ValueError(msg)
    return value


Count = Annotated[int, BeforeValidator(_no_flag), Field(ge=1)]
"""A whole number from 1 up."""
WholeNumber = Annotated[int, BeforeValidator(_no_flag), Field(ge=0)]
"""A whole number from 0 up."""
Seconds = Annotated[float, BeforeValidator(_no_flag), Field(gt=0)]
"""A time above zero; ``.inf`` for no limit."""


def walltime_seconds(text: str) -> float:
    """Return the seconds of ``HH:MM:SS``, ``HH:MM`` or ``D-HH:MM:SS``.

    Raises
    ------
    ValueError
        If the text is none of them.
    """
    match = _WALLTIME.fullmatch(text.strip())
    if match is None:
        msg = "expected HH:MM:SS, or D-HH:MM:SS"
        raise ValueError(msg)
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def _walltime_text(value: Any) -> Any:
    """Return a wall time as text; a number is taken as seconds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    if not math.isfinite(value) or value <= 0:
        msg = "expected HH:MM:SS, or seconds above zero"
        raise ValueError(msg)
    minutes, seconds = divmod(int(value), 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"


def _own_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


class Site(BaseModel):
    """Where the work runs. All entries have a default: one process per core of this machine.

    What concerns one engine only is ignored by the others, so that one site can be tried with
    ``site.executor=local``. `scratch` is expanded on the worker: it may name a variable of its environment.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False)

    name: str = Field("", description="name in messages; that of the entry in `sites`, or the engine's")
    executor: str = Field("local", description="serial, local, allocation, slurm or module:factory")
    workers: Count | None = Field(None, description="worker processes on this machine; all cores if left out")
    chunk: Count | Literal["auto"] = Field("auto", description="targets per chunk of work, or auto")
    chunk_seconds: Seconds = Field(20.0, description="how long a chunk shall last with `chunk: auto`")
    window: Count | None = Field(None, description="chunks handed out at a time; from the workers if left out")
    isolation: Literal["process", "none"] = Field(
        "process", description="process: each worker has a watched process for its fits; none: fits in the worker"
    )
    mpi_command: str = Field("mpiexec -n {ranks}", description="how a fit on several processes is started")
    scratch: str | None = Field(None, description="folder for passing files on the worker; $TMPDIR if left out")
    worker_init: str = Field("", description="shell lines that a worker's job begins with, such as module load")
    options: Mapping[str, Any] = Field(
        default_factory=dict, description="overrides stage.section.key or section.key that hold at this site"
    )

    factory_options: Mapping[str, Any] = Field(
        default_factory=dict, description="arguments of the function that module:factory names"
    )

    account: str | None = Field(None, description="Slurm account")
    partition: str | None = Field(None, description="Slurm partition")
    qos: str | None = Field(None, description="Slurm quality of service")
    constraint: str | None = Field(None, description="Slurm constraint, the kind of node")
    walltime: Annotated[str, BeforeValidator(_walltime_text)] = Field(
        "01:00:00", description="of a block or allocation, HH:MM:SS or seconds"
    )
    nodes_per_block: Count = Field(1, description="nodes of one pilot job")
    workers_per_node: Count | None = Field(None, description="workers on a node; its cores if left out")
    cores_per_node: Count | None = Field(None, description="cores to ask for on a node")
    memory_per_node: Count | None = Field(None, description="gigabytes to ask for on a node")
    exclusive: bool = Field(True, description="ask for whole nodes")
    min_blocks: WholeNumber = Field(0, description="pilot jobs that are kept though there is no work")
    max_blocks: Count = Field(1, description="pilot jobs at a time at most")
    scheduler_options: str = Field("", description="further lines of the script, such as '#SBATCH --mail-type=END'")
    launcher_options: str = Field("", description="further options of srun where it starts the workers of a block")
    address: str | None = Field(None, description="address or interface of the driver that the nodes reach")
    max_idle_seconds: Seconds = Field(120.0, description="how long a block may be idle before it is given back")
    heartbeat_seconds: Seconds = Field(15.0, description="between signs of life; four missed mean lost")
    strategy_seconds: Seconds = Field(5.0, description="between decisions on the number of blocks")
    poll_seconds: Seconds = Field(60.0, description="between questions to Slurm for the state of the blocks")
    stop_before_end: Seconds = Field(120.0, description="seconds before the end of an allocation to begin no more")
    stop_patience: Seconds = Field(60.0, description="how long a stop waits for the targets that are being fitted")
    ledger_patience: Seconds = Field(300.0, description="how long the driver waits for a database that is away")

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        """Default of `isolation` and of `name`, which follow from the engine."""
        if not isinstance(data, Mapping):
            return data
        given = {key: value for key, value in data.items() if value is not None}
        executor = given.get("executor", "local")
        given.setdefault("isolation", "none" if executor == "serial" else "process")
        given.setdefault("name", str(executor))
        return given

    @field_validator("executor")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in EXECUTORS and _FACTORY.fullmatch(value) is None:
            msg = f"unknown engine{nearest_known(value, EXECUTORS)}; or module:factory"
            raise ValueError(msg)
        return value

    @field_validator("walltime")
    @classmethod
    def _readable(cls, value: str) -> str:
        walltime_seconds(value)
        return value

    @field_validator("mpi_command")
    @classmethod
    def _has_ranks(cls, value: str) -> str:
        if "{ranks}" not in value:
            msg = "expected {ranks} where the number of processes stands"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _leaves_time_for_fits(self) -> Self:
        if self.executor in ("allocation", "slurm") and self.stop_before_end >= self.walltime_seconds:
            msg = (
                f"stop_before_end = {self.stop_before_end:g} s is not shorter than walltime = {self.walltime}: no "
                "target would be begun; expected a longer walltime or a shorter stop_before_end"
            )
            raise ValueError(msg)
        return self

    @property
    def walltime_seconds(self) -> float:
        """`walltime` in seconds."""
        return walltime_seconds(self.walltime)

    @property
    def fixed_chunk(self) -> int | None:
        """Targets per chunk, or None where the measured times say."""
        return None if self.chunk == "auto" else self.chunk

    @property
    def n_slots(self) -> int:
        """Workers at a time at most, as far as it can be known here."""
        if self.executor == "serial":
            return 1
        if self.executor == "allocation":
            nodes = int(os.environ.get("SLURM_JOB_NUM_NODES", "1"))
            return nodes * (self.workers_per_node or int(os.environ.get("SLURM_CPUS_ON_NODE", "0")) or _own_cores())
        if self.executor == "slurm":
            per_node = self.workers_per_node or self.cores_per_node or _own_cores()
            return self.max_blocks * self.nodes_per_block * per_node
        return self.workers or _own_cores()


def make_site(entries: Any, place: str = "site") -> Site:
    """Validate one site.

    Parameters
    ----------
    entries : Mapping or str
        Its entries, or the word for an engine.
    place : str
        Where it stands, for messages.

    Raises
    ------
    ConfigError
        Listing every fault.
    """
    if isinstance(entries, str):
        entries = {"executor": entries}
    if not isinstance(entries, Mapping):
        msg = f"{place}: expected an engine ({', '.join(EXECUTORS)}) or its entries, found {entries!r}"
        raise ConfigError(msg)
    try:
        return Site.model_validate(dict(entries))
    except ValidationError as error:
        raise ConfigError(faults_of(error, Site, place)) from None
