"""The file to name in ``[runtime] import_samplers``: adds the samplers ``ensemble`` and ``multistart``.

It only imports: CosmoSIS loads this file under a name of its own, which the workers of a pool do not know.
"""

from orchestrator.fit.samplers.ensemble import EnsembleSampler
from orchestrator.fit.samplers.optimiser import MultistartSampler

__all__ = ["EnsembleSampler", "MultistartSampler"]
