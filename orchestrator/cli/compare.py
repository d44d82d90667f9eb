"""The commands ``orchestrator compare`` and ``orchestrator posterior``: what finished runs are worth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["add_posterior_commands"]

Results = Annotated[Path, typer.Argument(help="results file of a finished run (NAME or NAME.txt)")]
AsJson = Annotated[bool, typer.Option("--json", help="print a JSON document")]


def compare_command(first: Results, second: Results, as_json: AsJson = False) -> None:
    """Compare two finished runs of the same data: evidence ratio, LOO and WAIC, chi2."""
    from orchestrator.fit.model_comparison import compare_runs

    comparison = compare_runs(first, second)
    typer.echo(json.dumps(comparison.to_dict(), indent=1) if as_json else comparison.to_text())


def posterior_command(
    results: Results,
    as_json: AsJson = False,
    checks: Annotated[bool, typer.Option(help="compare with the data: chi2, predictive checks, LOO")] = True,
    figures: Annotated[bool, typer.Option("--figures", help="draw corner, trace, posteriors, predictions")] = False,
    export: Annotated[list[Path] | None, typer.Option(help="write to this .fits, .ecsv, .json or .nc")] = None,
) -> None:
    """Show the verdict on a finished run, check it against its data, export and draw its posterior."""
    from orchestrator.errors import ChainError
    from orchestrator.fit.checks import check_fit, predictions
    from orchestrator.fit.exports import export_posterior
    from orchestrator.fit.stage_result import load_run

    result = load_run(results)
    if result.chain is None or result.summary is None or result.diagnostics is None:
        msg = f"{str(results)!r}: verdict failed. {result.verdict_reason}"
        raise ChainError(msg)
    found = predictions(result.chain, result.summary) if checks or figures else {}
    report = check_fit(result.chain, result.summary, goodness=result.goodness, found=found) if checks else None
    made = [export_posterior(result, path) for path in export or []]
    if figures:
        from orchestrator.report.posterior_figures import draw_posterior

        made += list(draw_posterior(result, found=found).values())
    if as_json:
        record = {"diagnostics": result.diagnostics.to_dict(), "files": [str(path) for path in made]}
        if report is not None:
            record["checks"] = report.to_dict()
        typer.echo(json.dumps(record, indent=1))
        return
    typer.echo(result.summary.to_text())
    typer.echo(result.diagnostics.to_text())
    if report is not None:
        typer.echo(report.to_text())
    for path in made:
        typer.echo(f"wrote {path}")


def add_posterior_commands(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("compare")(compare_command)
    app.command("posterior")(posterior_command)
