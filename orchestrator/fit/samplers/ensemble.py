"""The sampler ``ensemble``: emcee on batches, with a choice of moves, that stops when it has converged.

A CosmoSIS plug-in (see ``plugin.py``). Its results file is that of CosmoSIS's ``emcee``, says so in its
header, and is read by everything that reads those.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
from cosmosis.samplers import ParallelSampler
from numpy.typing import NDArray

from orchestrator.errors import ChainError, ConfigError
from orchestrator.fit.chain import Chain, read_chain
from orchestrator.fit.repair import repair_chain
from orchestrator.fit.samplers.batch_posterior import BatchPosterior, share_with_workers
from orchestrator.fit.samplers.mixture_move import MixtureMove
from orchestrator.fit.samplers.moves import parse_moves
from orchestrator.fit.samplers.random_state import Checkpoint, read_checkpoint, write_checkpoint
from orchestrator.fit.samplers.stopping import EnsembleProgress, assess
from orchestrator.fit.samplers.walkers import (
    read_covariance,
    replace_infinite_walkers,
    walkers_from_gaussian,
    walkers_from_prior,
    with_least_widths,
)
from orchestrator.stage import StagePaths

__all__ = ["EnsembleMethods", "EnsembleSampler"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

DEFAULT_MOVES = "mixture:0.7 de:0.3"
"""Independent proposals where the past tells the posterior's shape, differential evolution where it does not."""
DEFAULT_WALKERS = 64
DEFAULT_THIN = 2
"""Writing and reading a row costs as much as evaluating a fast model, and neighbouring rows say the same."""
START_WIDTH = 1e-2
"""Width of the ball of walkers in units of the range, where no covariance is known."""
LEAST_WIDTH = 1e-5
"""Of the range; at the edge of a range the covariance of an optimiser can have no width at all."""
LESSONS = 5
"""Fits of a move that learns from the past: after 1, 2, 4, 8 and 16 times ``nsteps`` steps; then it is fixed."""
_CHECK_GROWTH = 1.1
"""Convergence is measured anew when the chain has grown by this factor: its cost stays a few per cent."""


