"""The model of a galaxy's stellar spectrum and its likelihood.

SFH -> weights of the SSPs -> sum of the templates -> LOSVD -> observed pixels -> dust -> polynomial ->
amplitude -> log-likelihood. Everything is batched: parameters are arrays of shape (n_points,), and a single
point is a batch of one. What does not depend on parameters is done in :func:`prepare_stellar_spectrum`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from orchestrator.forward_model.evaluation import Evaluation
from orchestrator.forward_model.pixels import FittedPixels
from orchestrator.forward_model.prepared_templates import PreparedTemplates
from orchestrator.forward_model.stellar_population import StellarPopulation
from orchestrator.physics.amplitude import (
    AmplitudeSolution,
    Parabola,
    eliminate_linear_terms,
    no_parabola,
    solve_amplitude,
)
from orchestrator.physics.continuum import legendre_basis, legendre_degrees
from orchestrator.physics.losvd import convolve_batch, losvd_rfft, rfft_templates
from orchestrator.physics.parameter import ParameterValues
from orchestrator.physics.wavelength import apply_projection

__all__ = ["StellarSpectrumModel", "fix_kinematics_and_dust", "prepare_stellar_spectrum"]

FloatArray = NDArray[np.float64]

LOWEST_H4 = -4 / np.sqrt(6.0)
"""Below it the area of the LOSVD is negative and no LOSVD of unit area exists."""

KINEMATICS = ("los_vel", "los_sigma", "los_h3", "los_h4")


@dataclass(frozen=True)
class StellarSpectrumModel:
    """A spectrum, the templates prepared for it, and the choices of the fit.

    Attributes
    ----------
    population : StellarPopulation
        SFH model and its projection onto the SSP grid.
    pixels : FittedPixels
    velscale : float
        Step of the model grid, km/s.
    coefficients : ndarray, shape (n_ssp, rank)
        Of the SSPs in the compressed basis.
    basis_rfft : ndarray of complex, shape (rank, n_frequencies), or None
        Transformed basis; None where kinematics are fixed.
    fixed_basis, fixed_covered : ndarray, shape (rank, n_good) and (rank, n_covered), or None
        Basis convolved, dimmed and projected once, where kinematics and dust are fixed.
    attenuation_good, attenuation_covered : ndarray
        A(lambda) / A_V on the fitted and on all covered pixels; None without dust.
    polynomials : ndarray, shape (degree + 1, n_good); polynomials_covered likewise
        The constant and the Legendre polynomials that are fitted.
    polynomial_products : ndarray, shape (2 * highest degree + 1, n_good)
        Legendre polynomials that span all products of two of those.
    product_table : ndarray, shape (degree + 1, degree + 1, 2 * highest degree + 1)
        The products as combinations of them: sums over pixels are done once per polynomial, not per pair.
    polynomial_mode : {'none', 'sampled', 'profiled'}
    amplitude_mode : {'profiled', 'sampled', 'marginalised'}
    flux_per_luminosity : float
        erg/s/cm2/Angstrom per Lsun/Angstrom.
    sampled_noise : bool
        Whether ``noise/beta`` multiplies the inverse variance.
    """

    population: StellarPopulation
    pixels: FittedPixels
    velscale: float
    n_fft: int
    n_grid: int
    coefficients: FloatArray
    basis_rfft: NDArray[np.complex128] | None
    attenuation_good: FloatArray | None
    attenuation_covered: FloatArray | None
    polynomials: FloatArray
    polynomials_covered: FloatArray
    polynomial_products: FloatArray
    product_table: FloatArray
    polynomial_mode: str
    amplitude_mode: str
    flux_per_luminosity: float
    sampled_noise: bool
    log_normalisation: float
    weighted_data_square: float
    weighted_data: FloatArray = field(repr=False)
    fixed_basis: FloatArray | None = None
    fixed_covered: FloatArray | None = None

    def log_likelihood(
        self, parameters: ParameterValues, before: Parabola | None = None
    ) -> Evaluation:
        """Evaluate the log-likelihood.

        Parameters
        ----------
        parameters : mapping of (section, name) to ndarray, shape (n_points,)
        before : Parabola, optional
            What earlier modules of the same pipeline say about the mass.
        """
        valid, weights, coefficients = self._coefficients(parameters)
        n_points = len(valid)
        before = no_parabola(n_points) if before is None else before
        own, _, _ = self._parabola(self._shape(parameters, coefficients), parameters)
        solution = self._solve(own, before, parameters)
        surviving = self.population.surviving_fraction(weights)
        return Evaluation(
            log_likelihood=np.where(valid, solution.log_likelihood, -np.inf),
            amplitude=solution.amplitude,
            joint=solution.joint,
            surviving_fraction=surviving,
        )

    def model_spectrum(
        self, parameters: ParameterValues, amplitude: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return the model on all covered pixels and its multiplicative polynomial.

        Parameters
        ----------
        parameters : mapping of (section, name) to ndarray, shape (n_points,)
        amplitude : ndarray, shape (n_points,), optional
            Stellar mass formed, Msun, where a joint fit has determined it; the best of this spectrum otherwise.

        Returns
        -------
        flux, polynomial : ndarray, shape (n_points, n_covered)
            Flux in erg/s/cm2/Angstrom, polynomial included.
        """
        valid, _, coefficients = self._coefficients(parameters)
        shape = self._shape(parameters, coefficients)
        own, offset, response = self._parabola(shape, parameters)
        if amplitude is None:
            amplitude = self._solve(own, no_parabola(len(valid)), parameters).amplitude
        if self.polynomial_mode == "profiled":
            mass = amplitude[:, None]
            relative = np.where(mass > 0, offset / np.where(mass > 0, mass, 1.0) - response, 0.0)
            polynomial = 1 + relative @ self.polynomials_covered[1:]
        elif self.polynomial_mode == "sampled":
            polynomial = 1 + self._sampled_coefficients(parameters) @ self.polynomials_covered[1:]
        else:
            polynomial = np.ones((len(valid), int(self.pixels.covered.sum())))
        covered = self._shape(parameters, coefficients, covered=True)
        return amplitude[:, None] * covered * polynomial, polynomial

    def _coefficients(self, parameters: ParameterValues) -> tuple[NDArray[np.bool_], FloatArray, FloatArray]:
        """Return validity, SSP weights and their coefficients in the basis."""
        valid, weights = self.population.weights(parameters)
        if self.basis_rfft is not None:
            v, sigma, h3, h4 = (parameters["kinematics", name] for name in KINEMATICS)
            valid = valid & np.isfinite(v + h3) & (sigma >= 0) & np.isfinite(sigma) & (h4 > LOWEST_H4)
            if self.attenuation_good is not None:
                valid = valid & (parameters["dust.extinction", "a_v"] >= 0)
        if self.sampled_noise:
            valid = valid & (parameters["noise", "beta"] > 0)
        return valid, weights, weights @ self.coefficients

    def _shape(
        self, parameters: ParameterValues, coefficients: FloatArray, covered: bool = False
    ) -> FloatArray:
        """Return the flux per Msun before any profiled polynomial, shape (n_points, n_pixels)."""
        if self.fixed_basis is not None and self.fixed_covered is not None:
            fixed = coefficients @ (self.fixed_covered if covered else self.fixed_basis)
            return fixed if covered else self._with_sampled_polynomial(fixed, parameters)
        assert self.basis_rfft is not None
        v, sigma, h3, h4 = (parameters["kinematics", name] for name in KINEMATICS)
        # Points outside the support are evaluated at a harmless place and set to -inf by the caller.
        v, sigma, h3 = (np.nan_to_num(x, posinf=0.0, neginf=0.0) for x in (v, np.maximum(sigma, 0), h3))
        h4 = np.where(h4 > LOWEST_H4, h4, 0.0)
        kernel = losvd_rfft(self.n_fft, v / self.velscale, sigma / self.velscale, h3, h4)
        # A complex matrix product with real coefficients would double the work: see it as real numbers.
        transform = (coefficients @ self.basis_rfft.view(np.float64)).view(np.complex128)
        on_grid = convolve_batch(transform, kernel, self.n_fft, self.n_grid)
        projection = self.pixels.to_covered if covered else self.pixels.to_good
        flux = apply_projection(projection, on_grid)
        curve = self.attenuation_covered if covered else self.attenuation_good
        if curve is not None:
            a_v = np.nan_to_num(parameters["dust.extinction", "a_v"])
            flux *= np.exp((-0.4 * np.log(10.0)) * a_v[:, None] * curve)
        flux *= self.flux_per_luminosity
        return flux if covered else self._with_sampled_polynomial(flux, parameters)

    def _with_sampled_polynomial(self, flux: FloatArray, parameters: ParameterValues) -> FloatArray:
        if self.polynomial_mode != "sampled":
            return flux
        return flux * (1 + self._sampled_coefficients(parameters) @ self.polynomials[1:])

    def _sampled_coefficients(self, parameters: ParameterValues) -> FloatArray:
        degree = len(self.polynomials) - 1
        return np.stack([parameters["legendre", f"legendre_{i}"] for i in range(1, degree + 1)], axis=1)

    def _parabola(
        self, shape: FloatArray, parameters: ParameterValues
    ) -> tuple[Parabola, FloatArray, FloatArray]:
        """Return the log-likelihood as a function of the mass, and how the polynomial follows it."""
        pixels = self.pixels
        beta = parameters["noise", "beta"] if self.sampled_noise else np.ones(len(shape))
        beta = np.where(beta > 0, beta, 1.0)
        constant = self.log_normalisation + 0.5 * len(pixels.flux) * np.log(beta)
        constant = constant - 0.5 * beta * self.weighted_data_square
        if self.polynomial_mode == "profiled":
            moments = (shape**2 * pixels.inverse_variance) @ self.polynomial_products.T
            matrix = beta[:, None, None] * np.einsum("ijk,pk->pij", self.product_table, moments)
            vector = beta[:, None] * ((shape * self.weighted_data) @ self.polynomials.T)
            return eliminate_linear_terms(matrix, vector, constant)
        slope = beta * (shape @ self.weighted_data)
        curvature = beta * np.einsum("ij,ij,j->i", shape, shape, pixels.inverse_variance)
        empty = np.zeros((len(shape), 0))
        return Parabola(constant, slope, curvature), empty, empty

    def _solve(self, own: Parabola, before: Parabola, parameters: ParameterValues) -> AmplitudeSolution:
        sampled = None
        if self.amplitude_mode == "sampled":
            sampled = 10.0 ** parameters["stars.sfh", "log10_stellar_mass"]
        return solve_amplitude(self.amplitude_mode, own, before, sampled=sampled)


