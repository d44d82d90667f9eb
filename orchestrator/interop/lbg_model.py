"""The entries of a run of ceci or of LSST DESC's lbg-pipelines, as models that refuse what they do not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

__all__ = ["RunModel", "SiteModel", "StageModel"]


def _words(value: Any) -> Any:
    """Return a list of words: a text may hold several, with blanks between them."""
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(value.split())
    return value


def _resume(value: Any) -> Any:
    """Return the mode that ceci means by a yes/no value."""
    if value is None:
        return "resume"
    return {True: "resume", False: "restart"}[value] if isinstance(value, bool) else value


def _nothing(value: Any) -> Any:
    return {} if value is None else value


def _names(value: Any) -> Any:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
Section = Annotated[dict[str, Any], BeforeValidator(_nothing)]
Count = Annotated[int, Field(ge=1, strict=True)]


class StageModel(BaseModel):
    """One entry of ``stages``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="name of the stage; its class has the same unless classname says")
    classname: str | None = Field(None, description="class of the stage")
    module_name: str | None = Field(None, description="module that the class is imported from")
    nprocess: Count = Field(1, description="MPI processes")
    nodes: Count = Field(1, description="nodes that the processes are spread over")
    threads_per_process: Count = Field(1, description="threads of each process")
    mem_per_process: float = Field(2.0, description="gigabytes; for the record, ceci never uses it")
    aliases: Annotated[dict[str, str], BeforeValidator(_nothing)] = Field(
        default_factory=dict, description="tag of the class to the tag in this pipeline"
    )
    image: str | None = Field(None, description="container")
    volume: str | None = Field(None, description="folders of the container")
    site: Any = Field(None, description="set by ceci itself")


class SiteModel(BaseModel):
    """The entry ``site``."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str = Field("local", description="local, or an interactive one inside an allocation")
    max_threads: Count | None = Field(None, description="threads at a time; all cores if left out")
    max_processes: Count | None = Field(None, description="stages at a time")
    mpi_command: str | None = Field(None, description="what stands before the number of processes, such as 'srun -n'")
    image: str | None = Field(None, description="container")
    volume: str | None = Field(None, description="folders of the container")


class RunModel(BaseModel):
    """A run, merged from its files."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    pipelines: Words = Field((), description="names of pipelines")
    modules: Words = Field((), description="modules that define stages")
    python_paths: Names = Field((), description="folders that modules are imported from")
    stages: tuple[Any, ...] = Field((), description="a list of stages, each with its name")
    config: Any = Field(None, description="file with a section of options per stage, or its content")
    inputs: Section = Field(default_factory=dict, description="tag to file")
    output_dir: str = Field(".", description="folder of the products")
    log_dir: str = Field(".", description="folder of the logs")
    resume: Annotated[Literal["resume", "restart", "refuse"], BeforeValidator(_resume)] = Field(
        "resume", description="true: do what is not done; false: do everything again; refuse: if there is anything"
    )
    to: Names = Field((), description="stages or products to end with")
    begin: Names = Field((), alias="from", description="stages or products to begin with")
    site: Any = Field("local", description="entries of a site, or its name")
    launcher: Any = Field(None, description="for ceci")
    registry: Any = Field(None, description="DESC's dataregistry")
    pre_script: str | None = Field(None, description="run before the stages")
    post_script: str | None = Field(None, description="run after the stages, if all are done")

    @field_validator("inputs")
    @classmethod
    def _only_files(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        for tag, entry in value.items():
            if entry is not None and not isinstance(entry, str):
                msg = f"{tag}: expected a file, found {entry!r}; for one of the dataregistry, give its path"
                raise ValueError(msg)
        return value
