"""Find an mpiexec that starts processes of this Python which see each other."""

from __future__ import annotations

import functools
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

__all__ = [
    "THREAD_VARIABLES",
    "child_environment",
    "find_mpiexec",
    "mpiexec_candidates",
    "one_thread_each",
    "without_launcher",
]

logger = logging.getLogger(__name__)

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
# One write per rank: the pieces of a print may come interleaved.
_PROBE = "import os; from mpi4py import MPI; os.write(1, b'<%d>' % MPI.COMM_WORLD.size)"
_PROBE_SECONDS = 30.0


def child_environment() -> dict[str, str]:
    """Return the environment of a sampler process: one thread per process unless the user says otherwise."""
    environment = dict(os.environ)
    for variable in THREAD_VARIABLES:
        environment.setdefault(variable, "1")
    environment.setdefault("MPLBACKEND", "Agg")
    environment["PYTHONUNBUFFERED"] = "1"
    # OpenMPI binds every rank to one core, refuses more ranks than cores, and refuses root; MPICH ignores
    # these.
    environment.setdefault("OMPI_MCA_hwloc_base_binding_policy", "none")
    environment.setdefault("OMPI_MCA_rmaps_base_oversubscribe", "1")
    environment.setdefault("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe")
    if os.geteuid() == 0:
        environment.setdefault("OMPI_ALLOW_RUN_AS_ROOT", "1")
        environment.setdefault("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
    return environment


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let processes that are started meanwhile use one thread each, unless the user has said otherwise."""
    missing = [name for name in THREAD_VARIABLES if name not in os.environ]
    os.environ.update(dict.fromkeys(missing, "1"))
    try:
        yield
    finally:
        for name in missing:
            os.environ.pop(name, None)


_OF_LAUNCHERS = (
    "SLURM_", "SLURMD_", "SRUN_", "PMI_", "PMI2_", "PMIX_", "PRTE_", "OMPI_COMM_", "HYDRA_", "HYDI_", "PALS_",
)  # fmt: skip
_NAMES = ("PMI", "MPI_LOCALNRANKS", "MPI_LOCALRANKID")
_KEPT = ("SLURM_CONF", "PRTE_MCA_rmaps_default_mapping_policy", "PRTE_MCA_hwloc_default_binding_policy")
"""Settings, which `child_environment` makes among others; no trace of a launcher."""


def without_launcher(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which an ``mpiexec`` on this node does not notice the job that it runs in.

    Inside a Slurm step, Hydra would start its ranks through ``srun``, one fit after the other, or hang; ranks that
    see the PMI of the step would each believe to be alone.

    Parameters
    ----------
    environment : Mapping of str to str or None
        That of this process if left out.
    """
    source = os.environ if environment is None else environment
    return {
        name: value
        for name, value in source.items()
        if name in _KEPT or not (name.startswith(_OF_LAUNCHERS) or name in _NAMES)
    }


def mpiexec_candidates() -> list[str]:
    """Return the mpiexec beside this Python, then the one on the search path."""
    beside = Path(sys.executable).parent / "mpiexec"
    found = [str(beside)] if beside.is_file() else []
    on_path = shutil.which("mpiexec")
    if on_path and on_path not in found:
        found.append(on_path)
    return found


def find_mpiexec() -> str | None:
    """Return an mpiexec that works with this Python's mpi4py, or None.

    Each candidate is tried once per process with two ranks: an mpiexec of another MPI library would start two
    processes that each believe to be alone.
    """
    for candidate in mpiexec_candidates():
        fault = _fault_of(candidate)
        if fault is None:
            return candidate
        logger.warning("%s does not work with mpi4py of %s: %s", candidate, sys.executable, fault)
    return None


@functools.cache
def _fault_of(mpiexec: str) -> str | None:
    """Return what is wrong with an mpiexec, None if it works."""
    command = [mpiexec, "-n", "2", sys.executable, "-P", "-c", _PROBE]
    try:
        done = subprocess.run(
            command,
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
            start_new_session=True,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode != 0 or done.stdout.count("<2>") != 2:
        return f"exit code {done.returncode}: {(done.stdout + done.stderr)[-300:]}"
    return None
