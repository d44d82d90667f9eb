"""One sampler within the sampler process: what it starts from, and what the next one starts from."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.errors import ChainError, ConfigError, StageError, nearest_known
from orchestrator.fit.chain import OPTIMISERS, read_chain
from orchestrator.fit.fork_pool import ForkPool
from orchestrator.fit.parallel_gain import MeasuredPool
from orchestrator.fit.repair import repair_chain
from orchestrator.fit.samplers.checkpoints import whole_checkpoints
from orchestrator.fit.samplers.choice import covariance_overrides, is_ours
from orchestrator.fit.samplers.seeding import seeded_generators
from orchestrator.fit.start_points import FIRST_STEP, ball_of_walkers, curvature_scales, prior_walkers
from orchestrator.stage import StagePaths

__all__ = ["append_advice", "append_flags", "check_samplers", "default_walkers", "priors_of", "rows_done", "run_one"]

logger = logging.getLogger(__name__)

WALKER_SAMPLERS = frozenset({"emcee", "zeus", "kombine"})
"""Samplers that read ``start_points``."""
UNSEEDED = frozenset({"dynesty", "nautilus", "metropolis", "zeus"})
"""Samplers whose generators CosmoSIS gives no seed."""
Override = dict[tuple[str, str], str]


def default_walkers(n_varied: int) -> int:
    """Walkers where the user gave none: at least 32 and four per parameter."""
    return max(32, 4 * n_varied)


def priors_of(ini: Any, folder: Path) -> list[Any]:
    """Return the priors files of an ini file.

    A path that holds blanks, which CosmoSIS would split at, and a name relative to the ini file are found
    too.
    """
    from cosmosis.runtime.config import Inifile

    text = ini.get("pipeline", "priors", fallback="").strip().strip("\"'")
    if not text:
        return []
    names = [text] if (folder / text).is_file() or Path(text).is_file() else text.split()
    paths = [folder / name if (folder / name).is_file() else Path(name) for name in names]
    return [Inifile(str(path)) for path in paths]


def check_samplers(ini: Any, samplers: list[str]) -> None:
    """Check that the installed CosmoSIS has the samplers.

    Raises
    ------
    ConfigError
        For the first unknown one, with the nearest known name.
    """
    from cosmosis.runtime.utils import import_by_path
    from cosmosis.samplers.sampler import Sampler

    for index, file in enumerate(ini.get("runtime", "import_samplers", fallback="").split()):
        import_by_path(f"additional_samplers_{index}", file)
    for name in samplers:
        if name not in Sampler.registry:
            msg = f"The sampler {name!r} does not exist{nearest_known(name, Sampler.registry)}"
            raise ConfigError(msg)


def run_one(
    ini: Any, samplers: list[str], index: int, pipeline: Any, pool: Any, generator: np.random.Generator
) -> None:
    """Run sampler number `index` and carry its peak to the pipeline's start point.

    Parameters
    ----------
    ini : Inifile
    samplers : list of str
        All samplers of the stage.
    index : int
        The one to run.
    pipeline : LikelihoodPipeline
        Set up, and used by all samplers; its start point is moved to the peak afterwards.
    pool : MPIPool, ForkPool, MeasuredPool of one of them, or None
    generator : numpy.random.Generator
        For the starting walkers.

    Raises
    ------
    StageError
        If an optimiser ends without a finite posterior, or no starting walkers are found.
    """
    from cosmosis.main import run_cosmosis
    from cosmosis.samplers.sampler import Sampler

    name, is_last = samplers[index], index == len(samplers) - 1
    is_master = pool is None or pool.is_master()
    paths = StagePaths(Path(ini.get("output", "filename", fallback="output.txt")))
    output = paths.chain if is_last else _intermediate(paths, samplers, index)
    if not is_last and _can_skip(ini, paths.chain, output):
        if is_master:
            logger.info("resuming: %s has finished before, its result is kept", name)
            _carry_peak(pipeline, output, name)
        return
    override: Override = {("runtime", "sampler"): name, ("output", "filename"): str(output)}
    override["runtime", "stage_samplers"] = " ".join(samplers)
    if not ini.get("runtime", "verbosity", fallback="") and not ini.has_option("pipeline", "quiet"):
        override["runtime", "verbosity"] = "quiet"  # CosmoSIS's default prints a line per evaluation
    if is_master and is_last and _is_resumed(ini):
        kept = repair_chain(paths.chain)
        if kept and not is_ours(name):
            logger.warning(
                "%s continues its chain of %d rows with other random numbers: as good, but not the chain that would "
                "have come without the interruption", name, kept,
            )  # fmt: skip
    override |= _sampler_defaults(ini, name, pipeline)
    covariance = covariance_overrides(ini, samplers, index, paths.covariance)
    override |= covariance
    if name in WALKER_SAMPLERS and is_master and (name, "covmat") not in covariance:
        after_optimiser = any(sampler in OPTIMISERS for sampler in samplers[:index])
        override |= _start_points(ini, name, override, pipeline, paths, after_optimiser, generator)
    if pool is not None and not _is_parallel(Sampler.registry[name], pool):
        if not is_master:
            return
        logger.warning("the sampler %s runs in one process only; the others wait", name)
        pool = None
    # A percent sign in a path would be taken for an interpolation.
    override = {key: value.replace("%", "%%") for key, value in override.items()}
    with contextlib.ExitStack() as stack:
        if name in UNSEEDED:
            stack.enter_context(seeded_generators())
        if name == "nautilus":
            stack.enter_context(whole_checkpoints())
        run_cosmosis(ini, pool=pool, pipeline=pipeline, priors=pipeline.priors_files, override=override)
    if is_master and Sampler.registry[name].needs_output and (name in OPTIMISERS or not is_last):
        _carry_peak(pipeline, output, name)


def _is_parallel(sampler: Any, pool: Any) -> bool:
    """Whether a sampler can use the pool: a local one serves those that map a function over points."""
    from cosmosis.samplers.sampler import ParallelSampler

    if not issubclass(sampler, ParallelSampler):
        return False
    local = isinstance(pool.pool if isinstance(pool, MeasuredPool) else pool, ForkPool)
    return not local or (sampler.supports_smp and not sampler.parallel_output)


def _intermediate(paths: StagePaths, samplers: list[str], index: int) -> Path:
    """CosmoSIS's own name for the results of a sampler that is not the last."""
    name = samplers[index]
    if samplers.count(name) > 1:
        return paths.intermediate_chain(f"{name}.{samplers[:index].count(name)}")
    return paths.intermediate_chain(name)


