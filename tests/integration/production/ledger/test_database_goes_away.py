"""A database that dies, is locked, or has no room."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import threading

import pytest
from ledger_records import done, galaxy, register
from postgres_server import PostgresServer, why_missing

from orchestrator.errors import ProductionError
from orchestrator.production.ledger import database
from orchestrator.production.ledger.ledger import open_ledger


@pytest.fixture
def server():
    """A server of its own, to be killed."""
    reason = why_missing()
    if reason and os.environ.get("ORCHESTRATOR_REQUIRE_SERVICES"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    with PostgresServer() as started:
        yield started


def filled(ledger):
    register(ledger)
    ledger.begin_run(argv=[])
    ledger.add_targets(galaxy(number) for number in range(1, 6))


@pytest.mark.timeout(120)
def test_a_killed_server_is_waited_for_and_nothing_is_lost_or_doubled(server):
    with open_ledger(server.url, create=True, patience=60.0) as ledger:
        filled(ledger)
        with ledger.lock_driver():
            ledger.commit([done(1)])
            server.kill()
            later = threading.Timer(1.0, server.start)
            later.start()
            assert ledger.commit([done(1), done(2)]).n_done == 1
            later.join()
            assert ledger.counts()["kinematics"] == {"done": 2, "ready": 3}
            # The lock came back with the connection.
            with (
                open_ledger(server.url) as other,
                pytest.raises(ProductionError, match="Another driver"),
                other.lock_driver(),
            ):
                pass


@pytest.mark.timeout(120)
def test_patience_ends_with_what_to_do(server):
    with open_ledger(server.url, create=True, patience=1.0) as ledger:
        filled(ledger)
        server.kill()
        with pytest.raises(ProductionError, match="not answered for 1 s.*in the spool; the same command continues"):
            ledger.commit([done(1)])
        with pytest.raises(ProductionError, match="not answered"):
            ledger.counts()
        server.start()
        assert ledger.commit([done(1)]).n_done == 1


@pytest.mark.timeout(120)
def test_a_driver_that_was_replaced_while_it_was_cut_off_cannot_write(server):
    with open_ledger(server.url, create=True, patience=1.0) as first, open_ledger(server.url) as second:
        filled(first)
        with contextlib.ExitStack() as locks:
            locks.enter_context(first.lock_driver())
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
            locks.enter_context(second.lock_driver())
            with pytest.raises(ProductionError, match="Another driver has taken over"):
                first.commit([done(1)])
            assert second.commit([done(1)]).n_done == 1


@pytest.mark.timeout(60)
def test_a_locked_file_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "_BUSY", 0.05)
    path = tmp_path / "ledger.sqlite"
    with open_ledger(f"sqlite:///{path}", create=True, patience=30.0) as ledger:
        filled(ledger)
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        later = threading.Timer(0.5, other.rollback)
        later.start()
        assert ledger.commit([done(1)]).n_done == 1
        later.join()
        other.execute("BEGIN IMMEDIATE")
        ledger.database.patience = 0.3
        with pytest.raises(ProductionError, match="not answered for 0.3 s"):
            ledger.commit([done(2)])
        assert ledger.counts()["kinematics"] == {"done": 1, "ready": 4}  # readers are not kept waiting
        other.close()


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.timeout(60)
def test_a_full_disk_is_told_of_at_once_and_loses_nothing(small_disk):
    with open_ledger(f"sqlite:///{small_disk}/ledger.sqlite", create=True, patience=300.0) as ledger:
        filled(ledger)
        ledger.commit([done(1)])
        waste = small_disk / "waste"
        with contextlib.suppress(OSError), waste.open("wb", buffering=0) as stream:
            while True:
                stream.write(b"x" * 4096)
        long = {"remarks": "long " * 100_000}
        with pytest.raises(ProductionError, match="is full.*Make room.*same command continues"):
            ledger.commit([done(2, columns=long), done(3)])
        assert ledger.counts()["kinematics"] == {"done": 1, "ready": 4}
        waste.unlink()
        assert ledger.commit([done(2, columns=long), done(3)]).n_done == 2