def _product_table(degrees: NDArray[np.int64]) -> FloatArray:
    """Return c with P_i P_j = sum_k c[i, j, k] P_k for these degrees i and j, by exact quadrature."""
    highest = int(degrees.max())
    nodes, weights = np.polynomial.legendre.leggauss(2 * highest + 2)
    values = np.polynomial.legendre.legvander(nodes, 2 * highest)
    norm = (2 * np.arange(2 * highest + 1) + 1) / 2
    factors = values[:, degrees]
    return np.asarray(np.einsum("n,ni,nj,nk,k->ijk", weights, factors, factors, values, norm))


def prepare_stellar_spectrum(
    population: StellarPopulation,
    pixels: FittedPixels,
    templates: PreparedTemplates,
    *,
    attenuation: tuple[FloatArray, FloatArray] | None,
    legendre_degree: int,
    legendre_bounds: tuple[float, float] | None,
    legendre_scale: float | None,
    covered_wavelength: FloatArray,
    polynomial_mode: str,
    amplitude_mode: str,
    flux_per_luminosity: float,
    sampled_noise: bool,
) -> StellarSpectrumModel:
    """Assemble the model from its prepared parts.

    Parameters
    ----------
    attenuation : (ndarray, ndarray) or None
        A(lambda) / A_V on the fitted and on the covered pixels.
    legendre_degree : int
        0 for no polynomial.
    legendre_scale : float or None
        Largest scale that the polynomials follow, Angstrom (see :func:`legendre_degrees`).
    covered_wavelength : ndarray, shape (n_covered,)
        Rest wavelength of all pixels that the grid covers, Angstrom.
    """
    grid = templates.grid
    bounds = legendre_bounds or (float(pixels.wavelength[0]), float(pixels.wavelength[-1]))
    degrees = legendre_degrees(legendre_degree, bounds, legendre_scale)
    highest = int(degrees[-1])
    basis_rfft, n_fft = rfft_templates(templates.basis.basis)
    weighted = pixels.flux * pixels.inverse_variance
    return StellarSpectrumModel(
        population=population,
        pixels=pixels,
        velscale=grid.velscale,
        n_fft=n_fft,
        n_grid=len(grid.wavelength),
        coefficients=np.ascontiguousarray(templates.basis.coefficients),
        basis_rfft=np.ascontiguousarray(basis_rfft),
        attenuation_good=None if attenuation is None else attenuation[0],
        attenuation_covered=None if attenuation is None else attenuation[1],
        polynomials=legendre_basis(pixels.wavelength, highest, bounds)[degrees],
        polynomials_covered=legendre_basis(covered_wavelength, highest, bounds)[degrees],
        polynomial_products=legendre_basis(pixels.wavelength, 2 * highest, bounds),
        product_table=_product_table(degrees),
        polynomial_mode=polynomial_mode if legendre_degree else "none",
        amplitude_mode=amplitude_mode,
        flux_per_luminosity=flux_per_luminosity,
        sampled_noise=sampled_noise,
        log_normalisation=pixels.log_normalisation,
        weighted_data_square=float((weighted * pixels.flux).sum()),
        weighted_data=weighted,
    )


def fix_kinematics_and_dust(model: StellarSpectrumModel, parameters: ParameterValues) -> StellarSpectrumModel:
    """Convolve, dim and project the templates once, for one set of kinematics and dust.

    Parameters
    ----------
    parameters : mapping of (section, name) to ndarray, shape (1,)
        ``kinematics/los_vel, los_sigma, los_h3, los_h4`` and ``dust.extinction/a_v``.
    """
    rank = model.coefficients.shape[1]
    repeated = {key: np.repeat(value, rank) for key, value in parameters.items()}
    plain = replace(model, polynomial_mode="none")
    fixed = plain._shape(repeated, np.eye(rank))
    covered = plain._shape(repeated, np.eye(rank), covered=True)
    return replace(model, basis_rfft=None, fixed_basis=fixed, fixed_covered=covered)
