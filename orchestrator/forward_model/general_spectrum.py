"""A galaxy's stellar spectrum with noise or dust that the fast sums of the plain model cannot express.

The stars come from a :class:`StellarSpectrumModel` (SFH, templates, LOSVD, projection); here the flux of every pixel
is stored, dimmed, and compared with the data under any noise model. It is used only where an option needs it; what
the plain model can do, it does several times faster.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from orchestrator.forward_model.data_noise import noise_values
from orchestrator.forward_model.evaluation import Evaluation
from orchestrator.forward_model.fixed_spectrum import fix_kinematics_and_dust
from orchestrator.forward_model.pixels import FittedPixels
from orchestrator.forward_model.sfh_draws import outside_ranges
from orchestrator.forward_model.spectrum_model import StellarSpectrumModel
from orchestrator.forward_model.split_batch import combined
from orchestrator.forward_model.stellar_population import StellarPopulation
from orchestrator.physics.amplitude import Parabola, no_parabola, solve_amplitude
from orchestrator.physics.noise_models import LinearModel, NoiseModel, gaussian_parabola
from orchestrator.physics.parameter import Parameter, ParameterValues
from orchestrator.physics.student_amplitude import StudentSolution, solve_student_amplitude

__all__ = ["Dust", "GeneralSpectrumModel"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class Dust(Protocol):
    """What a model of the dust offers."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What it reads."""
        ...

    @property
    def young(self) -> BoolArray | None:
        """SSPs behind birth clouds, shape (n_ssp,); None where all stars are dimmed alike."""
        ...

    def valid(self, parameters: ParameterValues) -> BoolArray:
        """Return which points have possible values, shape (n_points,)."""
        ...

    def factors(self, parameters: ParameterValues, which: str) -> tuple[FloatArray, FloatArray | None]:
        """Return the transmission of old and of young stars, shape (n_points, n_pixels), on 'good' or 'covered'."""
        ...


