"""The entries of a run file and of a stage in it, as models that refuse what they do not know."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from orchestrator.errors import nearest_known
from orchestrator.production.records import ErrorClass
from orchestrator.production.site import WholeNumber

__all__ = ["RunEntries", "StageEntries", "TargetEntries"]

_DATABASE = re.compile(r"(?:sqlite:///|postgresql(?:\+psycopg)?://).+")
_PASSWORD = re.compile(r"://[^/@:]*:[^/@]+@")
_AXIS = re.compile(r"[A-Za-z_]\w*")


def _text(value: Any) -> Any:
    """Take a number for its text; an identifier or a name may look like one."""
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


Text = Annotated[str, BeforeValidator(_text), Field(min_length=1)]
Limit = Annotated[float, Field(gt=0)]


class TargetEntries(BaseModel):
    """The entry ``targets``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str = Field(min_length=1, description="file with one row per target: FITS, ECSV, CSV or Parquet")
    identifier: str = Field(min_length=1, description="column with the unique name of each target")
    where: str | None = Field(None, description="condition on the columns, such as 'redshift < 0.1'")
    cross: Mapping[str, list[Any] | Mapping[str, Mapping[str, Any]]] = Field(
        default_factory=dict, description="axis to a list of values, or to variants with their overrides"
    )
    columns: tuple[str, ...] | None = Field(None, description="columns to keep; all if left out")
    extension: int | str | None = Field(None, description="extension of a FITS file; the first table if left out")

    @field_validator("cross")
    @classmethod
    def _axes(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        for axis, choices in value.items():
            if _AXIS.fullmatch(axis) is None:
                msg = f"axis {axis!r}: expected a word of letters, digits and underscores"
                raise ValueError(msg)
            if not choices:
                msg = f"axis {axis!r} has no value"
                raise ValueError(msg)
            texts = [str(choice) for choice in choices]
            repeated = sorted({text for text in texts if texts.count(text) > 1})
            if repeated:
                msg = f"axis {axis!r} has {repeated[0]!r} twice"
                raise ValueError(msg)
            for text in texts:
                if "/" in text or not text.strip() or not text.isprintable():
                    msg = f"axis {axis!r}: {text!r} cannot be part of the name of a target; avoid '/'"
                    raise ValueError(msg)
        return value


class StageEntries(BaseModel):
    """The entry ``stage`` of a stage: needs, resources, limits and what happens after a failure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    needs: tuple[str, ...] | None = Field(None, description="earlier stages that it uses; all if left out")
    n_cores: int = Field(1, description="processes of one fit; -1 for all of the machine")
    time_limit: Limit = Field(float("inf"), description="seconds per attempt")
    memory_limit: Limit = Field(float("inf"), description="megabytes of the process of the fit")
    retries: Mapping[str, WholeNumber] = Field(
        default_factory=dict, description="class of error to the number of further attempts"
    )
    max_failed: float | None = Field(
        None, ge=0, le=1, description="fraction of recent attempts that may fail before the stage is stopped, 0.9; "
        "for over: all, of targets without a result that it does without, 0"
    )
    over: Literal["target", "all"] = Field("target", description="once for each target, or once for all of them")
    version: Text | None = Field(None, description="of the code of a function, in place of the hash of its source")
    scratch: bool = Field(False, description="copy input files to the scratch folder first")
    recipes: tuple[Mapping[str, Mapping[str, Any]], ...] = Field(
        (), description="changes of the sections for further tries after a numerical failure"
    )

    @field_validator("needs", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return value.replace(",", " ").split() if isinstance(value, str) else value

    @field_validator("n_cores", mode="before")
    @classmethod
    def _cores(cls, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int) or (value < 1 and value != -1):
            msg = "expected a whole number from 1 up, or -1 for all cores"
            raise ValueError(msg)
        return value

    @field_validator("retries")
    @classmethod
    def _classes(cls, value: Mapping[str, int]) -> Mapping[str, int]:
        known = [entry.value for entry in ErrorClass]
        for name in value:
            if name not in known:
                msg = f"unknown class of error {name!r}{nearest_known(name, known)}"
                raise ValueError(msg)
        return value


class RunEntries(BaseModel):
    """A run file. ``pipeline``, ``site`` and ``sites`` are checked on their own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Text | None = Field(None, description="name of the production; that of the output folder if left out")
    output: str = Field("production", min_length=1, description="folder of the production")
    seed: WholeNumber = Field(1, description="seed that those of all fits follow from")
    ledger: str = Field("sqlite", description="sqlite, or the URL of a PostgreSQL database")
    resume: bool = Field(True, description="false: refuse a folder that holds a production already")
    samples: Literal["shards", "directories", "none"] = Field(
        "shards", description="where chains go: a few large files, one folder per target, or nowhere"
    )
    targets: TargetEntries = Field(description="table of targets")
    pipeline: Any = Field(description="stages in order, or the name of a YAML file with them")
    options: Mapping[str, Any] = Field(
        default_factory=dict, description="overrides stage.section.key or section.key for all targets"
    )
    site: Any = Field("local", description="where the work runs: entries, or a name of one in `sites`")
    sites: Mapping[str, Any] = Field(default_factory=dict, description="name to the entries of a site")
    python_path: tuple[str, ...] | None = Field(
        None, description="folders that function stages are imported from; that of the run file if left out"
    )
    pre_script: str | None = Field(None, description="script that is run before the work begins")
    post_script: str | None = Field(None, description="script that is run when all is done")

    @field_validator("ledger")
    @classmethod
    def _database(cls, value: str) -> str:
        if value != "sqlite" and _DATABASE.fullmatch(value) is None:
            msg = "expected sqlite or postgresql+psycopg://USER@HOST/DATABASE"
            raise ValueError(msg)
        if _PASSWORD.search(value):
            msg = "a password does not belong in a run file; put it into ~/.pgpass (mode 600)"
            raise ValueError(msg)
        return value
