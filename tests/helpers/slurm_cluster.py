"""A real Slurm on this machine: munged, slurmctld and one slurmd per node, on loopback, in a folder of its own."""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

__all__ = ["SlurmCluster", "missing_programs", "wait_until"]

_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue")
_START_SECONDS = 20.0
_STOP_SECONDS = 10.0
_CONFIGURATION = """
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdPidFile={folder}/run/%n.pid
SlurmdLogFile={folder}/log/%n.log
SlurmdSpoolDir={folder}/spool/%n
TmpFS={folder}/tmp/%n
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/log/finished_jobs.txt
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=30
InactiveLimit=0
KillWait=2
MinJobAge=60
Waittime=0
{nodes}
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


def missing_programs() -> str:
    """Return what a cluster lacks on this machine, empty if nothing."""
    # Debian keeps daemons where the path of a normal user does not lead.
    lacking = [name for name in _PROGRAMS if _find(name) is None]
    return f"no {', '.join(lacking)} (apt-get install slurmctld slurmd slurm-client munge)" if lacking else ""


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Poll until a condition holds.

    Raises
    ------
    TimeoutError
        Naming `what` did not happen.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            msg = f"not within {seconds:g} s: {what}"
            raise TimeoutError(msg)
        time.sleep(0.05)


class SlurmCluster:
    """A cluster that runs while its context is open; ``SLURM_CONF`` leads every Slurm command to it.

    Parameters
    ----------
    folder : Path
        New or empty. Its path must be short: a socket lies in it.
    n_nodes : int
        All on this host, named ``n1`` and so on.
    n_cores : int
        Of each node, whatever the host has.
    """

    def __init__(self, folder: Path, n_nodes: int = 2, n_cores: int = 2) -> None:
        self.folder = folder
        self.n_nodes = n_nodes
        self.n_cores = n_cores
        self.configuration = folder / "slurm.conf"
        self.variables = {"SLURM_CONF": str(self.configuration)}

    def __enter__(self) -> Self:
        self._write_configuration()
        try:
            self._start_munge()
            self._run("slurmctld", "-f", str(self.configuration))
            for node in self._nodes:
                self._run("slurmd", "-f", str(self.configuration), "-N", node)
            wait_until(self._all_idle, _START_SECONDS, f"{self.n_nodes} idle nodes, see {self.folder / 'log'}")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def command(self, *words: str) -> str:
        """Return what a Slurm command prints."""
        return self._run(*words).strip()

    def queue(self) -> dict[str, str]:
        """Return the jobs that wait or run, by number, with Slurm's code of their state."""
        rows = self.command("squeue", "--noheader", "--format", "%i %t").splitlines()
        return dict(row.split() for row in rows)

    def n_submitted(self) -> int:
        """Return how many jobs there have been."""
        found = self.command("scontrol", "show", "config")
        (line,) = (line for line in found.splitlines() if line.startswith("NEXT_JOB_ID"))
        return int(line.split("=")[1]) - 1

    def processes(self, text: str = "") -> list[psutil.Process]:
        """Return the processes of the cluster's daemons and jobs whose command line holds a text."""
        return [process for process in psutil.process_iter() if _belongs(process, str(self.folder), text)]

    @property
    def _nodes(self) -> list[str]:
        return [f"n{number}" for number in range(1, self.n_nodes + 1)]

    def _write_configuration(self) -> None:
        for name in (
            "state",
            "log",
            "run",
            "munge",
            *(f"{top}/{node}" for top in ("spool", "tmp") for node in self._nodes),
        ):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for name in ("", "munge"):  # munged refuses to work where others may write
            (self.folder / name).chmod(0o755)
        controller, *ports = _free_ports(self.n_nodes + 1)
        nodes = "\n".join(
            f"NodeName={node} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} "
            f"CPUs={self.n_cores} RealMemory=4000"
            for node, port in zip(self._nodes, ports, strict=True)
        )
        text = _CONFIGURATION.format(
            folder=self.folder, user=getpass.getuser(), controller_port=controller, nodes=nodes
        )  # fmt: skip
        self.configuration.write_text(text)

    def _start_munge(self) -> None:
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(1024))
        self._run(
            "munged", "--force", f"--key-file={key}", f"--socket={self.folder}/munge/socket",
            f"--pid-file={self.folder}/run/munged.pid", f"--log-file={self.folder}/log/munged.log",
            f"--seed-file={self.folder}/run/munged.seed", "--num-threads=2",
        )  # fmt: skip

    def _all_idle(self) -> bool:
        done = subprocess.run(
            ["sinfo", "--noheader", "--Node", "--format", "%T"], env=self._environment(), capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        return done.stdout.split() == ["idle"] * self.n_nodes

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
        return {**inherited, **self.variables}

    def _run(self, program: str, *words: str) -> str:
        done = subprocess.run(
            [_find(program) or program, *words], env=self._environment(), capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            msg = f"{program} {' '.join(words)}: exit code {done.returncode}: {done.stderr.strip()}"
            raise RuntimeError(msg)
        return done.stdout

    def _stop(self) -> None:
        """End jobs, then daemons in the reverse order of their start, by their pid files only."""
        with suppress(RuntimeError, TimeoutError):  # a cluster that never came up has no queue
            jobs = self.queue()
            if jobs:
                self._run("scancel", *jobs)
                wait_until(lambda: not self.queue(), _STOP_SECONDS, "an empty queue")
        daemons = [_process_of(self.folder / "run" / f"{name}.pid") for name in (*self._nodes, "slurmctld", "munged")]
        for daemon in filter(None, daemons):
            daemon.terminate()
        _, alive = psutil.wait_procs([daemon for daemon in daemons if daemon], timeout=_STOP_SECONDS)
        for daemon in alive:
            daemon.kill()


def _find(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _process_of(file: Path) -> psutil.Process | None:
    try:
        return psutil.Process(int(file.read_text()))
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None


def _belongs(process: psutil.Process, *texts: str) -> bool:
    try:
        line = " ".join(process.cmdline())
    except psutil.Error:
        return False
    return all(text in line for text in texts)


def _free_ports(number: int) -> list[int]:
    """Return ports that are free now; all are held at the same time so that they differ."""
    sockets = [socket.socket() for _ in range(number)]
    try:
        for entry in sockets:
            entry.bind(("127.0.0.1", 0))
        return [entry.getsockname()[1] for entry in sockets]
    finally:
        for entry in sockets:
            entry.close()