@dataclass(frozen=True)
class GeneralSpectrumModel:
    """A stellar spectrum, its dust and its noise.

    Attributes
    ----------
    base : StellarSpectrumModel
        The stars. Its own dust is used where `dust` is None; its own noise never is.
    noise : NoiseModel
        Of the fitted pixels.
    covered_level : ndarray, shape (n_covered,)
        Level of the fractional error on the covered pixels, for figures.
    dust : Dust or None
    """

    base: StellarSpectrumModel
    noise: NoiseModel
    covered_level: FloatArray
    dust: Dust | None = None

    @property
    def population(self) -> StellarPopulation:
        """SFH model and its projection onto the SSP grid."""
        return self.base.population

    @property
    def pixels(self) -> FittedPixels:
        """The data."""
        return self.base.pixels

    @property
    def polynomials(self) -> FloatArray:
        """The constant and the Legendre polynomials, shape (degree + 1, n_good)."""
        return self.base.polynomials

    @property
    def polynomial_mode(self) -> str:
        """One of 'none', 'sampled', 'profiled'."""
        return self.base.polynomial_mode

    @property
    def amplitude_mode(self) -> str:
        """One of 'profiled', 'sampled', 'marginalised'."""
        return self.base.amplitude_mode

    @property
    def basis_rfft(self) -> NDArray[np.complex128] | None:
        """None where kinematics are fixed."""
        return self.base.basis_rfft

    @property
    def sampled_noise(self) -> bool:
        """Whether ``noise/beta`` is a parameter."""
        return self.noise.beta

    @cached_property
    def exact(self) -> GeneralSpectrumModel:
        """The same model with exact templates."""
        return replace(self, base=self.base.exact)

    @cached_property
    def _harmless_dust(self) -> dict[tuple[str, str], float]:
        declared = () if self.dust is None else self.dust.parameters
        return {(parameter.section, parameter.name): parameter.start for parameter in declared}

    def with_fixed_kinematics(self, parameters: ParameterValues) -> GeneralSpectrumModel:
        """Return the model with the templates convolved once, for kinematics of shape (1,); the dust stays free."""
        return replace(self, base=fix_kinematics_and_dust(self.base, parameters, dust=False))

    def log_likelihood(self, parameters: ParameterValues, before: Parabola | None = None) -> Evaluation:
        """Evaluate the log-likelihood; see :meth:`StellarSpectrumModel.log_likelihood`."""
        outside = outside_ranges(self.base.ranges, parameters)
        if outside is not None:
            inside = replace(self, base=replace(self.base, ranges=()))
            return combined(outside, self.exact.log_likelihood, inside.log_likelihood, parameters, before)
        valid, weights, parameters = self._weights(parameters)
        before = no_parabola(len(valid)) if before is None else before
        linear, values = self._linear(parameters, weights), noise_values(self.noise, parameters)
        surviving = self.population.surviving_fraction(weights)
        if self.noise.student:
            solved = self._student(linear, parameters, before, self._sampled_mass(parameters))
            # what comes before is handed on as it is: this likelihood is no parabola, so this module is the last
            log_likelihood, amplitude, joint = solved.log_likelihood, solved.amplitude, before
        else:
            own, _, _ = gaussian_parabola(self.noise, values, linear, self.pixels.flux)
            solution = solve_amplitude(self.amplitude_mode, own, before, sampled=self._sampled_mass(parameters))
            log_likelihood, amplitude, joint = solution.log_likelihood, solution.amplitude, solution.joint
        return Evaluation(
            log_likelihood=np.where(valid, log_likelihood, -np.inf),
            amplitude=amplitude,
            joint=joint,
            surviving_fraction=surviving,
        )

    def model_spectrum(
        self, parameters: ParameterValues, amplitude: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return the model on all covered pixels and its polynomial; see :class:`StellarSpectrumModel`."""
        if outside_ranges(self.base.ranges, parameters) is not None:
            return self.exact.model_spectrum(parameters, amplitude)
        valid, weights, parameters = self._weights(parameters)
        polynomials = self.base.polynomials_covered
        if self.polynomial_mode == "sampled":
            polynomial = 1 + self.base._sampled_coefficients(parameters) @ polynomials[1:]
        else:
            polynomial = np.ones((len(valid), polynomials.shape[1]))
        if amplitude is None or self.polynomial_mode == "profiled":
            coefficients = self._coefficients(parameters, weights, amplitude)
            amplitude = coefficients[:, 0]
            if self.polynomial_mode == "profiled":
                mass = amplitude[:, None]
                relative = np.where(mass > 0, coefficients[:, 1:] / np.where(mass > 0, mass, 1.0), 0.0)
                polynomial = 1 + relative @ polynomials[1:]
        covered = self._flux(parameters, weights, "covered")
        return amplitude[:, None] * covered * polynomial, polynomial

    def noise_level(self, parameters: ParameterValues, uncertainty: FloatArray) -> FloatArray:
        """Return the standard deviation of the noise on all covered pixels as the fit has it.

        Parameters
        ----------
        parameters : mapping of (section, name) to ndarray, shape (n_points,)
        uncertainty : ndarray, shape (n_covered,)
            As stated with the data.

        Returns
        -------
        ndarray, shape (n_points, n_covered)
            A Gaussian process is added in quadrature; of Student's t it is the scale.
        """
        n_points = len(next(iter(parameters.values())))
        values = noise_values(self.noise, parameters)
        return np.sqrt(self.noise.total_variance(values, n_points, (uncertainty**2, self.covered_level)))

    def chi2(self, parameters: ParameterValues, residual: FloatArray) -> FloatArray:
        """Return the sum of squared residuals of the fitted pixels in units of the noise, shape (n_points,)."""
        return self.noise.chi2(residual, noise_values(self.noise, parameters))

    def in_support(self, parameters: ParameterValues) -> BoolArray:
        """Return which points have possible kinematics, dust and noise, shape (n_points,)."""
        valid = self.base.in_support(parameters)
        valid &= self.noise.valid(noise_values(self.noise, parameters), len(valid))
        if self.dust is not None:
            valid &= self.dust.valid(parameters)
        return valid

    def _weights(self, parameters: ParameterValues) -> tuple[BoolArray, FloatArray, ParameterValues]:
        """Return validity, the mass of each SSP, and parameters without impossible values."""
        possible = self.in_support(parameters)
        if possible.all():
            return self.base._weights(parameters)
        harmless = self._harmless_dust
        valid, weights, parameters = self.base._weights(
            {key: np.where(possible, x, harmless[key]) if key in harmless else x for key, x in parameters.items()}
        )
        cleaned = noise_values(self.noise, parameters, possible)
        return valid & possible, weights, {**parameters, **{("noise", name): x for name, x in cleaned.items()}}

    def _flux(self, parameters: ParameterValues, weights: FloatArray, which: str) -> FloatArray:
        """Return the flux per Msun, with sampled polynomials where `which` is 'good'; shape (n_points, n_pixels)."""
        covered = which == "covered"
        base = self.base
        if self.dust is None:
            return base._shape(parameters, base._coefficients(weights), covered=covered)
        old, young = self.dust.factors(parameters, which)
        if young is None or self.dust.young is None:
            return old * base._shape(parameters, base._coefficients(weights), covered=covered)
        in_clouds = np.where(self.dust.young, weights, 0.0)
        flux = old * base._shape(parameters, base._coefficients(weights - in_clouds), covered=covered)
        flux += young * base._shape(parameters, base._coefficients(in_clouds), covered=covered)
        return flux

    def _linear(self, parameters: ParameterValues, weights: FloatArray) -> LinearModel:
        flux = self._flux(parameters, weights, "good")
        if self.polynomial_mode != "profiled":
            return LinearModel.without_polynomials(flux)
        return LinearModel(flux, self.polynomials, self.base.polynomial_products, self.base.product_table)

    def _coefficients(
        self, parameters: ParameterValues, weights: FloatArray, amplitude: FloatArray | None
    ) -> FloatArray:
        """Return mass and polynomial coefficients times the mass, for a given mass or the best of this spectrum."""
        linear, none = self._linear(parameters, weights), no_parabola(len(weights))
        sampled = self._sampled_mass(parameters) if amplitude is None else amplitude
        if self.noise.student:
            return self._student(linear, parameters, none, sampled).coefficients
        values = noise_values(self.noise, parameters)
        own, offset, response = gaussian_parabola(self.noise, values, linear, self.pixels.flux)
        if sampled is None:
            sampled = solve_amplitude(self.amplitude_mode, own, none).amplitude
        return np.column_stack([sampled, offset - response * sampled[:, None]])

    def _student(
        self, linear: LinearModel, parameters: ParameterValues, before: Parabola, mass: FloatArray | None
    ) -> StudentSolution:
        values, n_points = noise_values(self.noise, parameters), len(linear.flux)
        scale = self.noise.variance(values, n_points)
        nu = self.noise.degrees_of_freedom(values, n_points)
        return solve_student_amplitude(linear, self.pixels.flux, scale, nu, before, amplitude=mass)

    def _sampled_mass(self, parameters: ParameterValues) -> FloatArray | None:
        if self.amplitude_mode != "sampled":
            return None
        return np.asarray(10.0 ** parameters["stars.sfh", "log10_stellar_mass"])
