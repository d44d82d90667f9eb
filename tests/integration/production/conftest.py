"""What the tests of productions share: a real Slurm for the session, and how a small production ends."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_cluster import SlurmCluster, missing_programs
from small_productions import expected_states, final_table, finish, write_production


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


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list, dict]:
    """The final table of the small production in one process, which nothing has disturbed."""
    run_file = write_production(tmp_path_factory.mktemp("undisturbed"), site={"executor": "serial"})
    assert finish(run_file, seconds=0) == 1  # some targets fail
    states, tables = final_table(run_file)
    assert states == expected_states()
    return states, tables
