"""Correlated Gaussian noise: a Gaussian process added to independent noise, in linear time through celerite2.

Foreman-Mackey et al. 2017, AJ 154, 220; Foreman-Mackey 2018, RNAAS 2, 31.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Kernel", "correlated_sums"]

FloatArray = NDArray[np.float64]

_CRITICAL = 1e-8
"""How close to critical damping the oscillator comes that stands for Matern-3/2. celerite2's own Matern32Term errs by
ten and more in the log-likelihood where the length spans many pixels, this one by 1e-6."""


@dataclass(frozen=True)
class Kernel:
    """Form of the covariance as a function of distance.

    Attributes
    ----------
    name : {'Matern32', 'SHO'}
        ``(1 + x) exp(-x)`` with ``x = sqrt(3) distance / scale``, or a stochastically driven, damped harmonic
        oscillator whose undamped period is the scale.
    quality : float
        Quality factor of the oscillator; above 1/2 the covariance swings.
    """

    name: str
    quality: float = 0.5**0.5


def correlated_sums(
    kernel: Kernel, sigma: float, scale: float, position: FloatArray, variance: FloatArray, columns: FloatArray
) -> tuple[float, FloatArray]:
    """Return the log-density of the first column, and the products of all columns in the inverse covariance.

    Parameters
    ----------
    kernel : Kernel
    sigma, scale : float
        Standard deviation and length of the process.
    position : ndarray, shape (n,)
        Increasing.
    variance : ndarray, shape (n,)
        Of the independent noise.
    columns : ndarray, shape (n_columns, n)

    Returns
    -------
    log_density : float
        With its normalisation; -inf where the covariance cannot be factorised.
    products : ndarray, shape (n_columns, n_columns)
    """
    import celerite2
    from celerite2 import terms

    if kernel.name == "Matern32":
        term = terms.SHOTerm(sigma=sigma, w0=np.sqrt(3.0) / scale, Q=0.5, eps=_CRITICAL)
    else:
        term = terms.SHOTerm(sigma=sigma, rho=scale, Q=kernel.quality)
    process = celerite2.GaussianProcess(term)
    process.compute(position, diag=variance, check_sorted=False, quiet=True)
    log_density = float(process.log_likelihood(columns[0]))
    if not np.isfinite(log_density):
        return -np.inf, np.eye(len(columns))
    products = columns @ process.apply_inverse(np.ascontiguousarray(columns.T))
    return log_density, np.asarray(0.5 * (products + products.T))
