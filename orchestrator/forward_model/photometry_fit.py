"""The model of a galaxy's broadband photometry, its likelihood, and its set-up from options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.config.photometry_options import SFHPhotometryOptions
from orchestrator.forward_model.band_light import on_the_way, prepare_light, spectrum_grid
from orchestrator.forward_model.data_noise import band_noise, noise_values
from orchestrator.forward_model.dusty_photometry import DustyLight
from orchestrator.forward_model.evaluation import Evaluation
from orchestrator.forward_model.spectrum_fit import flux_per_luminosity, library_of
from orchestrator.forward_model.stellar_population import StellarPopulation
from orchestrator.observation.filters import Filter, load_filter
from orchestrator.observation.photometry import Photometry
from orchestrator.observation.read_photometry import read_photometry
from orchestrator.physics.amplitude import Limits, Parabola, no_parabola, solve_amplitude
from orchestrator.physics.attenuation import attenuation_curve
from orchestrator.physics.constants import SPEED_OF_LIGHT_ANGSTROM
from orchestrator.physics.cosmology import age_of_universe
from orchestrator.physics.noise_models import LinearModel, NoiseModel
from orchestrator.physics.parameter import ParameterValues
from orchestrator.physics.photometry import BandTable, band_fluxes
from orchestrator.physics.student_amplitude import solve_student_amplitude
from orchestrator.ssp_libraries.library import SSPLibrary
from orchestrator.ssp_libraries.mass_scale import require_mass_scale

__all__ = ["PhotometryFit", "PhotometryModel", "prepare_photometry_fit"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class PhotometryModel:
    """Band fluxes of the SSPs and the photometry to compare with.

    Attributes
    ----------
    population : StellarPopulation
    table : BandTable or None
        f_nu of every SSP in every band per Msun, as a function of A_V; None where `light` always serves.
    photometry : Photometry
    dusty : bool
        Whether ``dust.extinction/a_v`` dims the stars.
    amplitude_mode : {'profiled', 'sampled', 'marginalised'}
    noise : NoiseModel
        Of all bands; limits have edges as wide.
    light : DustyLight or None
        For dust that is not one screen with a fixed law.
    """

    population: StellarPopulation
    table: BandTable | None
    photometry: Photometry
    dusty: bool
    amplitude_mode: str
    noise: NoiseModel
    light: DustyLight | None = None

    def log_likelihood(self, parameters: ParameterValues, before: Parabola | None = None) -> Evaluation:
        """Evaluate the log-likelihood; see :meth:`StellarSpectrumModel.log_likelihood`."""
        valid, weights = self.population.weights(parameters)
        if self.dusty:
            valid = valid & (parameters["dust.extinction", "a_v"] >= 0)
        if self.light is not None:
            has_dust = self.light.valid(parameters)
            valid, parameters = valid & has_dust, self.light.harmless(parameters, has_dust)
        flux = self._flux_per_mass(parameters, weights)
        values = noise_values(self.noise, parameters)
        possible = self.noise.valid(values, len(flux))
        valid = valid & possible
        values = noise_values(self.noise, parameters, possible)
        before = no_parabola(len(flux)) if before is None else before
        sampled = None
        if self.amplitude_mode == "sampled":
            sampled = 10.0 ** parameters["stars.sfh", "log10_stellar_mass"]
        log_likelihood, amplitude, joint = self._solve(flux, values, before, sampled)
        return Evaluation(
            log_likelihood=np.where(valid, log_likelihood, -np.inf),
            amplitude=amplitude,
            joint=joint,
            surviving_fraction=self.population.surviving_fraction(weights),
        )

    def model_fluxes(self, parameters: ParameterValues, amplitude: FloatArray) -> FloatArray:
        """Return the model in every band, limits included, erg/s/cm2/Hz, shape (n_points, n_bands)."""
        _, weights = self.population.weights(parameters)
        return amplitude[:, None] * self._flux_per_mass(parameters, weights)

    def _flux_per_mass(self, parameters: ParameterValues, weights: FloatArray) -> FloatArray:
        if self.light is not None and not self.light.is_plain(parameters):
            return self.light.band_fluxes(parameters, weights)
        assert self.table is not None
        n_points = len(weights)
        a_v = parameters["dust.extinction", "a_v"] if self.dusty else np.zeros(n_points)
        return band_fluxes(self.table, weights, np.maximum(a_v, 0.0))

    @property
    def sampled_noise(self) -> bool:
        """Whether ``noise/beta`` multiplies the inverse variance."""
        return self.noise.beta

    def noise_level(self, parameters: ParameterValues) -> FloatArray:
        """Return the standard deviation of the noise in every band as the fit has it, shape (n_points, n_bands)."""
        n_points = len(next(iter(parameters.values())))
        return np.sqrt(self.noise.variance(noise_values(self.noise, parameters), n_points))

    def _solve(
        self, flux: FloatArray, values: Mapping[str, FloatArray], before: Parabola, sampled: FloatArray | None
    ) -> tuple[FloatArray, FloatArray, Parabola]:
        """Return the log-likelihood, the mass, and what the data so far say about it."""
        data = self.photometry
        variance = self.noise.variance(values, len(flux))
        measured = ~(data.is_upper_limit | data.is_lower_limit)
        limits = self._limits(flux, np.sqrt(variance))
        if self.noise.student:
            linear = LinearModel.without_polynomials(flux[:, measured])
            nu = self.noise.degrees_of_freedom(values, len(flux))
            student = solve_student_amplitude(
                linear, data.flux[measured], variance[:, measured], nu, before, limits=limits, amplitude=sampled
            )
            return student.log_likelihood, student.amplitude, before
        own = self._parabola(flux[:, measured], data.flux[measured], variance[:, measured])
        solution = solve_amplitude(self.amplitude_mode, own, before, limits=limits, sampled=sampled)
        return solution.log_likelihood, solution.amplitude, solution.joint

    @staticmethod
    def _parabola(model: FloatArray, data: FloatArray, variance: FloatArray) -> Parabola:
        constant = -0.5 * (np.log(2 * np.pi * variance) + data**2 / variance).sum(axis=1)
        weighted = model / variance
        return Parabola(constant, slope=weighted @ data, curvature=(weighted * model).sum(axis=1))

    def _limits(self, flux: FloatArray, uncertainty: FloatArray) -> Limits | None:
        """Return the limits, whose edges are as wide as the noise, shape (n_points, n_bands)."""
        data = self.photometry
        limited = data.is_upper_limit | data.is_lower_limit
        if not limited.any():
            return None
        return Limits(
            model=flux[:, limited],
            value=data.flux[limited],
            uncertainty=uncertainty[:, limited],
            sign=np.where(data.is_upper_limit[limited], 1.0, -1.0),
        )


@dataclass(frozen=True)
class PhotometryFit:
    """Photometry, the model prepared for it, and what a figure needs besides.

    Attributes
    ----------
    model : PhotometryModel
    library : SSPLibrary
    effective_wavelength, bandwidth : ndarray, shape (n_bands,)
        Observed frame, Angstrom.
    options : SFHPhotometryOptions
    filters : tuple of Filter
    """

    model: PhotometryModel
    library: SSPLibrary
    effective_wavelength: FloatArray
    bandwidth: FloatArray
    options: SFHPhotometryOptions
    filters: tuple[Filter, ...]

    def spectrum(self, parameters: ParameterValues, amplitude: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the model SED of the first point at the library's own sampling, and at that of the dust's emission.

        Returns
        -------
        wavelength : ndarray, shape (n_wave,)
            Observed frame, Angstrom.
        flux : ndarray, shape (n_wave,)
            erg/s/cm2/Hz.
        """
        _, weights = self.model.population.weights(parameters)
        library, options = self.library, self.options
        rest = library.wavelength
        if self.model.light is not None:
            _, whole = prepare_light(options, library, self.filters, whole=True)
            assert whole is not None
            rest = spectrum_grid(whole)
            luminosity = whole.spectrum(parameters, weights, rest)
        else:
            luminosity = weights[0] @ library.flux.reshape(-1, library.flux.shape[-1])
        if self.model.dusty and self.model.light is None:
            curve = attenuation_curve(options.extinction_law, library.wavelength, options.r_v, beyond=True)
            luminosity = luminosity * 10 ** (-0.4 * parameters["dust.extinction", "a_v"][0] * curve)
        wavelength = rest * (1 + options.redshift)
        factor = flux_per_luminosity(options.redshift, options.h0, options.omega_m, options.distance_mpc)
        luminosity = luminosity * on_the_way(options, wavelength)
        return wavelength, amplitude[0] * factor * luminosity * wavelength**2 / SPEED_OF_LIGHT_ANGSTROM


def prepare_photometry_fit(options: SFHPhotometryOptions) -> PhotometryFit:
    """Read the photometry and prepare its model.

    Raises
    ------
    DataError, LibraryError
        If the table, a filter or the SSP library cannot be used.
    """
    photometry = read_photometry(
        options.input_photometry, flux_units=options.flux_units, redshift=options.redshift
    )
    filters = [load_filter(name) for name in photometry.filter_names]
    library = require_mass_scale(library_of(options), "photometry")
    dusty = options.extinction_law is not None
    table, light = prepare_light(options, library, filters)
    today = float(age_of_universe(options.redshift, options.h0, options.omega_m))
    sfh = options.history(today)
    model = PhotometryModel(
        population=StellarPopulation.of_library(sfh, library),
        table=table,
        photometry=photometry,
        dusty=dusty,
        amplitude_mode=options.amplitude,
        noise=band_noise(options, photometry.flux, photometry.uncertainty),
        light=light,
    )
    return PhotometryFit(
        model=model,
        library=library,
        effective_wavelength=np.array([f.effective_wavelength for f in filters]),
        bandwidth=np.array([f.bandwidth for f in filters]),
        options=options,
        filters=tuple(filters),
    )
