"""Engines for the tests: nothing that one of them has started may be left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import engine_chunks
import pytest
from engine_chunks import MARK, marked_processes
from slurm_cluster import wait_until

from orchestrator.production.site import Site

_GONE_SECONDS = 15.0


@pytest.fixture
def production(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder of a production, whose workers find the helpers and carry its path as a mark."""
    folder = tmp_path / "production"
    folder.mkdir()
    helpers = str(Path(engine_chunks.__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [helpers, os.environ.get("PYTHONPATH")])))
    monkeypatch.setenv(MARK, str(folder))
    monkeypatch.setenv("SPT_NOENV", "1")  # Parsl's processes write their titles over their environment otherwise
    yield folder
    wait_until(lambda: not marked_processes(str(folder)), _GONE_SECONDS, "no process left")


@pytest.fixture
def pilot_site():
    """A function that makes a site of two pilot jobs with short times; every worker costs a second of starting."""

    def make(**options):
        short = {"heartbeat_seconds": 2, "strategy_seconds": 0.5, "poll_seconds": 2}
        blocks = {"workers_per_node": 1, "max_blocks": 2, "walltime": "00:10:00"}
        return Site(**{"executor": "slurm", **short, **blocks, **options})

    return make