def _is_resumed(ini: Any) -> bool:
    return bool(ini.getboolean("runtime", "resume", fallback=False))


def _can_skip(ini: Any, final: Path, output: Path) -> bool:
    """Say whether an earlier sampler need not run again: it is complete and the last one has begun."""
    if not _is_resumed(ini) or not final.is_file() or final.stat().st_size == 0:
        return False
    try:
        return read_chain(output).complete
    except ChainError:
        return False


def _sampler_defaults(ini: Any, name: str, pipeline: Any) -> Override:
    """Defaults that differ from CosmoSIS's, where the user chose nothing."""
    override: Override = {}
    if name == "maxlike" and ini.get("maxlike", "method", fallback="").upper() == "L-BFGS-B":
        logger.warning("maxlike with method = L-BFGS-B often stays at its start point; use bobyqa or Nelder-Mead")
    if name in WALKER_SAMPLERS:
        n_varied = len(pipeline.varied_params)
        if not ini.has_option(name, "walkers"):
            override[name, "walkers"] = str(default_walkers(n_varied))
        elif ini.getint(name, "walkers") < 2 * n_varied:
            msg = (
                f"[{name}] walkers = {ini.getint(name, 'walkers')} is too few for {n_varied} "
                f"sampled parameters; expected at least {2 * n_varied}."
            )
            raise ConfigError(msg)
    return override


