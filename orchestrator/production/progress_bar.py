"""A bar for a run that somebody watches, in a terminal or a notebook."""

from __future__ import annotations

import contextlib
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
        TimeRemainingColumn(), TextColumn("{task.fields[failed]}"),
    )  # fmt: skip
    with Progress(*columns, transient=True) as progress:
        bar = progress.add_task("fits", total=None, failed="")

        def watch(driven: Driven) -> None:
            ended = driven.n_done + driven.n_failed
            if progress.tasks[bar].total is None:
                progress.update(bar, total=ended + n_open())
            progress.update(bar, completed=ended, failed=f"{driven.n_failed} failed" if driven.n_failed else "")

        yield watch
