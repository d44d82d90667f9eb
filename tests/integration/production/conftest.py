"""What the tests of productions share: a real Slurm for the session."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_cluster import SlurmCluster, missing_programs


@pytest.fixture(scope="session")
def slurm_session() -> Iterator[SlurmCluster]:
    """A cluster of two nodes; its folder has a short name, as sockets need."""
    lacking = missing_programs()
    if lacking:
        if os.environ.get("ORCHESTRATOR_REQUIRE_SERVICES"):
            pytest.fail(f"ORCHESTRATOR_REQUIRE_SERVICES is set, but there is {lacking}")
        pytest.skip(lacking)
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        cluster = SlurmCluster(Path(folder))
        with cluster:
            yield cluster
        assert cluster.processes() == []


@pytest.fixture
def slurm(slurm_session: SlurmCluster, monkeypatch: pytest.MonkeyPatch) -> SlurmCluster:
    """The same, with the environment that leads Slurm's commands to it."""
    for name, value in slurm_session.variables.items():
        monkeypatch.setenv(name, value)
    return slurm_session
