"""Evaluation of a batch by two models, each for its own points."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from orchestrator.forward_model.evaluation import Evaluation
from orchestrator.physics.amplitude import Parabola
from orchestrator.physics.parameter import ParameterValues

__all__ = ["combined"]

FloatArray = NDArray[np.float64]
Evaluate = Callable[[ParameterValues, Parabola | None], Evaluation]


def combined(
    chosen: NDArray[np.bool_],
    first: Evaluate,
    second: Evaluate,
    parameters: ParameterValues,
    before: Parabola | None,
) -> Evaluation:
    """Evaluate the chosen points with the first function and the others with the second.

    Parameters
    ----------
    chosen : ndarray of bool, shape (n_points,)
    first, second : callable
        ``log_likelihood`` of two models of the same data.
    parameters : mapping of (section, name) to ndarray, shape (n_points,)
    before : Parabola or None
        Of the modules before, for all points.
    """
    parts = [
        function({key: value[points] for key, value in parameters.items()}, _rows(before, points))
        for function, points in ((first, chosen), (second, ~chosen))
        if points.any()
    ]
    if len(parts) == 1:
        return parts[0]
    one, other = parts

    def merge(a: FloatArray | None, b: FloatArray | None) -> FloatArray | None:
        if a is None or b is None:
            return None
        both = np.empty(len(chosen))
        both[chosen], both[~chosen] = a, b
        return both

    joint = None
    if one.joint is not None and other.joint is not None:
        names = ("constant", "slope", "curvature")
        pairs = {name: merge(getattr(one.joint, name), getattr(other.joint, name)) for name in names}
        joint = Parabola(**{name: value for name, value in pairs.items() if value is not None})
    log_likelihood = merge(one.log_likelihood, other.log_likelihood)
    assert log_likelihood is not None
    return Evaluation(
        log_likelihood=log_likelihood,
        amplitude=merge(one.amplitude, other.amplitude),
        joint=joint,
        surviving_fraction=merge(one.surviving_fraction, other.surviving_fraction),
    )


def _rows(parabola: Parabola | None, points: NDArray[np.bool_]) -> Parabola | None:
    if parabola is None:
        return None
    return Parabola(parabola.constant[points], parabola.slope[points], parabola.curvature[points])
