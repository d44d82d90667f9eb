"""Scripts that run a production: one for sbatch, one for any shell. They are meant to be read, and to be edited."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from orchestrator.production.production_folder import RUN_FILE
from orchestrator.production.site import Site

__all__ = ["submit_command", "write_scripts"]

_SLURM = """\
#!/bin/bash
# Runs the production {name} on the nodes of one Slurm job. From its folder:
#
#     sbatch scripts/{slurm}
#
# or from anywhere `sbatch {slurm} FOLDER`. A job that ends before the work does loses nothing: submit it again, or
# several times at once with --dependency=singleton, and each goes on where the one before has stopped.
{directives}

production=${{1:-$SLURM_SUBMIT_DIR}}
{body}
# `exec`, so that the signal before the end of the job reaches the driver, which then stops gracefully.
exec "$orchestrator" run "$production" site.executor=allocation{arguments}
"""
_SHELL = """\
#!/bin/bash
# Runs the production {name} on this machine: `scripts/{shell}`, or `{shell} FOLDER` where the script is elsewhere.
# Ctrl-C stops it gracefully; the same command goes on.

production=${{1:-$(dirname "$(dirname "$(realpath "${{BASH_SOURCE[0]}}")")")}}
{body}
exec "$orchestrator" run "$production" site.executor=local{arguments}
"""
_BODY = """\
orchestrator=${{ORCHESTRATOR:-{command}}}
if [ ! -f "$production/{run_file}" ]; then
    echo "no {run_file} in '$production': give the folder of the production as argument" >&2
    exit 2
fi
{worker_init}\
# One thread per process: the parallelism is over targets.
export OMP_NUM_THREADS=${{OMP_NUM_THREADS:-1}} OPENBLAS_NUM_THREADS=${{OPENBLAS_NUM_THREADS:-1}} \
MKL_NUM_THREADS=${{MKL_NUM_THREADS:-1}} NUMBA_NUM_THREADS=${{NUMBA_NUM_THREADS:-1}}
"""
_MARGIN = 60.0
"""The signal comes this many seconds before the driver would stop by itself."""


def write_scripts(production: Path, site: Site, arguments: Sequence[str] = ()) -> tuple[Path, Path]:
    """Write the scripts of a production, which work wherever its folder is moved to.

    Parameters
    ----------
    production : Path
        Its folder.
    site : Site
        Resources of the job: ``max_blocks`` times ``nodes_per_block`` nodes.
    arguments : sequence of str
        Further arguments of ``orchestrator run``, such as ``--site NAME``.

    Returns
    -------
    tuple of Path
        The script for sbatch and the one for a shell.
    """
    folder = production / "scripts"
    folder.mkdir(parents=True, exist_ok=True)
    slurm, shell = folder / "run.slurm", folder / "run.sh"
    words = {
        "name": production.resolve().name,
        "slurm": slurm.name,
        "shell": shell.name,
        "arguments": "".join(f" {shlex.quote(word)}" for word in arguments),
    }
    slurm.write_text(
        _SLURM.format(**words, directives="\n".join(_directives(site, words["name"])), body=_body(site.worker_init)),
        encoding="utf-8",
    )
    shell.write_text(_SHELL.format(**words, body=_body("")), encoding="utf-8")
    for script in (slurm, shell):
        script.chmod(0o755)
    return slurm, shell


def submit_command(production: Path, script: Path) -> list[str]:
    """Return the command that submits the Slurm script, with its log beside those of the driver."""
    folder = production.resolve()
    return ["sbatch", f"--output={folder / 'logs' / 'slurm-%j.log'}", str(script.resolve()), str(folder)]


def _body(worker_init: str) -> str:
    command = Path(sys.executable).with_name("orchestrator")
    lines = f"{worker_init.rstrip()}\n" if worker_init.strip() else ""
    return _BODY.format(command=shlex.quote(str(command)), run_file=RUN_FILE, worker_init=lines).rstrip()


def _directives(site: Site, name: str) -> list[str]:
    """Return the lines that say what the job needs."""
    cores = site.cores_per_node or (None if site.exclusive else site.workers_per_node)
    options = {
        "job-name": shlex.quote(name),
        "nodes": site.max_blocks * site.nodes_per_block,
        "ntasks-per-node": 1,
        "cpus-per-task": cores,
        "mem": None if site.memory_per_node is None else f"{site.memory_per_node}G",
        "time": site.walltime,
        "account": site.account,
        "partition": site.partition,
        "qos": site.qos,
        "constraint": None if site.constraint is None else shlex.quote(site.constraint),
        # Slurm sends a signal that is due before the beginning at once
        "signal": f"B:TERM@{round(min(site.stop_before_end + _MARGIN, site.walltime_seconds / 2))}",
        "open-mode": "append",
        "output": "slurm-%j.log",
    }
    lines = [f"#SBATCH --{option}={value}" for option, value in options.items() if value is not None]
    flags = ["requeue", *(["exclusive"] if site.exclusive else [])]
    lines += [f"#SBATCH --{flag}" for flag in flags]
    return lines + site.scheduler_options.strip().splitlines()
