"""The commands that run a production and look at it; each calls one function of the library."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.grid import print_json, show
from orchestrator.cli.products import export_command, sql_command, submit_command
from orchestrator.cli.selecting import (
    AsJson,
    DryRun,
    FromOption,
    LimitOption,
    OnlyOption,
    SiteOption,
    StageOption,
    StateOption,
    ToOption,
    WhereOption,
    WordList,
    selection_of,
    split_words,
)
from orchestrator.cli.stages import PASS_ON, graph_command, jobs_command, made_by_command, stage_command
from orchestrator.cli.words import no_targets, sort_words

__all__ = ["add_production_commands"]

_FAILED = 1


def add_production_commands(app: typer.Typer) -> None:
    """Add the commands to the app, in the order in which they are needed."""
    for name, command in (
        ("init", init_command),
        ("check", check_command),
        ("run", run_command),
        ("status", status_command),
        ("show", show_command),
        ("why", why_command),
        ("retry", retry_command),
        ("update", update_command),
        ("export", export_command),
        ("sql", sql_command),
        ("submit", submit_command),
        ("graph", graph_command),
        ("jobs", jobs_command),
        ("made-by", made_by_command),
    ):
        app.command(name)(command)
    app.command("stage", context_settings=PASS_ON)(stage_command)


def init_command(
    folder: Annotated[Path, typer.Argument(help="Folder to make.", metavar="DIR")],
    table: Annotated[
        Path | None, typer.Option("--table", help="Your table of targets; an example if left out.", metavar="FILE")
    ] = None,
) -> None:
    """Write a commented run file to begin with, and an example table if you have none."""
    from orchestrator.cli.beginning import write_beginning

    run_file = write_beginning(folder, table)
    place = shlex.quote(str(run_file))
    show(f"wrote {run_file}", "next:", f"  orchestrator check {place}", f"  orchestrator run {place}")


def check_command(
    words: WordList = None,
    n_targets: Annotated[
        int, typer.Option("--limit", min=1, help="Read the inputs of the first N targets.", metavar="N")
    ] = 3,
    site: SiteOption = None,
    as_json: AsJson = False,
) -> None:
    """Check a run file, its table and its first targets, and list every fault; run and write nothing."""
    from orchestrator.production.check import check_run_file
    from orchestrator.production.run_file import read_run_file
    from orchestrator.production.status_records import as_plain

    given = sort_words(words)
    no_targets(given.targets, "check")
    if (ceci_run := given.ceci_run()) is not None:
        from orchestrator.cli.ceci_run import check_ceci_run

        check_ceci_run(ceci_run, given.settings, site, as_json=as_json)
        return
    report = check_run_file(read_run_file(given.run_file(), given.settings, site), n_targets)
    if as_json:
        print_json(as_plain(report))
        return
    checked = ", ".join(report.checked[:3]) + (", ..." if len(report.checked) > 3 else "")
    show(
        f"{report.name}: {report.n_targets:,} targets, stages {', '.join(report.stages)}",
        f"no fault found; checked in full: {checked}",
        *(f"note: {note}" for note in report.notes),
    )


def run_command(
    words: WordList = None,
    stage: StageOption = None,
    state: StateOption = None,
    where: WhereOption = "",
    limit: LimitOption = None,
    site: SiteOption = None,
    begin: FromOption = None,
    end: ToOption = None,
    only: OnlyOption = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Do what is not done: start a production, or continue it; the same command always goes on."""
    from orchestrator.cli.progress import run_with_progress
    from orchestrator.cli.render_story import preview_parts
    from orchestrator.production.status_records import as_plain

    given = sort_words(words)
    if (ceci_run := given.ceci_run()) is not None:
        from orchestrator.cli.ceci_run import run_ceci_run

        no_targets(given.targets, "run")
        parts = (split_words(begin), split_words(end), split_words([*(only or ()), *(stage or ())]))
        run_ceci_run(ceci_run, given.settings, site, parts, dry_run=dry_run, as_json=as_json)
        return
    if begin or end or only:
        from orchestrator.production.stage_range import stage_range

        parts = (split_words(begin), split_words(end), split_words([*(only or ()), *(stage or ())]))
        stage = list(stage_range(given.production(site).plan, *parts))
    selection = selection_of(given.targets, stage, state, where, limit)
    if dry_run:
        preview = given.production(site).preview("run", selection)
        print_json(as_plain(preview)) if as_json else show(*preview_parts(preview))
        return
    outcome = run_with_progress(given.production(site), selection, quiet=as_json)
    if as_json:
        print_json(as_plain(outcome))
    raise typer.Exit(outcome.exit_code)


