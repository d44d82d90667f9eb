"""The model of a galaxy's broadband photometry, its likelihood, and its set-up from options."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.config.photometry_options import SFHPhotometryOptions
from orchestrator.forward_model.evaluation import Evaluation
from orchestrator.forward_model.spectrum_fit import flux_per_luminosity, library_of
from orchestrator.forward_model.stellar_population import StellarPopulation
from orchestrator.observation.filters import load_filter
from orchestrator.observation.photometry import Photometry
from orchestrator.observation.read_photometry import read_photometry
from orchestrator.physics.amplitude import Limits, Parabola, no_parabola, solve_amplitude
from orchestrator.physics.attenuation import attenuation_curve
from orchestrator.physics.constants import SPEED_OF_LIGHT_ANGSTROM
from orchestrator.physics.cosmology import age_of_universe
from orchestrator.physics.parameter import ParameterValues
from orchestrator.physics.photometry import BandTable, band_fluxes, ssp_band_table
from orchestrator.physics.sfh import build_sfh
from orchestrator.ssp_libraries.library import SSPLibrary

__all__ = ["PhotometryFit", "PhotometryModel", "prepare_photometry_fit"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class PhotometryModel:
    """Band fluxes of the SSPs and the photometry to compare with.

    Attributes
    ----------
    population : StellarPopulation
    table : BandTable
        f_nu of every SSP in every band per Msun, as a function of A_V.
    photometry : Photometry
    dusty : bool
        Whether ``dust.extinction/a_v`` dims the stars.
    amplitude_mode : {'profiled', 'sampled', 'marginalised'}
    sampled_noise : bool
        Whether ``noise/beta`` multiplies the inverse variance.
    """

    population: StellarPopulation
    table: BandTable
    photometry: Photometry
    dusty: bool
    amplitude_mode: str
    sampled_noise: bool

    def log_likelihood(self, parameters: ParameterValues, before: Parabola | None = None) -> Evaluation:
        """Evaluate the log-likelihood; see :meth:`StellarSpectrumModel.log_likelihood`."""
        valid, weights = self.population.weights(parameters)
        if self.dusty:
            valid = valid & (parameters["dust.extinction", "a_v"] >= 0)
        flux = self._flux_per_mass(parameters, weights)
        beta = parameters["noise", "beta"] if self.sampled_noise else np.ones(len(flux))
        valid = valid & (beta > 0)
        before = no_parabola(len(flux)) if before is None else before
        sampled = None
        if self.amplitude_mode == "sampled":
            sampled = 10.0 ** parameters["stars.sfh", "log10_stellar_mass"]
        solution = solve_amplitude(
            self.amplitude_mode,
            self._parabola(flux, np.where(beta > 0, beta, 1.0)),
            before,
            limits=self._limits(flux),
            sampled=sampled,
        )
        return Evaluation(
            log_likelihood=np.where(valid, solution.log_likelihood, -np.inf),
            amplitude=solution.amplitude,
            joint=solution.joint,
            surviving_fraction=self.population.surviving_fraction(weights),
        )

    def model_fluxes(self, parameters: ParameterValues, amplitude: FloatArray) -> FloatArray:
        """Return the model in every band, limits included, erg/s/cm2/Hz, shape (n_points, n_bands)."""
        _, weights = self.population.weights(parameters)
        return amplitude[:, None] * self._flux_per_mass(parameters, weights)

    def _flux_per_mass(self, parameters: ParameterValues, weights: FloatArray) -> FloatArray:
        n_points = len(weights)
        a_v = parameters["dust.extinction", "a_v"] if self.dusty else np.zeros(n_points)
        return band_fluxes(self.table, weights, np.maximum(a_v, 0.0))

    def _parabola(self, flux: FloatArray, beta: FloatArray) -> Parabola:
        data = self.photometry
        measured = ~(data.is_upper_limit | data.is_lower_limit)
        inverse_variance = data.uncertainty[measured] ** -2.0
        model = flux[:, measured]
        values = data.flux[measured]
        constant = 0.5 * np.log(inverse_variance / (2 * np.pi)).sum() - 0.5 * beta * (
            inverse_variance * values**2
        ).sum()
        return Parabola(
            constant=constant + 0.5 * len(values) * np.log(beta),
            slope=beta * (model @ (inverse_variance * values)),
            curvature=beta * (model**2 @ inverse_variance),
        )

    def _limits(self, flux: FloatArray) -> Limits | None:
        data = self.photometry
        limited = data.is_upper_limit | data.is_lower_limit
        if not limited.any():
            return None
        return Limits(
            model=flux[:, limited],
            value=data.flux[limited],
            uncertainty=data.uncertainty[limited],
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
    """

    model: PhotometryModel
    library: SSPLibrary
    effective_wavelength: FloatArray
    bandwidth: FloatArray
    options: SFHPhotometryOptions

    def spectrum(self, parameters: ParameterValues, amplitude: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the model SED of the first point at the library's own sampling.

        Returns
        -------
        wavelength : ndarray, shape (n_wave,)
            Observed frame, Angstrom.
        flux : ndarray, shape (n_wave,)
            erg/s/cm2/Hz.
        """
        _, weights = self.model.population.weights(parameters)
        library, options = self.library, self.options
        luminosity = weights[0] @ library.flux.reshape(-1, library.flux.shape[-1])
        if self.model.dusty:
            curve = attenuation_curve(options.extinction_law, library.wavelength, options.r_v)
            luminosity = luminosity * 10 ** (-0.4 * parameters["dust.extinction", "a_v"][0] * curve)
        wavelength = library.wavelength * (1 + options.redshift)
        factor = flux_per_luminosity(options.redshift, options.h0, options.omega_m, options.distance_mpc)
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
    library = library_of(options)
    dusty = options.extinction_law is not None
    curve = attenuation_curve(options.extinction_law, library.wavelength, options.r_v)
    n_wave = library.flux.shape[-1]
    table = ssp_band_table(
        library.wavelength,
        library.flux.reshape(-1, n_wave),
        options.redshift,
        filters,
        curve,
        flux_per_luminosity(options.redshift, options.h0, options.omega_m, options.distance_mpc),
        a_v_max=options.a_v_max,
    )
    today = float(age_of_universe(options.redshift, options.h0, options.omega_m))
    sfh = build_sfh(options.sfh_model, list(options.sfh_args), today)
    model = PhotometryModel(
        population=StellarPopulation.of_library(sfh, library),
        table=table,
        photometry=photometry,
        dusty=dusty,
        amplitude_mode=options.amplitude,
        sampled_noise=options.noise_model is not None,
    )
    return PhotometryFit(
        model=model,
        library=library,
        effective_wavelength=np.array([f.effective_wavelength for f in filters]),
        bandwidth=np.array([f.bandwidth for f in filters]),
        options=options,
    )
