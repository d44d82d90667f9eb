"""The declaration of one model parameter.

Templates of values files, checks and documentation all come from these declarations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Parameter", "ParameterValues", "with_missing"]

ParameterValues = Mapping[tuple[str, str], NDArray[np.float64]]
"""Values of the parameters of `n_points` models: (section, name) to an array of shape (n_points,)."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a module.

    Attributes
    ----------
    section, name : str
        Where the value stands in a values file and in the CosmoSIS DataBlock.
    lower, start, upper : float
        Default range and starting value; ``lower == upper`` declares a parameter that has no effect with the
        options given (A_V without a law) and may be left out of a values file.
    unit : str
        Unit of the value, empty for a pure number.
    meaning : str
        One line for templates and documentation.
    prior : str
        Prior density in CosmoSIS's words where the uniform one is not wanted, for example ``gaussian 0 0.1``. It
        holds where the user gives no priors file.
    optional : bool
        May be left out of a values file and is held at `start` then.
    """

    section: str
    name: str
    lower: float
    start: float
    upper: float
    unit: str
    meaning: str
    prior: str = ""
    optional: bool = False

    @property
    def may_be_missing(self) -> bool:
        """Whether a values file may leave it out: it then stands at its start."""
        return self.optional or self.lower == self.upper


def with_missing(declared: Iterable[Parameter], values: ParameterValues) -> ParameterValues:
    """Return the values with those that may be missing, and are, at their start.

    Parameters
    ----------
    declared : iterable of Parameter
    values : mapping of (section, name) to ndarray, shape (n_points,)
        Not empty.
    """
    n_points = len(next(iter(values.values())))
    starts = {(p.section, p.name): np.full(n_points, p.start) for p in declared if p.may_be_missing}
    return {**starts, **values}
