"""Data, the model of them and its noise at one solution: what checks of a fit compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import log_ndtr

from orchestrator.physics.noise_models import student_log_density

__all__ = ["PredictedData"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PredictedData:
    """One data set at one solution.

    Attributes
    ----------
    kind : {'spectrum', 'photometry', 'indices'}
    wavelength : ndarray, shape (n_data,)
        Observed frame, Angstrom.
    flux, stated : ndarray, shape (n_data,)
        Data and the errors that come with them, in `unit`.
    model, noise : ndarray, shape (n_data,)
        Model, and the standard deviation of the noise as the fit has it (for Student's t, its scale).
    unit : str
    names : tuple of str
        Bands; empty for a spectrum.
    nu : float or None
        Degrees of freedom of Student's t; None for Gaussian noise.
    limit : ndarray, shape (n_data,)
        1 for an upper limit, -1 for a lower one, 0 for a measurement.
    dependent : str
        Why the likelihood is no product over the data given the parameters; empty if it is.
    correlated : bool
        Whether the noise is.
    """

    kind: Literal["spectrum", "photometry", "indices"]
    wavelength: FloatArray
    flux: FloatArray
    stated: FloatArray
    model: FloatArray
    noise: FloatArray
    unit: str
    names: tuple[str, ...] = ()
    nu: float | None = None
    limit: FloatArray | None = None
    dependent: str = ""
    correlated: bool = False

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Data that are no limits, shape (n_data,)."""
        return np.ones(len(self.flux), dtype=bool) if self.limit is None else self.limit == 0

    @property
    def scores(self) -> FloatArray:
        """Residuals as normal scores: standard normal if the model holds; NaN for limits, shape (n_data,)."""
        pull = (self.flux - self.model) / self.noise
        if self.nu is not None:
            # from the nearer tail: the other one has no digits left
            pull = -np.sign(pull) * stats.norm.ppf(stats.t.sf(np.abs(pull), self.nu))
        return np.where(self.measured, pull, np.nan)

    @property
    def log_likelihood(self) -> FloatArray:
        """Log-likelihood of each datum, shape (n_data,); of meaning where `dependent` is empty."""
        residual = self.flux - self.model
        if self.nu is not None:
            nu = np.full(len(residual), self.nu)
            found = student_log_density(residual[:, None], self.noise[:, None] ** 2, nu)
        else:
            found = -0.5 * (residual / self.noise) ** 2 - np.log(self.noise) - 0.5 * np.log(2 * np.pi)
        if self.limit is None:
            return found
        return np.where(self.limit == 0, found, log_ndtr(self.limit * residual / self.noise))
