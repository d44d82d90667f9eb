"""Who made this file: stage, target, key and run, from its place in a production or from its content."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import ProductionError
from orchestrator.production.ledger.ledger import open_ledger
from orchestrator.production.ledger.products import Product
from orchestrator.production.production_folder import find_production, ledger_url
from orchestrator.production.work.step import content_checksum

__all__ = ["Maker", "who_made"]


@dataclass(frozen=True)
class Maker:
    """Who made a file.

    Attributes
    ----------
    product : Product
    production : str
    state : {'as it was made', 'changed since', 'gone', 'a copy'}
    command : str
        Shell command line of the run.
    """

    product: Product
    production: str
    state: str
    command: str

    def to_lines(self) -> tuple[str, ...]:
        """Return it as lines."""
        one = self.product
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.created))
        current = "" if one.is_current else "; the result is not the present one"
        return (
            f"{one.path}: {self.state}{current}",
            f"  stage     {one.stage}",
            f"  target    {one.target}",
            f"  key       {one.key}",
            f"  checksum  {one.checksum}",
            f"  run       {one.run_id}, {when}: {self.command}",
            f"  in        {self.production}",
        )


def who_made(file: Path, production: Path | None = None) -> list[Maker]:
    """Return who made a file, the latest first.

    Parameters
    ----------
    file : Path
        It may have gone, or be a copy outside the production.
    production : Path, optional
        The one around the file, or around the current folder, if left out.

    Raises
    ------
    ProductionError
        If no production is found, or none of its stages made it.
    """
    folder = production or _around(file)
    checksum = content_checksum(file) if file.exists() else ""
    path = os.path.abspath(file)
    root = os.path.abspath(folder)
    relative = os.path.relpath(path, root) if path.startswith(f"{root}{os.sep}") else ""
    with open_ledger(ledger_url(folder), read_only=True) as ledger:
        found = ledger.made_by(relative, checksum)
        runs = {int(run["run_id"]): " ".join(run["argv"]) for run in ledger.runs()}
    if not found:
        msg = f"no stage of the production {str(folder)!r} has made {str(file)!r}, nor a file of the same content"
        raise ProductionError(msg)
    return [Maker(one, str(folder), _state(one, relative, checksum), runs.get(one.run_id, "")) for one in found]


def _around(file: Path) -> Path:
    try:
        return find_production(file.absolute().parent)
    except ProductionError:
        return find_production()


def _state(product: Product, relative: str, checksum: str) -> str:
    if product.path != relative:
        return "a copy"
    if not checksum:
        return "gone"
    return "as it was made" if product.checksum == checksum else "changed since"
