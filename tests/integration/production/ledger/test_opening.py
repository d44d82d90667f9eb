"""What is no ledger, or not ours, is refused; one driver at a time."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import tempfile

import pytest
import sqlalchemy as sa
from ledger_records import galaxy, register

from orchestrator.errors import ProductionError
from orchestrator.production.ledger import file_system
from orchestrator.production.ledger.ledger import open_ledger

HOLDER = """
import sys, time
from orchestrator.production.ledger.ledger import open_ledger
with open_ledger(sys.argv[1]) as ledger, ledger.lock_driver():
    print("locked", flush=True)
    time.sleep(100)
"""


@pytest.mark.parametrize("read_only", [True, False])
def test_a_missing_ledger_is_not_made_by_looking(url, read_only):
    with pytest.raises(ProductionError, match="There is no ledger"):
        open_ledger(url, read_only=read_only)
    with pytest.raises(ProductionError, match="There is no ledger"):
        open_ledger(url, read_only=True)


@pytest.mark.parametrize(("version", "age"), [(0, "an older"), (99, "a newer")])
def test_another_version_is_refused(url, version, age):
    with open_ledger(url, create=True) as ledger:
        ledger.database.write(
            lambda connection: connection.execute(sa.text(f"UPDATE production SET schema_version = {version}"))
        )
    for options in ({}, {"create": True}, {"read_only": True}):
        with pytest.raises(ProductionError, match=f"{age} version.*schema is {version}"):
            open_ledger(url, **options)


def test_the_ledger_of_another_production_is_refused(url):
    open_ledger(url, create=True, name="mine").close()
    open_ledger(url, create=True, name="mine").close()
    with pytest.raises(ProductionError, match="production 'mine', not of 'yours'"):
        open_ledger(url, create=True, name="yours")


@pytest.mark.parametrize("url", ["mysql://host/x", "nonsense", "sqlite+nothing:///x"])
def test_no_ledger_but_sqlite_and_postgresql(url):
    with pytest.raises(ProductionError):
        open_ledger(url, create=True)


def test_a_server_that_is_not_there_is_told_of_at_once():
    with pytest.raises(ProductionError, match="has not answered"):
        open_ledger("postgresql+psycopg://nobody@127.0.0.1:1/none", create=True)


def test_a_network_file_system_is_refused(tmp_path, monkeypatch):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/x {tmp_path.resolve()} nfs4 rw 0 0\n")
    monkeypatch.setattr(file_system, "_MOUNTS", mounts)
    with pytest.raises(ProductionError, match=r"network file system \(nfs4\).*postgresql"):
        open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite", create=True)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "ledger.sqlite").write_text("not a database, " * 100)
    with pytest.raises(ProductionError, match="cannot be used: file is not a database"):
        open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_may_look():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        url = f"sqlite:///{folder}/ledger.sqlite"
        with open_ledger(url, create=True) as ledger:
            register(ledger)
            ledger.add_targets([galaxy(1)])
            assert _looked_at_by_nobody(url) == {"ready": 1}
        assert _looked_at_by_nobody(url) == {"ready": 1}


def _looked_at_by_nobody(url):
    os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        with open_ledger(url, read_only=True) as ledger:
            return ledger.counts()["kinematics"]
    finally:
        os.seteuid(0)


@pytest.mark.timeout(60)
def test_a_second_driver_is_refused_until_the_first_is_gone(url):
    open_ledger(url, create=True).close()
    with subprocess.Popen([sys.executable, "-c", HOLDER, url], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "locked\n"
        with open_ledger(url) as ledger:
            with pytest.raises(ProductionError, match=f"Another driver.*process {holder.pid}"), ledger.lock_driver():
                pass
            assert ledger.n_targets() == 0  # looking is allowed
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            # The server notices that its client has gone a moment later.
            for _ in range(1000):
                try:
                    with ledger.lock_driver():
                        ledger.begin_run(argv=[])
                        break
                except ProductionError:
                    continue
    with open_ledger(url, read_only=True) as ledger:
        assert len(ledger.runs()) == 1


def test_the_lock_is_free_after_use_and_can_be_elsewhere(url, tmp_path):
    with open_ledger(url, create=True) as one, open_ledger(url) as other:
        lock = tmp_path / "driver.lock"
        with one.lock_driver(lock), pytest.raises(ProductionError, match="Another driver"), other.lock_driver(lock):
            pass
        with other.lock_driver(lock):
            pass
