"""The environment of processes that workers start."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from orchestrator.fit.mpi import THREAD_VARIABLES

__all__ = ["one_thread_each", "without_launcher"]

_OF_LAUNCHERS = (
    "SLURM_", "SLURMD_", "SRUN_", "PMI_", "PMI2_", "PMIX_", "PRTE_", "OMPI_COMM_", "HYDRA_", "HYDI_", "PALS_",
)  # fmt: skip
_NAMES = ("PMI", "MPI_LOCALNRANKS", "MPI_LOCALRANKID")
_KEPT = ("SLURM_CONF", "PRTE_MCA_rmaps_default_mapping_policy", "PRTE_MCA_hwloc_default_binding_policy")
"""Settings, which `orchestrator.fit.mpi.child_environment` makes among others; no trace of a launcher."""


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
