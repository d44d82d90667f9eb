"""The command ``orchestrator``."""

from __future__ import annotations

import errno
from typing import Any

import typer
from typer.core import TyperGroup

from orchestrator.cli.compare import add_posterior_commands
from orchestrator.cli.production import add_production_commands
from orchestrator.cli.ssp import ssp_app
from orchestrator.cli.validate import validate_command
from orchestrator.errors import ConfigError, OrchestratorError

__all__ = ["app"]


class _OneMessageGroup(TyperGroup):
    """Show an error that the user can mend as one message without a traceback.

    The exit code is 2 for a faulty configuration or command, else 1.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except OrchestratorError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(2 if isinstance(error, ConfigError) else 1) from error
        except OSError as error:
            if error.errno == errno.EPIPE or error.filename is None:
                raise
            typer.echo(f"error: {error.filename}: {error.strerror}", err=True)
            raise typer.Exit(1) from error


app = typer.Typer(
    cls=_OneMessageGroup,
    help="Staged Bayesian fits of galaxy spectra and photometry on CosmoSIS.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
add_production_commands(app)
add_posterior_commands(app)
app.add_typer(ssp_app, name="ssp")
app.command("validate")(validate_command)


@app.callback()
def _main() -> None:
    """Staged Bayesian fits of galaxy spectra and photometry on CosmoSIS."""


@app.command("version")
def version_command() -> None:
    """Show the version of the package."""
    from importlib.metadata import version

    typer.echo(version("galaxy-orchestrator"))


if __name__ == "__main__":
    app()
