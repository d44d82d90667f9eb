"""The commands about stages: one alone, the graph, the status vector, who made a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.grid import Grid, print_json, show, styled
from orchestrator.cli.selecting import AsJson, SiteOption, WordList
from orchestrator.cli.words import Words, no_targets, sort_words

if TYPE_CHECKING:
    from orchestrator.production.plan import Plan
    from orchestrator.production.run_file import RunFile

__all__ = ["PASS_ON", "graph_command", "jobs_command", "made_by_command", "stage_command"]

PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
"""The options of a stage are its own, its help too."""


def _plan(given: Words, *, look: bool = True) -> tuple[RunFile, Plan]:
    from orchestrator.production.plan import plan_of
    from orchestrator.production.run_file import read_run_file

    run_file = read_run_file(given.run_file(), given.settings, look=look)
    return run_file, plan_of(run_file)


def stage_command(context: typer.Context) -> None:
    """Do one stage alone: orchestrator stage NAME [RUN_FILE] [--OPTION VALUE]...; NAME --help says what it takes."""
    from orchestrator.errors import OrchestratorError
    from orchestrator.production.one_stage import bare_stage, describe, run_stage

    words = list(context.args)
    if not words or words[0].startswith("-"):
        show(
            "usage: orchestrator stage NAME [RUN_FILE|FOLDER] [name=value]... [--OPTION VALUE]...",
            "",
            "NAME is a stage of a run file, or module:function. 'orchestrator stage NAME --help' says what it takes.",
        )
        raise typer.Exit(0 if words and words[0] in ("--help", "-h") else 2)
    name, rest = words[0], words[1:]
    lead = []
    while rest and not rest[0].startswith("-"):
        lead.append(rest.pop(0))
    wants_help = "--help" in rest or "-h" in rest
    if ":" in name:
        _use_current_folder()
        stage = bare_stage(name)
        show(describe(stage) if wants_help else run_stage(stage, rest))
        return
    given = sort_words(lead)
    no_targets(given.targets, "stage")
    run_file, plan = _plan(given)
    from orchestrator.production.stage_of_target import given_in_production, named_stage

    plan.add_python_path()
    stage = named_stage(plan, name)
    if wants_help:
        show(describe(stage))
        return
    target, output = _value(rest, "--target"), Path(_value(rest, "--output") or ".")
    if stage.over == "all":
        target = "@all"
    if stage.kind == "fit":
        raise typer.Exit(_fit(run_file, name, target, output, "--dry-run" in rest))
    before = given_in_production(run_file, plan, stage, target, output) if target else None
    if target and stage.over == "all" and _has_files(rest, stage):
        before = None
    try:
        show(run_stage(stage, rest, before))
    except OrchestratorError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        typer.echo(f"error: stage {name!r}: {type(error).__name__}: {error}", err=True)
        raise typer.Exit(1) from error


def _has_files(words: list[str], stage: object) -> bool:
    wires = getattr(stage, "wires", {})
    return all(f"--{name.replace('_', '-')}" in words for name in wires)


def _use_current_folder() -> None:
    from orchestrator.production.function_code import use_python_path

    use_python_path([os.getcwd()])


def _value(words: list[str], option: str) -> str:
    for index, word in enumerate(words):
        if word == option and index + 1 < len(words):
            return words[index + 1]
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return ""


def _fit(run_file: RunFile, stage: str, target: str, output: Path, dry_run: bool) -> int:
    from orchestrator.production.alone import alone_command, run_alone

    if not target:
        msg = f"stage {stage!r} is a fit: name one of its targets with --target"
        raise typer.BadParameter(msg)
    if dry_run:
        show(alone_command(run_file.output, target, stage))
        return 0
    return run_alone(run_file.output, target, stage, output=output)


def graph_command(
    words: WordList = None,
    dot: Annotated[
        Path | None,
        typer.Option("--dot", help="Write it to FILE.dot, or as a picture: FILE.png, .pdf, .svg.", metavar="FILE"),
    ] = None,
    site: SiteOption = None,
) -> None:
    """Show what goes from one stage to the next, as text for Graphviz or as a picture."""
    from orchestrator.production.plan import plan_of
    from orchestrator.production.run_file import read_run_file
    from orchestrator.production.stage_graph import graph_dot, write_graph

    given = sort_words(words)
    no_targets(given.targets, "graph")
    plan = plan_of(read_run_file(given.run_file(), given.settings, site))
    if dot is None:
        show(graph_dot(plan).rstrip())
        return
    write_graph(plan, dot)
    show(f"wrote {dot}")


def jobs_command(
    words: WordList = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0, max=1, help="Fraction of a stage that may have failed.")
    ] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Show the status vector of every stage; exit code 0 if all are complete, or failed within the tolerance."""
    from orchestrator.production.jobs import STATES, jobs_of
    from orchestrator.production.ledger.ledger import open_ledger
    from orchestrator.production.production_folder import ledger_url
    from orchestrator.production.status_records import as_plain

    given = sort_words(words, settings=False)
    no_targets(given.targets, "jobs")
    with open_ledger(ledger_url(given.folder()), read_only=True) as ledger:
        jobs = jobs_of(ledger, tolerance)
    if as_json:
        print_json(as_plain(jobs))
    else:
        grid = Grid(("stage", *(f">{state}" for state in STATES), ">total", "verdict"))
        for job in jobs:
            colour = "done" if job.is_good else "failed" if "failed" in job.verdict else "running"
            counts = [f"{job.counts[state]:,}" for state in STATES]
            grid.rows.append((job.stage, *counts, f"{job.total:,}", styled(colour, job.verdict)))
        show(grid)
    raise typer.Exit(0 if all(job.is_good for job in jobs) else 1)


def made_by_command(
    file: Annotated[Path, typer.Argument(help="A file that a stage may have made.", metavar="FILE")],
    words: WordList = None,
    as_json: AsJson = False,
) -> None:
    """Say which stage of which target made a file, with which key, in which run; by its place or its content."""
    from orchestrator.production.made_by import who_made
    from orchestrator.production.status_records import as_plain

    given = sort_words(words, settings=False)
    no_targets(given.targets, "made-by")
    found = who_made(file, given.folder() if given.place else None)
    if as_json:
        print_json(as_plain(found))
        return
    for one in found:
        show(*one.to_lines())
