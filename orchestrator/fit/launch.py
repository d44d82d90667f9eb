"""The sampler process: run the samplers of one CosmoSIS ini file on one warm pipeline.

::

    python -m orchestrator.fit.launch PARAMS.ini --seed 1 [--pool 4]
    mpiexec -n 4 python -m mpi4py -m orchestrator.fit.launch PARAMS.ini --seed 1 --mpi 4

The same ini file also runs under the stock command, ``cosmosis PARAMS.ini``. What this adds: modules are
set up once for all samplers; the start point is tried first, and a module that fails shows its traceback at
once; the peak of an optimiser and walkers of finite posterior are carried to the next sampler; a results
file that was cut off is repaired before it is continued; a rank that fails ends all ranks.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator.errors import ConfigError, OrchestratorError, StageError
from orchestrator.fit.mpi import THREAD_VARIABLES

# Numpy is imported inside the functions below: its libraries read these once.
for _variable in THREAD_VARIABLES:
    os.environ.setdefault(_variable, "1")

__all__ = ["EXIT_FAILED", "EXIT_START", "StartPointError", "main", "run_samplers", "sampled_pipeline"]

logger = logging.getLogger(__name__)

EXIT_FAILED = 1
EXIT_START = 3
"""Exit code if the modules fail, or give no finite posterior, at the start point."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a stage's samplers; return the exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command line; that of the process by default.

    Returns
    -------
    int
        0, `EXIT_FAILED` or `EXIT_START`.
    """
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s: %(message)s")
    pool = _make_pool(options)
    try:
        run_samplers(options.params, options.seed, pool)
    except StartPointError as error:
        logger.error("%s", error)
        return EXIT_START
    except OrchestratorError as error:
        logger.error("%s", error)
        return EXIT_FAILED
    finally:
        sys.stdout.flush()
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m orchestrator.fit.launch", description="Run one CosmoSIS ini file."
    )
    parser.add_argument("params", help="CosmoSIS ini file")
    parser.add_argument("--seed", type=int, default=0, help="seed of numpy's random numbers")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--mpi", type=int, default=0, metavar="N", help="run under mpiexec with N processes")
    group.add_argument("--pool", type=int, default=0, metavar="N", help="fork N local processes")
    return parser.parse_args(arguments)


def _make_pool(options: argparse.Namespace) -> Any:
    """Return the pool that the samplers share, None for a single process."""
    if options.mpi:
        from cosmosis.runtime.mpi_pool import MPIPool

        pool = MPIPool()
        if pool.size != options.mpi:
            msg = (
                f"mpiexec was asked for {options.mpi} processes, but this process sees "
                f"{pool.size}: mpiexec and "
                "mpi4py belong to different MPI libraries. Install mpich and mpi4py in one environment."
            )
            raise StageError(msg)
        return pool
    if options.pool > 1:
        from orchestrator.fit.fork_pool import ForkPool

        logger.info("running on a local pool of %d processes, without MPI", options.pool)
        return ForkPool(options.pool)
    return None


class StartPointError(OrchestratorError):
    """The modules fail, or give no finite posterior, at the start point."""


def run_samplers(params: str, seed: int, pool: Any = None) -> None:
    """Run each sampler of an ini file in turn on one pipeline, and release its modules.

    Parameters
    ----------
    params, seed, pool
        As for `sampled_pipeline`, which says what is raised.
    """
    sampled_pipeline(params, seed, pool).cleanup()


def sampled_pipeline(params: str, seed: int, pool: Any = None) -> Any:
    """Run each sampler of an ini file in turn on one pipeline, and return it with its modules as they are.

    Parameters
    ----------
    params : str
        CosmoSIS ini file.
    seed : int
        Seed of numpy's global random numbers, which CosmoSIS's samplers draw from.
    pool : MPIPool, ForkPool or None

    Returns
    -------
    LikelihoodPipeline
        To be released with its ``cleanup()``.

    Raises
    ------
    StartPointError
        See `check_start`.
    ConfigError
        If a sampler is not known to the installed CosmoSIS.
    StageError
        If an optimiser ends without a finite posterior, or no starting walkers are found.
    """
    import numpy as np
    from cosmosis.runtime.config import Inifile

    from orchestrator.fit import sampler_steps
    from orchestrator.fit.parallel_gain import MeasuredPool
    from orchestrator.fit.samplers.choice import choose_samplers, register_own_samplers

    is_master = pool is None or pool.is_master()
    rank = 0 if pool is None else pool.rank
    ini = Inifile(params, print_include_messages=is_master)
    # CosmoSIS and emcee draw from the global state; ranks, and a resumed chain, must not repeat its numbers.
    n_done = sampler_steps.rows_done(ini)
    state = (
        np.random.SeedSequence([seed, rank, n_done]).generate_state(1)[0] if rank or n_done else seed % 2**32
    )
    np.random.seed(state)  # noqa: NPY002
    samplers = ini.get("runtime", "sampler", fallback="test").split()
    register_own_samplers(samplers)
    sampler_steps.check_samplers(ini, samplers)
    pipeline = _build_pipeline(ini, Path(params).absolute().parent, is_master)
    choose_samplers(ini, samplers, pipeline)
    if is_master:
        check_start(pipeline, samplers[0])
    generator = np.random.default_rng([seed, 1])
    shared = None if pool is None else MeasuredPool(pool)
    for index in range(len(samplers)):
        sampler_steps.run_one(ini, samplers, index, pipeline, shared, generator)
    if is_master:
        sampler_steps.append_flags(ini, pipeline)
        if shared is not None:
            sampler_steps.append_advice(ini, shared)
    return pipeline


def _build_pipeline(ini: Any, folder: Path, is_master: bool) -> Any:
    from cosmosis.runtime import logs
    from cosmosis.runtime.pipeline import LikelihoodPipeline
    from cosmosis.runtime.utils import stdout_redirected

    from orchestrator.fit.sampler_steps import priors_of

    logs.set_verbosity(ini.get("runtime", "verbosity", fallback="quiet"))
    for earlier in [one for one in logs.logger.filters if isinstance(one, FirstErrors)]:
        logs.logger.removeFilter(earlier)  # of the fit before, in a process that runs many
    logs.logger.addFilter(FirstErrors())
    try:
        with contextlib.nullcontext() if is_master else stdout_redirected():
            pipeline = LikelihoodPipeline(ini, priors=priors_of(ini, folder))
    except OrchestratorError as error:  # its message says what to do; a traceback would bury it
        msg = f"{_failing_module(error)} cannot be set up: {error}"
        raise StartPointError(msg) from error
    except Exception as error:  # noqa: BLE001 - a module may raise anything; all of it is the same failure here
        traceback.print_exc()
        msg = f"{_failing_module(error)} cannot be set up: {type(error).__name__}: {error}"
        raise StartPointError(msg) from error
    if pipeline.do_fast_slow:
        pipeline.setup_fast_subspaces()
    return pipeline


class FirstErrors(logging.Filter):
    """Pass the first errors of an evaluation only: a module that fails on every call would fill the disk."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 40

    def filter(self, record: logging.LogRecord) -> bool:
        """Count the records of level error, and pass all others."""
        if record.levelno != logging.ERROR:
            return True
        self.left -= 1
        if self.left == 0:
            record.msg = "more errors of evaluations follow and are not shown"
        return self.left >= 0


