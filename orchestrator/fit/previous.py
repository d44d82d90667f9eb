"""Keep earlier results: move them aside under a number that is not taken, never over one another."""

from __future__ import annotations

import logging
from pathlib import Path

from orchestrator.stage import Stage

__all__ = ["set_aside"]

logger = logging.getLogger(__name__)


def set_aside(stage: Stage) -> Path | None:
    """Move the results of an earlier run of a stage to ``previous/NAME.N.txt``.

    Its other files (configuration, best fit, handover, log) go with it under the same number.

    Returns
    -------
    Path or None
        Where the chain is now; None if there was none.
    """
    paths = stage.paths
    pieces = sorted(file for file in paths.directory.glob("*.txt") if _is_piece(file.name, paths.name))
    if not paths.chain.exists() and not pieces:
        return None
    folder = paths.directory / "previous"
    folder.mkdir(exist_ok=True)
    number = 1
    while any(file.name.startswith(f"{paths.name}.{number}") for file in folder.iterdir()):
        number += 1
    others = [paths.config, paths.best_fit, paths.handover, paths.log, paths.diagnostics, paths.random_state]
    intermediate = [paths.intermediate_chain(sampler) for sampler in set(stage.samplers)]
    for file in [paths.chain, *pieces, *others, *intermediate]:
        if file.exists():
            file.rename(folder / f"{paths.name}.{number}{file.name.removeprefix(paths.name)}")
    moved = folder / f"{paths.name}.{number}.txt"
    logger.info("the earlier results of stage %s are kept in %s", stage.name, moved)
    return moved


def _is_piece(file: str, name: str) -> bool:
    """Chains written in one file per process are called NAME_1.txt, NAME_2.txt, ..."""
    return file.startswith(f"{name}_") and file.removeprefix(f"{name}_").removesuffix(".txt").isdigit()
