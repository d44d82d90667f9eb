"""A likelihood whose posterior, moments and evidence are known, for tests and for teaching.

With ranges that are wide against the standard deviations, the posterior is the target itself: a sampler has to find
its mean and covariance, and a sampler of the evidence ``ln Z = ln (probability inside the ranges / their volume)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.config.gaussian_options import GaussianTargetOptions
from orchestrator.forward_model.evaluation import Evaluation
from orchestrator.physics.amplitude import Parabola
from orchestrator.physics.gaussian_mixture import GaussianMixture, correlation_matrix
from orchestrator.physics.parameter import ParameterValues

__all__ = ["GaussianTarget", "prepare_gaussian_target"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class GaussianTarget:
    """The model.

    Attributes
    ----------
    mixture : GaussianMixture
        One mode or two.

    Examples
    --------
    >>> from orchestrator.config.gaussian_options import GaussianTargetOptions
    >>> target = prepare_gaussian_target(GaussianTargetOptions(mean=(1.0, 2.0), sigma=(0.5,)))
    >>> float(target.log_evidence({("gaussian", "x_1"): (-9, 11), ("gaussian", "x_2"): (-8, 12)}).__round__(4))
    -5.9915
    """

    mixture: GaussianMixture

    @property
    def names(self) -> tuple[tuple[str, str], ...]:
        """Section and name of the parameters."""
        return tuple(("gaussian", f"x_{i + 1}") for i in range(self.mixture.means.shape[1]))

    def log_likelihood(self, parameters: ParameterValues, before: Parabola | None = None) -> Evaluation:
        """Evaluate the logarithm of the target's density; there is no mass, so `before` has no effect.

        Parameters
        ----------
        parameters : mapping of (section, name) to ndarray, shape (n_points,)
        before : Parabola, optional
        """
        del before
        points = np.stack([parameters[name] for name in self.names], axis=1)
        possible = np.asarray(np.isfinite(points).all(axis=1))
        density = self.mixture.log_density(np.where(possible[:, None], points, 0.0))
        return Evaluation(log_likelihood=np.where(possible, density, -np.inf))

    def log_evidence(self, ranges: dict[tuple[str, str], tuple[float, float]]) -> float:
        """Return ln Z for priors that are uniform in `ranges`, (section, name) to (lower, upper)."""
        lower, upper = np.array([ranges[name] for name in self.names], dtype=float).T
        return self.mixture.log_evidence(lower, upper)


def prepare_gaussian_target(options: GaussianTargetOptions) -> GaussianTarget:
    """Make the target that the options describe."""
    n = options.n_dimensions
    correlation = correlation_matrix(options.correlation, n)
    modes = [(options.mean, options.full(options.sigma))]
    weights = np.ones(1)
    if options.second_mean is not None:
        modes.append((options.second_mean, options.full(options.second_sigma or options.sigma)))
        share = 0.5 if options.second_weight is None else options.second_weight
        weights = np.array([1 - share, share])
    means = np.array([mean for mean, _ in modes], dtype=float)
    covariances = np.array([correlation * np.outer(sigma, sigma) for _, sigma in modes])
    return GaussianTarget(GaussianMixture(weights, means, covariances))
