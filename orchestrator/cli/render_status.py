"""The status of a production on the screen: stages, worst errors, and task by task where few are selected."""

from __future__ import annotations

from orchestrator.cli.grid import Cell, Grid, styled
from orchestrator.production.status_records import StageStatus, StatusTable

__all__ = ["duration_text", "number_text", "status_parts", "summary_line"]

_STATES = ("waiting", "ready", "running", "done", "failed", "blocked", "held")
_MOST_ERRORS = 8
_LONGEST_MESSAGE = 100


def number_text(number: int) -> str:
    """Return a number with commas."""
    return f"{number:,}"


def duration_text(seconds: float | None) -> str:
    """Return a time in the units that people use; empty if there is none."""
    if seconds is None or seconds != seconds or seconds == float("inf"):
        return ""
    if seconds < 10:
        return f"{seconds:.2g} s" if seconds else "0 s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def status_parts(status: StatusTable) -> list[Grid | Cell | str]:
    """Return what the status command prints."""
    driver = f"; at work: {status.driver}" if status.driver else ""
    parts: list[Grid | Cell | str] = [f"{status.name} in {status.folder}{driver}", _stage_grid(status)]
    if status.tasks:
        parts += ["", _task_grid(status)]
        if status.n_more:
            parts.append(f"and {number_text(status.n_more)} more; --limit and --where narrow the selection")
    if status.errors:
        parts += ["", _error_grid(status)]
        if len(status.errors) > _MOST_ERRORS:
            parts.append(f"and {len(status.errors) - _MOST_ERRORS} other kinds of failure")
    return [*parts, "", summary_line(status)]


def summary_line(status: StatusTable) -> str:
    """Return the state of all in a sentence."""
    done, total = status.count("done"), status.total
    share = f" ({100 * done / total:.0f} %)" if total else ""
    text = f"{number_text(done)} of {number_text(total)} tasks done{share}"
    for state in ("failed", "blocked", "held"):
        if status.count(state):
            text += f", {number_text(status.count(state))} {state}"
    rate = sum(stage.per_second for stage in status.stages)
    if rate:
        text += f"; {_rate_text(rate)} of late"
    left = duration_text(status.seconds_left)
    return text + (f", about {left} left" if left else "")


def _rate_text(per_second: float) -> str:
    if per_second >= 1:
        return f"{per_second:.3g} per second"
    return f"{per_second * 60:.2g} per minute" if per_second * 60 >= 1 else f"{per_second * 3600:.2g} per hour"


def _stage_grid(status: StatusTable) -> Grid:
    states = [state for state in _STATES if state not in ("held", "blocked") or status.count(state)]
    timed = any(stage.mean_seconds for stage in status.stages)
    heads = ("stage", *(f">{state}" for state in states), ">total", *((">each", ">left") if timed else ()))
    return Grid(heads, [_stage_row(stage, states, timed) for stage in status.stages])


def _stage_row(stage: StageStatus, states: list[str], timed: bool) -> tuple[Cell | str, ...]:
    cells = [styled(state, number_text(stage.counts.get(state, 0))) for state in states]
    cells = [cell if cell.text != "0" else Cell("0", "dim") for cell in cells]
    times: tuple[str, ...] = ()
    if timed:
        times = (duration_text(stage.mean_seconds or None), duration_text(stage.seconds_left))
    return (stage.stage, *cells, number_text(stage.total), *times)


def _task_grid(status: StatusTable) -> Grid:
    rows: list[tuple[Cell | str, ...]] = [
        (task.target, task.stage, styled(task.state), str(task.attempt), task.error_class, task.reason)
        for task in status.tasks
    ]
    return Grid(("target", "stage", "state", ">attempts", "error", "why"), rows)


def _error_grid(status: StatusTable) -> Grid:
    rows: list[tuple[Cell | str, ...]] = [
        (number_text(error.n), error.stage, Cell(error.error_class, "red"), error.example, _first_line(error.message))
        for error in status.errors[:_MOST_ERRORS]
    ]
    return Grid((">failures", "stage", "error", "for example", "message"), rows)


def _first_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_MESSAGE else line[: _LONGEST_MESSAGE - 3] + "..."
