"""The log-posterior of many points at once, for a pipeline whose modules evaluate batches.

CosmoSIS evaluates one point at a time through a DataBlock, which costs a quarter of a millisecond and leaves
the models' matrix products one row high. Here the arrays go straight to the models; the results are those of
``pipeline.run_results``, which one point of the first batch is compared with. A pipeline with a module that
cannot evaluate batches, or whose results differ, is evaluated point by point instead.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.fit.samplers.vector_prior import VectorPrior
from orchestrator.forward_model.evaluation import Evaluation
from orchestrator.physics.amplitude import Parabola
from orchestrator.physics.parameter import Parameter, with_missing

__all__ = ["BatchPosterior", "PosteriorBatch", "evaluate_share", "share_with_workers"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]
Columns = dict[tuple[str, str], FloatArray]

LARGEST_BATCH = 64
"""Points evaluated in one call of a model: more gain nothing and no longer fit the processor's cache."""
_AGREEMENT = 1e-6


@dataclass(frozen=True)
class PosteriorBatch:
    """Results for `n_points` points.

    Attributes
    ----------
    log_prior, log_likelihood, log_posterior : ndarray, shape (n_points,)
        -inf outside the support and where an evaluation failed; never NaN.
    extra : ndarray, shape (n_points, n_extra)
        Extra outputs in the pipeline's order; NaN where a point was not evaluated.
    """

    log_prior: FloatArray
    log_likelihood: FloatArray
    log_posterior: FloatArray
    extra: FloatArray


