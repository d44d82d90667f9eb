"""What a run of ceci stages would do and why, and the commands of its scripts."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.interop.ceci_wiring import CeciStage
from orchestrator.interop.lbg_run import LbgRun
from orchestrator.interop.run_record import RunRecord, read_record
from orchestrator.interop.stage_identity import Checksums, parts_of, reasons_to_run
from orchestrator.interop.stage_process import environment_of, mpi_words, shell_text, stage_command

__all__ = ["LbgPlan", "PlannedStage", "plan_lbg_run", "reasons_now", "script_command"]


@dataclass(frozen=True)
class PlannedStage:
    """What would be done with a stage.

    Attributes
    ----------
    name : str
    reasons : tuple of str
        Why it would run; none if its result is current.
    command : str
        For a shell.
    """

    name: str
    reasons: tuple[str, ...]
    command: str


@dataclass(frozen=True)
class LbgPlan:
    """What a run would do.

    Attributes
    ----------
    stages : tuple of PlannedStage
        In order.
    pre_script, post_script : str
        For a shell; empty if there is none.
    """

    stages: tuple[PlannedStage, ...]
    pre_script: str = ""
    post_script: str = ""


def plan_lbg_run(run: LbgRun) -> LbgPlan:
    """Return what a run would do, and do nothing.

    Raises
    ------
    ProductionError
        If the record of the folder cannot be read.
    """
    record = read_record(run.output_dir)
    checksums = Checksums(record.files)
    mpi = mpi_words(run, look=False)
    planned: dict[str, PlannedStage] = {}
    parts = {name: one.parts for name, one in record.stages.items()}
    for stage in run.stages:
        if stage.name not in run.chosen:
            continue
        own = parts_of(stage, run.root, checksums, parts)
        before = [f"stage {need} runs before it" for need in stage.needs if need in planned and planned[need].reasons]
        reasons = reasons_now(run, stage, record, own, checksums)
        parts[stage.name] = own
        command = shell_text(stage_command(run, stage, mpi), environment_of(run, stage), run.root)
        planned[stage.name] = PlannedStage(stage.name, tuple([*before, *reasons]), command)
    scripts = [shlex.join(script_command(run, text)) if text else "" for text in (run.pre_script, run.post_script)]
    return LbgPlan(tuple(planned.values()), *scripts)


def reasons_now(
    run: LbgRun, stage: CeciStage, record: RunRecord, parts: Mapping[str, Any], checksums: Checksums
) -> list[str]:
    """Return why a stage must run now; nothing if its result is current and may be used."""
    if run.resume == "restart":
        return ["resume: false"]
    return reasons_to_run(stage, record.stages.get(stage.name), parts, checksums)


def script_command(run: LbgRun, text: str) -> list[str]:
    """Return the command of a script: its words, the file absolute, and the run file, which ceci gave it too."""
    words = shlex.split(text)
    file = run.root / words[0]
    if not file.is_file() and (run.source.parent / words[0]).is_file():
        file = run.source.parent / words[0]
    if file.is_file():
        words[0] = str(file)
        if not os.access(file, os.X_OK):
            words.insert(0, sys.executable if file.suffix == ".py" else shutil.which("bash") or "sh")
    return [*words, str(run.source)]
