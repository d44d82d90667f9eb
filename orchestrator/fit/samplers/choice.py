"""Which samplers a stage gets: ours, which evaluate many points at once, or CosmoSIS's own.

``sampler = maxlike emcee`` means the same either way: same sections, same files, same formats. Ours need every
module to evaluate batches; a stage with another module, or with ``[runtime] stock_samplers = T``, gets CosmoSIS's.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from orchestrator.fit.samplers.batch_posterior import BatchPosterior

__all__ = ["choose_samplers", "covariance_overrides", "is_ours", "register_own_samplers"]

logger = logging.getLogger(__name__)

OWN = frozenset({"ensemble", "multistart"})
REPLACED = frozenset({"emcee", "maxlike"})
_OPTIMISERS = frozenset({"maxlike", "multistart"})
_TAKE_COVARIANCE = frozenset({"emcee", "ensemble"})


def register_own_samplers(samplers: list[str]) -> None:
    """Make ``ensemble`` and ``multistart`` known to CosmoSIS where they are asked for."""
    if OWN & set(samplers):
        import orchestrator.fit.samplers.plugin  # noqa: F401 - importing registers them


def choose_samplers(ini: Any, samplers: list[str], pipeline: Any) -> None:
    """Put ours in the place of ``emcee`` and ``maxlike`` where the modules evaluate batches.

    Parameters
    ----------
    ini : Inifile
    samplers : list of str
        Those of the stage.
    pipeline : LikelihoodPipeline
        Set up.
    """
    if not REPLACED & set(samplers):
        return
    from orchestrator.fit.samplers.stock_names import restore_stock_samplers, use_own_samplers

    stock = ini.getboolean("runtime", "stock_samplers", fallback=False)
    if stock or not BatchPosterior(pipeline).batched:
        restore_stock_samplers()
        return
    use_own_samplers()
    method = ini.get("maxlike", "method", fallback="").strip()
    if "maxlike" in samplers and method:
        logger.info(
            "maxlike: the multi-start optimiser is used; method = %s is CosmoSIS's own (stock_samplers = T)", method
        )


def is_ours(name: str) -> bool:
    """Whether the sampler registered under a name is one of this package."""
    from cosmosis.samplers.sampler import Sampler

    return bool(Sampler.registry[name].__module__.startswith("orchestrator."))


def covariance_overrides(
    ini: Any, samplers: list[str], index: int, file: Path
) -> dict[tuple[str, str], str]:
    """Return the options that carry the covariance of our optimiser to the next sampler.

    Parameters
    ----------
    ini : Inifile
    samplers : list of str
    index : int
        The sampler that is about to run.
    file : Path
        Where the covariance of this stage is kept.
    """
    name = samplers[index]
    if not is_ours(name):
        return {}
    if name in _OPTIMISERS and not ini.get(name, "output_covmat", fallback="").strip():
        return {(name, "output_covmat"): str(file)}
    chosen = any(ini.get(name, key, fallback="").strip() for key in ("start_points", "covmat", "start_method"))
    follows = any(earlier in _OPTIMISERS for earlier in samplers[:index])
    if name in _TAKE_COVARIANCE and follows and not chosen and file.is_file():
        return {(name, "covmat"): str(file)}
    return {}
