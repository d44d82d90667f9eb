"""A bar for a run that somebody watches, in a terminal or a notebook."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from orchestrator.production.driver import Driven

__all__ = ["progress_bar"]


@contextlib.contextmanager
def progress_bar(n_open: Callable[[], int]) -> Iterator[Callable[[Driven], None]]:
    """Show a bar; what is yielded is called after every commit.

    Parameters
    ----------
    n_open : callable
        Returns the number of tasks that are still to be done; asked once, at the first call.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[failed]}"),
    )  # fmt: skip
    # A stream of its own: fits that run in this process have their output, and so ours, sent to their log.
    with os.fdopen(os.dup(2), "w", encoding="utf-8") as stream:
        console = Console()
        if not console.is_jupyter:
            console = Console(file=stream)
        with Progress(*columns, console=console, transient=True) as progress:
            bar = progress.add_task("fits", total=None, failed="")

            def watch(driven: Driven) -> None:
                ended = driven.n_done + driven.n_failed
                if progress.tasks[bar].total is None:
                    progress.update(bar, total=ended + n_open())
                progress.update(bar, completed=ended, failed=f"{driven.n_failed} failed" if driven.n_failed else "")

            yield watch
