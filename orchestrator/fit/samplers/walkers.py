"""Starting walkers in batches: every one of finite posterior."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ConfigError, StageError

__all__ = [
    "read_covariance",
    "replace_infinite_walkers",
    "walkers_from_gaussian",
    "walkers_from_prior",
    "with_least_widths",
]

FloatArray = NDArray[np.float64]
LogPosterior = Callable[[FloatArray], FloatArray]
"""Takes points of shape (n_points, n_varied), returns shape (n_points,), -inf outside the support."""

ROUNDS = 200
_CORRELATION_KEPT = 0.9
_SINGULAR = 1e4  # condition number of the correlation matrix
_ROUNDS_AT_ONE_WIDTH = 4


def walkers_from_gaussian(
    log_posterior: LogPosterior,
    centre: FloatArray,
    covariance: FloatArray,
    n_walkers: int,
    generator: np.random.Generator,
    *,
    overdispersion: float = 1.0,
) -> FloatArray:
    """Draw walkers from a Gaussian; those without a finite posterior are drawn anew, ever closer to the centre.

    Parameters
    ----------
    log_posterior : callable
    centre : ndarray, shape (n_varied,)
    covariance : ndarray, shape (n_varied, n_varied)
        Negative eigenvalues are taken as zero.
    n_walkers : int
    generator : numpy.random.Generator
    overdispersion : float
        Factor on the widths.

    Returns
    -------
    ndarray, shape (n_walkers, n_varied)

    Raises
    ------
    StageError
        If too few points are found.
    """
    values, vectors = np.linalg.eigh(_not_singular(0.5 * (covariance + covariance.T)))
    root = vectors * np.sqrt(np.maximum(values, 0.0))

    def draw(n_points: int, number: int) -> FloatArray:
        width = overdispersion * 0.5 ** max(0, number // _ROUNDS_AT_ONE_WIDTH - 1)
        return centre + width * generator.standard_normal((n_points, len(centre))) @ root.T

    return _collect(log_posterior, draw, n_walkers, f"near the start point {np.asarray(centre).tolist()}")


def with_least_widths(covariance: FloatArray, widths: FloatArray) -> FloatArray:
    """Return a covariance with no standard deviation below these widths.

    Parameters
    ----------
    covariance : ndarray, shape (n_varied, n_varied)
    widths : ndarray, shape (n_varied,)
        A parameter that is narrower gets this width and no correlation.
    """
    narrow = ~(np.diag(covariance) >= widths**2)
    result = np.where(narrow[:, None] | narrow[None, :], 0.0, covariance)
    result[narrow, narrow] = widths[narrow] ** 2
    return np.asarray(result)


def _not_singular(covariance: FloatArray) -> FloatArray:
    """Return the covariance, with a tenth less correlation where it is all but singular.

    At the edge of a range the covariance of an optimiser can be; walkers on one line could never leave it.
    """
    widths = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    if not np.all(widths > 0) or np.linalg.cond(covariance / np.outer(widths, widths)) < _SINGULAR:
        return covariance
    variances = np.diag(widths**2)
    return np.asarray(variances + _CORRELATION_KEPT * (covariance - variances))


def walkers_from_prior(
    log_posterior: LogPosterior,
    draw_prior: Callable[[int, np.random.Generator], FloatArray],
    n_walkers: int,
    generator: np.random.Generator,
) -> FloatArray:
    """Draw walkers from the prior.

    Parameters
    ----------
    log_posterior : callable
    draw_prior : callable
        Takes a number and a generator, returns that many draws, shape (n, n_varied).
    n_walkers : int
    generator : numpy.random.Generator

    Returns
    -------
    ndarray, shape (n_walkers, n_varied)

    Raises
    ------
    StageError
        If too few points are found.
    """

    def draw(n_points: int, number: int) -> FloatArray:
        del number
        return draw_prior(n_points, generator)

    return _collect(log_posterior, draw, n_walkers, "drawn from the prior")


def replace_infinite_walkers(
    log_posterior: LogPosterior, walkers: FloatArray, generator: np.random.Generator
) -> tuple[FloatArray, int]:
    """Replace given walkers that have no finite posterior by draws from a Gaussian about the others.

    Parameters
    ----------
    log_posterior : callable
    walkers : ndarray, shape (n_walkers, n_varied)
    generator : numpy.random.Generator

    Returns
    -------
    walkers : ndarray, shape (n_walkers, n_varied)
    n_replaced : int

    Raises
    ------
    StageError
        If fewer than two walkers have a finite posterior, or no replacements are found.
    """
    good = np.isfinite(log_posterior(walkers))
    n_bad = int(np.count_nonzero(~good))
    if n_bad == 0:
        return walkers, 0
    if good.sum() < 2:
        msg = (
            f"{n_bad} of the {len(walkers)} given starting walkers have no finite posterior; expected all of "
            "them to lie within the priors and the support of the model. Correct the file of start_points."
        )
        raise StageError(msg)
    kept = walkers[good]
    covariance = np.atleast_2d(np.cov(kept, rowvar=False))
    new = walkers_from_gaussian(log_posterior, kept.mean(axis=0), covariance, n_bad, generator)
    return np.concatenate([kept, new]), n_bad


def read_covariance(path: str, n_varied: int) -> FloatArray:
    """Read a covariance matrix, or a row of standard deviations.

    Raises
    ------
    ConfigError
        If its shape does not fit.
    """
    matrix = np.loadtxt(path)
    if matrix.ndim < 2:
        matrix = np.diag(np.atleast_1d(matrix) ** 2) if matrix.ndim else matrix.reshape(1, 1)
    if matrix.shape != (n_varied, n_varied):
        msg = (
            f"covmat = {path!r} has shape {matrix.shape}; expected {n_varied} x {n_varied}, a row and a column "
            "for each sampled parameter."
        )
        raise ConfigError(msg)
    return np.asarray(matrix)


def _collect(
    log_posterior: LogPosterior, draw: Callable[[int, int], FloatArray], n_walkers: int, where: str
) -> FloatArray:
    found: list[FloatArray] = []
    n_found = n_tried = 0
    for number in range(ROUNDS):
        points = draw(n_walkers, number)
        good = points[np.isfinite(log_posterior(points))]
        found.append(good)
        n_found += len(good)
        n_tried += n_walkers
        if n_found >= n_walkers:
            return np.concatenate(found)[:n_walkers]
    msg = (
        f"Only {n_found} of {n_tried} points {where} have a finite posterior; {n_walkers} walkers are needed. "
        "Check the start values and ranges in the values file, the priors, and the messages of the modules above."
    )
    raise StageError(msg)