def _start_points(
    ini: Any,
    name: str,
    override: Override,
    pipeline: Any,
    paths: StagePaths,
    after_optimiser: bool,
    generator: np.random.Generator,
) -> Override:
    """Write starting walkers of finite posterior and point the sampler to them."""
    chosen = ("start_points", "covmat", "start_method")
    if any(ini.get(name, option, fallback="").strip() for option in chosen):
        return {}
    if rows_done(ini) > 0:
        return {}
    n_walkers = int(override.get((name, "walkers")) or ini.getint(name, "walkers"))
    lower = np.array([p.limits[0] for p in pipeline.varied_params])
    upper = np.array([p.limits[1] for p in pipeline.varied_params])
    centre = np.clip(pipeline.start_vector(), lower, upper)

    def log_posterior(point: np.ndarray) -> float:
        return float(pipeline.run_results(point).post)

    random_start = ini.getboolean(name, "random_start", fallback=False)
    if random_start or not np.isfinite(log_posterior(centre)):
        walkers = prior_walkers(log_posterior, pipeline.randomized_start, n_walkers)
        logger.info("%d walkers start from draws of the prior", n_walkers)
    else:
        scales = FIRST_STEP * (upper - lower)
        if after_optimiser:
            scales = curvature_scales(log_posterior, centre, lower, upper)
        walkers = ball_of_walkers(log_posterior, centre, scales, lower, upper, n_walkers, generator)
        logger.info(
            "%d walkers start in a ball of widths %s", n_walkers, np.array2string(scales, precision=3)
        )
    header = "\t".join(str(p) for p in pipeline.varied_params)
    np.savetxt(paths.start_points, walkers, fmt="%.17g", delimiter="\t", header=header)
    return {(name, "start_points"): str(paths.start_points), (name, "random_start"): "F"}


def rows_done(ini: Any) -> int:
    """Rows that a resumed run starts from; 0 for a new one."""
    if not _is_resumed(ini):
        return 0
    with contextlib.suppress(ChainError):
        return read_chain(StagePaths(Path(ini.get("output", "filename", fallback="output.txt"))).chain).n_rows
    return 0


def _carry_peak(pipeline: Any, output: Path, name: str) -> None:
    """Move the pipeline's start point to the best row of a sampler's results."""
    if not output.is_file():
        return
    try:
        chain = read_chain(output)
    except ChainError:
        if name in OPTIMISERS:
            raise
        return
    if not chain.finite.any():
        msg = (
            f"The sampler {name} ended without a single finite posterior; see the messages of the "
            "modules above."
        )
        raise StageError(msg)
    row = int(np.argmax(np.where(chain.finite, chain.log_posterior, -np.inf)))
    if name in OPTIMISERS:
        logger.info("%s: ln posterior %.6g at its peak", name, chain.log_posterior[row])
    for parameter, value in zip(pipeline.varied_params, chain.samples[row], strict=True):
        parameter.start = float(value)


def append_advice(ini: Any, pool: MeasuredPool) -> None:
    """Add to the results file and to the log what the user should know of the gain by several processes."""
    advice = pool.advice()
    path = StagePaths(Path(ini.get("output", "filename", fallback="output.txt"))).chain
    if advice:
        logger.warning("%s", advice)
        if path.is_file():
            with path.open("a", encoding="utf-8") as stream:
                stream.write(f"#advice={advice}\n")
    elif pool.seconds > 0:
        logger.info("%d processes are %.2f times as fast as one", pool.size, pool.gain)


def append_flags(ini: Any, pipeline: Any) -> None:
    """Ask the warm modules what at the best fit is not to be taken at face value; add it to the results file.

    Each sentence becomes a closing line ``#flag_N=[Module] sentence``, which CosmoSIS's own readers take for
    metadata.
    """
    modules = [(m.name, m.data) for m in pipeline.modules if callable(getattr(m.data, "flags", None))]
    path = StagePaths(Path(ini.get("output", "filename", fallback="output.txt"))).chain
    if not modules or not path.is_file():
        return
    chain = read_chain(path)
    if not chain.finite.any():
        return
    row = int(np.argmax(np.where(chain.finite, chain.log_posterior, -np.inf)))
    block = pipeline.run_results(chain.samples[row]).block
    sentences = []
    for name, module in modules:
        try:
            sentences += [f"[{name}] {' '.join(sentence.split())}" for sentence in module.flags(block)]
        except Exception as error:  # noqa: BLE001 - a fault in a module's remarks must not lose a finished chain
            logger.warning("[%s] flags failed: %s: %s", name, type(error).__name__, error)
    with path.open("a", encoding="utf-8") as stream:
        stream.writelines(f"#flag_{number}={sentence}\n" for number, sentence in enumerate(sentences, 1))
