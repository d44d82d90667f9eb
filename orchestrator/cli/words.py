"""The words of a command: a production, settings, targets, told apart by their look.

A word that ends in ``.yaml`` or names a folder with a ``run.yaml`` is the production, ``name=value`` is a setting,
and everything else a target or a pattern of names. Without a production it is the one around the current folder, or
the only run file in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from orchestrator.interop.recognise import is_ceci_run
from orchestrator.production.production_folder import RUN_FILE, find_production, is_production

if TYPE_CHECKING:
    from orchestrator.production.production import Production

__all__ = ["Words", "no_targets", "sort_words"]

_ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class Words:
    """Words of a command, sorted.

    Attributes
    ----------
    place : Path or None
        Run file or folder of a production; None if none was named.
    settings : tuple of str
    targets : tuple of str
    """

    place: Path | None
    settings: tuple[str, ...]
    targets: tuple[str, ...]

    def run_file(self) -> Path:
        """Return the run file or the folder of a production to work with."""
        if self.place is not None:
            return self.place
        from orchestrator.errors import ProductionError

        try:
            return find_production()
        except ProductionError as error:
            candidates = [path for path in Path.cwd().iterdir() if path.suffix in _ENDINGS and path.is_file()]
            if len(candidates) == 1:
                return candidates[0]
            raise typer.BadParameter(str(error)) from None

    def ceci_run(self) -> Path | None:
        """Return the run file of ceci, or the folder of its products, if that is what was named."""
        place = self.place
        if place is None:
            candidates = [path for path in Path.cwd().iterdir() if path.suffix in _ENDINGS and path.is_file()]
            place = candidates[0] if len(candidates) == 1 else Path.cwd()
        return place if is_ceci_run(place) else None

    def folder(self) -> Path:
        """Return the folder of a production that has been run.

        Raises
        ------
        typer.BadParameter
            If there is none yet.
        """
        place = self.run_file()
        folder = place if is_production(place) else _output_of(place)
        if not is_production(folder):
            msg = f"{str(folder)!r} holds no production yet; start it with: orchestrator run {place}"
            raise typer.BadParameter(msg)
        return folder

    def production(self, site: str | None = None, *, existing: bool = False) -> Production:
        """Return the production, with settings and site.

        Parameters
        ----------
        site : str, optional
        existing : bool
            It must have been run; its table and scripts are not looked at.

        Raises
        ------
        ConfigError
            Listing every fault of the run file.
        """
        place = self.folder() if existing else self.run_file()
        from orchestrator.production.production import Production
        from orchestrator.production.run_file import read_run_file

        return Production(read_run_file(place, self.settings, site, look=not existing))


def _output_of(run_file: Path) -> Path:
    """Return the output folder that a run file names, without checking the rest of it."""
    from orchestrator.production.yaml_text import read_yaml

    if run_file.is_dir():
        run_file = run_file / RUN_FILE
    content = read_yaml(run_file)
    output = content.get("output", "production") if isinstance(content, dict) else "production"
    return run_file.parent / Path(str(output)).expanduser()


def sort_words(words: Sequence[str] | None, *, settings: bool = True) -> Words:
    """Sort the words of a command.

    Parameters
    ----------
    words : sequence of str or None
    settings : bool
        Whether the command takes settings.

    Raises
    ------
    typer.BadParameter
        If two productions are named, or a setting that the command does not take.
    """
    from orchestrator.production.setting_words import is_setting

    places: list[Path] = []
    given: list[str] = []
    targets: list[str] = []
    for word in words or ():
        path = Path(word)
        if word.endswith(_ENDINGS) or (path / RUN_FILE).is_file() or (path.is_dir() and is_ceci_run(path)):
            places.append(path)
        elif is_setting(word):
            given.append(word)
        else:
            targets.append(word)
    if len(places) > 1:
        msg = f"expected one production, found {', '.join(repr(str(place)) for place in places)}"
        raise typer.BadParameter(msg)
    if given and not settings:
        msg = f"this command takes no setting, found {given[0]!r}; run, update, retry, check and submit do"
        raise typer.BadParameter(msg)
    return Words(places[0] if places else None, tuple(given), tuple(targets))


def no_targets(targets: tuple[str, ...], command: str) -> None:
    """Refuse targets where a command is for the whole production.

    Raises
    ------
    typer.BadParameter
        If there is any.
    """
    if targets:
        msg = f"{targets[0]!r} is no run file, no production and no setting, and {command} is not for single targets"
        raise typer.BadParameter(msg)
