"""The commands that take something out of a production: files, answers in SQL, scripts for Slurm."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from orchestrator.cli.grid import print_json, show
from orchestrator.cli.selecting import (
    AsJson,
    DryRun,
    LimitOption,
    SiteOption,
    StateOption,
    WhereOption,
    WordList,
    selection_of,
)
from orchestrator.cli.words import no_targets, sort_words

__all__ = ["export_command", "sql_command", "submit_command"]

_TABLES = (".fits", ".parquet", ".ecsv", ".csv")


def export_command(
    words: WordList = None,
    stage: Annotated[
        str | None, typer.Option("--stage", help="Results of this stage; all side by side if left out.")
    ] = None,
    state: StateOption = None,
    where: WhereOption = "",
    limit: LimitOption = None,
    columns: Annotated[
        str | None, typer.Option("--columns", help="Only these columns, with commas between.", metavar="NAMES")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
) -> None:
    """Write results to the word ending in .fits, .parquet, .ecsv or .csv, with units and descriptions."""
    from orchestrator.production.export import export_results
    from orchestrator.production.ledger.ledger import open_ledger
    from orchestrator.production.production_folder import ledger_url

    files = [word for word in words or () if word.lower().endswith(_TABLES)]
    if len(files) != 1:
        msg = f"expected one file to write, ending in {', '.join(_TABLES)}; found {', '.join(files) or 'none'}"
        raise typer.BadParameter(msg)
    given = sort_words([word for word in words or () if word != files[0]], settings=False)
    selection = selection_of(given.targets, None, state, where, limit)
    names = None if columns is None else columns.replace(",", " ").split()
    with open_ledger(ledger_url(given.folder()), read_only=True) as ledger:
        written = export_results(ledger, stage, selection, files[0], columns=names, overwrite=overwrite)
    show(f"{written.path}: {written.n_rows:,} rows, {written.n_columns} columns")


def sql_command(
    words: WordList = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most N rows.", metavar="N")] = 1000,
    as_json: AsJson = False,
) -> None:
    """Ask the ledger in SQL, one SELECT in quotes; its tables: target, task, attempt, run, result_STAGE."""
    from orchestrator.cli.grid import Grid
    from orchestrator.production.ledger.ledger import open_ledger
    from orchestrator.production.production_folder import ledger_url

    given = sort_words(words, settings=False)
    if len(given.targets) != 1:
        msg = f"expected one statement in quotes, such as 'select name from target'; found {len(given.targets)} words"
        raise typer.BadParameter(msg)
    with open_ledger(ledger_url(given.folder()), read_only=True) as ledger:
        answer = ledger.select_sql(given.targets[0], limit)
    if as_json:
        print_json([dict(zip(answer.names, row, strict=True)) for row in answer.rows])
        return
    rows: list[tuple[object, ...]] = [tuple(row) for row in answer.rows]
    show(Grid(answer.names, [tuple("" if value is None else str(value) for value in row) for row in rows]))
    if not answer.complete:
        show(f"and more; --limit shows more than {limit:,}")


def submit_command(
    words: WordList = None,
    site: SiteOption = None,
    dry_run: DryRun = False,
) -> None:
    """Write the script of one Slurm job that runs the production, and submit it; and a shell script of the same."""
    given = sort_words(words)
    no_targets(given.targets, "submit")
    submitted = given.production(site).submit(dry_run=dry_run)
    show(f"for sbatch: {submitted.slurm}", f"for a shell: {submitted.shell}")
    command = shlex.join(submitted.command)
    show(f"submit it with: {command}" if dry_run else f"submitted as job {submitted.job}: {command}")
