"""Both databases, behind one fixture."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger_records import galaxy, register
from postgres_server import PostgresServer, why_missing

from orchestrator.production.ledger.ledger import Ledger, open_ledger


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for the session."""
    reason = why_missing()
    if reason and os.environ.get("ORCHESTRATOR_REQUIRE_SERVICES"):
        pytest.fail(f"ORCHESTRATOR_REQUIRE_SERVICES is set, but {reason}")
    if reason:
        pytest.skip(reason)
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of a ledger that does not exist yet."""
    if request.param == "sqlite":
        folder = tmp_path / "with blank, 100 % & #"
        folder.mkdir()
        return f"sqlite:///{folder}/ledger.sqlite"
    return request.getfixturevalue("postgres").new_schema()


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    """A new ledger, open for writing, with three stages and no targets."""
    with open_ledger(url, create=True, name="test", patience=20.0) as made:
        register(made)
        made.begin_run(argv=["orchestrator", "run"], versions={"cosmosis": "3.26"}, git_commit="abc", seed=7)
        yield made


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """The same with ten targets, NGC1 to NGC10."""
    ledger.add_targets(galaxy(number) for number in range(1, 11))
    return ledger

