"""What a model says about a batch of points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from orchestrator.physics.amplitude import Parabola

__all__ = ["Evaluation"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """Result of a model evaluation for `n_points` parameter sets.

    Attributes
    ----------
    log_likelihood : ndarray, shape (n_points,)
        -inf outside the support.
    amplitude : ndarray, shape (n_points,), or None
        Stellar mass formed, Msun; None for models without a mass.
    joint : Parabola or None
        Log-likelihood as a function of the mass, summed over the modules so far.
    surviving_fraction : ndarray, shape (n_points,), or None
        Surviving over formed mass, where the library knows it.
    extra : mapping of str to ndarray, shape (n_points,)
        Further quantities for the section ``extra``.
    """

    log_likelihood: FloatArray
    amplitude: FloatArray | None = None
    joint: Parabola | None = None
    surviving_fraction: FloatArray | None = None
    extra: Mapping[str, FloatArray] = field(default_factory=dict)
