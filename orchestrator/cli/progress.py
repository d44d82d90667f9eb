"""A production on the screen while it goes on: a bar while it is run, the status again and again while watched."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.grid import in_colour, renderable, show
from orchestrator.cli.render_status import number_text, status_parts
from orchestrator.production.status_records import StatusTable

if TYPE_CHECKING:
    from orchestrator.production.driver import Driven
    from orchestrator.production.outcome import RunOutcome
    from orchestrator.production.production import Production
    from orchestrator.production.selection import Selection

__all__ = ["run_with_progress", "watch_status"]

_EVERY = 2.0
"""Seconds between two looks."""
_LINE_EVERY = 30.0
"""Seconds between two lines where there is no terminal."""
_OPEN = ("waiting", "ready", "running")


def run_with_progress(production: Production, selection: Selection, *, quiet: bool = False) -> RunOutcome:
    """Run a production with a bar on the screen, or lines where there is no terminal, and show how it ended.

    Parameters
    ----------
    production : Production
    selection : Selection
    quiet : bool
        Print nothing on standard output.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr)
    outcome = production.run(selection, _Lines(quiet), progress=in_colour() and not quiet)
    if not quiet:
        show(*status_parts(production.status()))
        if outcome.driven.stopped:
            show(f"stopped: {outcome.driven.stopped}; the same command goes on")
        show(*(f"stage stopped: {reason}" for reason in outcome.driven.tripped))
    return outcome


class _Lines:
    """A line now and then, where there is no terminal."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.last = time.monotonic()

    def __call__(self, driven: Driven) -> None:
        if self.quiet or time.monotonic() - self.last < _LINE_EVERY:
            return
        self.last = time.monotonic()
        failed = f", {number_text(driven.n_failed)} failed" if driven.n_failed else ""
        sys.stderr.write(f"{number_text(driven.n_done)} tasks done{failed}\n")


def watch_status(folder: Path, selection: Selection) -> StatusTable:
    """Show the status again and again, until nothing is open and nobody at work, or Ctrl-C; return the last one."""
    from orchestrator.production.status import read_status

    status = read_status(folder, selection)
    try:
        if in_colour():
            return _live(folder, selection, status)
        show(*status_parts(status))
        while _goes_on(status):
            time.sleep(_LINE_EVERY)
            status = read_status(folder, selection)
            show("", *status_parts(status))
    except KeyboardInterrupt:
        pass
    return status


def _live(folder: Path, selection: Selection, status: StatusTable) -> StatusTable:
    from rich.console import Group
    from rich.live import Live
    from rich.progress_bar import ProgressBar

    from orchestrator.production.status import read_status

    def screen(now: StatusTable) -> Group:
        closed = now.total - now.count(*_OPEN)
        bar = ProgressBar(total=max(now.total, 1), completed=closed, width=60)
        return Group(*(renderable(part) for part in status_parts(now)), bar)

    with Live(screen(status), refresh_per_second=4) as live:
        try:
            while _goes_on(status):
                time.sleep(_EVERY)
                status = read_status(folder, selection)
                live.update(screen(status))
        except KeyboardInterrupt:
            pass
    return status


def _goes_on(status: StatusTable) -> bool:
    return bool(status.count(*_OPEN)) or bool(status.driver)
