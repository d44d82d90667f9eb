"""Rows of a batch: choosing some of its points, and putting parts of it together again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orchestrator.forward_model.evaluation import Evaluation
from orchestrator.physics.amplitude import AmplitudeSolution, Parabola
from orchestrator.physics.parameter import ParameterValues

__all__ = ["evaluation_of", "merged", "parabola_rows", "parameter_rows"]

FloatArray = NDArray[np.float64]


def evaluation_of(
    solution: AmplitudeSolution,
    valid: NDArray[np.bool_],
    surviving: FloatArray | None,
    extra: dict[str, FloatArray],
) -> Evaluation:
    """Return the evaluation of a batch, -inf where not `valid`."""
    return Evaluation(
        log_likelihood=np.where(valid, solution.log_likelihood, -np.inf),
        amplitude=solution.amplitude,
        joint=solution.joint,
        surviving_fraction=surviving,
        extra=extra,
    )


def parameter_rows(parameters: ParameterValues, rows: NDArray[np.int64]) -> dict[tuple[str, str], FloatArray]:
    """Return the parameters of some points."""
    return {key: value[rows] for key, value in parameters.items()}


def parabola_rows(parabola: Parabola, rows: NDArray[np.int64]) -> Parabola:
    """Return the parabolas of some points."""
    return Parabola(parabola.constant[rows], parabola.slope[rows], parabola.curvature[rows])


def merged(parts: list[Evaluation], rows: NDArray[np.int64]) -> Evaluation:
    """Put evaluations of some rows together in the order of the rows."""
    order = np.argsort(rows)

    def joined(values: list[FloatArray]) -> FloatArray:
        return np.concatenate(values)[order]

    amplitudes = [part.amplitude for part in parts if part.amplitude is not None]
    surviving = [part.surviving_fraction for part in parts if part.surviving_fraction is not None]
    joints = [part.joint for part in parts if part.joint is not None]
    return Evaluation(
        log_likelihood=joined([part.log_likelihood for part in parts]),
        amplitude=joined(amplitudes),
        joint=Parabola(
            joined([j.constant for j in joints]),
            joined([j.slope for j in joints]),
            joined([j.curvature for j in joints]),
        ),
        surviving_fraction=joined(surviving) if surviving else None,
        extra={name: joined([np.asarray(part.extra[name]) for part in parts]) for name in parts[0].extra},
    )
