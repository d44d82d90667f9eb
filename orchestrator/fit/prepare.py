"""The files of a stage before it runs: values, priors, ini, handover and resolved configuration."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.config.check import declared_parameters
from orchestrator.config.ini import write_ini
from orchestrator.config.priors import PriorsFile, check_priors, default_priors, read_priors, write_priors
from orchestrator.config.text_files import write_atomically
from orchestrator.config.values import ValuesFile, write_values
from orchestrator.errors import HandoverError, StageError
from orchestrator.fit.handover_record import Handover
from orchestrator.fit.identity import LENGTH_OPTIONS, identity_hash, identity_parts, versions_of
from orchestrator.stage import Stage

__all__ = [
    "PreparedStage",
    "plain_length",
    "prepare_stage",
    "recorded_config",
    "write_inputs",
    "write_missing_values",
]

logger = logging.getLogger(__name__)



@dataclass(frozen=True)
class PreparedStage:
    """A stage with the handover applied, ready to be written and run.

    Attributes
    ----------
    stage : Stage
        Module options updated by the handover.
    values, priors : ValuesFile, PriorsFile
        As the run uses them.
    handover : Handover
    parts : dict
        What the posterior depends on, see `orchestrator.fit.identity`.
    """

    stage: Stage
    values: ValuesFile
    priors: PriorsFile
    handover: Handover
    parts: dict[str, Any]

    @property
    def identity(self) -> str:
        """Hash of `parts`."""
        return identity_hash(self.parts)


def plain_length(prepared: PreparedStage) -> dict[str, str]:
    """Return the options that only set how long the samplers run, as text."""
    return {
        f"{name}.{key}": str(option)
        for name in prepared.stage.samplers
        for key, option in prepared.stage.sections.get(name, {}).items()
        if key in LENGTH_OPTIONS
    }


def prepare_stage(stage: Stage, values: ValuesFile, handover: Handover | None = None) -> PreparedStage:
    """Apply a handover to a stage; nothing is written.

    Parameters
    ----------
    stage : Stage
    values : ValuesFile
        The stage's values before the handover.
    handover : Handover, optional
        Nothing is handed over by default.

    Raises
    ------
    StageError
        If a file of the run would overwrite one of the user's.
    HandoverError
        If the priors that result do not fit the values.
    """
    _check_names(stage)
    handover = handover or Handover(stage.name)
    priors = _priors_before(stage, values)
    stage = handover.apply_to_stage(stage)
    values = handover.apply_to_values(values)
    priors = _without_fixed(handover.apply_to_priors(priors), handover)
    faults = [
        fault
        for fault in check_priors(priors, values, str(stage.paths.priors))
        if "file does not" not in fault
    ]
    if faults:
        msg = f"Stage {stage.name!r}, after the handover: " + "; ".join(faults)
        raise HandoverError(msg)
    return PreparedStage(stage, values, priors, handover, identity_parts(stage, values, priors))


def _priors_before(stage: Stage, values: ValuesFile) -> PriorsFile:
    """Return the user's priors, or those that the modules declare."""
    if stage.priors_file is not None:
        return read_priors(stage.priors_file)
    if stage.ini_file is not None:
        return PriorsFile()  # the user's own ini file says all there is to say
    return default_priors(declared_parameters(stage), values)


def _without_fixed(priors: PriorsFile, handover: Handover) -> PriorsFile:
    """Drop the user's priors of parameters that the handover fixed."""
    fixed = {(update.section, update.name) for update in handover.updates if update.rule == "fix"}
    sections = {
        section: {name: entry for name, entry in entries.items() if (section, name) not in fixed}
        for section, entries in priors.sections.items()
    }
    return PriorsFile({section: entries for section, entries in sections.items() if entries})


def _check_names(stage: Stage) -> None:
    """Refuse to write the user's files."""
    written = {stage.paths.params, stage.paths.values, stage.paths.priors}
    for path in (stage.ini_file, stage.values_file, stage.priors_file):
        if path is not None and path.resolve() in {entry.resolve() for entry in written}:
            msg = (
                f"Stage {stage.name!r} would overwrite your file {str(path)!r}: its own files are "
                "named after output.filename. Give output.filename another name."
            )
            raise StageError(msg)


def write_missing_values(stage: Stage, values: ValuesFile) -> None:
    """Write the values file that the user named if it does not exist yet; one that exists is never touched.

    Parameters
    ----------
    stage : Stage
    values : ValuesFile
        The defaults of the stage's modules.
    """
    if stage.values_file is None or stage.values_file.exists():
        return
    heading = f"Ranges of stage {stage.name}; change them as you like, this file is not written again."
    write_values(stage.values_file, values, declared_parameters(stage), heading)
    logger.info("stage %s: wrote the default ranges to %s", stage.name, stage.values_file)


def write_inputs(prepared: PreparedStage) -> None:
    """Write all files that the run reads, and those that tell its story.

    Raises
    ------
    ConfigError
        If an option cannot be expressed in an ini file.
    """
    stage, paths = prepared.stage, prepared.stage.paths
    heading = (
        f"Used by stage {stage.name}; starts and fixed values from earlier stages: see {paths.handover.name}."
    )
    write_values(paths.values, prepared.values, declared_parameters(stage), heading)
    has_priors = bool(prepared.priors.sections)
    if has_priors:
        write_priors(paths.priors, prepared.priors, heading=f"Used by stage {stage.name}.")
    else:
        paths.priors.unlink(missing_ok=True)
    for table in prepared.handover.tables:
        table.write()
    write_ini(stage, with_priors=has_priors)
    prepared.handover.write_json(paths.handover)
    write_atomically(paths.config, json.dumps(_config(prepared), indent=1) + "\n")


def _config(prepared: PreparedStage) -> dict[str, Any]:
    stage = prepared.stage
    plain = json.loads(
        json.dumps({name: dict(options) for name, options in stage.sections.items()}, default=str)
    )
    return {
        "stage": stage.name,
        "identity": prepared.identity,
        "seed": stage.seed,
        "n_cores": stage.n_cores,
        "samplers": list(stage.samplers),
        "sections": plain,
        "parts": prepared.parts,
        "length": plain_length(prepared),
        "versions": versions_of(),
    }


def recorded_config(path: Path) -> dict[str, Any]:
    """Return the configuration recorded beside a result; empty if there is none or it is damaged."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
