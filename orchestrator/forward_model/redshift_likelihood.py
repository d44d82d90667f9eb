"""From sums over pixels to the log-likelihood as a function of the stellar mass.

Three treatments of what model and data do not share: nothing or polynomials whose coefficients are sampled; those
polynomials solved inside; a spline continuum that is taken off data and model. The sums that each needs are decided
here, as rows of weights of the model and of its square.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from orchestrator.forward_model.redshift_continuum import SplineContinuum
from orchestrator.physics.amplitude import Parabola, eliminate_linear_terms
from orchestrator.physics.continuum import legendre_basis, legendre_degrees, legendre_products
from orchestrator.physics.parameter import ParameterValues

__all__ = ["RedshiftLikelihood", "features_likelihood", "polynomial_likelihood"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class RedshiftLikelihood:
    """Data, and what is done about the continuum.

    Attributes
    ----------
    kind : {'plain', 'sampled', 'profiled', 'features'}
        No polynomial, polynomial sampled or solved inside, or continuum taken off.
    amplitude_mode : {'profiled', 'sampled', 'marginalised'}
    linear, quadratic : ndarray, shape (n, n_good)
        Rows of weights for :class:`orchestrator.forward_model.redshift_sums.PixelSums`.
    n_good : int
        Fitted pixels.
    log_normalisation : float
        Sum of ln(1 / (sqrt(2 pi) sigma)).
    data_square : float
        Sum of the squares of the data that are compared, with the inverse variance.
    sampled_noise : bool
        Whether ``noise/beta`` multiplies the inverse variance.
    degrees : ndarray of int
        Of the polynomials, the constant first.
    bounds : (float, float)
        Wavelengths that become -1 and 1, Angstrom, observed frame.
    product_table : ndarray, shape (n_degrees, n_degrees, n_quadratic)
        Products of two polynomials as combinations of the rows of `quadratic`.
    continuum : SplineContinuum or None
    normal : ndarray, shape (n_spline, n_spline)
        Products of the spline's functions with the inverse variance of all fitted pixels.
    """

    kind: str
    amplitude_mode: str
    linear: FloatArray
    quadratic: FloatArray
    n_good: int
    log_normalisation: float
    data_square: float
    sampled_noise: bool
    degrees: NDArray[np.int64]
    bounds: tuple[float, float]
    product_table: FloatArray = field(repr=False)
    continuum: SplineContinuum | None = None
    normal: FloatArray | None = field(default=None, repr=False)

    def in_support(self, parameters: ParameterValues) -> NDArray[np.bool_]:
        """Return where noise, mass and polynomial are possible, shape (n_points,)."""
        valid = np.ones(len(next(iter(parameters.values()))), dtype=bool)
        if self.sampled_noise:
            beta = parameters["noise", "beta"]
            valid &= (beta > 0) & np.isfinite(beta)
        if self.amplitude_mode == "sampled":
            valid &= np.isfinite(parameters["stars.sfh", "log10_stellar_mass"])
        if self.kind == "sampled":
            valid &= np.isfinite(self._coefficients(parameters)).all(axis=1)
        return valid

    def mixing(self, parameters: ParameterValues) -> tuple[FloatArray, FloatArray] | None:
        """Return, for sampled polynomials, the coefficients of the rows; None where all sums are needed."""
        if self.kind != "sampled":
            return None
        c = self._coefficients(parameters)
        return c, np.einsum("pi,pj,ijk->pk", c, c, self.product_table)

    def mixed(self, sums: FloatArray, parameters: ParameterValues) -> FloatArray:
        """Return the sums, shape (n_points, n_sums), or with sampled polynomials their two combinations."""
        mixing = self.mixing(parameters)
        if mixing is None:
            return sums
        n = len(self.linear)
        both = (mixing[0] * sums[:, :n]).sum(axis=1), (mixing[1] * sums[:, n:]).sum(axis=1)
        return np.stack(both, axis=1)

    def parabola(self, sums: FloatArray, parameters: ParameterValues, factor: FloatArray) -> Parabola:
        """Return the log-likelihood as a function of the mass.

        Parameters
        ----------
        sums : ndarray, shape (n_points, n_sums)
            For a model per Msun in Lsun/Angstrom.
        parameters : mapping of (section, name) to ndarray, shape (n_points,)
        factor : ndarray, shape (n_points,)
            erg/s/cm2/Angstrom per Lsun/Angstrom.
        """
        beta: FloatArray | float = 1.0
        constant = np.full(len(sums), self.log_normalisation - 0.5 * self.data_square)
        if self.sampled_noise:
            beta = parameters["noise", "beta"]
            constant += 0.5 * self.n_good * np.log(beta) + 0.5 * (1 - beta) * self.data_square
        if self.kind == "profiled":
            return self._profiled(sums, constant, beta, factor)
        slope, curvature = sums[:, 0], sums[:, 1]
        if self.kind == "features":
            curvature = self._without_continuum(sums)
        return Parabola(constant, beta * factor * slope, beta * factor**2 * np.maximum(curvature, 0.0))

    def polynomial(
        self, wavelength: FloatArray, sums: FloatArray, parameters: ParameterValues, mass: float, factor: float
    ) -> FloatArray:
        """Return the polynomial of one point, by which the model is multiplied.

        Parameters
        ----------
        wavelength : ndarray, shape (n_pixels,)
            Observed frame.
        sums : ndarray, shape (1, n_sums)
        parameters : mapping of (section, name) to ndarray, shape (1,)
        mass, factor : float
            Msun, and erg/s/cm2/Angstrom per Lsun/Angstrom.
        """
        rows = legendre_basis(wavelength, int(self.degrees[-1]), self.bounds)[self.degrees]
        if self.kind == "sampled":
            return np.asarray(self._coefficients(parameters)[0] @ rows)
        if self.kind != "profiled" or mass <= 0:
            return np.ones(len(wavelength))
        matrix, vector = self._normal_equations(sums, 1.0, np.array([factor]))
        _, offset, response = eliminate_linear_terms(matrix, vector, np.zeros(1))
        return np.asarray(1 + (offset[0] / mass - response[0]) @ rows[1:])

    def _coefficients(self, parameters: ParameterValues) -> FloatArray:
        names = [f"legendre_{i}" for i in range(1, len(self.degrees))]
        columns = [parameters["legendre", name] for name in names]
        return np.stack([np.ones_like(columns[0]), *columns], axis=1)

    def _normal_equations(
        self, sums: FloatArray, beta: FloatArray | float, factor: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        n = len(self.linear)
        scale = np.asarray(beta * factor)[:, None]
        moments = sums[:, n:] @ self.product_table.reshape(-1, self.product_table.shape[2]).T
        return (scale * factor[:, None] * moments).reshape(-1, n, n), scale * sums[:, :n]

    def _profiled(
        self, sums: FloatArray, constant: FloatArray, beta: FloatArray | float, factor: FloatArray
    ) -> Parabola:
        matrix, vector = self._normal_equations(sums, beta, factor)
        return eliminate_linear_terms(matrix, vector, constant)[0]

    def _without_continuum(self, sums: FloatArray) -> FloatArray:
        """Return the sum of squares of what the continuum leaves of the model."""
        assert self.continuum is not None
        assert self.normal is not None
        n = len(self.normal)
        product, shaping, square = sums[:, 1 : 1 + n], sums[:, 1 + n : 1 + 2 * n], sums[:, 1 + 2 * n]
        coefficients = shaping @ self.continuum.inverse_normal
        return np.asarray(square - (coefficients * (2 * product - coefficients @ self.normal)).sum(axis=1))


def polynomial_likelihood(
    wavelength: FloatArray,
    flux: FloatArray,
    inverse_variance: FloatArray,
    *,
    degree: int,
    bounds: tuple[float, float] | None,
    scale: float | None,
    mode: str,
    amplitude_mode: str,
    sampled_noise: bool,
) -> RedshiftLikelihood:
    """Prepare the likelihood with multiplicative polynomials, or without any for degree 0.

    Parameters
    ----------
    wavelength, flux, inverse_variance : ndarray, shape (n_good,)
        Fitted pixels, observed frame.
    degree : int
    bounds : (float, float) or None
        Angstrom, observed frame; the ends of the fitted pixels if None.
    scale : float or None
        Largest scale that the polynomials follow, Angstrom.
    mode : {'sampled', 'profiled'}
    amplitude_mode : {'profiled', 'sampled', 'marginalised'}
    sampled_noise : bool
    """
    limits = bounds or (float(wavelength[0]), float(wavelength[-1]))
    degrees = legendre_degrees(degree, limits, scale)
    highest = int(degrees[-1])
    weighted = flux * inverse_variance
    return RedshiftLikelihood(
        kind=mode if degree else "plain",
        amplitude_mode=amplitude_mode,
        linear=weighted * legendre_basis(wavelength, highest, limits)[degrees],
        quadratic=inverse_variance * legendre_basis(wavelength, 2 * highest, limits),
        n_good=len(flux),
        log_normalisation=_log_normalisation(inverse_variance),
        data_square=float((weighted * flux).sum()),
        sampled_noise=sampled_noise,
        degrees=degrees,
        bounds=limits,
        product_table=legendre_products(degrees),
    )


def features_likelihood(
    flux: FloatArray,
    inverse_variance: FloatArray,
    continuum: SplineContinuum,
    *,
    amplitude_mode: str,
    sampled_noise: bool,
) -> RedshiftLikelihood:
    """Prepare the likelihood of what a continuum leaves.

    Parameters
    ----------
    flux, inverse_variance : ndarray, shape (n_good,)
    continuum : SplineContinuum
    amplitude_mode : {'profiled', 'sampled', 'marginalised'}
    sampled_noise : bool
    """
    features = flux - continuum.of(flux)
    weighted = features * inverse_variance
    # m - H m against the features: the adjoint of H on the side of the data
    shaped = (weighted @ continuum.basis.T) @ continuum.inverse_normal
    adjoint = weighted - (shaped @ continuum.basis) * continuum.shaping_weight
    everywhere = continuum.basis * inverse_variance
    return RedshiftLikelihood(
        kind="features",
        amplitude_mode=amplitude_mode,
        linear=np.vstack([adjoint, everywhere, continuum.basis * continuum.shaping_weight]),
        quadratic=inverse_variance[None],
        n_good=len(flux),
        log_normalisation=_log_normalisation(inverse_variance),
        data_square=float((weighted * features).sum()),
        sampled_noise=sampled_noise,
        degrees=np.zeros(1, dtype=np.int64),
        bounds=(0.0, 1.0),
        product_table=np.ones((1, 1, 1)),
        continuum=continuum,
        normal=everywhere @ continuum.basis.T,
    )


def _log_normalisation(inverse_variance: FloatArray) -> float:
    return float(0.5 * np.log(inverse_variance / (2 * np.pi)).sum())
