"""One target on the screen: what happened to it (``show``), and what makes it current, stale or failed (``why``)."""

from __future__ import annotations

import time
from typing import Any

from orchestrator.cli.grid import Cell, Grid, styled
from orchestrator.cli.render_status import duration_text, number_text
from orchestrator.production.status_records import AttemptLine, Preview, StageStory, TargetStory, TargetWhy

__all__ = ["preview_parts", "story_parts", "why_parts"]

Part = Grid | Cell | str


def story_parts(story: TargetStory, *, log: bool = False) -> list[Part]:
    """Return what ``show`` prints of a target; with `log` the ends of the logs too."""
    parts: list[Part] = [Cell(story.target, "bold")]
    if story.values:
        parts.append("  " + ", ".join(f"{name} = {_value(value)}" for name, value in story.values.items()))
    if story.overrides:
        parts.append("  own: " + ", ".join(f"{name} = {_value(value)}" for name, value in story.overrides.items()))
    for stage in story.stages:
        parts += ["", *_stage_parts(stage, log)]
    return parts


def _stage_parts(stage: StageStory, log: bool) -> list[Part]:
    parts: list[Part] = [styled(stage.state, f"{stage.stage}: {stage.state}")]
    if stage.reason:
        parts.append(f"  {stage.reason}")
    for name, state in stage.inputs.items():
        parts.append(f"  input    {name}" + ("" if state == "ok" else f" ({state})"))
    parts += [f"  file     {name}" for name in stage.files]
    if stage.key:
        parts.append(f"  identity {stage.key}")
    if stage.seed is not None:
        parts.append(f"  seed     {stage.seed}")
    if stage.attempts:
        parts.append(_attempt_grid(stage))
    if stage.result:
        parts.append(_result_grid(stage))
    logged = [attempt for attempt in stage.attempts if attempt.log]
    if log and logged:
        parts += [f"  end of the log of attempt {logged[-1].number}:", logged[-1].log.rstrip()]
    if stage.command:
        parts += ["  alone:", f"    {stage.command}"]
    return parts


def _attempt_grid(stage: StageStory) -> Grid:
    rows: list[tuple[Cell | str, ...]] = [_attempt_row(attempt) for attempt in stage.attempts]
    return Grid(("  attempt", "when", "outcome", ">took", ">memory", "where", "what"), rows)


def _attempt_row(attempt: AttemptLine) -> tuple[Cell | str, ...]:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(attempt.started)) if attempt.started else ""
    memory = f"{attempt.peak_memory:.0f} MB" if attempt.peak_memory else ""
    recipe = f" (recipe {attempt.recipe})" if attempt.recipe else ""
    what = ": ".join(filter(None, [attempt.error_class, " ".join(attempt.message.split())]))
    return (
        f"  {attempt.number}{recipe}", when, styled(attempt.outcome), duration_text(attempt.seconds), memory,
        attempt.host, what,
    )  # fmt: skip


def _result_grid(stage: StageStory) -> Grid:
    rows: list[tuple[Cell | str, ...]] = [
        (f"  {name}", _flags(value) if name == "flags" else _value(value), stage.units.get(name, ""))
        for name, value in stage.result.items()
    ]
    return Grid(("  result", "value", "unit"), rows)


def _flags(value: Any) -> str:
    from orchestrator.production.columns import flag_names

    names = flag_names(int(value or 0))
    return f"{value} ({', '.join(names)})" if names else _value(value)


def _value(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def why_parts(why: TargetWhy) -> list[Part]:
    """Return what ``why`` prints of a target."""
    parts: list[Part] = [Cell(why.target, "bold")]
    for stage in why.stages:
        parts.append(styled(stage.verdict, f"  {stage.stage}: {stage.verdict}"))
        parts.append(f"    {stage.sentence}")
        parts += [f"    {change}" for change in stage.changes]
    return parts


def preview_parts(preview: Preview) -> list[Part]:
    """Return what a dry run prints."""
    counts = ", ".join(f"{number_text(n)} of {stage}" for stage, n in preview.counts.items() if n)
    parts: list[Part] = [f"would {preview.action}: {counts or 'nothing'}", *preview.notes]
    for task in preview.tasks:
        parts.append(Cell(f"# {task.target}, {task.stage}: {task.state}", "dim"))
        if task.command:
            parts.append(task.command)
    shown = len(preview.tasks)
    if preview.total > shown and shown:
        parts.append(f"# and {number_text(preview.total - shown)} more")
    return parts