class BatchPosterior:
    """The log-posterior of a CosmoSIS pipeline as a function of an array of points.

    Parameters
    ----------
    pipeline : cosmosis LikelihoodPipeline
        Set up.
    pool : MPIPool, ForkPool or None
        Shares each batch among its processes; see :func:`share_with_workers`.

    Attributes
    ----------
    prior : VectorPrior
    batched : bool
        False if points are evaluated one by one.
    """

    def __init__(self, pipeline: Any, pool: Any = None) -> None:
        self.pipeline = pipeline
        self.pool = pool
        self.prior = VectorPrior(pipeline.varied_params)
        self._names = [(p.section, p.name) for p in pipeline.varied_params]
        self._fixed = {(p.section, p.name): float(p.start) for p in pipeline.fixed_params}
        self._modules = [module.data for module in pipeline.modules]
        self.batched = self._can_batch()
        self._checked = False

    def __call__(self, points: FloatArray) -> PosteriorBatch:
        """Evaluate points.

        Parameters
        ----------
        points : ndarray, shape (n_points, n_varied)
        """
        points = np.atleast_2d(np.asarray(points, dtype=float))
        prior = self.prior(points)
        inside = np.isfinite(prior)
        likelihood = np.full(len(points), -np.inf)
        extra = np.full((len(points), self.pipeline.number_extra), np.nan)
        if inside.any():
            likelihood[inside], extra[inside] = self._shared_likelihood(points[inside])
        # A likelihood of +inf is a fault of the model too, and a chain would never leave it.
        likelihood[~np.isfinite(likelihood)] = -np.inf
        return PosteriorBatch(prior, likelihood, prior + likelihood, extra)

    def log_posterior(self, points: FloatArray) -> FloatArray:
        """Return the log-posterior alone, shape (n_points,)."""
        return self(points).log_posterior

    def likelihood(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Evaluate points within the prior in this process.

        Returns
        -------
        likelihood : ndarray, shape (n_points,)
        extra : ndarray, shape (n_points, n_extra)
        """
        parts = [
            self._one_batch(points[start : start + LARGEST_BATCH])
            for start in range(0, len(points), LARGEST_BATCH)
        ]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _shared_likelihood(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        if self.pool is None or self.pool.size < 2:
            return self.likelihood(points)
        shares = np.array_split(points, min(self.pool.size, len(points)))
        parts = self.pool.map(evaluate_share, shares)
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _one_batch(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        if self.batched:
            try:
                likelihood, extra = self._call_models(points)
            except Exception as error:  # noqa: BLE001 - a module may raise anything; the points that do are found below
                logger.warning("a batch failed (%s: %s); point by point instead", type(error).__name__, error)
                return self._one_by_one(points)
            if self._checked or self._agrees(points, likelihood, extra):
                self.pipeline.run_count += len(points)
                self.pipeline.run_count_ok += int(np.count_nonzero(~np.isnan(likelihood)))
                return likelihood, extra
        return self._one_by_one(points)

    def _one_by_one(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        results = [self.pipeline.run_results(point) for point in points]
        extra = np.array([result.extra for result in results], dtype=float)
        return np.array([float(r.like) for r in results]), extra.reshape(len(points), -1)

    def _agrees(self, points: FloatArray, likelihood: FloatArray, extra: FloatArray) -> bool:
        """Compare one point with CosmoSIS's own evaluation; give up batches if they differ."""
        finite = np.flatnonzero(np.isfinite(likelihood))
        if len(finite) == 0:
            return True
        first = finite[0]
        result = self.pipeline.run_results(points[first])
        expected = np.array([result.like, *result.extra], dtype=float)
        found = np.array([likelihood[first], *extra[first]])
        self._checked = True
        self.batched = bool(np.allclose(found, expected, rtol=_AGREEMENT, atol=_AGREEMENT, equal_nan=True))
        if not self.batched:
            names = ["ln likelihood", *(f"{section}/{name}" for section, name in self.pipeline.extra_saves)]
            logger.warning(
                "the modules' batch evaluation gives %s for %s, CosmoSIS itself %s; "
                "points are evaluated one by one",
                found.tolist(),
                names,
                expected.tolist(),
            )
        return self.batched

    def _can_batch(self) -> bool:
        """Say whether every module evaluates batches and gives what the pipeline asks for."""
        names = self.pipeline.likelihood_names
        named = [getattr(module, "like_name", None) for module in self._modules]
        known = {str(name).removesuffix("_like") for name in named if name}
        if not self._modules or any("#" in name for _, name in self.pipeline.extra_saves):
            return False
        if not all(callable(getattr(module, "log_likelihood_batch", None)) for module in self._modules):
            return False
        if None in named:
            # Without a name of its own a likelihood can only be the whole of it.
            return len(self._modules) == 1
        return isinstance(names, str) or set(names) <= known

    def _call_models(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        n_points = len(points)
        parameters: Columns = dict(zip(self._names, np.ascontiguousarray(points.T), strict=True))
        parameters |= {key: np.full(n_points, value) for key, value in self._fixed.items()}
        names = self.pipeline.likelihood_names
        total = np.zeros(n_points)
        outputs: Columns = {}
        before: Parabola | None = None
        for module in self._modules:
            evaluation = _evaluate(module, parameters, before)
            before = evaluation.joint if evaluation.joint is not None else before
            outputs |= _extra_columns(evaluation)
            name = getattr(module, "like_name", None)
            if name is not None:
                outputs["likelihoods", str(name).lower()] = evaluation.log_likelihood
            if name is None or isinstance(names, str) or str(name).removesuffix("_like") in names:
                total = total + evaluation.log_likelihood
        available = {(section.lower(), name.lower()): x for (section, name), x in parameters.items()} | outputs
        extra = np.full((n_points, self.pipeline.number_extra), np.nan)
        for column, (section, name) in enumerate(self.pipeline.extra_saves):
            values = available.get((section.lower(), name.lower()))
            if values is not None:
                extra[:, column] = values
        return total, extra


def _evaluate(module: Any, parameters: Columns, before: Parabola | None) -> Evaluation:
    """Evaluate one module, with what the modules before it say about the mass that they share."""
    # a user's own module may call something else its parameters
    declared = [p for p in getattr(module, "parameters", ()) if isinstance(p, Parameter)]
    needed = with_missing(declared, parameters)
    # The first is that of this package's modules; a user's own module may offer one of the others.
    methods = (
        (module, "evaluate_with_extra"),
        (module, "evaluate_batch"),
        (getattr(module, "model", None), "log_likelihood"),
    )
    for owner, method in methods:
        function = getattr(owner, method, None)
        if callable(function):
            evaluation: Evaluation = function(needed, before)
            return evaluation
    return Evaluation(log_likelihood=np.asarray(module.log_likelihood_batch(needed), dtype=float))


def _extra_columns(evaluation: Evaluation) -> Columns:
    """Return what a module writes into the section ``extra`` of the DataBlock."""
    columns: Columns = {}
    if evaluation.amplitude is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            mass = np.log10(evaluation.amplitude)
        columns["extra", "stellar_mass"] = mass
        if evaluation.surviving_fraction is not None:
            surviving = np.log10(np.maximum(evaluation.surviving_fraction, 1e-300))
            columns["extra", "surviving_stellar_mass"] = mass + surviving
    return columns | {("extra", name.lower()): value for name, value in evaluation.extra.items()}


_of_this_process: BatchPosterior | None = None


def share_with_workers(pipeline: Any) -> None:
    """Prepare this process for the shares of a pool.

    Called on every rank of MPI, and before a :class:`ForkPool` forks: the workers know the pipeline from here.
    """
    global _of_this_process  # noqa: PLW0603 - a pool sends a function's name, not its data
    _of_this_process = BatchPosterior(pipeline)


def evaluate_share(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Evaluate one worker's share of a batch; see :meth:`BatchPosterior.likelihood`."""
    if _of_this_process is None:
        msg = "this process has no pipeline; call share_with_workers in it before its pool works"
        raise RuntimeError(msg)
    return _of_this_process.likelihood(points)
