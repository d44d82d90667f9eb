"""A real PostgreSQL server for tests: made in a temporary folder, gone afterwards."""

from __future__ import annotations

import contextlib
import getpass
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Self

import psutil

_PATIENCE = 60.0
_MEMORY = "/dev/shm"
_NUMBERS = itertools.count()


def postgres_programs() -> dict[str, Path]:
    """Return where ``initdb``, ``postgres`` and ``psql`` are, as far as they are there."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found: dict[str, Path] = {}
    for name in ("initdb", "postgres", "psql"):
        for folder in folders:
            if os.access(folder / name, os.X_OK):
                found[name] = folder / name
                break
    return found


def why_missing() -> str:
    """Return why there can be no server, empty if there can."""
    missing = {"initdb", "postgres", "psql"} - set(postgres_programs())
    if missing:
        return f"PostgreSQL is not installed: no {', '.join(sorted(missing))}"
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        return f"psycopg is not installed: {error}"
    return ""


def _unprivileged() -> str | None:
    """Return the user that the server runs as: root is refused by it."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            pwd.getpwnam(name)
            return name
    return None


class PostgresServer:
    """A server on a unix socket and a free port of the loopback interface.

    Parameters
    ----------
    parent : str, optional
        Where its folder is made; in memory by default, where that is possible.

    Attributes
    ----------
    folder : Path
        Its data, socket and log; short, as sockets need.
    port : int
    """

    def __init__(self, parent: str | None = None) -> None:
        self.programs = postgres_programs()
        if parent is None and os.access(_MEMORY, os.W_OK):
            parent = _MEMORY
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir=parent))
        self.user = _unprivileged()
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        if self.user:
            account = pwd.getpwnam(self.user)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        self._as_user(
            [self.programs["initdb"], "-D", self.data, "-A", "trust", "-U", "tester", "-E", "UTF8"]
            + ["--locale=C.UTF-8", "--no-sync"]
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.folder / "data"

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [
            str(self.programs["postgres"]), "-D", str(self.data), "-p", str(self.port), "-k", str(self.folder),
            "-c", "listen_addresses=127.0.0.1",
        ]  # fmt: skip
        # It stops even if the tests are killed. The signal comes when the thread that has started it ends.
        if shutil.which("setpriv") and threading.current_thread() is threading.main_thread():
            command = ["setpriv", "--pdeathsig", "INT", *command]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder, start_new_session=True,
                user=self.user, group=_group(self.user), extra_groups=[] if self.user else None,
            )  # fmt: skip
        end = time.monotonic() + _PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                msg = f"PostgreSQL does not start:\n{(self.folder / 'log').read_text()[-2000:]}"
                raise RuntimeError(msg)
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it in order; connections are closed."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(_PATIENCE)
            self._process = None

    def kill(self) -> None:
        """Kill it with all its processes, as a power cut would."""
        if self._process is None:
            return
        server = psutil.Process(self._process.pid)
        everyone = [server, *server.children(recursive=True)]
        for process in everyone:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait(_PATIENCE)
        self._process = None
        end = time.monotonic() + _PATIENCE
        while not all(_is_gone(process) for process in everyone[1:]):
            if time.monotonic() > end:
                msg = "processes of a killed PostgreSQL are still there"
                raise RuntimeError(msg)
            time.sleep(0.01)

    def restart(self) -> None:
        """Stop it, if it runs, and start it again on the same port."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End it without ceremony and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self) -> str:
        """Address for `open_ledger`, of the one database."""
        return f"postgresql+psycopg://tester@127.0.0.1:{self.port}/postgres"

    def new_schema(self) -> str:
        """Make an empty schema and return the address of a ledger in it: as good as a new database, and faster."""
        name = f"production_{next(_NUMBERS)}"
        self.execute(f"CREATE SCHEMA {name}")
        return f"{self.url}?options=-csearch_path%3D{name}"

    def execute(self, sql: str) -> str:
        """Run a statement with psql and return what it prints."""
        command = [str(self.programs["psql"]), "-h", str(self.folder), "-p", str(self.port), "-U", "tester"]
        command += ["-d", "postgres", "-v", "ON_ERROR_STOP=1", "-X", "-A", "-t", "-q", "-c", sql]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout.strip()

    def _answers(self) -> bool:
        try:
            return self.execute("SELECT 1") == "1"
        except RuntimeError:
            return False

    def _as_user(self, command: list[str | Path]) -> None:
        done = subprocess.run(
            [str(word) for word in command], cwd=self.folder, capture_output=True, text=True, check=False,
            user=self.user, group=_group(self.user), extra_groups=[] if self.user else None,
            env={**os.environ, "HOME": str(self.folder), "USER": self.user or getpass.getuser()},
        )  # fmt: skip
        if done.returncode:
            msg = f"{command[0]} failed:\n{done.stdout}{done.stderr}"
            raise RuntimeError(msg)


def _is_gone(process: psutil.Process) -> bool:
    """Whether a process has ended, its entry in the table of processes left aside."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _group(user: str | None) -> int | None:
    return pwd.getpwnam(user).pw_gid if user else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
