"""The prior of one parameter as a curve, from the priors file that a results file carries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.config.priors import PriorEntry, parse_priors
from orchestrator.errors import OrchestratorError
from orchestrator.fit.chain import Chain
from orchestrator.fit.embedded import parameter_limits

__all__ = ["prior_curves"]

FloatArray = NDArray[np.float64]
_POINTS = 512


def prior_curves(chain: Chain) -> dict[tuple[str, str], tuple[FloatArray, FloatArray]]:
    """Return the prior density of each sampled parameter over its range.

    Parameters
    ----------
    chain : Chain

    Returns
    -------
    dict of (str, str) to (ndarray, ndarray)
        Values and density, which integrates to one. A parameter whose prior cannot be read (a table that has gone)
        is left out.
    """
    try:
        priors = parse_priors(chain.priors_ini, f"header of {chain.path}").sections
    except OrchestratorError:
        return {}
    curves = {}
    for key, (lower, upper) in parameter_limits(chain).items():
        values = np.linspace(lower, upper, _POINTS)
        entry = priors.get(key[0], {}).get(key[1], PriorEntry("uniform", (lower, upper)))
        density = _density(entry, values)
        area = 0.0 if density is None else float(np.trapezoid(density, values))
        if density is not None and area > 0:
            curves[key] = values, density / area
    return curves


def _density(entry: PriorEntry, x: FloatArray) -> FloatArray | None:
    """Density up to a factor; None for a table that cannot be read."""
    if entry.kind == "tabulated":
        try:
            table = np.loadtxt(Path(str(entry.arguments[0])), ndmin=2)
        except (OSError, ValueError):
            return None
        return np.interp(x, table[:, 0], table[:, 1], left=0.0, right=0.0)
    first, *rest = (float(argument) for argument in entry.arguments)
    if entry.kind == "gaussian":
        return np.asarray(np.exp(-0.5 * ((x - first) / rest[0]) ** 2))
    if entry.kind == "exponential":
        return np.where(x >= 0, np.exp(-np.maximum(x, 0.0) / first), 0.0)
    inside = (x >= first) & (x <= rest[0])
    if entry.kind == "oneoverx":
        return np.where(inside & (x > 0), 1.0 / np.where(x > 0, x, 1.0), 0.0)
    return inside.astype(float)
