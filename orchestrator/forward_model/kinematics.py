"""Kinematics and dust of a spectrum, with the template weights solved inside (KinDust).

The parameters are velocity, dispersion, h3, h4, attenuation and the noise factor. For each value of them the
weights of the templates and the coefficients of the polynomials are solved by
:mod:`orchestrator.physics.template_weights`, and the log-likelihood is that of the best (or the
marginalised) weights. What does not depend on parameters is done once, in
:mod:`orchestrator.forward_model.kinematics_setup`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ConfigError
from orchestrator.forward_model.kinematic_resolution import KinematicResolution
from orchestrator.forward_model.pixels import FittedPixels, ModelGrid
from orchestrator.physics.convolved_templates import TemplateBank, convolve_and_project, convolved_products
from orchestrator.physics.losvd import LOWEST_H4, losvd_rfft
from orchestrator.physics.noise_models import LARGEST_EXPONENT, NoiseModel
from orchestrator.physics.parameter import ParameterValues
from orchestrator.physics.template_weights import (
    Coefficients,
    GaussianPrior,
    WeightsProblem,
    WeightsSolution,
    solve_marginalised,
    solve_weights_by_pricing,
)

__all__ = ["TEMPLATE_WEIGHTS", "KinematicPoint", "KinematicsFit", "KinematicsModel"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

TEMPLATE_WEIGHTS = ("non_negative", "marginalised")

_LOG_DIMMING = -0.4 * np.log(10.0)


@dataclass(frozen=True)
class KinematicsFit:
    """The best model for one or more values of the parameters.

    Attributes
    ----------
    flux : ndarray, shape (n_points, n_covered)
        Model in the unit of the data on ``pixels.covered``, polynomials included.
    polynomial : ndarray, shape (n_points, n_covered)
        Multiplicative polynomial.
    additive : ndarray, shape (n_points, n_covered)
        Additive polynomial, in the unit of the data.
    light_fractions : ndarray, shape (n_points, n_met, n_age), or None
        Share of each SSP in the light of the fitted range; None for marginalised eigen-templates.
    mass_fractions : ndarray, shape (n_points, n_met, n_age), or None
        Share of each SSP in the mass formed; it has a meaning only for a library with a mass scale.
    chi2 : ndarray, shape (n_points,)
        With the errors as given, whatever ``noise/beta`` is; with those of the noise model where there is one.
    n_good : int
        Number of fitted pixels.
    """

    flux: FloatArray
    polynomial: FloatArray
    additive: FloatArray
    light_fractions: FloatArray | None
    mass_fractions: FloatArray | None
    chi2: FloatArray
    n_good: int


@dataclass(frozen=True)
class KinematicPoint:
    """Parameters of one model: km/s, km/s, none, none, mag, the factor on the inverse variance, further noise."""

    los_vel: float
    los_sigma: float
    los_h3: float
    los_h4: float
    a_v: float = 0.0
    beta: float = 1.0
    log10_jitter: float = 0.0
    fractional: float = 0.0

    @property
    def is_valid(self) -> bool:
        """Whether the point lies in the support of the model."""
        values = (self.los_vel, self.los_sigma, self.los_h3, self.los_h4, self.a_v, self.beta)
        noise = (self.log10_jitter, self.fractional)
        in_range = self.los_sigma >= 0 and self.los_h4 > LOWEST_H4 and self.a_v >= 0 and self.beta > 0
        in_range &= self.fractional >= 0 and abs(self.log10_jitter) < LARGEST_EXPONENT
        return in_range and bool(np.all(np.isfinite((*values, *noise))))


@dataclass(frozen=True)
class KinematicsModel:
    """A spectrum, the templates prepared for it, and the choices of the fit.

    Build it with :func:`orchestrator.forward_model.kinematics_setup.prepare_kinematics_model`.

    Attributes
    ----------
    pixels : FittedPixels
    resolution : KinematicResolution
    grid : ModelGrid
        Grid of the templates.
    bank : TemplateBank
        SSPs, or eigen-templates, scaled to the mean flux of the data.
    template_weights : {'non_negative', 'marginalised'}
    moments : {2, 4}
        With 2, h3 and h4 are zero whatever the parameters say.
    whitening : ndarray, shape (n_good,)
        One over the uncertainty.
    multiplicative, additive : ndarray, shape (n, n_good)
        Multiplicative polynomials without the constant, and additive ones scaled to the mean flux.
    multiplicative_covered, additive_covered : ndarray, shape (n, n_covered)
    dust, dust_covered : ndarray, shape (n_good,) and (n_covered,), or None
        A(lambda) / A_V minus its mean over the fitted pixels: the mean is part of the weights.
    pool : ndarray of int
        Templates to try first (all, if marginalised).
    start : Coefficients
        Fixed start of every inner solve, for the pool.
    start_polynomial : ndarray, shape (n_multiplicative + 1, n_good)
        From a spectrum to the coefficients of its best polynomial.
    column_norms : ndarray, shape (n_templates,)
        Norms of the whitened templates.
    prior : GaussianPrior or None
        Of the coefficients, if marginalised.
    template_means : ndarray, shape (n_ssp,)
        Mean of each SSP over the fitted range in the unit of the library.
    n_met, n_age : int
        Shape of the library.
    noise : NoiseModel or None
        Where ``noise/log10_jitter`` or ``noise/fractional`` are parameters; None where at most ``beta`` is.
    """

    pixels: FittedPixels
    resolution: KinematicResolution
    grid: ModelGrid
    bank: TemplateBank = field(repr=False)
    template_weights: str
    moments: int
    whitening: FloatArray = field(repr=False)
    multiplicative: FloatArray = field(repr=False)
    additive: FloatArray = field(repr=False)
    multiplicative_covered: FloatArray = field(repr=False)
    additive_covered: FloatArray = field(repr=False)
    dust: FloatArray | None = field(repr=False)
    dust_covered: FloatArray | None = field(repr=False)
    pool: IntArray = field(repr=False)
    pool_transforms: NDArray[np.complex128] = field(repr=False)
    start: Coefficients = field(repr=False)
    start_polynomial: FloatArray = field(repr=False)
    column_norms: FloatArray = field(repr=False)
    prior: GaussianPrior | None = field(repr=False)
    template_means: FloatArray = field(repr=False)
    n_met: int
    n_age: int
    noise: NoiseModel | None = field(default=None, repr=False)

    def log_likelihood(self, parameters: ParameterValues) -> FloatArray:
        """Evaluate the log-likelihood with the weights solved inside.

        Parameters
        ----------
        parameters : mapping of (section, name) to ndarray, shape (n_points,)
            ``kinematics/los_vel, los_sigma`` (km/s) and, where they are used, ``kinematics/los_h3, los_h4``,
            ``dust.extinction/a_v`` (mag) and ``noise/beta`` (factor on the inverse variance).

        Returns
        -------
        ndarray, shape (n_points,)
            Sum over the fitted pixels with its normalisation; -inf outside the support.

        Raises
        ------
        ConfigError
            If velocity or dispersion is missing.
        """
        result = [self._log_likelihood(point) for point in self._points(parameters)]
        return np.array(result, dtype=np.float64)

    def model_flux(self, parameters: ParameterValues) -> KinematicsFit:
        """Return the best model on all pixels that the templates cover.

        Parameters
        ----------
        parameters : mapping of (section, name) to ndarray, shape (n_points,)

        Raises
        ------
        ConfigError
            If velocity or dispersion is missing.
        ValueError
            For parameters outside the support.
        """
        points = self._points(parameters)
        flux, polynomial, additive, weights, chi2 = [], [], [], [], []
        for point in points:
            if not point.is_valid:
                msg = f"no model exists for {point}"
                raise ValueError(msg)
            solution, members = self.solve(point)
            if not solution.converged:
                logger.warning("the template weights did not settle at %s; chi2 %.3f", point, solution.chi2)
            found = solution.coefficients
            losvd = self._losvd(point)
            starlight = found.templates @ convolve_and_project(
                self.bank, self.bank.transforms[members], losvd, self.pixels.to_covered
            )
            if self.dust_covered is not None:
                starlight = starlight * np.exp(_LOG_DIMMING * point.a_v * self.dust_covered)
            polynomial.append(1.0 + found.multiplicative @ self.multiplicative_covered)
            additive.append(found.additive @ self.additive_covered)
            flux.append(starlight * polynomial[-1] + additive[-1])
            in_whitening = self.prior is not None and self.noise is None
            chi2.append(solution.chi2 / (point.beta if in_whitening else 1.0))
            all_weights = np.zeros(len(self.column_norms))
            all_weights[members] = found.templates
            weights.append(all_weights)
        light, mass = self._fractions(np.array(weights))
        return KinematicsFit(
            flux=np.array(flux),
            polynomial=np.array(polynomial),
            additive=np.array(additive),
            light_fractions=light,
            mass_fractions=mass,
            chi2=np.array(chi2),
            n_good=len(self.pixels.flux),
        )

    def fixed_weights(self, parameters: ParameterValues) -> tuple[Coefficients, IntArray]:
        """Return the best weights at one point, shape (1,), to make spectra of other kinematics with.

        See :meth:`model_with_weights`.
        """
        (point,) = self._points(parameters)
        solution, members = self.solve(point)
        return solution.coefficients, members

    def model_with_weights(
        self, parameters: ParameterValues, weights: tuple[Coefficients, IntArray]
    ) -> FloatArray:
        """Return the model of one point, shape (1,), with given weights and polynomials, on the covered pixels."""
        (point,) = self._points(parameters)
        found, members = weights
        transforms = self.bank.transforms[members]
        spectra = convolve_and_project(self.bank, transforms, self._losvd(point), self.pixels.to_covered)
        flux = found.templates @ spectra
        if self.dust_covered is not None:
            flux = flux * np.exp(_LOG_DIMMING * point.a_v * self.dust_covered)
        polynomial = 1.0 + found.multiplicative @ self.multiplicative_covered
        return np.asarray(flux * polynomial + found.additive @ self.additive_covered)

    def _points(self, parameters: ParameterValues) -> Sequence[KinematicPoint]:
        missing = [name for name in ("los_vel", "los_sigma") if ("kinematics", name) not in parameters]
        if missing:
            raise ConfigError([f"parameter kinematics/{name} is missing from the values" for name in missing])
        v, sigma = parameters["kinematics", "los_vel"], parameters["kinematics", "los_sigma"]
        zero, one = np.zeros(len(v)), np.ones(len(v))
        h3, h4 = zero, zero
        if self.moments == 4:
            h3 = parameters.get(("kinematics", "los_h3"), zero)
            h4 = parameters.get(("kinematics", "los_h4"), zero)
        a_v = parameters.get(("dust.extinction", "a_v"), zero) if self.dust is not None else zero
        beta = parameters.get(("noise", "beta"), one)
        jitter, fractional = (parameters.get(("noise", name), zero) for name in ("log10_jitter", "fractional"))
        rows = zip(v, sigma, h3, h4, a_v, beta, jitter, fractional, strict=True)
        return [KinematicPoint(*(float(value) for value in row)) for row in rows]

    def _log_likelihood(self, point: KinematicPoint) -> float:
        if not point.is_valid:
            return -np.inf
        solution, _ = self.solve(point)
        if not solution.converged:
            # Far from any acceptable model only; the best model of a fit is checked in model_flux.
            logger.debug("the template weights did not settle at %s; chi2 %.3f", point, solution.chi2)
        if self.noise is not None:
            log_variance = np.log(2 * np.pi * self.variance(point)).sum()
            return float(-0.5 * (log_variance + solution.chi2) + solution.log_evidence_ratio)
        normalisation = self.pixels.log_normalisation + 0.5 * len(self.whitening) * np.log(point.beta)
        # Without a prior the best weights do not depend on beta and are found with the errors as given.
        factor = point.beta if self.prior is None else 1.0
        return float(normalisation - 0.5 * factor * solution.chi2 + solution.log_evidence_ratio)

    def variance(
        self, point: KinematicPoint, at: tuple[FloatArray, FloatArray] | None = None
    ) -> FloatArray:
        """Return the variance of the noise, shape (n_good,), or of other pixels (see :meth:`NoiseModel.variance`)."""
        assert self.noise is not None
        values = {name: np.array([getattr(point, name)]) for name in self.noise.parameters}
        return self.noise.variance(values, 1, at)[0]

    def noise_scale(self, parameters: ParameterValues, uncertainty: FloatArray) -> FloatArray:
        """Return the factor on the stated errors of all covered pixels that the noise means, shape (n_covered,).

        Parameters
        ----------
        parameters : mapping of (section, name) to ndarray, shape (1,)
        uncertainty : ndarray, shape (n_covered,)
            As stated.
        """
        (point,) = self._points(parameters)
        if self.noise is None:
            return np.full(len(uncertainty), point.beta**-0.5)
        covered, good = np.flatnonzero(self.pixels.covered), np.flatnonzero(self.pixels.good_pixels)
        usable = np.isfinite(uncertainty) & (uncertainty > 0)
        stated = np.where(usable, uncertainty, 1.0)
        level = np.interp(covered, good, self.noise.level)
        return np.where(usable, np.sqrt(self.variance(point, (stated**2, level))) / stated, 1.0)

    def _losvd(self, point: KinematicPoint) -> NDArray[np.complex128]:
        kernel = losvd_rfft(
            self.bank.n_fft,
            np.array([point.los_vel / self.grid.velscale]),
            np.array([point.los_sigma / self.grid.velscale]),
            np.array([point.los_h3]),
            np.array([point.los_h4]),
        )
        return np.asarray(kernel[0])

    def solve(self, point: KinematicPoint) -> tuple[WeightsSolution, IntArray]:
        """Solve the weights and polynomials at one point; return them with the indices of the templates."""
        losvd = self._losvd(point)
        start, whitening = self.start, self.whitening
        additive = self.additive
        if self.dust is not None:
            start = self._dimmed_start(point.a_v)
        column_norms = self.column_norms
        if self.noise is not None:
            whitening = self.variance(point) ** -0.5
            column_norms = column_norms * (whitening.mean() / self.whitening.mean())
        elif self.prior is not None:
            whitening = whitening * np.sqrt(point.beta)
        data = self.pixels.flux * whitening
        additive = additive * whitening
        if self.dust is not None:
            whitening = whitening * np.exp(_LOG_DIMMING * point.a_v * self.dust)

        def columns(transforms: NDArray[np.complex128]) -> FloatArray:
            spectra = convolve_and_project(self.bank, transforms, losvd, self.pixels.to_good)
            return np.asarray(spectra * whitening)

        problem = WeightsProblem(data, columns(self.pool_transforms), self.multiplicative, additive)
        if self.prior is not None:
            return solve_marginalised(problem, self.prior, start=start), self.pool

        def prices(residual: FloatArray) -> FloatArray:
            return convolved_products(self.bank, residual * whitening, losvd, self.pixels.to_good)

        return solve_weights_by_pricing(
            problem,
            start,
            self.pool,
            columns=lambda members: columns(self.bank.transforms[members]),
            prices=prices,
            column_norms=column_norms,
        )

    def _dimmed_start(self, a_v: float) -> Coefficients:
        """Return the start with the polynomial that undoes the dust as well as it can."""
        if len(self.multiplicative) == 0:
            return self.start
        assert self.dust is not None
        polynomial = 1.0 + self.start.multiplicative @ self.multiplicative
        fitted = self.start_polynomial @ (polynomial * np.exp(-_LOG_DIMMING * a_v * self.dust))
        if not fitted[0] > 0:
            return self.start
        return Coefficients(self.start.templates * fitted[0], fitted[1:] / fitted[0], self.start.additive)

    def _fractions(self, weights: FloatArray) -> tuple[FloatArray | None, FloatArray | None]:
        if self.prior is not None:
            return None, None
        shape = (len(weights), self.n_met, self.n_age)
        mass = weights / self.template_means
        totals = weights.sum(axis=1, keepdims=True), mass.sum(axis=1, keepdims=True)
        safe = [np.where(total > 0, total, 1.0) for total in totals]
        return (weights / safe[0]).reshape(shape), (mass / safe[1]).reshape(shape)
