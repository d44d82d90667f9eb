"""The model of a galaxy's stellar spectrum and its likelihood.

SFH -> weights of the SSPs -> sum of the templates -> LOSVD -> observed pixels -> dust -> polynomial ->
amplitude -> log-likelihood. Everything is batched: parameters are arrays of shape (n_points,), and a single
point is a batch of one. What does not depend on parameters is done in
:func:`orchestrator.forward_model.stellar_spectrum.prepare_stellar_spectrum`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from orchestrator.forward_model.evaluation import Evaluation
from orchestrator.forward_model.pixels import FittedPixels
from orchestrator.forward_model.sfh_draws import DrawnRanges, outside_ranges
from orchestrator.forward_model.split_batch import combined
from orchestrator.forward_model.stellar_population import StellarPopulation
from orchestrator.physics.amplitude import (
    AmplitudeSolution,
    Parabola,
    eliminate_linear_terms,
    no_parabola,
    solve_amplitude,
)
from orchestrator.physics.losvd import LOWEST_H4, convolve_batch, losvd_rfft
from orchestrator.physics.parameter import ParameterValues
from orchestrator.physics.sfh_base import SECTION
from orchestrator.physics.spectrum_sums import DustBlocks, dust_blocks, everything, slope_and_curvature
from orchestrator.physics.wavelength import apply_projection

__all__ = ["KINEMATICS", "StellarSpectrumModel"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

KINEMATICS = ("los_vel", "los_sigma", "los_h3", "los_h4")

_HARMLESS = {"los_sigma": 100.0, "beta": 1.0}


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
        Transformed basis, times `flux_per_luminosity`; None where kinematics are fixed.
    fixed_basis, fixed_covered : ndarray, shape (rank, n_good) and (rank, n_covered), or None
        Basis convolved and projected once, where kinematics are fixed; dimmed too if `dust_is_fixed`.
    parabola_table : ndarray, shape (n_ssp, n), or None
        Where the whole spectrum is fixed but for the population: the first column is the scalar product of
        an SSP with the data, the sum of squares over the others that of a mixture with itself, both
        weighted with the inverse variance. No pixels are left.
    ranges : tuple of (name, lower, upper)
        Where `coefficients` serve; histories outside are computed with the exact templates.
    make_exact : callable or None
        Returns this model with exact templates; None where it has them.
    foreground : (ndarray, ndarray), shape (n_good,) and (n_covered,), or None
        What the dust of the Galaxy lets pass; None without it, and where it is part of `fixed_basis`.
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
    dust_is_fixed: bool = False
    parabola_table: FloatArray | None = field(default=None, repr=False)
    ranges: DrawnRanges = ()
    make_exact: Callable[[], StellarSpectrumModel] | None = field(default=None, repr=False)
    foreground: tuple[FloatArray, FloatArray] | None = field(default=None, repr=False)

    @cached_property
    def exact(self) -> StellarSpectrumModel:
        """The same model with exact templates, made when a history is outside `ranges`."""
        if self.make_exact is None:
            return self
        logger.warning(
            "a history outside the ranges of the compressed templates (%s) is computed with the exact ones, "
            "which is slower",
            ", ".join(f"{name} {lower:g} to {upper:g}" for name, lower, upper in self.ranges),
        )
        return self.make_exact()

    @cached_property
    def dust_blocks(self) -> DustBlocks:
        """The attenuation of the fitted pixels, in blocks."""
        return dust_blocks(self.attenuation_good, len(self.pixels.flux))

    @cached_property
    def sum_weights(self) -> tuple[FloatArray, FloatArray]:
        """What the products of a model with the data and with itself are weighted with, shape (n_good,) each."""
        if self.foreground is None:
            return self.weighted_data, self.pixels.inverse_variance
        passed = self.foreground[0]
        return passed * self.weighted_data, passed**2 * self.pixels.inverse_variance

    @cached_property
    def coefficients_differ(self) -> bool:
        """Whether the basis is not just the SSPs themselves."""
        return not np.array_equal(self.coefficients, np.eye(len(self.coefficients)))

    def log_likelihood(self, parameters: ParameterValues, before: Parabola | None = None) -> Evaluation:
        """Evaluate the log-likelihood.

        Parameters
        ----------
        parameters : mapping of (section, name) to ndarray, shape (n_points,)
        before : Parabola, optional
            What earlier modules of the same pipeline say about the mass.
        """
        outside = outside_ranges(self.ranges, parameters)
        if outside is not None:
            inside = replace(self, ranges=())
            return combined(outside, self.exact.log_likelihood, inside.log_likelihood, parameters, before)
        valid, weights, parameters = self._weights(parameters)
        own, _, _ = self._parabola(parameters, weights)
        before = no_parabola(len(valid)) if before is None else before
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
        if outside_ranges(self.ranges, parameters) is not None:
            return self.exact.model_spectrum(parameters, amplitude)
        valid, weights, parameters = self._weights(parameters)
        own, offset, response = self._parabola(parameters, weights)
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
        covered = self._shape(parameters, self._coefficients(weights), covered=True)
        return amplitude[:, None] * covered * polynomial, polynomial

    def in_support(self, parameters: ParameterValues) -> NDArray[np.bool_]:
        """Return which points have possible kinematics, dust and noise, shape (n_points,)."""
        # a number that is not finite makes the sum so
        total = np.zeros(len(parameters[SECTION, "alpha_powerlaw"]))
        limits = []
        if self.basis_rfft is not None:
            v, sigma, h3, h4 = (parameters["kinematics", name] for name in KINEMATICS)
            total = v + sigma + h3 + h4
            limits += [sigma >= 0, h4 > LOWEST_H4]
        if self.attenuation_good is not None and not self.dust_is_fixed:
            a_v = parameters["dust.extinction", "a_v"]
            total = total + a_v
            limits.append(a_v >= 0)
        if self.sampled_noise:
            beta = parameters["noise", "beta"]
            total = total + beta
            limits.append(beta > 0)
        valid = np.isfinite(total)
        for inside in limits:
            valid &= inside
        return valid

    def _weights(self, parameters: ParameterValues) -> tuple[NDArray[np.bool_], FloatArray, ParameterValues]:
        """Return validity, the mass fraction of each SSP, and parameters without impossible values.

        Points outside the support are evaluated at a harmless place; the caller sets them to -inf.
        """
        possible = self.in_support(parameters)
        valid, weights = self.population.weights(parameters)
        if not possible.all():
            valid = valid & possible
            parameters = {
                key: value if key[0] == SECTION else np.where(possible, value, _HARMLESS.get(key[1], 0.0))
                for key, value in parameters.items()
            }
        return valid, weights, parameters

    def _coefficients(self, weights: FloatArray) -> FloatArray:
        return weights @ self.coefficients if self.coefficients_differ else weights

    def _shape(
        self, parameters: ParameterValues, coefficients: FloatArray, covered: bool = False
    ) -> FloatArray:
        """Return the flux per Msun before any profiled polynomial, shape (n_points, n_pixels)."""
        if self.fixed_basis is not None and self.fixed_covered is not None:
            flux = coefficients @ (self.fixed_covered if covered else self.fixed_basis)
        else:
            projection = self.pixels.to_covered if covered else self.pixels.to_good
            flux = apply_projection(projection, self._convolved(parameters, coefficients))
        if self.foreground is not None:
            flux *= self.foreground[1 if covered else 0]
        curve = self.attenuation_covered if covered else self.attenuation_good
        if curve is not None and not self.dust_is_fixed:
            exponent = (-0.4 * np.log(10.0)) * parameters["dust.extinction", "a_v"]
            transmission = exponent[:, None] * curve
            flux *= np.exp(transmission, out=transmission)
        if self.polynomial_mode == "sampled" and not covered:
            flux *= 1 + self._sampled_coefficients(parameters) @ self.polynomials[1:]
        return flux

    def _convolved(self, parameters: ParameterValues, coefficients: FloatArray) -> FloatArray:
        """Return the spectra on the model grid, with their kinematics, shape (n_points, n_grid)."""
        assert self.basis_rfft is not None
        v, sigma, h3, h4 = (parameters["kinematics", name] for name in KINEMATICS)
        kernel = losvd_rfft(self.n_fft, v / self.velscale, sigma / self.velscale, h3, h4)
        # A complex matrix product with real coefficients would double the work: see it as real numbers.
        transform = (coefficients @ self.basis_rfft.view(np.float64)).view(np.complex128)
        return convolve_batch(transform, kernel, self.n_fft, self.n_grid)

    def _sampled_coefficients(self, parameters: ParameterValues) -> FloatArray:
        degree = len(self.polynomials) - 1
        return np.stack([parameters["legendre", f"legendre_{i}"] for i in range(1, degree + 1)], axis=1)

    def _parabola(
        self, parameters: ParameterValues, weights: FloatArray
    ) -> tuple[Parabola, FloatArray, FloatArray]:
        """Return the log-likelihood as a function of the mass, and how the polynomial follows it."""
        beta: FloatArray | float = 1.0
        constant = np.full(len(weights), self.log_normalisation - 0.5 * self.weighted_data_square)
        if self.sampled_noise:
            beta = parameters["noise", "beta"]
            constant += 0.5 * len(self.pixels.flux) * np.log(beta) + 0.5 * (1 - beta) * self.weighted_data_square
        empty = np.zeros((len(weights), 0))
        if self.parabola_table is not None:
            sums = weights @ self.parabola_table
            curvature = np.einsum("ij,ij->i", sums[:, 1:], sums[:, 1:])
            return Parabola(constant, beta * sums[:, 0], beta * curvature), empty, empty
        coefficients = self._coefficients(weights)
        if self.polynomial_mode == "profiled":
            shape = self._shape(parameters, coefficients)
            column = np.reshape(beta, (-1, 1))
            vector = column * ((shape * self.weighted_data) @ self.polynomials.T)
            shape *= shape
            moments = (shape * self.pixels.inverse_variance) @ self.polynomial_products.T
            matrix = column[:, None] * np.einsum("ijk,pk->pij", self.product_table, moments)
            return eliminate_linear_terms(matrix, vector, constant)
        slope, curvature = self._sums(parameters, coefficients)
        return Parabola(constant, beta * slope, beta * curvature), empty, empty

    def _sums(self, parameters: ParameterValues, coefficients: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the products of the model with the data and with itself, without storing the model's pixels."""
        pixels = self.pixels
        if self.fixed_basis is not None:
            spectra, projection = coefficients @ self.fixed_basis, everything(len(pixels.flux))
        else:
            spectra, projection = self._convolved(parameters, coefficients), pixels.to_good
        dusty = self.attenuation_good is not None and not self.dust_is_fixed
        a_v = parameters["dust.extinction", "a_v"] if dusty else None
        factor = None
        if self.polynomial_mode == "sampled":
            factor = 1 + self._sampled_coefficients(parameters) @ self.polynomials[1:]
        return slope_and_curvature(
            spectra, projection, a_v, self.dust_blocks, factor, *self.sum_weights
        )

    def _solve(self, own: Parabola, before: Parabola, parameters: ParameterValues) -> AmplitudeSolution:
        sampled = None
        if self.amplitude_mode == "sampled":
            sampled = 10.0 ** parameters["stars.sfh", "log10_stellar_mass"]
        return solve_amplitude(self.amplitude_mode, own, before, sampled=sampled)
