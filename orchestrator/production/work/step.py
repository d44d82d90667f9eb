"""A function or command stage of one target: inputs gathered, outputs written in scratch and published by rename."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from orchestrator.errors import ConfigError, DataError
from orchestrator.production.products import product_folder
from orchestrator.production.records import InputFile, StagePlan, Target
from orchestrator.production.work.failures import StepError
from orchestrator.production.work.row import Row

__all__ = ["Step", "StepResult", "content_checksum", "publish"]


@dataclass(frozen=True)
class Step:
    """What a function or a command is given.

    Attributes
    ----------
    stage : StagePlan
    sections : Mapping
        Resolved for the target.
    target : Target
    row_of : callable
        Returns the columns of a stage that is needed.
    tables : Mapping of str to str
        Stage to the file with its results of all targets, for ``over: all``.
    production, folder : Path
        The production, and a folder of its own for files that pass.
    seed : int
    time_limit : float
        For a command in a process that nobody watches; infinite otherwise.
    own_group : bool
        Whether a command gets a process group of its own.
    place : str
        Folder for what it makes, relative to `production`; that of its products if empty.
    """

    stage: StagePlan
    sections: Mapping[str, Mapping[str, Any]]
    target: Target
    row_of: Callable[[str], Mapping[str, Any]]
    production: Path
    folder: Path
    tables: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    time_limit: float = float("inf")
    own_group: bool = False
    place: str = ""

    @property
    def options(self) -> dict[str, Any]:
        """Options of the run file."""
        own = {key: value for key, value in self.sections.get("function", {}).items() if key != "call"}
        return own | dict(self.sections.get("options", {}))

    @cached_property
    def files(self) -> dict[str, Path]:
        """Input files by name, copied to scratch if the stage asks for it.

        Raises
        ------
        DataError
            If one is not there.
        """
        found: dict[str, Path] = {}
        for name, value in self.sections.get("inputs", {}).items():
            if value is None:
                continue
            path = Path(str(value))
            if not path.exists():
                msg = f"input {name!r}: there is no file {str(path)!r}"
                raise DataError(msg)
            found[name] = self._copied(name, path) if self.stage.scratch else path
        return found

    @cached_property
    def wired(self) -> dict[str, Any]:
        """Rows, columns and tables of earlier results, by parameter."""
        return {name: self.result_of(wire) for name, wire in self.sections.get("wires", {}).items()}

    @cached_property
    def outputs(self) -> dict[str, Path]:
        """Files to write, by name."""
        folder = self.folder / "outputs"
        folder.mkdir(parents=True, exist_ok=True)
        found = {name: folder / str(file) for name, file in self.stage.outputs.items()}
        for path in found.values():
            path.parent.mkdir(parents=True, exist_ok=True)
        return found

    def table_file(self, stage: str) -> Path:
        """Return the file with the results of a stage for all targets."""
        return self.production / self.tables[stage]

    def result_of(self, wire: str) -> Any:
        """Return a row, one column of it, or the table of all targets."""
        stage, _, column = wire.partition(".")
        if column:
            row = self.row_of(stage)
            if column not in row:
                msg = f"stage {stage!r} has no column {column!r}; it has {', '.join(sorted(row))}"
                raise ConfigError(msg)
            return row[column]
        if stage in self.tables:
            from astropy.table import Table

            table = Table.read(self.table_file(stage), hdu=1)
            table.convert_bytestring_to_unicode()
            return table
        return self.row_of(stage)

    def _copied(self, name: str, path: Path) -> Path:
        place = self.folder / "inputs" / name / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, place, dirs_exist_ok=True)
        else:
            shutil.copy2(path, place)
        return place


@dataclass
class StepResult:
    """What a function or a command gives.

    Attributes
    ----------
    row : Row
    flags : int
    remarks, verdict : str
    """

    row: Row
    flags: int = 0
    remarks: str = ""
    verdict: str = "ok"


def publish(step: Step, *, complete: bool = True) -> tuple[InputFile, ...]:
    """Give the files that a stage has written their names, and return them; each appears as a whole.

    Parameters
    ----------
    step : Step
    complete : bool
        Whether one that is not there is a failure; a result that is None may have none.

    Raises
    ------
    StepError
        If one was not written.
    """
    missing = [name for name, path in step.outputs.items() if not path.exists()]
    if missing and complete:
        path = step.stage.outputs[missing[0]]
        msg = f"it ended well and has not written its output {missing[0]!r} ({path})"
        raise StepError(msg)
    folder = step.place or product_folder(step.stage, step.target.name)
    return tuple(
        _published(path, step.production, f"{folder}/{step.stage.outputs[name]}")
        for name, path in step.outputs.items()
        if path.exists()
    )


def _published(source: Path, production: Path, relative: str) -> InputFile:
    place = production / relative
    place.parent.mkdir(parents=True, exist_ok=True)
    passing = place.with_name(f".{place.name}.{os.getpid()}")
    shutil.move(source, passing)
    if place.is_dir():
        shutil.rmtree(place)
    os.replace(passing, place)
    status = place.stat()
    return InputFile(relative, status.st_size, status.st_mtime_ns, content_checksum(place))


def content_checksum(path: Path) -> str:
    """Return the checksum of a file, or of all files in a folder."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        parts = [f"{file.relative_to(path)}\0{content_checksum(file)}" for file in files]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]
