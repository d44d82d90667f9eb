"""How well a model fits: chi2 and what it is compared with."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Goodness"]


@dataclass(frozen=True)
class Goodness:
    """How well a model fits data with the errors that they state.

    Attributes
    ----------
    chi2 : float
        Sum of the squares of the residuals over the stated errors; a fitted noise term does not enter.
    n_data, n_free : int
        Data that are measured (limits are not), and parameters that follow them.
    """

    chi2: float
    n_data: int
    n_free: int

    @property
    def reduced_chi2(self) -> float:
        """chi2 per degree of freedom; NaN if there is none."""
        freedom = self.n_data - self.n_free
        return self.chi2 / freedom if freedom > 0 else float("nan")
