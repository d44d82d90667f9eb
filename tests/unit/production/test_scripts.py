"""The scripts that run a production."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from orchestrator.production.scripts import submit_command, write_scripts
from orchestrator.production.site import Site

FAKE = '#!/bin/bash\nprintf "%s\\n" "$OMP_NUM_THREADS" "$@"\n'


@pytest.fixture
def fake_orchestrator(tmp_path, monkeypatch):
    """A command that prints what it is called with."""
    command = tmp_path / "a command"
    command.write_text(FAKE)
    command.chmod(0o755)
    monkeypatch.setenv("ORCHESTRATOR", str(command))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, cwd="/"
    )


@pytest.fixture
def production(tmp_path):
    folder = tmp_path / "it's a production"
    folder.mkdir()
    (folder / "run.yaml").write_text("name: test\n")
    return folder


def test_both_scripts_are_shell(production):
    for script in write_scripts(production, Site(worker_init="module load python\n"), ["--site", "a b"]):
        done = run("bash", "-n", str(script))
        assert done.returncode == 0, done.stderr
        assert os.access(script, os.X_OK)


def test_the_shell_script_finds_its_production_after_a_move(production, tmp_path, fake_orchestrator):
    write_scripts(production, Site(), ["--limit", "1 0"])
    moved = tmp_path / "moved"
    shutil.move(production, moved)
    done = run(str(moved / "scripts" / "run.sh"))
    assert done.stdout.splitlines() == ["1", "run", str(moved), "site.executor=local", "--limit", "1 0"], done.stderr


def test_the_slurm_script_finds_where_it_was_submitted_from(production, fake_orchestrator):
    slurm, _ = write_scripts(production, Site())
    for words, folder in [((str(slurm),), production), ((str(slurm), str(production)), "/elsewhere")]:
        done = run(*words, SLURM_SUBMIT_DIR=str(folder))
        assert done.stdout.splitlines() == ["1", "run", str(production), "site.executor=allocation"], done.stderr


def test_a_folder_without_a_production_is_refused(production, tmp_path, fake_orchestrator):
    for script in write_scripts(production, Site()):
        done = run(str(script), str(tmp_path))
        assert done.returncode == 2
        assert f"no run.yaml in '{tmp_path}'" in done.stderr
        assert done.stdout == ""


def test_the_job_asks_for_what_the_site_says(production):
    site = Site(
        account="m1", qos="regular", constraint="cpu&gpu", walltime="02:30:00", nodes_per_block=2, max_blocks=3,
        exclusive=False, workers_per_node=16, memory_per_node=64, stop_before_end=240,
        scheduler_options="#SBATCH --licenses=scratch",
    )  # fmt: skip
    slurm, _ = write_scripts(production, site)
    lines = set(slurm.read_text().splitlines())
    assert {
        "#SBATCH --nodes=6", "#SBATCH --cpus-per-task=16", "#SBATCH --mem=64G", "#SBATCH --time=02:30:00",
        "#SBATCH --account=m1", "#SBATCH --qos=regular", "#SBATCH --constraint='cpu&gpu'",
        "#SBATCH --signal=B:TERM@300", "#SBATCH --requeue", "#SBATCH --licenses=scratch",
    } <= lines  # fmt: skip
    assert "#SBATCH --exclusive" not in lines
    assert "#SBATCH --partition" not in slurm.read_text()


def test_the_signal_of_a_short_job_does_not_come_at_its_start(production):
    slurm, _ = write_scripts(production, Site(walltime="00:02:30"))
    assert "#SBATCH --signal=B:TERM@75\n" in slurm.read_text()


def test_directives_stand_before_the_first_command(production):
    slurm, _ = write_scripts(production, Site(scheduler_options="#SBATCH --licenses=scratch\n"))
    lines = slurm.read_text().splitlines()
    first_command = next(n for n, line in enumerate(lines) if line and not line.startswith("#"))
    assert not any(line.startswith("#SBATCH") for line in lines[first_command:])


def test_the_command_that_submits_has_the_log_in_the_production(production):
    slurm, _ = write_scripts(production, Site())
    command = submit_command(production, slurm)
    assert command[0] == "sbatch"
    assert command[-2:] == [str(slurm), str(production)]
    assert f"--output={production}/logs/slurm-%j.log" in command