def status_command(
    words: WordList = None,
    stage: StageOption = None,
    state: StateOption = None,
    where: WhereOption = "",
    limit: LimitOption = None,
    watch: Annotated[bool, typer.Option("--watch", help="Keep showing it, until all is done or Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show how a production stands: per stage, or task by task for a selection; exit code 1 if tasks have failed."""
    from orchestrator.cli.render_status import status_parts
    from orchestrator.production.status import read_status
    from orchestrator.production.status_records import as_plain

    given = sort_words(words, settings=False)
    if (ceci_run := given.ceci_run()) is not None:
        from orchestrator.cli.ceci_run import status_of_ceci_run

        raise typer.Exit(status_of_ceci_run(ceci_run, as_json=as_json))
    folder = given.folder()
    selection = selection_of(given.targets, stage, state, where, limit)
    if watch:
        if as_json:
            msg = "--watch shows a screen; call --json again and again instead"
            raise typer.BadParameter(msg)
        from orchestrator.cli.progress import watch_status

        status = watch_status(folder, selection)
    else:
        status = read_status(folder, selection)
        if as_json:
            print_json(as_plain(status))
        else:
            show(*status_parts(status))
    raise typer.Exit(_FAILED if status.count("failed", "blocked") else 0)


def show_command(
    words: WordList = None,
    stage: StageOption = None,
    state: StateOption = None,
    where: WhereOption = "",
    limit: LimitOption = 10,
    log: Annotated[bool, typer.Option("--log", help="With the ends of the logs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what happened to targets: attempts, inputs, results, files, and the command that repeats a stage alone."""
    from orchestrator.cli.render_story import story_parts
    from orchestrator.production.status_records import as_plain

    given = sort_words(words, settings=False)
    selection = selection_of(given.targets, stage, state, where, limit)
    stories = list(given.production(existing=True).show(selection))
    _some(stories, given.targets)
    if as_json:
        print_json(as_plain(stories))
        return
    for number, story in enumerate(stories):
        show(*([""] if number else []), *story_parts(story, log=log))


def why_command(
    words: WordList = None,
    stage: StageOption = None,
    state: StateOption = None,
    where: WhereOption = "",
    limit: LimitOption = 10,
    as_json: AsJson = False,
) -> None:
    """Say what makes each stage of a target current, stale, missing or failed; settings may be tried."""
    from orchestrator.cli.render_story import why_parts
    from orchestrator.production.status_records import as_plain

    given = sort_words(words)
    selection = selection_of(given.targets, stage, state, where, limit)
    reasons = list(given.production(existing=True).why(selection))
    _some(reasons, given.targets)
    if as_json:
        print_json(as_plain(reasons))
        return
    for number, why in enumerate(reasons):
        show(*([""] if number else []), *why_parts(why))


def retry_command(
    words: WordList = None,
    stage: StageOption = None,
    state: StateOption = None,
    where: WhereOption = "",
    limit: LimitOption = None,
    dry_run: DryRun = False,
) -> None:
    """Let failed tasks be tried again by the next run; settings change the options of all targets."""
    given = sort_words(words)
    given.folder()
    if given.settings and (given.targets or where or limit):
        msg = (
            f"{given.settings[0]!r} changes the option of every target; for single ones give the table a column "
            "named like the option, or leave the selection out"
        )
        raise typer.BadParameter(msg)
    selection = selection_of(given.targets, stage, state, where, limit)
    production = given.production()
    if dry_run:
        from orchestrator.cli.render_story import preview_parts

        show(*preview_parts(production.preview("retry", selection)))
        return
    count = production.retry(selection)
    ready = "task is" if count == 1 else "tasks are"
    show(f"{count:,} {ready} ready to be tried again by: orchestrator run {shlex.quote(str(production.folder))}")


def update_command(words: WordList = None, dry_run: DryRun = False) -> None:
    """Compare table, run file and data with the ledger: new rows become tasks, stale results are done again."""
    given = sort_words(words)
    no_targets(given.targets, "update")
    production = given.production()
    if dry_run:
        from orchestrator.cli.render_story import preview_parts

        show(*preview_parts(production.preview("update")))
        return
    show(production.update().to_text())


def _some(found: Sequence[object], targets: tuple[str, ...]) -> None:
    if not found:
        from orchestrator.errors import ProductionError

        msg = f"no target fits the selection{': ' + ', '.join(targets) if targets else ''}"
        raise ProductionError(msg)
