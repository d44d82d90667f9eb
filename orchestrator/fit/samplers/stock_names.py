"""Our samplers under the names of CosmoSIS's own ``emcee`` and ``maxlike``.

Importing this file puts ours under those names in this process, with their sections and options;
:func:`restore_stock_samplers` brings CosmoSIS's own back and :func:`use_own_samplers` ours again.
"""

from __future__ import annotations

from cosmosis.samplers import ParallelSampler
from cosmosis.samplers.sampler import RegisteredSampler

from orchestrator.fit.samplers.ensemble import EnsembleMethods
from orchestrator.fit.samplers.optimiser import MultistartMethods

__all__ = ["EmceeSampler", "MaxlikeSampler", "restore_stock_samplers", "use_own_samplers"]

_stock = {
    name: sampler
    for name, sampler in RegisteredSampler.registry.items()
    if name in ("emcee", "maxlike") and sampler.__module__.startswith("cosmosis.")
}


class EmceeSampler(EnsembleMethods, ParallelSampler):
    """The ensemble sampler for ``sampler = emcee``: the number of steps and the move are those asked for."""

    stops_by_itself = False
    default_moves = "stretch"


class MaxlikeSampler(MultistartMethods, ParallelSampler):
    """The optimiser for ``sampler = maxlike``."""


def use_own_samplers() -> None:
    """Put ours under the names, also after they were given back."""
    RegisteredSampler.registry.update({"emcee": EmceeSampler, "maxlike": MaxlikeSampler})


def restore_stock_samplers() -> None:
    """Give the names back to CosmoSIS's own samplers."""
    RegisteredSampler.registry.update(_stock)
