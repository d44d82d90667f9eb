"""The options by which every command selects targets and tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from orchestrator.production.selection import Selection

__all__ = [
    "AsJson",
    "DryRun",
    "FromOption",
    "LimitOption",
    "OnlyOption",
    "SiteOption",
    "StageOption",
    "StateOption",
    "ToOption",
    "WhereOption",
    "WordList",
    "selection_of",
    "split_words",
]

WordList = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[WORD]...",
        help="A run file or folder of a production, settings NAME=VALUE, names or patterns of targets; in any order.",
    ),
]
StageOption = Annotated[
    list[str] | None, typer.Option("--stage", help="Only this stage; may be given several times.", metavar="STAGE")
]
StateOption = Annotated[
    list[str] | None,
    typer.Option(
        "--state",
        help="Only tasks in this state: waiting, ready, running, done, failed, blocked or held.",
        metavar="STATE",
    ),
]
WhereOption = Annotated[
    str,
    typer.Option(
        "--where",
        help="Only targets for which this holds: columns of the table, or STAGE.COLUMN of results.",
        metavar="CONDITION",
    ),
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, help="Only the first N targets of the selection.", metavar="N")
]
SiteOption = Annotated[
    str | None,
    typer.Option("--site", help="A site of the run file, or serial, local, allocation, slurm.", metavar="NAME"),
]
FromOption = Annotated[
    list[str] | None, typer.Option("--from", help="Begin with this stage or product.", metavar="STAGE")
]
ToOption = Annotated[
    list[str] | None, typer.Option("--to", help="End with this stage or product, and what it needs.", metavar="STAGE")
]
OnlyOption = Annotated[
    list[str] | None, typer.Option("--only", help="Only this stage; may be given several times.", metavar="STAGE")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


def selection_of(
    targets: Sequence[str],
    stage: Sequence[str] | None,
    state: Sequence[str] | None,
    where: str,
    limit: int | None,
) -> Selection:
    """Return the selection that a command was given; a stage list may be one word with commas."""
    from orchestrator.production.selection import Selection

    return Selection(tuple(targets), split_words(stage), split_words(state), where, limit)


def split_words(words: Sequence[str] | None) -> tuple[str, ...]:
    """Return the words of an option; one word may hold several, with commas."""
    return tuple(part for word in words or () for part in word.replace(",", " ").split())
