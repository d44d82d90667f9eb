r"""Models of the noise of a data set: from stated uncertainties to a likelihood.

The variance of datum i is a sum of terms that can be switched on one by one::

    v_i = s_i^2 / beta + (10^log10_jitter * unit)^2 + (fractional * level_i)^2

with the stated uncertainty ``s_i``, the median uncertainty ``unit`` and a level of flux ``level_i`` that is fixed
in set-up, so that data never depend on parameters. The distribution is

* Gaussian and independent, or
* Student's t with ``nu`` degrees of freedom and the scale ``sqrt(v_i)`` (its variance is ``nu / (nu - 2)`` times
  larger), whose wings take outliers, or
* Gaussian and correlated: a Gaussian process of amplitude ``10^log10_gp_sigma * unit`` and length
  ``10^log10_gp_scale`` is added (:mod:`orchestrator.physics.correlated_noise`).

All log-densities are normalised. A spectrum that was resampled before it came here has correlated noise, which
independent errors understate; only the Gaussian process describes it. This package itself resamples no data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from orchestrator.physics.amplitude import Parabola, eliminate_linear_terms
from orchestrator.physics.correlated_noise import Kernel, correlated_sums

__all__ = [
    "LARGEST_EXPONENT",
    "LinearModel",
    "NoiseModel",
    "gaussian_parabola",
    "smooth_level",
    "student_log_density",
]

FloatArray = NDArray[np.float64]
Values = Mapping[str, FloatArray]
"""Noise parameters by name, each of shape (n_points,)."""

LARGEST_EXPONENT = 30.0
"""Largest absolute value of a logarithmic parameter; beyond it there is no number left."""


@dataclass(frozen=True)
class NoiseModel:
    """The terms of the noise of one data set.

    Attributes
    ----------
    inverse_variance : ndarray, shape (n,)
        As stated with the data, 1 / s^2.
    level : ndarray, shape (n,)
        Flux that the fractional term is in proportion to, for example :func:`smooth_level`.
    beta, jitter, fractional : bool
        Whether ``beta``, ``log10_jitter`` and ``fractional`` are parameters.
    student : bool
        Student's t in place of a Gaussian.
    nu : float or None
        Its degrees of freedom where they are fixed; None where ``nu`` is a parameter.
    kernel : Kernel or None
        Of a Gaussian process, with the parameters ``log10_gp_sigma`` and ``log10_gp_scale``.
    position : ndarray, shape (n,), or None
        Increasing, in the unit of the length of the Gaussian process.
    unit : float
        Median stated uncertainty; from `inverse_variance`.
    """

    inverse_variance: FloatArray = field(repr=False)
    level: FloatArray = field(repr=False)
    beta: bool = False
    jitter: bool = False
    fractional: bool = False
    student: bool = False
    nu: float | None = None
    kernel: Kernel | None = None
    position: FloatArray | None = field(default=None, repr=False)
    unit: float = field(init=False)

    def __post_init__(self) -> None:
        """Derive the unit of the absolute terms."""
        object.__setattr__(self, "unit", float(np.median(self.inverse_variance**-0.5)))

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters."""
        switches = {
            "beta": self.beta,
            "log10_jitter": self.jitter,
            "fractional": self.fractional,
            "nu": self.student and self.nu is None,
            "log10_gp_sigma": self.kernel is not None,
            "log10_gp_scale": self.kernel is not None,
        }
        return tuple(name for name, on in switches.items() if on)

    def valid(self, values: Values, n_points: int) -> NDArray[np.bool_]:
        """Return which points have possible values, shape (n_points,)."""
        valid = np.ones(n_points, dtype=bool)
        for name in self.parameters:
            value = values[name]
            if name.startswith("log10_"):
                valid &= np.abs(value) < LARGEST_EXPONENT
            else:
                valid &= np.isfinite(value) & ((value >= 0) if name == "fractional" else (value > 0))
        return valid

    def variance(self, values: Values, n_points: int, at: tuple[FloatArray, FloatArray] | None = None) -> FloatArray:
        """Return the variance of the independent noise (for Student's t, the square of its scale).

        Parameters
        ----------
        values : mapping of str to ndarray, shape (n_points,)
        n_points : int
        at : (ndarray, ndarray), each of shape (n_other,), optional
            Stated variance and level of other data, for figures; those of the model if left out.

        Returns
        -------
        ndarray, shape (n_points, n)
        """
        stated, level = (1.0 / self.inverse_variance, self.level) if at is None else at
        variance = np.empty((n_points, len(stated)))
        variance[:] = stated / values["beta"][:, None] if self.beta else stated
        if self.jitter:
            variance += ((10.0 ** values["log10_jitter"] * self.unit) ** 2)[:, None]
        if self.fractional:
            variance += (values["fractional"][:, None] * level) ** 2
        return variance

    def total_variance(
        self, values: Values, n_points: int, at: tuple[FloatArray, FloatArray] | None = None
    ) -> FloatArray:
        """Return :meth:`variance` with that of a Gaussian process added, shape (n_points, n)."""
        variance = self.variance(values, n_points, at)
        if self.kernel is not None:
            variance += ((10.0 ** values["log10_gp_sigma"] * self.unit) ** 2)[:, None]
        return variance

    def degrees_of_freedom(self, values: Values, n_points: int) -> FloatArray:
        """Return nu of every point, shape (n_points,)."""
        return values["nu"] if self.nu is None else np.full(n_points, self.nu)

    def log_density(self, residual: FloatArray, values: Values) -> FloatArray:
        """Return the log-density of residuals, shape (n_points, n), with its normalisation; shape (n_points,)."""
        n_points = len(residual)
        variance = self.variance(values, n_points)
        if self.student:
            return student_log_density(residual, variance, self.degrees_of_freedom(values, n_points))
        if self.kernel is None:
            return np.asarray(-0.5 * (residual**2 / variance + np.log(2 * np.pi * variance)).sum(axis=1))
        return self._whitened(residual, variance, values)[0]

    def chi2(self, residual: FloatArray, values: Values) -> FloatArray:
        """Return the sum of squares of the residuals in units of the noise, whitened; shape (n_points,)."""
        variance = self.variance(values, len(residual))
        if self.kernel is None:
            return np.asarray((residual**2 / variance).sum(axis=1))
        return self._whitened(residual, variance, values)[1]

    def _whitened(self, residual: FloatArray, variance: FloatArray, values: Values) -> tuple[FloatArray, FloatArray]:
        """Return log-density and chi2 of residuals under correlated noise, each of shape (n_points,)."""
        rows = [self._correlated(row[None], variance[i], values, i) for i, row in enumerate(residual)]
        return np.array([row[0] for row in rows]), np.array([row[1][0, 0] for row in rows])

    def _correlated(
        self, columns: FloatArray, variance: FloatArray, values: Values, point: int
    ) -> tuple[float, FloatArray]:
        """Return the log-density of the first row and the products of all rows, for one point."""
        assert self.kernel is not None
        assert self.position is not None
        sigma = 10.0 ** float(values["log10_gp_sigma"][point])
        scale = 10.0 ** float(values["log10_gp_scale"][point])
        log_density, products = correlated_sums(
            self.kernel, sigma, scale, self.position, variance / self.unit**2, columns / self.unit
        )
        return log_density - columns.shape[1] * float(np.log(self.unit)), products


