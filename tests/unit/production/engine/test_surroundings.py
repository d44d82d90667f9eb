"""Environment, addresses, names and the end of an allocation; a command that ends with its parent."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest
from slurm_cluster import wait_until

from orchestrator.errors import ProductionError
from orchestrator.fit.mpi import without_launcher
from orchestrator.production.engine.addresses import addresses_of
from orchestrator.production.engine.allocation import end_of_allocation
from orchestrator.production.engine.own_jobs import label_of
from orchestrator.production.engine.tether import tethered

PARENT = """
import subprocess, sys
from orchestrator.production.engine.tether import tethered
child = subprocess.Popen(tethered(["sleep", "60"]))
print(child.pid, flush=True)
child.wait()
"""


def test_no_trace_of_a_launcher_is_left():
    of_launchers = {
        "SLURM_JOB_ID": "1", "SLURMD_NODENAME": "n1", "PMI_RANK": "0", "PMI2_X": "", "PMIX_RANK": "0",
        "PRTE_LAUNCHED": "1",
        "OMPI_COMM_WORLD_SIZE": "2", "HYDRA_LAUNCHER": "slurm", "PALS_RANKID": "0", "HYDI_CONTROL_FD": "7",
    }  # fmt: skip
    kept = {
        "PATH": "/bin", "SLURM_CONF": "/etc/slurm.conf", "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "OMP_NUM_THREADS": "1", "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe", "TMPDIR": "/tmp",
    }  # fmt: skip
    assert without_launcher({**of_launchers, **kept}) == kept


def test_the_environment_of_this_process_is_the_default_and_stays(monkeypatch):
    monkeypatch.setenv("PMIX_RANK", "3")
    assert "PMIX_RANK" not in without_launcher()
    assert os.environ["PMIX_RANK"] == "3"


def test_the_end_of_the_allocation_as_slurm_states_it(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1800000000")
    assert end_of_allocation() == 1.8e9


def test_outside_of_an_allocation_there_is_no_end(monkeypatch):
    for name in ("SLURM_JOB_END_TIME", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    assert end_of_allocation() is None


def test_a_slurm_that_does_not_answer_means_no_end(monkeypatch, tmp_path):
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert end_of_allocation() is None


def test_addresses():
    assert addresses_of("10.1.2.3") == {"10.1.2.3"}
    assert addresses_of("lo") == {"127.0.0.1"}
    assert "127.0.0.1" in addresses_of(None)
    with pytest.raises(ProductionError, match="'ib7' is neither an address nor an interface"):
        addresses_of("ib7")


def test_a_label_belongs_to_one_production(tmp_path, monkeypatch):
    one = label_of(tmp_path / "one")
    assert one != label_of(tmp_path / "two")
    monkeypatch.chdir(tmp_path)
    assert label_of(tmp_path.joinpath("one").relative_to(tmp_path)) == one


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")
@pytest.mark.timeout(20)
def test_a_tethered_command_ends_with_its_parent():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        wait_until(lambda: child.name() == "sleep", 10, "the command running")
        parent.kill()
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 5, "the command gone")


@pytest.mark.timeout(20)
def test_a_tethered_command_is_the_command():
    done = subprocess.run(tethered(["sh", "-c", "echo $0 $1; exit 3", "a b", "c"]), capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("a b c\n", 3)
