"""One configuration to one stage: its sections checked, its paths resolved."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.config.data_set_sections import own_nuisance_sections
from orchestrator.config.extra_outputs import check_extra_outputs
from orchestrator.config.ini import read_ini, render_ini
from orchestrator.config.module_options import module_of_section
from orchestrator.config.module_sections import (
    ModuleDraft,
    check_amplitudes,
    check_likelihoods,
    check_module,
)
from orchestrator.config.one_galaxy import check_one_galaxy
from orchestrator.config.plain import resolve_path, words
from orchestrator.config.samplers import known_samplers
from orchestrator.config.sections import (
    check_output,
    check_pipeline,
    check_runtime,
    check_sampler_options,
    default_seed,
)
from orchestrator.config.stage_values import check_stage_values
from orchestrator.errors import ConfigError, nearest_known
from orchestrator.stage import Stage, StagePaths

__all__ = ["draft_stage"]

logger = logging.getLogger(__name__)

_REQUIRED = ("runtime", "output", "pipeline")
_OURS = ("values", "handover")


def draft_stage(
    config: Any, n_cores: int, ini_file: Any, values_file: Any, directory: Path, faults: list[str]
) -> Stage | None:
    """Check one configuration and return its stage, whose handover rules are still as given.

    Parameters
    ----------
    config : Mapping
        Ini sections; with an `ini_file` only its ``handover`` section counts.
    n_cores : int
        Processes.
    ini_file, values_file : path or None
        Files that take the place of the sections and of ``pipeline.values``.
    directory : Path
        Folder that relative paths start from.
    faults : list of str
        Faults are added here.

    Returns
    -------
    Stage or None
        None if it has faults.
    """
    before = len(faults)
    ini_path = None if ini_file is None else resolve_path(ini_file, directory)
    sections = _sections(config, ini_path, faults)
    if sections is None:
        return None
    for name in _REQUIRED:
        if name not in sections:
            faults.append(f"section {name!r} is missing{_example(name)}")
    runtime, samplers = check_runtime(sections.get("runtime", {}), directory, faults)
    output, chain = check_output(sections.get("output", {}), directory, faults)
    pipeline, names = check_pipeline(sections.get("pipeline", {}), directory, faults)
    drafts = _modules(sections, names, directory, faults)
    _check_unknown(sections, samplers, names, drafts, runtime, faults)
    if len(drafts) == len(names):
        check_amplitudes(drafts, faults)
        check_one_galaxy(drafts, faults)
        drafts = own_nuisance_sections(drafts, faults, can_write=ini_path is None)
        classes = [draft.section.class_name for draft in drafts]
        faults.extend(check_extra_outputs(pipeline.get("extra_output"), classes))
        drafts, likelihoods = check_likelihoods(drafts, pipeline.get("likelihoods"), faults)
        if likelihoods:
            pipeline["likelihoods"] = " ".join(likelihoods)
    written = {"runtime": runtime, "output": output, "pipeline": pipeline}
    plug_ins = "import_samplers" in runtime
    for name in dict.fromkeys(samplers):
        given = sections.get(name, {})
        written[name] = check_sampler_options(name, given, directory, faults, plug_ins=plug_ins)
    values = pipeline.get("values")
    if values_file is not None:
        values = resolve_path(values_file, directory)
        if not values.is_file():
            faults.append(f"ini_values_files: there is no file {str(values)!r}")
    if chain is None or len(faults) > before:
        return None
    stage = _stage(written, samplers, drafts, chain, n_cores, ini_path, values, sections)
    faults.extend(_final_checks(stage))
    if stage.inline_values:
        stage = replace(stage, values_file=None)  # inline values need no file, and none is written
    return stage if len(faults) == before else None


def _example(name: str) -> str:
    examples = {
        "runtime": {"sampler": "maxlike"},
        "output": {"filename": "./fit"},
        "pipeline": {"modules": "FullSpectralFit", "values": "./values.ini"},
    }
    return f"; for example {{{name!r}: {examples[name]!r}}}"


def _sections(config: Any, ini_path: Path | None, faults: list[str]) -> dict[str, Mapping[str, Any]] | None:
    """Return the sections to check: those of the ini file if there is one, else the configuration."""
    if config is None and ini_path is not None:
        config = {}
    if not isinstance(config, Mapping):
        faults.append(f"expected a dictionary of ini sections, found {config!r}")
        return None
    sections = {str(name): section for name, section in config.items() if section is not None}
    if ini_path is not None:
        try:
            from_file = read_ini(ini_path)
        except ConfigError as error:
            faults.extend(error.faults)
            return None
        if sections.keys() - {"handover"}:
            logger.info("%s is used; the sections of the configuration are not", ini_path)
        sections = {**from_file, **{name: sections[name] for name in ("handover",) if name in sections}}
    for name, section in sections.items():
        if not isinstance(section, Mapping):
            faults.append(f"section {name!r}: expected a dictionary of options, found {section!r}")
    return {name: section for name, section in sections.items() if isinstance(section, Mapping)}


def _modules(
    sections: Mapping[str, Mapping[str, Any]], names: list[str], directory: Path, faults: list[str]
) -> list[ModuleDraft]:
    drafts = []
    for name in names:
        if name not in sections:
            hint = nearest_known(name, sections)
            faults.append(f"[pipeline] modules names {name!r}, but there is no such section{hint}")
        elif (draft := check_module(name, sections[name], directory, faults)) is not None:
            drafts.append(draft)
    return drafts


def _check_unknown(
    sections: Mapping[str, Any],
    samplers: tuple[str, ...],
    modules: list[str],
    drafts: list[ModuleDraft],
    runtime: Mapping[str, Any],
    faults: list[str],
) -> None:
    """Refuse sections that nothing reads; those of samplers and modules left unused get a line in the log."""
    expected = {*_REQUIRED, *_OURS, *samplers, *modules, *words(runtime.get("global"))}
    foreign = any(draft.section.class_name is None for draft in drafts)
    for name in sections:
        if name in expected or foreign:
            continue
        if name in known_samplers():
            logger.info("section [%s] is not used: this sampler is not among [runtime] sampler", name)
        elif module_of_section(name):
            logger.warning("section [%s] is not used: this module is not among [pipeline] modules", name)
        else:
            faults.append(f"unknown section {name!r}{nearest_known(name, expected)}")


def _stage(
    written: dict[str, Any],
    samplers: tuple[str, ...],
    drafts: list[ModuleDraft],
    chain: Path,
    n_cores: int,
    ini_path: Path | None,
    values: Path | None,
    sections: Mapping[str, Mapping[str, Any]],
) -> Stage:
    paths = StagePaths.from_output(chain, chain.parent)
    runtime = written["runtime"]
    seed = runtime.setdefault("seed", default_seed(paths.name))
    pipeline = {key: value for key, value in written["pipeline"].items() if key not in ("values", "priors")}
    return Stage(
        name=paths.name,
        paths=paths,
        samplers=samplers,
        modules=tuple(draft.section for draft in drafts),
        sections={**written, "pipeline": pipeline},
        n_cores=n_cores,
        handover=dict(sections.get("handover", {})),
        values_file=values,
        inline_values={
            name: dict(entries) if isinstance(entries, Mapping) else entries
            for name, entries in sections.get("values", {}).items()
        },
        priors_file=written["pipeline"].get("priors"),
        ini_file=ini_path,
        figure_name=written["output"].get("figurename"),
        seed=seed,
        resume=bool(runtime.get("resume", False)),
    )


def _final_checks(stage: Stage) -> list[str]:
    """Check what needs the whole stage: file names, values, and what an ini file can hold."""
    paths = stage.paths
    faults = [
        f"[pipeline] {option} = {str(path)!r} is the name of the file that the stage writes for its run; "
        f"rename it, for example {str(path.with_name('start_' + path.name))!r}"
        for option, path in (("values", stage.values_file), ("priors", stage.priors_file))
        if path is not None and path in (paths.values, paths.priors, paths.params, paths.chain)
    ]
    if stage.inline_values and stage.values_file is not None and stage.values_file.is_file():
        faults.append(
            "values are given twice: in the section 'values' and in the file "
            f"{str(stage.values_file)!r}; keep one"
        )
    if stage.priors_file is not None and not stage.priors_file.is_file():
        return [*faults, f"[pipeline] priors: there is no file {str(stage.priors_file)!r}"]
    if stage.ini_file is None:
        try:
            render_ini(stage)
        except ConfigError as error:
            faults.extend(error.faults)
    return faults + check_stage_values(stage)
