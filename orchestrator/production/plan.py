"""The plan: the stages of a production as its workers get them, immutable, named by its hash.

It holds no site but what a worker has to know of it, and no path of this machine but those of inputs outside the
folder of the production.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ProductionError
from orchestrator.production.canonical import canonical_text, digest
from orchestrator.production.file_options import map_files, portable_path
from orchestrator.production.function_code import use_python_path
from orchestrator.production.records import StagePlan

if TYPE_CHECKING:
    from orchestrator.production.run_file import RunFile

__all__ = ["Plan", "from_json", "plan_of", "read_plan", "stage_content", "stage_hash", "to_json"]


@dataclass(frozen=True)
class Plan:
    """What a worker needs to know, beside the targets.

    Attributes
    ----------
    name : str
        Name of the production.
    stages : tuple of StagePlan
        In the order of execution. Files inside the production are relative to it.
    seed : int
    samples : {'shards', 'directories', 'none'}
        Where chains go.
    axes : Mapping of str to (Mapping or None)
        Axis of ``cross`` to variant to overrides; None for an axis of plain values.
    table_folder : str
        Folder that files named in the table of targets are relative to.
    python_path : tuple of str
        Folders that functions are imported from.
    isolation : {'process', 'none'}
    mpi_command : str
    scratch : str or None
        As in the site.
    folder : str
        The production's folder on this machine; no part of the hash.
    """

    name: str
    stages: tuple[StagePlan, ...]
    seed: int = 1
    samples: str = "shards"
    axes: Mapping[str, Mapping[str, Mapping[str, Any]] | None] = field(default_factory=dict)
    table_folder: str = "."
    python_path: tuple[str, ...] = ()
    isolation: str = "process"
    mpi_command: str = "mpiexec -n {ranks}"
    scratch: str | None = None
    folder: str = field(default=".", compare=False)

    @cached_property
    def hash(self) -> str:
        """Name of the plan: 32 hexadecimal digits."""
        return digest(canonical_text(_plain(self)))

    @cached_property
    def prepared(self) -> dict[Any, Any]:
        """What `orchestrator.production.target_config` has prepared for this plan."""
        return {}

    def add_python_path(self) -> None:
        """Let this process import the functions of the stages; what it can import already comes first."""
        use_python_path([os.path.normpath(os.path.join(self.folder, path)) for path in self.python_path])

    @property
    def file(self) -> str:
        """File of the plan, relative to the production."""
        return f"plan/{self.hash}.json"

    def stage(self, name: str) -> StagePlan:
        """Return the stage of a name.

        Raises
        ------
        KeyError
            If there is none.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise KeyError(name)

    def later_stages(self, name: str) -> tuple[str, ...]:
        """Return the stages that need the result of `name`, directly or through others, in order."""
        found = {name}
        for stage in self.stages:
            if found & set(stage.needs):
                found.add(stage.name)
        return tuple(stage.name for stage in self.stages if stage.name in found - {name})


def _plain(plan: Plan) -> dict[str, Any]:
    """Return the content of a plan without what is at its default: a plan keeps its hash when entries are added."""
    content: dict[str, Any] = {"name": plan.name}
    content |= {name: value for name, value in _given(plan).items() if name not in ("name", "folder", "stages")}
    content["stages"] = [stage_content(stage) for stage in plan.stages]
    return content


def stage_content(stage: StagePlan) -> dict[str, Any]:
    """Return what a stage holds beyond the defaults, as plain types; so that infinity never is written."""
    return {name: _unfrozen(value) for name, value in _given(stage).items()}


def _given(record: Plan | StagePlan) -> dict[str, Any]:
    """Return the fields of a record that differ from their default."""
    given = {}
    for entry in fields(record):
        value = getattr(record, entry.name)
        default = entry.default_factory() if entry.default_factory is not MISSING else entry.default
        if value != default:
            given[entry.name] = value
    return given


def _unfrozen(value: Any) -> Any:
    """Return a copy in plain types."""
    if isinstance(value, Mapping):
        return {key: _unfrozen(entry) for key, entry in value.items()}
    return [_unfrozen(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def plan_of(run_file: RunFile) -> Plan:
    """Return the plan of a run file; files inside the production become relative to it."""
    folder = str(run_file.output)

    def portable_value(value: Any, _use: str) -> Any:
        return portable_path(value, folder)

    def portable(sections: Mapping[str, Any]) -> dict[str, Any]:
        return map_files(sections, portable_value)

    stages = tuple(
        replace(stage, sections=portable(stage.sections), recipes=tuple(map(portable, stage.recipes)))
        for stage in run_file.stages
    )
    axes: dict[str, Any] = {}
    for axis, choices in run_file.targets.cross.items():
        axes[axis] = None
        if isinstance(choices, Mapping):
            axes[axis] = {
                variant: {name: portable_path(value, folder) for name, value in overrides.items()}
                for variant, overrides in choices.items()
            }
    return Plan(
        name=run_file.name,
        stages=stages,
        seed=run_file.seed,
        samples=run_file.samples,
        axes=axes,
        table_folder=portable_path(str(run_file.table.parent), folder),
        python_path=tuple(portable_path(path, folder) for path in run_file.python_path),
        isolation=run_file.site.isolation,
        mpi_command=run_file.site.mpi_command,
        scratch=run_file.site.scratch,
        folder=folder,
    )


def stage_hash(stage: StagePlan) -> str:
    """Return the hash of the configuration of a stage, its limits and retries included."""
    return digest(canonical_text(stage_content(stage)))


def to_json(plan: Plan) -> str:
    """Return a plan as text; options keep their order."""
    return json.dumps(_plain(plan), indent=1)


def from_json(text: str, folder: str | Path = ".") -> Plan:
    """Return the plan of a text that `to_json` wrote.

    Parameters
    ----------
    text : str
    folder : path
        The production, for its relative files.

    Raises
    ------
    ProductionError
        If the text is no plan of this version.
    """
    try:
        content = json.loads(text)
        stages = tuple(StagePlan(**_tuples(entry)) for entry in content.pop("stages"))
        return Plan(stages=stages, **_tuples(content), folder=str(folder))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        msg = f"this is no plan of a production, or one of another version: {error}"
        raise ProductionError(msg) from error


def _tuples(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}


def read_plan(production: str | Path, file: str) -> Plan:
    """Read a plan.

    Parameters
    ----------
    production : path
        Folder of the production.
    file : str
        As in `ChunkOrder.plan`.

    Raises
    ------
    ProductionError
        If it cannot be read, or its content does not have the hash that its name says.
    """
    path = Path(production) / file
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        msg = f"cannot read the plan {str(path)!r}: {error.strerror or error}; run the production again to write it"
        raise ProductionError(msg) from error
    plan = from_json(text, production)
    if plan.hash != path.stem:
        msg = f"{str(path)!r} was changed: its content has the hash {plan.hash}; run the production again to write it"
        raise ProductionError(msg)
    return plan
