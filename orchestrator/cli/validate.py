"""``orchestrator validate``: whether the posteriors of a pipeline can be trusted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["validate_command"]


def validate_command(
    config: Annotated[Path, typer.Argument(help="YAML or JSON file: the list of stages that MainPipeline takes.")],
    number: Annotated[int, typer.Option("--n", "-n", help="Number of mocks; 300 can tell a width 10 % off.")] = 300,
    seed: Annotated[int, typer.Option(help="Seed of truths, noise and fits.")] = 1,
    processes: Annotated[int, typer.Option("--processes", "-j", help="Processes; -1 for all cores.")] = -1,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; NAME_validation beside the file by default.")
    ] = None,
    figures: Annotated[bool, typer.Option(help="Draw rank histograms and coverage.")] = True,
) -> None:
    """Draw galaxies from the prior, make their data, fit them through the real stages, and test the posteriors.

    Ranks of the truths, coverage of 68 and 95 % intervals, and TARP. Interrupted, the same command goes on. Exit code
    0 if nothing speaks against the posteriors, 1 if something does.
    """
    from rich.console import Console
    from rich.progress import Progress

    from orchestrator.validation.config_file import read_validation_config
    from orchestrator.validation.validate import validate

    content = read_validation_config(config)
    folder = output or config.with_name(f"{config.stem}_validation")
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("mocks", total=number)
        verdict = validate(
            content,
            folder,
            number=number,
            seed=seed,
            processes=processes if processes > 0 else os.cpu_count() or 1,
            figures=figures,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    typer.echo(verdict.to_text())
    typer.echo(f"{folder / 'verdict.json'}")
    if verdict.word == "not calibrated":
        raise typer.Exit(1)
