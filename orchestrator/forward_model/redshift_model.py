"""The likelihood of a spectrum as a function of stellar population and redshift.

SFH -> weights of the SSPs at the age of the universe of the trial redshift -> rest-frame spectrum -> dust -> shift
to the observed pixels -> polynomial, or a continuum taken off -> amplitude (the stellar mass, by the luminosity
distance of the trial redshift) -> log-likelihood. Everything is batched: parameters are arrays of shape (n_points,).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from orchestrator.forward_model.evaluation import Evaluation
from orchestrator.forward_model.redshift_grid import RedshiftGrid
from orchestrator.forward_model.redshift_likelihood import RedshiftLikelihood
from orchestrator.forward_model.redshift_rows import evaluation_of, merged, parabola_rows, parameter_rows
from orchestrator.forward_model.redshift_search import maximum
from orchestrator.forward_model.redshift_sums import PixelSums, ShiftWindow, shifted_flux
from orchestrator.forward_model.redshift_templates import RedshiftTemplates
from orchestrator.forward_model.sfh_draws import outside_ranges
from orchestrator.physics.amplitude import AmplitudeSolution, Parabola, no_parabola, solve_amplitude
from orchestrator.physics.parameter import ParameterValues
from orchestrator.physics.sfh_base import SECTION

__all__ = ["RedshiftModel", "RedshiftProfile"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

_MAGNITUDE = -0.4 * np.log(10.0)
_LARGEST_BATCH = 64
_KEY = ("redshift", "redshift")


@dataclass(frozen=True)
class RedshiftProfile:
    """The log-likelihood as a function of redshift, at fixed other parameters.

    Attributes
    ----------
    redshift, log_likelihood, stellar_mass : ndarray, shape (n_z,)
        The mass is the formed one of the best fit at each redshift, Msun.
    """

    redshift: FloatArray
    log_likelihood: FloatArray
    stellar_mass: FloatArray


@dataclass(frozen=True)
class RedshiftModel:
    """A spectrum, the templates prepared for a range of redshifts, and the choices of the fit.

    Attributes
    ----------
    templates : RedshiftTemplates
    grid : RedshiftGrid
    likelihood : RedshiftLikelihood
        From sums over pixels to the log-likelihood.
    sums : PixelSums
    windows : tuple of (ShiftWindow, ShiftWindow, float)
        Trial redshifts that the search evaluates with one population: those that it serves, the same with a
        margin for interpolation, and the place of the population in pixels from `z_min`.
    curve : ndarray, shape (n_rest,), or None
        A(lambda) / A_V.
    factor : callable
        Redshift to erg/s/cm2/Angstrom per Lsun/Angstrom.
    maximised : bool
        Whether the redshift is maximised over at each point, or a parameter.
    """

    templates: RedshiftTemplates
    grid: RedshiftGrid
    likelihood: RedshiftLikelihood
    sums: PixelSums
    windows: tuple[tuple[ShiftWindow, ShiftWindow, float], ...]
    curve: FloatArray | None
    factor: Callable[[FloatArray], FloatArray]
    maximised: bool

    @cached_property
    def exact(self) -> RedshiftModel:
        """The same model with exact templates, made when a history is outside their ranges."""
        if self.templates.make_exact is None:
            return self
        logger.warning("a history outside the ranges of the compressed templates is computed with the exact ones")
        return replace(self, templates=self.templates.make_exact())

    # ---- likelihood -------------------------------------------------------------------------------------
    def log_likelihood(self, parameters: ParameterValues, before: Parabola | None = None) -> Evaluation:
        """Evaluate the log-likelihood.

        Parameters
        ----------
        parameters : mapping of (section, name) to ndarray, shape (n_points,)
        before : Parabola, optional
            What earlier modules of the same pipeline say about the mass.

        Returns
        -------
        Evaluation
            With ``redshift`` among its further quantities; where the redshift is maximised also its uncertainty at
            fixed other parameters, and the second peak: its redshift and how much lower its log-likelihood is.
        """
        n_points = len(parameters[SECTION, "alpha_powerlaw"])
        before = no_parabola(n_points) if before is None else before
        outside = outside_ranges(self.templates.ranges, parameters)
        jobs: list[tuple[RedshiftModel, NDArray[np.int64]]] = []
        for model, rows in (
            (self, np.arange(n_points) if outside is None else np.flatnonzero(~outside)),
            (self if outside is None else self.exact, np.arange(0) if outside is None else np.flatnonzero(outside)),
        ):
            jobs += [(model, rows[i : i + _LARGEST_BATCH]) for i in range(0, len(rows), _LARGEST_BATCH)]
        parts = [
            model._evaluate(parameter_rows(parameters, rows), parabola_rows(before, rows)) for model, rows in jobs
        ]
        if len(parts) == 1:
            return parts[0]
        return merged(parts, np.concatenate([rows for _, rows in jobs]))

    def _evaluate(self, parameters: ParameterValues, before: Parabola) -> Evaluation:
        possible = self.in_support(parameters)
        parameters = self._harmless(parameters, possible)
        if not self.maximised:
            redshift = parameters[_KEY]
            result, _, surviving, valid = self._at(parameters, self.grid.shift_of(redshift), before)
            return evaluation_of(result, valid & possible, surviving, {"redshift": redshift})
        return maximum(self, parameters, before, possible)

    def in_support(self, parameters: ParameterValues) -> NDArray[np.bool_]:
        """Return which points have possible redshift, dust and noise, shape (n_points,)."""
        valid = np.ones(len(parameters[SECTION, "alpha_powerlaw"]), dtype=bool)
        if not self.maximised:
            valid &= (parameters[_KEY] >= self.grid.z_min) & (parameters[_KEY] <= self.grid.z_max)
        if self.curve is not None:
            a_v = parameters["dust.extinction", "a_v"]
            valid &= (a_v >= 0) & np.isfinite(a_v)
        return valid & self.likelihood.in_support(parameters)

    def _harmless(self, parameters: ParameterValues, possible: NDArray[np.bool_]) -> ParameterValues:
        """Return parameters in which impossible points are at a harmless place; the caller sets them to -inf."""
        if possible.all():
            return parameters
        middle = 0.5 * (self.grid.z_min + self.grid.z_max)
        harmless = {"redshift": middle, "beta": 1.0, "log10_stellar_mass": 10.0}
        return {
            key: value if key[0] == SECTION and key[1] not in harmless
            else np.where(possible, value, harmless.get(key[1], 0.0))
            for key, value in parameters.items()
        }  # fmt: skip

    # ---- at given redshifts -----------------------------------------------------------------------------
    def _flux(
        self, parameters: ParameterValues, shift: FloatArray, position: FloatArray
    ) -> tuple[NDArray[np.bool_], FloatArray, FloatArray]:
        """Return validity, mass fractions and luminosity per Msun in pixels at some redshifts."""
        valid, weights, spectra = self.templates.spectra(parameters, shift)
        flux = shifted_flux(spectra, shift, self.grid, position, self.curve, self.exponent(parameters))
        return valid, weights, flux

    def exponent(self, parameters: ParameterValues) -> FloatArray | None:
        """Return what multiplies the attenuation curve in the exponential, shape (n_points,)."""
        return None if self.curve is None else _MAGNITUDE * parameters["dust.extinction", "a_v"]

    def _at(
        self, parameters: ParameterValues, shift: FloatArray, before: Parabola
    ) -> tuple[AmplitudeSolution, FloatArray, FloatArray | None, NDArray[np.bool_]]:
        """Return the solution for the mass, the sums, the surviving fraction and validity at some redshifts."""
        valid, weights, flux = self._flux(parameters, shift, self.grid.position)
        sums = self.likelihood.mixed(self.sums.direct(flux), parameters)
        solution = self.solution(sums, self.grid.redshift_at(shift), parameters, before)
        return solution, sums, self.templates.population.surviving_fraction(weights), valid

    def solution(
        self, sums: FloatArray, redshift: FloatArray, parameters: ParameterValues, before: Parabola
    ) -> AmplitudeSolution:
        """Return the solution for the mass from sums, shape (n_points, n_sums), at redshifts, shape (n_points,)."""
        own = self.likelihood.parabola(sums, parameters, self.factor(redshift))
        sampled = None
        if self.likelihood.amplitude_mode == "sampled":
            sampled = 10.0 ** parameters["stars.sfh", "log10_stellar_mass"]
        return solve_amplitude(self.likelihood.amplitude_mode, own, before, sampled=sampled)

    # ---- for figures and files --------------------------------------------------------------------------
    def profile(self, parameters: ParameterValues) -> RedshiftProfile:
        """Return the log-likelihood of one point at every trial redshift, from the model itself at each.

        Parameters
        ----------
        parameters : mapping of (section, name) to ndarray, shape (1,)
        """
        if outside_ranges(self.templates.ranges, parameters) is not None:
            return self.exact.profile(parameters)
        redshift = self.grid.trial_redshift
        values, masses = [], []
        possible = bool(self.in_support(parameters)[0]) if self.maximised else True
        for start in range(0, len(redshift), _LARGEST_BATCH):
            part = redshift[start : start + _LARGEST_BATCH]
            repeated = {key: np.repeat(value, len(part)) for key, value in parameters.items()}
            solution, _, _, valid = self._at(repeated, self.grid.shift_of(part), no_parabola(len(part)))
            values.append(np.where(valid & possible, solution.log_likelihood, -np.inf))
            masses.append(solution.amplitude)
        return RedshiftProfile(redshift, np.concatenate(values), np.concatenate(masses))

    def model_spectrum(
        self, parameters: ParameterValues, redshift: float, position: FloatArray, amplitude: FloatArray | None = None
    ) -> FloatArray:
        """Return the model of one point at a redshift, polynomial not included, in any pixels.

        Parameters
        ----------
        parameters : mapping of (section, name) to ndarray, shape (1,)
        redshift : float
        position : ndarray, shape (n_pixels,)
            Places of the pixels on the observed grid.
        amplitude : ndarray, shape (1,), optional
            Mass in Msun where a joint fit has determined it.

        Returns
        -------
        ndarray, shape (n_pixels,)
            erg/s/cm2/Angstrom.
        """
        shift = self.grid.shift_of(np.array([redshift]))
        if amplitude is None:
            amplitude = self._at(parameters, shift, no_parabola(1))[0].amplitude
        _, _, flux = self._flux(parameters, shift, position)
        return flux[0] * float(amplitude[0]) * float(self.factor(np.array([redshift]))[0])

    def polynomial(
        self, parameters: ParameterValues, redshift: float, wavelength: FloatArray, mass: float
    ) -> FloatArray:
        """Return the polynomial of one point, shape (n_pixels,).

        Parameters
        ----------
        parameters : mapping of (section, name) to ndarray, shape (1,)
        redshift : float
        wavelength : ndarray, shape (n_pixels,)
            Observed frame, Angstrom.
        mass : float
            Msun.
        """
        shift = self.grid.shift_of(np.array([redshift]))
        _, _, flux = self._flux(parameters, shift, self.grid.position)
        factor = float(self.factor(np.array([redshift]))[0])
        return self.likelihood.polynomial(wavelength, self.sums.direct(flux), parameters, mass, factor)
