"""The model of line indices and its likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from orchestrator.errors import DataError
from orchestrator.forward_model.evaluation import Evaluation
from orchestrator.forward_model.index_table import IndexTable
from orchestrator.forward_model.stellar_population import StellarPopulation
from orchestrator.physics.amplitude import Parabola
from orchestrator.physics.line_indices import index_values
from orchestrator.physics.parameter import ParameterValues

__all__ = ["EMISSION_PARAMETERS", "IndexData", "IndexModel"]

FloatArray = NDArray[np.float64]

EMISSION_PARAMETERS: Mapping[str, str] = {"balmer": "ew_hbeta", "oiii": "ew_oiii", "ni": "ew_ni"}
"""Group of emission lines to the name of its parameter in the section ``emission``."""


@dataclass(frozen=True)
class IndexData:
    """Indices to fit.

    Attributes
    ----------
    names : tuple of str
    values : ndarray, shape (n_indices,)
    covariance : ndarray, shape (n_indices, n_indices)
    whitening : ndarray, shape (n_indices, n_indices)
        Times residuals: independent numbers of unit variance. Inverse of the Cholesky factor.
    log_normalisation : float
        Of the Gaussian.
    """

    names: tuple[str, ...]
    values: FloatArray
    covariance: FloatArray
    whitening: FloatArray
    log_normalisation: float

    @classmethod
    def of(cls, names: tuple[str, ...], values: FloatArray, covariance: FloatArray) -> IndexData:
        """Prepare the likelihood.

        Raises
        ------
        DataError
            If the covariance is not positive definite.
        """
        scale = np.sqrt(np.diag(covariance))
        try:
            factor = np.linalg.cholesky(covariance / np.outer(scale, scale))
        except np.linalg.LinAlgError:
            msg = (
                f"the errors of the indices {', '.join(names)} are completely correlated; leave out one of those "
                "that share their bands, or set an error floor"
            )
            raise DataError(msg) from None
        inverse = solve_triangular(factor, np.eye(len(values)), lower=True)
        log_determinant = 2 * (np.log(np.diag(factor)).sum() + np.log(scale).sum())
        constant = -0.5 * (len(values) * np.log(2 * np.pi) + log_determinant)
        return cls(names, values, covariance, inverse / scale, float(constant))

    def chi2(self, model: FloatArray) -> FloatArray:
        """Return the chi2 of models, shape (n_points,)."""
        white = (self.values - model) @ self.whitening.T
        return np.asarray((white**2).sum(axis=1))


@dataclass(frozen=True)
class IndexModel:
    """Line indices of a star-formation history, compared with data.

    Attributes
    ----------
    population : StellarPopulation
    table : IndexTable
    data : IndexData
    dusty : bool
        Whether ``dust.extinction/a_v`` dims the stars.
    gas_extinction : bool
        Whether ``emission/a_v_gas`` sets the ratios of the emission lines.
    """

    population: StellarPopulation
    table: IndexTable
    data: IndexData
    dusty: bool
    gas_extinction: bool

    def log_likelihood(self, parameters: ParameterValues, before: Parabola | None = None) -> Evaluation:
        """Evaluate `n_points` parameter sets; indices have no mass to share with other modules."""
        del before
        valid, model = self._evaluate(parameters)
        usable = valid & np.isfinite(model).all(axis=1)
        model = np.where(usable[:, None], model, self.data.values)
        chi2 = self.data.chi2(model)
        log_likelihood = np.where(usable, self.data.log_normalisation - 0.5 * chi2, -np.inf)
        return Evaluation(log_likelihood=log_likelihood)

    def model_indices(self, parameters: ParameterValues) -> FloatArray:
        """Return the indices of the model, shape (n_points, n_indices)."""
        return self._evaluate(parameters)[1]

    def _evaluate(self, parameters: ParameterValues) -> tuple[NDArray[np.bool_], FloatArray]:
        valid, weights = self.population.weights(parameters)
        a_v = parameters["dust.extinction", "a_v"] if self.dusty else np.zeros(len(valid))
        valid = valid & (a_v >= 0)
        widths = None
        gas = self.table.gas
        if gas is not None:
            widths = np.stack([parameters["emission", EMISSION_PARAMETERS[g]] for g in gas.groups], axis=1)
        a_v_gas = parameters["emission", "a_v_gas"] if self.gas_extinction else None
        integrals = self.table.integrals(weights, np.maximum(a_v, 0.0), widths, a_v_gas)
        return valid, index_values(self.table.index_set, integrals)