def check_start(pipeline: Any, sampler: str) -> None:
    """Evaluate the start point once, with every exception shown.

    CosmoSIS turns an exception in a module into a likelihood of zero and runs on to the end; so does a
    parameter missing from the values file or a wrong likelihood name. Here they end the run before it begins.

    Parameters
    ----------
    pipeline : LikelihoodPipeline
    sampler : str
        The first sampler.

    Raises
    ------
    StartPointError
        If a module raises or reports a failure; if a requested extra output is missing; if the posterior is
        not finite and the sampler must start from this point.
    """
    import numpy as np
    from cosmosis.runtime.pipeline import MissingLikelihoodError

    from orchestrator.fit.chain import OPTIMISERS

    start = pipeline.start_vector()
    point = ", ".join(f"{p} = {x:.6g}" for p, x in zip(pipeline.varied_params, start, strict=True))
    try:
        likelihood, _, block = pipeline.likelihood(start, return_data=True)
    except MissingLikelihoodError as error:
        found = sorted(name for section, name in _keys(error.pipeline_data) if section == "likelihoods")
        msg = (
            f"The modules wrote no likelihood {str(error) + '_like'!r}; they wrote {found}. "
            "Set [pipeline] likelihoods and the modules' like_name to the same name."
        )
        raise StartPointError(msg) from error
    except Exception as error:  # noqa: BLE001 - a module may raise anything; all of it is the same failure here
        traceback.print_exc()
        msg = f"{_failing_module(error)} raised {type(error).__name__} at the start point ({point}): {error}"
        raise StartPointError(msg) from error
    if block is None:
        msg = (
            f"A module reported a failure (status not 0) at the start point ({point}); see its message above."
        )
        raise StartPointError(msg)
    _check_extra_outputs(pipeline, block)
    prior = pipeline.prior(start)
    if not np.isfinite(likelihood) or not np.isfinite(prior):
        msg = (
            f"The posterior is not finite at the start point ({point}): ln likelihood "
            f"{likelihood}, ln prior {prior}. "
            "Move the start values in the values file into the support of the priors and of the model."
        )
        if sampler in OPTIMISERS | {"metropolis", "fisher"}:
            raise StartPointError(msg)
        logger.warning("%s", msg)


def _failing_module(error: Exception) -> str:
    """Name the module that CosmoSIS was working on when an exception was raised."""
    name = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename.endswith(os.path.join("runtime", "pipeline.py")):
            name = str(frame.f_locals.get("module", name))
    return f"The module [{name}]" if name else "The pipeline"


def _keys(block: Any) -> list[tuple[str, str]]:
    """Return section and name of every entry of a DataBlock (which is no mapping)."""
    keys: list[tuple[str, str]] = block.keys()
    return keys


def _check_extra_outputs(pipeline: Any, block: Any) -> None:
    for section, name in pipeline.extra_saves:
        if not block.has_value(section, name.split("#")[0]):
            known = sorted(key for group, key in _keys(block) if group.lower() == section.lower())
            msg = (
                f"[pipeline] extra_output asks for {section.lower()}/{name.lower()}, which no module writes; "
                f"that section holds {known}. Correct extra_output."
            )
            raise StartPointError(msg)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (StageError, ConfigError) as failure:
        sys.exit(f"ERROR: {failure}")
