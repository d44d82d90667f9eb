"""The commands check, run and status for a run of ceci or lbg-pipelines."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from orchestrator.cli.grid import Cell, Grid, in_colour, print_json, show, styled
from orchestrator.cli.render_status import duration_text
from orchestrator.interop.recognise import RECORD_FILE

if TYPE_CHECKING:
    from orchestrator.interop.lbg_driver import LbgOutcome
    from orchestrator.interop.lbg_run import LbgRun
    from orchestrator.interop.run_record import StageRecord

__all__ = ["check_ceci_run", "run_ceci_run", "status_of_ceci_run"]

Parts = tuple[Sequence[str], Sequence[str], Sequence[str]]
_FAILED = ("failed", "blocked")


def check_ceci_run(place: Path, settings: Sequence[str], site: str | None, *, as_json: bool) -> None:
    """List every fault of a run, or its stages in order."""
    run = _read(place, settings, site, ((), (), ()))
    if as_json:
        stages = [{"name": stage.name, "needs": stage.needs, "products": stage.outputs} for stage in run.stages]
        print_json({"name": run.source.stem, "stages": stages, "notes": list(run.notes)})
        return
    show(
        f"{run.source.stem}: stages {', '.join(stage.name for stage in run.stages)}",
        f"products in {run.output_dir}",
        "no fault found",
        *(f"note: {note}" for note in run.notes),
    )


def run_ceci_run(
    place: Path, settings: Sequence[str], site: str | None, parts: Parts, *, dry_run: bool, as_json: bool
) -> None:
    """Run what is not current, or say what would be run.

    Raises
    ------
    typer.Exit
        With 1 if something has failed.
    """
    from orchestrator.interop.lbg_driver import run_lbg
    from orchestrator.interop.lbg_plan import plan_lbg_run

    run = _read(place, settings, site, parts)
    if dry_run:
        plan = plan_lbg_run(run)
        if as_json:
            print_json(asdict(plan))
            return
        if plan.pre_script:
            show("pre_script", f"  {plan.pre_script}")
        for stage in plan.stages:
            show(f"{stage.name}: {'; '.join(stage.reasons) or 'current'}", f"  {stage.command}")
        if plan.post_script:
            show("post_script", f"  {plan.post_script}")
        return
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    outcome = run_lbg(run, None if as_json else _say)
    if as_json:
        records = {name: asdict(record) for name, record in outcome.records.items()}
        print_json({"states": outcome.states, "script": outcome.failed_script, "stages": records})
    else:
        show("", *_outcome_parts(outcome))
    raise typer.Exit(outcome.exit_code)


def status_of_ceci_run(place: Path, *, as_json: bool) -> int:
    """Show how a run stands; return the exit code, 1 if stages have failed."""
    from orchestrator.interop.run_record import is_held, read_record

    folder, names = place, list[str]()
    if not place.is_dir():
        from orchestrator.interop.lbg_files import folder_and_stages

        folder, names = folder_and_stages(place)
    record, at_work = read_record(folder), is_held(folder)
    states = {name: "waiting" for name in names} | {name: stage.state for name, stage in record.stages.items()}
    if not at_work:
        states = {name: "failed" if state == "running" else state for name, state in states.items()}
    failed = any(state in _FAILED for state in states.values())
    if as_json:
        stages = {name: asdict(stage) for name, stage in record.stages.items()}
        print_json({"folder": str(folder), "at_work": at_work, "states": states, "stages": stages})
        return int(failed)
    show(
        f"{record.source or place} in {folder}{f'; at work: process {record.process}' if at_work else ''}",
        _grid(states, record.stages),
    )
    return int(failed)


def _read(place: Path, settings: Sequence[str], site: str | None, parts: Parts) -> LbgRun:
    from orchestrator.interop.lbg_run import read_lbg_run

    if place.is_dir():
        from orchestrator.errors import ProductionError
        from orchestrator.interop.run_record import read_record

        source = read_record(place).source
        if not Path(source).is_file():
            msg = f"the run file {source!r} that {str(place / RECORD_FILE)!r} names is gone; name the run file"
            raise ProductionError(msg)
        place = Path(source)
    begin, end, only = parts
    return read_lbg_run(place, settings, site, begin=begin, end=end, only=only)


def _say(name: str, record: StageRecord) -> None:
    text = {"running": "begins", "done": f"done in {duration_text(record.seconds)}"}.get(record.state, record.state)
    if record.state == "done" and not record.seconds:
        text = "current"
    show(Cell(f"{name}: {text}", styled(record.state).style) if in_colour() else f"{name}: {text}")


def _outcome_parts(outcome: LbgOutcome) -> list[Grid | Cell | str]:
    parts: list[Grid | Cell | str] = [_grid(outcome.states, outcome.records)]
    for name, state in outcome.states.items():
        record = outcome.records.get(name)
        if state == "failed" and record is not None:
            parts += ["", f"{name}: {record.message}", "repeat it with:", f"  {record.command}"]
    return [*parts, *(["", outcome.failed_script] if outcome.failed_script else [])]


def _grid(states: dict[str, str], records: dict[str, StageRecord]) -> Grid:
    grid = Grid(("stage", "state", ">time", "log"))
    for name, state in states.items():
        record = records.get(name)
        time = "" if record is None else duration_text(record.seconds or None)
        grid.rows.append((name, styled(state), time, "" if record is None else record.log))
    return grid