@dataclass(frozen=True)
class LinearModel:
    """Models that are linear in an amplitude and in the coefficients of polynomials.

    The flux at coefficients ``b`` is ``flux * (b @ polynomials)``; ``b[0]`` is the amplitude, as the first
    polynomial is one.

    Attributes
    ----------
    flux : ndarray, shape (n_points, n)
        At unit amplitude.
    polynomials : ndarray, shape (n_polynomials, n)
    products : ndarray, shape (n_products, n)
        Functions that span the products of two polynomials.
    table : ndarray, shape (n_polynomials, n_polynomials, n_products)
        Those products as combinations of them.
    """

    flux: FloatArray
    polynomials: FloatArray
    products: FloatArray
    table: FloatArray

    @classmethod
    def without_polynomials(cls, flux: FloatArray) -> LinearModel:
        """Return models whose only coefficient is the amplitude."""
        one = np.ones((1, flux.shape[1]))
        return cls(flux, one, one, np.ones((1, 1, 1)))

    def normal_equations(self, data: FloatArray, inverse_variance: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return matrices, shape (n_points, p, p), and right-hand sides, shape (n_points, p).

        Parameters
        ----------
        data : ndarray, shape (n,)
        inverse_variance : ndarray, shape (n_points, n)
        """
        weighted = self.flux * inverse_variance
        vector = (weighted * data) @ self.polynomials.T
        weighted *= self.flux
        matrix = np.einsum("ijk,pk->pij", self.table, weighted @ self.products.T)
        return matrix, vector

    def at(self, coefficients: FloatArray) -> FloatArray:
        """Return the flux at coefficients of shape (n_points, p), shape (n_points, n)."""
        return np.asarray(self.flux * (coefficients @ self.polynomials))


def gaussian_parabola(
    noise: NoiseModel, values: Values, linear: LinearModel, data: FloatArray
) -> tuple[Parabola, FloatArray, FloatArray]:
    """Return the log-likelihood of Gaussian noise as a function of the amplitude.

    Parameters
    ----------
    noise : NoiseModel
        Independent or correlated, not Student's t.
    values : mapping of str to ndarray, shape (n_points,)
    linear : LinearModel
    data : ndarray, shape (n,)

    Returns
    -------
    parabola : Parabola
        The other coefficients are at their maximum for each amplitude.
    offset, response : ndarray, shape (n_points, p - 1)
        The other coefficients are ``offset - response * amplitude``.
    """
    n_points = len(linear.flux)
    variance = noise.variance(values, n_points)
    if noise.kernel is None:
        inverse = 1.0 / variance
        constant = -0.5 * (np.log(2 * np.pi * variance).sum(axis=1) + inverse @ data**2)
        return eliminate_linear_terms(*linear.normal_equations(data, inverse), constant)
    n_columns = len(linear.polynomials)
    constant = np.empty(n_points)
    products = np.empty((n_points, n_columns + 1, n_columns + 1))
    columns = np.empty((n_columns + 1, len(data)))
    columns[0] = data
    scale = np.abs(linear.flux).max(axis=1)
    scale = np.where(scale > 0, scale, 1.0)  # so that columns and data have like sizes
    size = float(np.abs(data).max()) or 1.0
    for i in range(n_points):
        columns[1:] = linear.flux[i] * (size / scale[i]) * linear.polynomials
        constant[i], products[i] = noise._correlated(columns, variance[i], values, i)
    ratio = scale / size
    matrix = products[:, 1:, 1:] * (ratio**2)[:, None, None]
    return eliminate_linear_terms(matrix, products[:, 1:, 0] * ratio[:, None], constant)


def student_log_density(residual: FloatArray, scale_squared: FloatArray, nu: FloatArray) -> FloatArray:
    """Return the normalised log-density of independent Student's t residuals.

    Parameters
    ----------
    residual, scale_squared : ndarray, shape (n_points, n)
    nu : ndarray, shape (n_points,)
        Degrees of freedom.

    Returns
    -------
    ndarray, shape (n_points,)
    """
    normalisation = gammaln(0.5 * (nu + 1)) - gammaln(0.5 * nu) - 0.5 * np.log(np.pi * nu)
    column = nu[:, None]
    each = np.log(scale_squared) + (column + 1) * np.log1p(residual**2 / (column * scale_squared))
    return np.asarray(residual.shape[1] * normalisation - 0.5 * each.sum(axis=1))


def smooth_level(flux: FloatArray, width: int = 101) -> FloatArray:
    """Return the running median of the absolute flux over `width` data, shape (n,).

    The fractional error follows it and not the flux itself: with the latter a pixel that fluctuates down would get
    a smaller error and pull the model down.
    """
    from scipy.ndimage import median_filter

    return np.asarray(median_filter(np.abs(flux), size=min(width, len(flux)), mode="nearest"), dtype=np.float64)
