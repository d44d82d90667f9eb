"""The run file: pipeline, targets, options and site of a production, read and resolved, all faults at once.

Precedence, the last wins: pipeline, ``options``, ``site.options``, settings of the command line; then, per target,
the variants of its axes and its own overrides. Relative files are relative to the file that names them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchestrator.errors import ConfigError
from orchestrator.production.expression import parse_expression
from orchestrator.production.file_options import absolute_path
from orchestrator.production.functions import Functions
from orchestrator.production.model_faults import faults_of
from orchestrator.production.nesting import flattened
from orchestrator.production.overrides import parse_override
from orchestrator.production.pipeline_stages import (
    check_columns,
    make_stages,
    override_file,
    placeholder_faults,
    with_absolute_files,
    with_overrides,
)
from orchestrator.production.production_folder import RUN_FILE, ledger_url
from orchestrator.production.records import StagePlan
from orchestrator.production.run_model import RunEntries, TargetEntries
from orchestrator.production.settings import Settings, parse_settings, with_entries
from orchestrator.production.site import Site
from orchestrator.production.site_choice import chosen_site, with_absolute_options
from orchestrator.production.target_tables import open_table
from orchestrator.production.targets import table_faults, value_columns
from orchestrator.production.wiring import wired
from orchestrator.production.yaml_text import read_yaml

__all__ = ["RunFile", "read_run_file"]


@dataclass(frozen=True)
class RunFile:
    """A run file, validated and resolved.

    Attributes
    ----------
    name : str
    source : Path
        The file it was read from.
    output : Path
        Folder of the production, absolute.
    seed : int
    ledger : str
        As in the run file: ``sqlite`` or a URL.
    resume : bool
    samples : {'shards', 'directories', 'none'}
    targets : TargetEntries
        As in the run file; overrides of variants have absolute files.
    table : Path
        Table of targets, absolute.
    stages : tuple of StagePlan
        Options of all levels applied, files absolute.
    site : Site
    sites : Mapping
        The sites to choose from, as in the run file; files in their options are absolute.
    python_path : tuple of str
        Folders that function stages are imported from, absolute; empty if there are none.
    pre_script, post_script : Path or None
    settings : tuple of str
        Those of the command line, for the record.
    """

    name: str
    source: Path
    output: Path
    seed: int
    ledger: str
    resume: bool
    samples: str
    targets: TargetEntries
    table: Path
    stages: tuple[StagePlan, ...]
    site: Site
    sites: Mapping[str, Any]
    python_path: tuple[str, ...] = ()
    pre_script: Path | None = None
    post_script: Path | None = None
    settings: tuple[str, ...] = ()

    @property
    def ledger_url(self) -> str:
        """URL of the ledger, for `open_ledger`."""
        return ledger_url(self.output, self.ledger)


def read_run_file(
    path: str | Path, settings: Sequence[str] = (), site: str | None = None, *, look: bool = True
) -> RunFile:
    """Read a run file, or that of a production.

    Parameters
    ----------
    path : path
        Run file, or folder of a production.
    settings : sequence of str
        ``name=value`` of the command line: entries of the run file (``seed=3``, ``site.workers=4``) or options of
        stages (``kinematics.KinDust.velscale=70``).
    site : str, optional
        Name of a site of the run file, or of an engine.
    look : bool
        Look at the table of targets and at scripts; without, what needs them is not checked.

    Raises
    ------
    ConfigError
        Listing every fault.
    """
    source = Path(os.path.abspath(Path(path).expanduser()))
    if source.is_dir():
        source = source / RUN_FILE
    content = read_yaml(source)
    if not isinstance(content, Mapping):
        msg = f"{str(source)!r}: expected entries such as targets, pipeline and site; found {content!r:.60}"
        raise ConfigError(msg)
    given = parse_settings(settings)
    try:
        entries = RunEntries.model_validate(with_entries(content, given))
    except ValidationError as error:
        faults = faults_of(error, RunEntries)
        return _with_further_faults(content, given, site, source.parent, faults)
    faults = []
    chosen = chosen_site(entries, given, site, faults)
    columns = _columns_of_table(entries.targets, source.parent) if look else None
    stages = _stages(entries, chosen, given, source.parent, faults, columns, look=look)
    output = Path(os.path.abspath(source.parent / Path(os.path.expandvars(entries.output)).expanduser()))
    run_file = RunFile(
        name=entries.name or output.name,
        source=source,
        output=output,
        seed=entries.seed,
        ledger=entries.ledger,
        resume=entries.resume,
        samples=entries.samples,
        targets=_with_variants(entries.targets, stages, source.parent, faults),
        table=Path(absolute_path(entries.targets.table, "read", source.parent)),
        stages=stages,
        site=chosen,
        sites=with_absolute_options(entries.sites, stages, source.parent),
        python_path=_python_path(entries, stages, source.parent),
        pre_script=_script(entries.pre_script, "pre_script", source.parent, look, faults),
        post_script=_script(entries.post_script, "post_script", source.parent, look, faults),
        settings=tuple(settings),
    )
    faults += _condition_faults(run_file)
    if look and stages:
        faults += _look_at_table(run_file)
    if faults:
        raise ConfigError(list(dict.fromkeys(faults)))
    return run_file


def _with_further_faults(
    content: Mapping[str, Any], settings: Settings, site: str | None, folder: Path, faults: list[str]
) -> RunFile:
    """Raise the faults of the entries, and those of pipeline and site that can be told beside them."""
    known = with_entries(content, settings)
    defaults: dict[str, Any] = {"targets": {"table": "-", "identifier": "-"}, "pipeline": known.get("pipeline")}
    kept = {key: known[key] for key in ("site", "sites", "options") if isinstance(known.get(key), (Mapping, str))}
    try:
        entries = RunEntries.model_validate({**defaults, **kept})
    except ValidationError:
        entries = RunEntries.model_validate(defaults)
    if "pipeline" in known:
        _stages(entries, chosen_site(entries, settings, site, faults), settings, folder, faults)
    raise ConfigError(list(dict.fromkeys(faults)))


def _stages(
    entries: RunEntries,
    site: Site,
    settings: Settings,
    folder: Path,
    faults: list[str],
    columns: Sequence[str] | None = None,
    *,
    look: bool = True,
) -> tuple[StagePlan, ...]:
    """Return the stages with the options of all levels, joined by what they make and take."""
    given = {**entries.options, **site.options, **settings.overrides}
    written = [
        replace(entry, content=_with_stage_entries(entry.name, entry.content, given))
        for entry in flattened(entries.pipeline, folder, faults)
    ]
    drafts = make_stages(written, faults)
    if not drafts:
        return ()
    stages = tuple(draft.stage for draft in drafts)
    levels = (("options", entries.options), ("site.options", site.options), ("command line", settings.overrides))
    for place, overrides in levels:
        concerned = {name: value for name, value in overrides.items() if not _is_stage_entry(name, stages)}
        stages = with_overrides(stages, concerned, place, faults)
    functions = Functions(_python_path(entries, stages, folder), look=look)
    drafts = [replace(draft, stage=functions.with_code(stage)) for draft, stage in zip(drafts, stages, strict=True)]
    joined = wired(drafts, functions.declare, columns, faults)
    return tuple(with_absolute_files(stage, folder) for stage in joined)


def _is_stage_entry(name: str, stages: Sequence[StagePlan]) -> bool:
    parts = name.split(".")
    return len(parts) == 3 and parts[1] == "stage" and any(stage.name == parts[0] for stage in stages)


def _with_stage_entries(stage: str, content: Any, overrides: Mapping[str, Any]) -> Any:
    """Return a stage with overrides ``NAME.stage.key``, such as a limit of time, put where they belong."""
    changes = {}
    for name, value in overrides.items():
        first, _, rest = name.partition(".")
        group, _, key = rest.partition(".")
        if first == stage and group == "stage" and key:
            changes[key] = value
    if not changes or not isinstance(content, Mapping):
        return content
    own = content.get("stage")
    return {**content, "stage": {**(own if isinstance(own, Mapping) else {}), **changes}}


def _with_variants(
    entries: TargetEntries, stages: Sequence[StagePlan], folder: Path, faults: list[str]
) -> TargetEntries:
    """Return the entries with the overrides of variants checked and their files absolute."""
    cross: dict[str, Any] = {}
    for axis, choices in entries.cross.items():
        if not isinstance(choices, Mapping):
            cross[axis] = choices
            continue
        cross[axis] = {}
        for variant, overrides in choices.items():
            changed = {}
            for name, value in overrides.items():
                try:
                    changed[name] = override_file(parse_override(name, stages), value, stages, folder)
                except ConfigError as error:
                    if stages:
                        faults += [f"targets.cross.{axis}.{variant}: {fault}" for fault in error.faults]
            cross[axis][str(variant)] = changed
    return entries.model_copy(update={"cross": cross})


def _python_path(entries: RunEntries, stages: Sequence[StagePlan], folder: Path) -> tuple[str, ...]:
    if not any(stage.kind == "function" for stage in stages):
        return ()
    given = (".",) if entries.python_path is None else entries.python_path
    return tuple(absolute_path(path, "read", folder) for path in given)


def _script(value: str | None, entry: str, folder: Path, look: bool, faults: list[str]) -> Path | None:
    if value is None:
        return None
    path = Path(absolute_path(value, "read", folder))
    if look and not path.is_file():
        faults.append(f"{entry}: there is no file {str(path)!r}")
    return path


def _columns_of_table(entries: TargetEntries, folder: Path) -> list[str] | None:
    """Return the columns that inputs may be taken from; None if the table cannot be read, which is told elsewhere."""
    try:
        table = open_table(Path(absolute_path(entries.table, "read", folder)), entries.extension)
    except ConfigError:
        return None
    kept = value_columns(table.columns) if entries.columns is None else list(entries.columns)
    return [*kept, *entries.cross]


def _condition_faults(run_file: RunFile) -> list[str]:
    if run_file.targets.where is None:
        return []
    try:
        parse_expression(run_file.targets.where)
    except ConfigError as error:
        return [f"targets.where: {fault}" for fault in error.faults]
    return []


def _look_at_table(run_file: RunFile) -> list[str]:
    """Return what is wrong between the table and what the configuration needs of it."""
    entries = run_file.targets
    try:
        table = open_table(run_file.table, entries.extension)
    except ConfigError as error:
        return error.faults
    try:
        condition = None if entries.where is None else parse_expression(entries.where)
    except ConfigError:
        condition = None  # reported already
    faults = table_faults(run_file, table, condition)
    kept = value_columns(table.columns) if entries.columns is None else list(entries.columns)
    known = [*kept, *entries.cross]
    check_columns(run_file.stages, known, faults)
    for axis, choices in entries.cross.items():
        for variant, overrides in choices.items() if isinstance(choices, Mapping) else ():
            for name, value in overrides.items():
                place = f"targets.cross.{axis}.{variant}: {name}"
                faults += placeholder_faults(value, [*known, "target"], place)
    return faults
