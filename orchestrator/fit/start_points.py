"""Starting walkers with a finite posterior.

After an optimiser the walkers start in a Gaussian ball whose width along each parameter comes from the
posterior itself, searched outwards from the peak in one dimension at a time. Every walker is tried before it
is accepted: one outside the prior would stay there for many steps, or for ever.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import StageError

__all__ = ["ball_of_walkers", "curvature_scales", "prior_walkers"]

LogPosterior = Callable[[NDArray[np.float64]], float]
Vector = NDArray[np.float64]

TRIES_PER_WALKER = 200
FIRST_STEP = 1e-2
"""First step of the search and width of a ball about a point that is no peak, in units of the range."""
_SMALLEST, _LARGEST = 1e-7, 0.25
_ITERATIONS = 10


def curvature_scales(log_posterior: LogPosterior, peak: Vector, lower: Vector, upper: Vector) -> Vector:
    """Width of the posterior along each parameter through a peak.

    A step is grown or shrunk until the posterior falls by between 0.1 and 2 from the peak; a parabola through
    that point gives the conditional standard deviation.

    Parameters
    ----------
    log_posterior : callable
        Takes a vector of shape (n_parameters,), returns a float, -inf outside the support.
    peak, lower, upper : ndarray, shape (n_parameters,)
        The point and the limits of the range.

    Returns
    -------
    ndarray, shape (n_parameters,)
        Positive; between 1e-7 and 0.25 of the range.
    """
    at_peak = log_posterior(peak)
    return np.array([_scale(log_posterior, peak, at_peak, index, lower, upper) for index in range(len(peak))])


def _scale(
    log_posterior: LogPosterior, peak: Vector, at_peak: float, index: int, lower: Vector, upper: Vector
) -> float:
    width = upper[index] - lower[index]
    step = FIRST_STEP * width
    for _ in range(_ITERATIONS):
        fall = _mean_fall(log_posterior, peak, at_peak, index, step, lower, upper)
        if 0.1 <= fall <= 2.0:
            return float(np.clip(step / np.sqrt(2.0 * fall), _SMALLEST * width, _LARGEST * width))
        # sqrt(2 fall) is the step in standard deviations if the posterior is a parabola.
        factor = 1.0 / np.sqrt(2.0 * fall) if fall > 0 else 10.0
        step = float(np.clip(step * np.clip(factor, 0.05, 10.0), _SMALLEST * width, _LARGEST * width))
    return step


def _mean_fall(
    log_posterior: LogPosterior,
    peak: Vector,
    at_peak: float,
    index: int,
    step: float,
    lower: Vector,
    upper: Vector,
) -> float:
    """Mean fall of the posterior over the two sides that lie within the limits; inf if neither is finite."""
    falls = []
    for side in (-1.0, 1.0):
        point = peak.copy()
        point[index] += side * step
        if lower[index] <= point[index] <= upper[index]:
            falls.append(at_peak - log_posterior(point))
    finite = [fall for fall in falls if np.isfinite(fall)]
    return float(np.mean(finite)) if finite else float("inf")


def ball_of_walkers(
    log_posterior: LogPosterior,
    centre: Vector,
    scales: Vector,
    lower: Vector,
    upper: Vector,
    n_walkers: int,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """Draw walkers from a Gaussian ball, each within the limits and of finite posterior.

    Parameters
    ----------
    log_posterior : callable
    centre, scales, lower, upper : ndarray, shape (n_parameters,)
    n_walkers : int
    generator : numpy.random.Generator

    Returns
    -------
    ndarray, shape (n_walkers, n_parameters)

    Raises
    ------
    StageError
        If too few of the points tried have a finite posterior.
    """
    walkers: list[Vector] = []
    tries = 0
    while len(walkers) < n_walkers and tries < TRIES_PER_WALKER * n_walkers:
        tries += 1
        # Points are drawn closer and closer where most of the ball is refused.
        shrink = 0.5 ** (tries // (20 * n_walkers))
        point = centre + shrink * scales * generator.standard_normal(len(centre))
        if np.all(point >= lower) and np.all(point <= upper) and np.isfinite(log_posterior(point)):
            walkers.append(point)
    return _checked(walkers, n_walkers, tries, f"near the start point {centre.tolist()}")


def prior_walkers(
    log_posterior: LogPosterior, draw: Callable[[], Vector], n_walkers: int
) -> NDArray[np.float64]:
    """Draw walkers from the prior, each of finite posterior.

    Parameters
    ----------
    log_posterior : callable
    draw : callable
        Returns one draw of the prior, shape (n_parameters,).
    n_walkers : int

    Returns
    -------
    ndarray, shape (n_walkers, n_parameters)

    Raises
    ------
    StageError
        If too few draws have a finite posterior.
    """
    walkers: list[Vector] = []
    tries = 0
    while len(walkers) < n_walkers and tries < TRIES_PER_WALKER * n_walkers:
        tries += 1
        point = draw()
        if np.isfinite(log_posterior(point)):
            walkers.append(point)
    return _checked(walkers, n_walkers, tries, "drawn from the prior")


def _checked(walkers: list[Vector], n_walkers: int, tries: int, where: str) -> NDArray[np.float64]:
    if len(walkers) < n_walkers:
        msg = (
            f"Only {len(walkers)} of {tries} points {where} have a finite posterior; {n_walkers} "
            "walkers are needed. "
            "Check the start values and ranges in the values file, the priors, and the messages "
            "of the modules above."
        )
        raise StageError(msg)
    return np.array(walkers)
