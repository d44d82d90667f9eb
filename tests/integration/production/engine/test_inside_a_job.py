"""What the package sees and does inside a Slurm job."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from slurm_cluster import SlurmCluster, wait_until

from orchestrator.fit.mpi import find_mpiexec
from orchestrator.production.scripts import submit_command, write_scripts
from orchestrator.production.site import Site

pytestmark = pytest.mark.timeout(60)

END = """
import time
from orchestrator.production.engine.allocation import end_of_allocation
print(end_of_allocation() - time.time())
"""
RANKS = """
import subprocess, sys
from orchestrator.fit.mpi import child_environment, without_launcher
rank = "import os; from mpi4py import MPI; os.write(1, b'%d ' % MPI.COMM_WORLD.size)"
command = [sys.argv[1], "-n", "2", sys.executable, "-c", rank]
subprocess.run(command, env=without_launcher(child_environment()), timeout=30, check=True)
"""
DRIVER = """#!/bin/bash
echo "$@"
trap 'echo stopped gracefully; exit 0' TERM
touch begun
while true; do sleep 0.1; done
"""


def run_job(slurm: SlurmCluster, folder: Path, *words: str, step: bool) -> str:
    """Run a Python program in a job of seven minutes; return what it prints."""
    script, log = folder / "job.sh", folder / "job.log"
    for number, word in enumerate(words):
        (folder / f"word{number}").write_text(word)
    arguments = " ".join(f'"$(cat word{number})"' for number in range(len(words)))
    launcher = "srun --ntasks=1 " if step else ""
    script.write_text(f"#!/bin/bash\n{launcher}{shlex.quote(sys.executable)} -c {arguments}\n")
    slurm.command("sbatch", "--time=7", "--exclusive", f"--chdir={folder}", f"--output={log}", str(script))
    wait_until(lambda: not slurm.queue(), 40, "the end of the job")
    return log.read_text()


def test_the_end_of_the_allocation(slurm, tmp_path):
    left = float(run_job(slurm, tmp_path, END, step=False))
    assert 7 * 60 - 30 < left <= 7 * 60


def test_an_mpiexec_in_a_step_starts_ranks_that_see_each_other(slurm, tmp_path):
    mpiexec = find_mpiexec()
    if mpiexec is None:
        pytest.skip("no mpiexec that works with mpi4py")
    assert run_job(slurm, tmp_path, RANKS, mpiexec, step=True).split() == ["2", "2"]


def test_the_submitted_script_passes_the_signal_on(slurm, tmp_path, monkeypatch):
    production = tmp_path / "a production"
    (production / "logs").mkdir(parents=True)
    (production / "run.yaml").write_text("name: test\n")
    driver = tmp_path / "driver"
    driver.write_text(DRIVER)
    driver.chmod(0o755)
    monkeypatch.setenv("ORCHESTRATOR", str(driver))
    monkeypatch.chdir(tmp_path)
    script, _ = write_scripts(production, Site(executor="allocation", walltime="00:05:00", nodes_per_block=2))
    done = subprocess.run(submit_command(production, script), check=True, capture_output=True, text=True)
    job = done.stdout.split()[-1]
    wait_until((tmp_path / "begun").exists, 20, "the driver running")
    slurm.command("scancel", "--batch", "--signal=TERM", job)
    wait_until(lambda: not slurm.queue(), 20, "the end of the job")
    log = (production / "logs" / f"slurm-{job}.log").read_text()
    ours = [line for line in log.splitlines() if not line.startswith("slurmstepd")]
    assert ours == [f"run {production} site.executor=allocation", "stopped gracefully"]
