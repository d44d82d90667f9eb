"""The sampler ``multistart``: the peak of the posterior from several starts, and its covariance.

A CosmoSIS plug-in (see ``plugin.py``). Its results file is that of CosmoSIS's ``maxlike``: one row per start,
ascending, the best last.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from cosmosis.samplers import ParallelSampler
from numpy.typing import NDArray

from orchestrator.errors import ConfigError, StageError
from orchestrator.fit.samplers.batch_posterior import BatchPosterior, PosteriorBatch, share_with_workers
from orchestrator.fit.samplers.finite_differences import covariance_at_peak
from orchestrator.fit.samplers.multistart import Peak, choose_starts, climb, polish

__all__ = ["MultistartMethods", "MultistartSampler"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

_SAME_MODE = 1e-3
"""Peaks closer than this in the unit cube are one."""
_WORTH_POLISHING = 20.0


class MultistartMethods:
    """The optimiser, without CosmoSIS's registration, which goes by the name of the class.

    Options: ``starts`` (of the prior, besides the start value), ``screen`` (draws of the prior that they are
    the best of), ``tolerance`` (in ln posterior), ``maxiter``, ``max_posterior`` (T by default: F leaves the
    priors out), ``covariance`` (T), ``output_covmat``, ``output_ini``, ``output_block``, ``start_method``,
    ``start_input``. ``repeats`` of maxlike counts as ``starts``; its ``method`` has no meaning here.
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
    supports_resume = False
    sampler_outputs = (("prior", float), ("like", float), ("post", float))

    def config(self) -> None:
        """Read the options."""
        share_with_workers(self.pipeline)
        if not self.is_master():
            return
        self.tolerance = self.read_ini("tolerance", float, 1e-3)
        self.max_iterations = self.read_ini("maxiter", int, 200)
        self.max_posterior = self.read_ini("max_posterior", bool, True)
        repeats = self.read_ini("repeats", int, 1)
        self.n_starts = self.read_ini("starts", int, max(4, repeats - 1))
        self.n_screened = self.read_ini("screen", int, 64 * self.n_starts)
        self.wants_covariance = self.read_ini("covariance", bool, True)
        self.output_covmat = self.read_ini("output_covmat", str, "")
        self.output_ini = self.read_ini("output_ini", str, "")
        self.output_block = self.read_ini("output_block", str, "")
        if not self.tolerance > 0 or self.n_starts < 0 or self.n_screened < self.n_starts:
            msg = (
                f"[{self.name}] tolerance = {self.tolerance!r}, starts = {self.n_starts}, screen = "
                f"{self.n_screened}: expected tolerance > 0 and 0 <= starts <= screen"
            )
            raise ConfigError(msg)
        # The results file is read as that of an optimiser, which cosmosis knows under this name.
        self.output.metadata("sampler", "maxlike")
        self.posterior = BatchPosterior(self.pipeline, self.pool)
        words = np.random.randint(2**31 - 1, size=4)  # noqa: NPY002 - the state that the run's seed has set
        self.generator = np.random.default_rng([int(word) for word in words])
        self.lower = self.posterior.prior.lower
        self.range = self.posterior.prior.upper - self.lower
        self.finished = False

    def execute(self) -> None:
        """Find the peaks, write them, and hand the best over."""
        peaks = self._search()
        points = self._points(np.array([peak.point for peak in peaks]))
        results = self.posterior(points)
        order = np.argsort(results.log_posterior if self.max_posterior else results.log_likelihood)
        self._write(points[order], results, order)
        best = order[-1]
        self.distribution_hints.set_peak(points[best], float(results.log_posterior[best]))
        logger.info(
            "%s: ln posterior %.6g at the best of %d peaks", self.name, results.log_posterior[best], len(peaks)
        )
        if self.wants_covariance:
            unit = covariance_at_peak(self._log_posterior, peaks[best].point)
            covariance = unit * np.outer(self.range, self.range)
            self.distribution_hints.set_cov(covariance)
            if self.output_covmat:
                header = "\t".join(str(p) for p in self.pipeline.varied_params)
                np.savetxt(self.output_covmat, covariance, fmt="%.17g", delimiter="\t", header=header)
        self._write_more(points[best])
        self.finished = True

    def is_converged(self) -> bool:
        """Say whether the search is over."""
        return self.finished

    def _points(self, unit: FloatArray) -> FloatArray:
        """Map the unit cube to parameters; never beyond the limits by a rounding."""
        return np.clip(self.lower + unit * self.range, self.lower, self.lower + self.range)

    def _log_posterior(self, unit: FloatArray) -> FloatArray:
        return self.posterior(self._points(unit)).log_posterior

    def _objective(self, unit: FloatArray) -> FloatArray:
        batch = self.posterior(self._points(unit))
        return batch.log_posterior if self.max_posterior else batch.log_likelihood

    def _search(self) -> list[Peak]:
        """Climb from every start, and improve the best peaks."""
        climbed = [
            climb(self._objective, start, max_iterations=self.max_iterations) for start in self._starts()
        ]
        climbed.sort(key=lambda peak: -peak.value)
        peaks: list[Peak] = []
        for peak in climbed:
            if any(np.abs(peak.point - other.point).max() < _SAME_MODE for other in peaks):
                continue
            if peak.value > climbed[0].value - _WORTH_POLISHING:
                peak = polish(self._objective, peak, tolerance=self.tolerance)
            if not any(np.abs(peak.point - other.point).max() < _SAME_MODE for other in peaks):
                peaks.append(peak)
        return peaks

    def _starts(self) -> FloatArray:
        """Return the start value, the point handed over, and the best of some draws of the prior."""
        given = np.array([self.pipeline.start_vector(), self.start_estimate()], dtype=float)
        given = np.unique(np.clip((given - self.lower) / self.range, 0.0, 1.0), axis=0)
        given = given[np.isfinite(self._objective(given))]
        if self.n_starts == 0 and len(given):
            return given
        draws = self.posterior.prior.draw(max(self.n_screened, 1), self.generator)
        unit = np.clip((draws - self.lower) / self.range, 0.0, 1.0)
        starts = np.concatenate([given, choose_starts(unit, self._objective(unit), max(self.n_starts, 1))])
        if len(starts) == 0:
            msg = (
                f"The sampler {self.name} found no finite posterior, neither at the start values nor in "
                f"{len(draws)} draws of the prior. Check the ranges in the values file, the priors, and the "
                "messages of the modules above."
            )
            raise StageError(msg)
        return starts

    def _write(self, points: FloatArray, results: PosteriorBatch, order: NDArray[np.intp]) -> None:
        table = np.column_stack(
            [
                points,
                results.extra[order],
                results.log_prior[order],
                results.log_likelihood[order],
                results.log_posterior[order],
            ]
        )
        for row in table.tolist():
            self.output.parameters(row)

    def _write_more(self, point: FloatArray) -> None:
        """Write what maxlike writes on request: a values file at the peak, the DataBlock there."""
        if self.output_ini:
            # Python's numbers: the values file would otherwise show numpy's notation.
            self.pipeline.create_ini(point.tolist(), self.output_ini)
        if self.output_block:
            self.pipeline.run_results(point).block.save_to_directory(self.output_block)


class MultistartSampler(MultistartMethods, ParallelSampler):
    """The optimiser under its own name; section ``[multistart]``."""
