"""A run of ceci stages, checked: stages wired by the tags of what they read and write, every fault in one report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchestrator.errors import ConfigError
from orchestrator.interop.ceci_classes import import_modules
from orchestrator.interop.ceci_wiring import (
    CeciStage,
    chosen_stages,
    in_order,
    missing_files,
    section_faults,
    wire,
)
from orchestrator.interop.lbg_files import RunContent, absolute, read_content
from orchestrator.interop.lbg_model import RunModel, SiteModel, StageModel
from orchestrator.production.model_faults import faults_of

__all__ = ["LbgRun", "read_lbg_run"]


@dataclass(frozen=True)
class LbgRun:
    """A run, validated and resolved.

    Attributes
    ----------
    source, root : Path
        The run file; the folder that relative files start from, which is that of the stages too.
    output_dir, log_dir : Path
    resume : {'resume', 'restart', 'refuse'}
    stages : tuple of CeciStage
        In an order in which they can be run.
    chosen : tuple of str
        Those to run: all, or what ``from``, ``to`` and ``only`` leave.
    entries, sections : Mapping
        The merged files, for the record and for the stages.
    python_paths : tuple of Path
    site : SiteModel
    pre_script, post_script : str
        Commands; empty if there is none.
    notes : tuple of str
        What is odd, and does no harm.
    """

    source: Path
    root: Path
    output_dir: Path
    log_dir: Path
    resume: str
    stages: tuple[CeciStage, ...]
    chosen: tuple[str, ...]
    entries: Mapping[str, Any]
    sections: Mapping[str, Any]
    python_paths: tuple[Path, ...] = ()
    site: SiteModel = field(default_factory=lambda: SiteModel.model_validate({}))
    pre_script: str = ""
    post_script: str = ""
    notes: tuple[str, ...] = ()

    def stage(self, name: str) -> CeciStage:
        """Return a stage by its name."""
        return next(stage for stage in self.stages if stage.name == name)


def read_lbg_run(
    path: str | Path,
    settings: Sequence[str] = (),
    site: str | None = None,
    *,
    begin: Sequence[str] = (),
    end: Sequence[str] = (),
    only: Sequence[str] = (),
) -> LbgRun:
    """Read a run of ceci or lbg-pipelines, import its stages and wire them.

    Parameters
    ----------
    path : path
    settings : sequence of str
        ``name=value`` of the command line.
    site : str, optional
    begin, end, only : sequence of str
        Stages or tags: run only what comes from `begin` on, what `end` needs, or these stages.

    Raises
    ------
    ConfigError
        Listing every fault.
    """
    content = read_content(path, settings, site)
    faults = content.faults
    run = _run_entries(content)
    entries = _stage_entries(run, faults)
    where = _SiteReader(run.site, faults).site
    paths = tuple(absolute(content.root, entry) for entry in run.python_paths)
    import_modules(run.modules, [content.root, *paths], faults)
    stages = wire(content, run, entries, faults)
    notes = section_faults(content, entries, stages, faults)
    ordered = in_order(stages, faults)
    chosen = chosen_stages(ordered, begin or run.begin, end or run.to, only, faults)
    if not run.pre_script:  # it may make them
        faults += missing_files(ordered, chosen)
    for name in {stage.name for stage in ordered if stage.entry.image or where.image}:
        faults.append(f"stage {name!r}: image: containers are not supported; install its packages beside this one")
    if faults:
        raise ConfigError(list(dict.fromkeys(faults)))
    return LbgRun(
        source=content.source,
        root=content.root,
        output_dir=absolute(content.root, run.output_dir),
        log_dir=absolute(content.root, run.log_dir),
        resume=run.resume,
        stages=ordered,
        chosen=chosen,
        entries=content.entries,
        sections=content.sections,
        python_paths=paths,
        site=where,
        pre_script=run.pre_script or "",
        post_script=run.post_script or "",
        notes=tuple(notes),
    )


def _run_entries(content: RunContent) -> RunModel:
    """Return the entries of the run; faulty ones are left at their default, so that the rest is checked too."""
    try:
        return RunModel.model_validate(content.entries)
    except ValidationError as error:
        content.faults += faults_of(error, RunModel)
        bad = {str(entry["loc"][0]) for entry in error.errors()}
        return RunModel.model_validate({key: value for key, value in content.entries.items() if key not in bad})


def _stage_entries(run: RunModel, faults: list[str]) -> list[StageModel]:
    entries: dict[str, StageModel] = {}
    for number, given in enumerate(run.stages, 1):
        plain = {"name": given} if isinstance(given, str) else given
        name = plain.get("name") if isinstance(plain, Mapping) else None
        place = f"stage {name!r}" if name else f"stages, entry {number}"
        try:
            entry = StageModel.model_validate(plain)
        except ValidationError as error:
            faults += faults_of(error, StageModel, place)
            if not name:
                continue
            bad = {str(one["loc"][0]) for one in error.errors()} - {"name"}
            entry = StageModel.model_validate({key: value for key, value in plain.items() if key not in bad})
        if entry.name in entries:
            faults.append(f"{place}: there are two stages of this name; give one another name, and 'classname'")
        entries[entry.name] = entry
    if not run.stages:
        faults.append("stages: there is none; expected a list of stages, each with its name")
    return list(entries.values())


class _SiteReader:
    """The entry ``site``, checked."""

    def __init__(self, given: Any, faults: list[str]) -> None:
        self.site = SiteModel.model_validate({})
        try:
            self.site = SiteModel.model_validate({"name": given} if isinstance(given, str) else given or {})
        except ValidationError as error:
            faults += faults_of(error, SiteModel, "site")
        if self.site.name != "local" and "interactive" not in self.site.name:
            faults.append(
                f"site.name = {self.site.name!r}: expected 'local', or an interactive site inside an allocation; for "
                "a batch job, let the job call 'orchestrator run' with the site 'local'"
            )