class EnsembleMethods:
    """The sampler, without CosmoSIS's registration, which goes by the name of the class.

    Options: ``walkers``, ``samples`` (steps per walker), ``nsteps`` (steps between two writes), ``a``,
    ``start_points``, ``covmat``, ``random_start`` as CosmoSIS's ``emcee``; ``thin``: moves per step, of which
    the last is kept and written; ``moves``; ``overdispersion`` of the starting walkers with respect to a
    covariance; ``convergence``: T stops when the chain is longer than ``autocorrelation_times`` times the
    autocorrelation time and the split R-hat is below ``max_rhat``, at the latest after ``max_samples`` steps (ten
    times ``samples``); ``max_seconds`` stops after that wall time.
    """

    name: str
    ini: Any
    pipeline: Any
    output: Any
    distribution_hints: Any
    pool: Any
    read_ini: Any
    start_estimate: Any
    is_master: Any

    parallel_output = False
    supports_resume = True
    sampler_outputs = (("prior", float), ("post", float))
    stops_by_itself = True
    default_moves = DEFAULT_MOVES

    def config(self) -> None:
        """Read the options and find the starting walkers."""
        share_with_workers(self.pipeline)
        if not self.is_master():
            return
        self.begun = time.monotonic()
        self.n_varied = len(self.pipeline.varied_params)
        self._read_options()
        # cosmosis-postprocess refuses samplers that it does not know.
        self.output.metadata("sampler", "emcee")
        self.posterior = BatchPosterior(self.pipeline, self.pool)
        words = np.random.randint(2**31 - 1, size=4)  # noqa: NPY002 - the state that the run's seed has set
        self.generator = np.random.default_rng([int(word) for word in words])
        self.steps: list[FloatArray] = []
        self.n_steps = 0
        self.next_check = 0
        self.progress: EnsembleProgress | None = None
        self.stopped_by = ""
        self.state: Any = None
        self.learners = [move for move, _ in self.moves if isinstance(move, MixtureMove)]
        for move in self.learners:
            move.set_ranges(self.posterior.prior.lower, self.posterior.prior.upper)
        self.next_lesson = self.chunk
        self.sampler = self._make_sampler()

    def _read_options(self) -> None:
        """Read every option; all are echoed in the header of the results file."""
        self.n_walkers = self.read_ini("walkers", int, max(DEFAULT_WALKERS, 8 * self.n_varied))
        self.samples = self.read_ini("samples", int, 1000)
        self.chunk = self.read_ini("nsteps", int, 100)
        self.thin = self.read_ini("thin", int, DEFAULT_THIN if self.stops_by_itself else 1)
        stretch_scale = self.read_ini("a", float, 2.0)
        self.moves = parse_moves(self.read_ini("moves", str, self.default_moves), stretch_scale)
        self.start_file = self.read_ini("start_points", str, "")
        self.covmat_file = self.read_ini("covmat", str, "")
        self.random_start = self.read_ini("random_start", bool, False)
        self.overdispersion = self.read_ini("overdispersion", float, 1.5)
        self.until_converged = self.read_ini("convergence", bool, self.stops_by_itself)
        self.autocorrelation_times = self.read_ini("autocorrelation_times", float, 50.0)
        self.max_rhat = self.read_ini("max_rhat", float, 1.02)
        self.max_samples = self.read_ini("max_samples", int, 10 * self.samples)
        self.max_seconds = self.read_ini("max_seconds", float, float("inf"))
        positive = {
            "samples": self.samples,
            "nsteps": self.chunk,
            "thin": self.thin,
            "max_samples": self.max_samples,
            "overdispersion": self.overdispersion,
            "max_seconds": self.max_seconds,
        }
        for option, value in positive.items():
            if not value > 0:
                msg = f"[{self.name}] {option} = {value!r} must be positive"
                raise ConfigError(msg)
        if self.n_walkers < 2 * self.n_varied:
            msg = (
                f"[{self.name}] walkers = {self.n_walkers} is too few for {self.n_varied} sampled parameters; "
                f"expected at least {2 * self.n_varied}."
            )
            raise ConfigError(msg)

    def _make_sampler(self) -> Any:
        import emcee

        return emcee.EnsembleSampler(
            self.n_walkers,
            self.n_varied,
            self._log_probability,
            vectorize=True,
            moves=self.moves,
            blobs_dtype=float,
        )

    def _log_probability(self, points: FloatArray) -> FloatArray:
        """Posterior, prior and extra outputs of each point, as emcee takes them."""
        batch = self.posterior(points)
        return np.column_stack([batch.log_posterior, batch.log_prior, batch.extra])

    def resume(self) -> None:
        """Continue from the last whole step of the results file."""
        if not self.output.resumed:
            return
        path = Path(self.output._filename)
        self._repair(path)
        if not self.output.resumed:
            return
        chain = read_chain(path)
        if chain.n_walkers != self.n_walkers or chain.samples.shape[1] != self.n_varied:
            msg = (
                f"{str(path)!r} holds {chain.n_walkers} walkers of {chain.samples.shape[1]} parameters; this run "
                f"has {self.n_walkers} of {self.n_varied}. Resume with the options of the first run, or remove it."
            )
            raise ChainError(msg)
        steps = chain.samples.reshape(-1, self.n_walkers, self.n_varied)
        checkpoint = read_checkpoint(StagePaths(path).random_state)
        if checkpoint is None or not checkpoint.belongs_to(steps):
            logger.warning(
                "continuing a chain of %d steps with other random numbers: as good, but not the chain that would "
                "have come without the interruption (no %s of it)", len(steps), StagePaths(path).random_state.name,
            )  # fmt: skip
            self._continue(chain, steps)
            return
        if checkpoint.n_steps < len(steps):  # written after the last checkpoint: they will come again
            self._repair(path, checkpoint.n_steps * self.n_walkers)
            chain = read_chain(path)
        self._continue(chain, steps[: checkpoint.n_steps])
        checkpoint.restore_numpy()
        self.state.random_state = checkpoint.ensemble_state()
        checkpoint.restore_learners(self.generator, self.learners)
        self.next_check, self.next_lesson = checkpoint.next_check, checkpoint.next_lesson
        logger.info("continuing a chain of %d steps as if it had never stopped", self.n_steps)

    def _continue(self, chain: Chain, steps: FloatArray) -> None:
        """Put the walkers where a chain ends."""
        from emcee import State

        self.steps, self.n_steps = [steps.copy()], len(steps)
        last = slice(-self.n_walkers, None)
        blobs = np.column_stack([chain.log_prior[last], *(values[last] for values in chain.extra.values())])
        blobs = blobs[:, 0] if blobs.shape[1] == 1 else blobs  # as emcee keeps a single one
        self.state = State(chain.samples[last].copy(), log_prob=chain.log_posterior[last].copy(), blobs=blobs)
        self._check(force=True)

    def _repair(self, path: Path, most_rows: int | None = None) -> None:
        """Cut the results file back to whole steps, and have the output append to what is left."""
        before = path.stat()
        kept = repair_chain(path, most_rows)
        if path.is_file() and path.stat().st_ino == before.st_ino:
            return
        self.output._file.close()
        self.output._file = path.open("r+" if kept else "w")
        self.output._file.seek(0, 2)
        self.output.lock_file(self.output._file)
        self.output.resumed = self.output._any_written = kept > 0

    def execute(self) -> None:
        """Run one chunk of steps and write it."""
        if self.state is None:
            self.state = self._starting_walkers()
        n_steps = min(self.chunk, self._limit() - self.n_steps)
        positions, tables = [], []
        for state in self.sampler.sample(
            self.state,
            iterations=n_steps,
            thin_by=self.thin,
            store=False,
            skip_initial_state_check=self.n_steps > 0,
        ):
            positions.append(state.coords.copy())
            blobs = np.reshape(state.blobs, (self.n_walkers, -1))
            tables.append(np.column_stack([state.coords, blobs[:, 1:], blobs[:, :1], state.log_prob]))
            self.state = state
            if self._seconds() > self.max_seconds:
                break
        for row in np.concatenate(tables).tolist():
            self.output.parameters(row)
        self.steps.append(np.array(positions))
        self.n_steps += len(positions)
        self._learn()
        self._check(force=False)
        self._checkpoint()
        best = int(np.argmax(self.state.log_prob))
        self.distribution_hints.set_peak(self.state.coords[best], self.state.log_prob[best])

    def _checkpoint(self) -> None:
        """Keep the random numbers' state of this step beside the chain; a chain that has converged needs none."""
        path = StagePaths(Path(self.output._filename)).random_state
        if self.stopped_by == "convergence":
            path.unlink(missing_ok=True)
            return
        self.output.flush()  # the rows first: the state belongs to a step that is on disk
        taken = Checkpoint.take(
            n_steps=self.n_steps,
            next_check=self.next_check,
            next_lesson=self.next_lesson,
            walkers=self.state.coords,
            ensemble=self.sampler.random_state,
            teacher=self.generator,
            learners=self.learners,
        )
        write_checkpoint(path, taken)

    def _learn(self) -> None:
        """Fit the moves that learn to the second half of the past, each time it has doubled, `LESSONS` times."""
        due = 0
        while self.next_lesson <= min(self.n_steps, self.chunk * 2 ** (LESSONS - 1)):
            due, self.next_lesson = self.next_lesson, 2 * self.next_lesson
        if due and self.learners:
            self.steps = [np.concatenate(self.steps)]
            past = self.steps[0][due // 2 : due].reshape(-1, self.n_varied)
            for move in self.learners:
                move.learn(past, self.generator)

    def is_converged(self) -> bool:
        """Say whether the run is over; CosmoSIS asks before each chunk."""
        return bool(self.stopped_by)

    def _limit(self) -> int:
        return int(self.max_samples if self.until_converged else self.samples)

    def _seconds(self) -> float:
        return time.monotonic() - self.begun

    def _check(self, *, force: bool) -> None:
        """Decide whether to stop, and if so measure the chain and report it."""
        over = self.n_steps >= self._limit() or self._seconds() > self.max_seconds
        if over or force or (self.until_converged and self.n_steps >= self.next_check):
            self.steps = [np.concatenate(self.steps)]
            self.progress = assess(self.steps[0])
            self.next_check = int(np.ceil(_CHECK_GROWTH * self.n_steps))
            if self.until_converged and self.progress.has_converged(
                self.autocorrelation_times, self.max_rhat
            ):
                self.stopped_by = "convergence"
        if not self.stopped_by and over:
            self.stopped_by = "samples" if self.n_steps >= self._limit() else "max_seconds"
        if self.stopped_by:
            self._finish()

    def _finish(self) -> None:
        progress = self.progress
        assert progress is not None
        converged = progress.has_converged(self.autocorrelation_times, self.max_rhat)
        final = {
            "mean_acceptance_fraction": progress.acceptance,
            "burn_in_steps": progress.burn_in,
            "autocorrelation_time": progress.autocorrelation_time,
            "split_rhat": progress.split_rhat,
            "effective_samples": progress.effective_samples,
            "converged": int(converged),
            "stopped_by": self.stopped_by,
        }
        for key, value in final.items():
            self.output.final(key, value)
        kept = self.steps[0][progress.burn_in :].reshape(-1, self.n_varied)
        if len(kept) > 2 * self.n_varied:
            self.distribution_hints.set_cov(np.atleast_2d(np.cov(kept, rowvar=False)))
        level = logging.INFO if converged or not self.until_converged else logging.WARNING
        logger.log(
            level,
            "%s stopped by %s after %d steps of %d walkers: autocorrelation time %.3g, split R-hat %.4f",
            self.name,
            self.stopped_by,
            self.n_steps,
            self.n_walkers,
            progress.autocorrelation_time,
            progress.split_rhat,
        )

    def _starting_walkers(self) -> FloatArray:
        """Return the walkers that the options ask for, all of finite posterior."""
        log_posterior = self.posterior.log_posterior
        if self.start_file:
            walkers, n_bad = replace_infinite_walkers(log_posterior, self._walkers_in_file(), self.generator)
            if n_bad:
                logger.warning("%d walkers of %s had no finite posterior", n_bad, self.start_file)
            return walkers
        covariance = None
        if self.distribution_hints.has_cov():
            covariance = np.atleast_2d(self.distribution_hints.get_cov())
        elif self.covmat_file:
            covariance = read_covariance(self.covmat_file, self.n_varied)
        if covariance is None and self.random_start:
            return walkers_from_prior(log_posterior, self.posterior.prior.draw, self.n_walkers, self.generator)
        lower, upper = self.posterior.prior.lower, self.posterior.prior.upper
        centre = np.clip(np.asarray(self.start_estimate(), dtype=float), lower, upper)
        factor = self.overdispersion
        if covariance is None:
            covariance, factor = np.diag((START_WIDTH * (upper - lower)) ** 2), 1.0
        covariance = with_least_widths(covariance, LEAST_WIDTH * (upper - lower))
        return walkers_from_gaussian(
            log_posterior, centre, covariance, self.n_walkers, self.generator, overdispersion=factor
        )

    def _walkers_in_file(self) -> FloatArray:
        table = np.loadtxt(self.start_file, ndmin=2)
        walkers = table[-self.n_walkers :, : self.n_varied]
        if walkers.shape != (self.n_walkers, self.n_varied):
            msg = (
                f"[{self.name}] start_points = {self.start_file!r} holds a table of shape {table.shape}; expected "
                f"at least {self.n_walkers} rows and {self.n_varied} columns."
            )
            raise ConfigError(msg)
        return walkers


class EnsembleSampler(EnsembleMethods, ParallelSampler):
    """The sampler under its own name; section ``[ensemble]``."""
