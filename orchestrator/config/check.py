"""From the user's configuration to validated stages, with every fault found in one report.

Nothing here runs or writes anything, and the user's dictionaries are only read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.config.cross_checks import check_between_stages
from orchestrator.config.draft import draft_stage
from orchestrator.config.inputs import check_inputs
from orchestrator.config.module_sections import declared_parameters
from orchestrator.config.stage_values import stage_values
from orchestrator.errors import ConfigError
from orchestrator.stage import Stage

__all__ = ["build_stages", "check_inputs", "declared_parameters", "stage_values"]

_Paths = Sequence[str | Path | None]


def build_stages(
    configs: Sequence[Mapping[str, Mapping[str, Any]]],
    n_cores_list: Sequence[int] | None = None,
    ini_files: _Paths | None = None,
    ini_values_files: _Paths | None = None,
    directory: str | Path | None = None,
) -> tuple[Stage, ...]:
    """Validate configurations and return one stage for each.

    Parameters
    ----------
    configs : sequence of Mapping
        One dictionary of ini sections per stage.
    n_cores_list : sequence of int, optional
        Processes per stage; -1 means all of the machine. One each if left out.
    ini_files : sequence of path or None, optional
        Ready ini files, which take the place of the configurations' sections.
    ini_values_files : sequence of path or None, optional
        Values files, which take the place of ``pipeline.values``.
    directory : path, optional
        Folder that relative paths start from; the current one if left out.

    Returns
    -------
    tuple of Stage

    Raises
    ------
    ConfigError
        Listing every fault of every stage.
    """
    folder = Path(os.path.abspath(directory or Path.cwd()))
    if isinstance(configs, (str, Mapping)) or not isinstance(configs, Sequence) or not configs:
        msg = f"expected a list of configurations, one dictionary per stage; found {_kind(configs)}"
        raise ConfigError(msg)
    faults: list[str] = []
    count = len(configs)
    cores = _per_stage(n_cores_list, count, "n_cores_list", faults)
    inis = _per_stage(ini_files, count, "ini_files", faults)
    values = _per_stage(ini_values_files, count, "ini_values_files", faults)
    stages: list[Stage | None] = []
    for index, config in enumerate(configs):
        own: list[str] = []
        n_cores = _n_cores(1 if n_cores_list is None else cores[index], own)
        stage = draft_stage(config, n_cores, inis[index], values[index], folder, own)
        stages.append(stage)
        faults += [f"stage {index + 1}: {fault}" for fault in own]
    checked, between = check_between_stages(stages)
    faults += between
    if faults:
        raise ConfigError(list(dict.fromkeys(faults)))
    return checked


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a single dictionary; put it in a list"
    return "an empty list" if isinstance(value, Sequence) and not value else repr(value)


def _per_stage(values: Sequence[Any] | None, count: int, name: str, faults: list[str]) -> list[Any]:
    """Return one entry per stage; a list of another length is a fault."""
    if values is None:
        return [None] * count
    is_list = isinstance(values, Sequence) and not isinstance(values, str)
    if not is_list or len(values) != count:
        found = f"{len(values)} entries" if is_list else repr(values)
        faults.append(f"{name} has {found}, but there are {count} configurations; give one entry for each")
        return [None] * count
    return list(values)


def _n_cores(value: Any, faults: list[str]) -> int:
    if value is None:
        return 1  # the list has the wrong length, which is reported
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        faults.append(f"n_cores = {value!r}: expected a whole number, -1 for all cores")
        return 1
    number = int(value)
    if number == -1:
        return os.cpu_count() or 1
    if number < 1:
        faults.append(f"n_cores = {number}: expected 1 or more, or -1 for all cores")
        return 1
    return number
