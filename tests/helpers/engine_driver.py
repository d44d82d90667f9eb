"""A driver of chunks in a process of its own, so that it can be killed: FOLDER SITE N_CHUNKS SECONDS."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from engine_chunks import Chunk, append, execute

from orchestrator.production.engine.executors import open_executor
from orchestrator.production.engine.outcomes import outcomes
from orchestrator.production.site import Site


def _drive(folder: Path, site: Site, n_chunks: int, seconds: float) -> None:
    """Do what has no line in the file of results yet."""
    results = folder / "results.txt"
    done = {int(line.split()[0]) for line in results.read_text().splitlines()} if results.exists() else set()
    waiting = [Chunk(str(folder), number, seconds) for number in range(n_chunks) if number not in done]
    with open_executor(site, production=folder) as executor:
        for chunk, outcome in outcomes(executor, execute, waiting, window=lambda: 8):
            if isinstance(outcome, BaseException):
                raise outcome
            append(results, f"{chunk.number} {outcome}")


if __name__ == "__main__":
    _drive(Path(sys.argv[1]), Site(**json.loads(sys.argv[2])), int(sys.argv[3]), float(sys.argv[4]))
