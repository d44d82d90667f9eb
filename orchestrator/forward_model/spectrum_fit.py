"""From the options of a spectral module to its model: read, select, prepare.

This is the set-up of ``FullSpectralFit`` and ``SFHSpectra``, and the first half of that of ``KinDust``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from orchestrator.config.spectrum_options import (
    DustOptions,
    FullSpectralFitOptions,
    NoiseOptions,
    SFHSpectraOptions,
    SpectrumOptions,
    SSPOptions,
)
from orchestrator.errors import ConfigError
from orchestrator.forward_model.data_noise import only_beta, pixel_noise
from orchestrator.forward_model.dust_model import foreground_transmission, prepare_dust_model
from orchestrator.forward_model.general_spectrum import Dust, GeneralSpectrumModel
from orchestrator.forward_model.kinematic_resolution import KinematicResolution, kinematic_resolution
from orchestrator.forward_model.observed_spectrum import observed_spectrum, selected_pixels
from orchestrator.forward_model.pixels import FittedPixels, ModelGrid, fitted_pixels, model_grid
from orchestrator.forward_model.prepared_templates import prepare_templates
from orchestrator.forward_model.stellar_population import StellarPopulation
from orchestrator.forward_model.stellar_spectrum import (
    StellarSpectrumModel,
    fix_kinematics_and_dust,
    prepare_stellar_spectrum,
)
from orchestrator.observation.read_spectrum import read_two_columns
from orchestrator.observation.spectrum import Spectrum
from orchestrator.physics.attenuation import attenuation_curve
from orchestrator.physics.constants import CM_PER_MEGAPARSEC, SOLAR_LUMINOSITY
from orchestrator.physics.cosmology import age_of_universe, luminosity_distance_cm
from orchestrator.ssp_libraries.library import SSPLibrary
from orchestrator.ssp_libraries.load import load_library
from orchestrator.ssp_libraries.mass_scale import warn_without_mass_scale

__all__ = ["SpectrumFit", "flux_per_luminosity", "observed_spectrum", "prepare_spectrum_fit", "selected_pixels"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

TEN_PARSEC_CM = CM_PER_MEGAPARSEC * 1e-5


@dataclass(frozen=True)
class SpectrumFit:
    """A spectrum and the model prepared for it.

    Attributes
    ----------
    spectrum : Spectrum
    model : StellarSpectrumModel or GeneralSpectrumModel
        The general one where an option asks for what the plain one cannot express.
    resolution : KinematicResolution
        What dispersion data and templates can show.
    """

    spectrum: Spectrum
    model: StellarSpectrumModel | GeneralSpectrumModel
    resolution: KinematicResolution

    @property
    def covered_wavelength(self) -> FloatArray:
        """Rest wavelength of the pixels that the model covers, Angstrom, shape (n_covered,)."""
        return self.spectrum.rest_wavelength[self.model.pixels.covered]


def flux_per_luminosity(redshift: float, h0: float, omega_m: float, distance_mpc: float | None) -> float:
    """Return erg/s/cm2/Angstrom (observed) per Lsun/Angstrom (rest), ``L_sun / (4 pi d_L^2 (1 + z))``.

    Without a redshift or a distance the object is put at 10 pc, and the stellar mass is that of 10 pc.
    """
    if distance_mpc is not None:
        distance = distance_mpc * CM_PER_MEGAPARSEC
    elif redshift > 0:
        distance = float(luminosity_distance_cm(redshift, h0, omega_m))
    else:
        logger.warning("redshift %g gives no distance: the stellar mass is for 10 pc; set distance_mpc", redshift)
        distance = TEN_PARSEC_CM
    return SOLAR_LUMINOSITY / (4 * np.pi * distance**2 * (1 + redshift))


def library_of(options: SSPOptions) -> SSPLibrary:
    """Load the SSP library that the options name."""
    return load_library(options.ssp_model, options.ssp_dir, options.ssp_model_args)


def data_lsf_on(wavelength: FloatArray, spectrum: Spectrum) -> FloatArray | None:
    """Return the FWHM of the data's LSF in the rest frame at `wavelength`, Angstrom; None if not known."""
    fwhm = spectrum.lsf_fwhm_rest
    return None if fwhm is None else np.interp(wavelength, spectrum.rest_wavelength, fwhm)


def dust_curves(
    options: DustOptions, good: FloatArray, covered: FloatArray
) -> tuple[FloatArray, FloatArray] | None:
    """Return A(lambda) / A_V at two sets of rest wavelengths; None without a law."""
    if options.extinction_law is None:
        return None
    law, r_v = options.extinction_law, options.r_v
    return attenuation_curve(law, good, r_v), attenuation_curve(law, covered, r_v)


def with_ssp_lsf(library: SSPLibrary, options: SpectrumOptions) -> SSPLibrary:
    """Replace the resolution of the library by that of the file ``SSPLSF``."""
    if options.ssp_lsf is None:
        return library
    wavelength, fwhm = read_two_columns(options.ssp_lsf)
    return replace(library, lsf_fwhm=np.interp(library.wavelength, wavelength, fwhm))


def prepare_spectrum_fit(options: FullSpectralFitOptions | SFHSpectraOptions) -> SpectrumFit:
    """Read the data and prepare the model of a spectral module.

    Raises
    ------
    DataError, LibraryError, ConfigError
        If the data, the SSP library or the options cannot be used.
    """
    spectrum = observed_spectrum(options)
    keep = selected_pixels(options, spectrum)
    library = with_ssp_lsf(warn_without_mass_scale(library_of(options)), options)
    name = options.input_spectrum.name
    rest = spectrum.rest_wavelength
    template_range = (float(library.wavelength[0]), float(library.wavelength[-1]))
    inside = np.flatnonzero(keep)
    grid = model_grid(rest[inside[0] : inside[-1] + 1], options.velscale, template_range, name)
    pixels = fitted_pixels(spectrum, keep, grid, name)
    today = float(age_of_universe(options.redshift, options.h0, options.omega_m))
    sfh = options.history(today)
    population = StellarPopulation.of_library(sfh, library)
    covered = rest[pixels.covered]
    ages = np.tile(library.log10_age_yr, len(library.metallicity))
    dust: Dust | None = prepare_dust_model(options, ages, pixels.wavelength, covered, options.redshift)
    templates = prepare_templates(
        library,
        grid,
        lsf_fwhm=data_lsf_on(grid.wavelength, spectrum),
        # The light of young and of old stars alone is none of the histories that a basis is made for.
        compression_error=0.0 if dust is not None and dust.young is not None else options.ssp_compression_error,
        population=population,
        signal_to_noise=_signal_to_noise(pixels, grid, options),
    )
    model = prepare_stellar_spectrum(
        population,
        pixels,
        templates,
        attenuation=dust_curves(options, pixels.wavelength, covered) if dust is None else None,
        legendre_degree=options.legendre_deg,
        legendre_bounds=options.legendre_bounds,
        legendre_scale=options.legendre_scale,
        covered_wavelength=covered,
        polynomial_mode=options.legendre_mode,
        amplitude_mode=options.amplitude,
        flux_per_luminosity=flux_per_luminosity(
            options.redshift, options.h0, options.omega_m, options.distance_mpc
        ),
        sampled_noise=options.noise_model is not None and only_beta(options),
        foreground=_foreground(options, spectrum, pixels),
    )
    if isinstance(options, SFHSpectraOptions):
        model = _with_fixed_kinematics(model, options)
    resolution = kinematic_resolution(spectrum, library, pixels.wavelength)
    if dust is None and only_beta(options):
        return SpectrumFit(spectrum=spectrum, model=model, resolution=resolution)
    return SpectrumFit(spectrum, _general(model, options, spectrum, dust), resolution)


def _foreground(
    options: SpectrumOptions, spectrum: Spectrum, pixels: FittedPixels
) -> tuple[FloatArray, FloatArray] | None:
    """Return what the dust of the Galaxy lets pass on the fitted and on the covered pixels."""
    passed = foreground_transmission(options, spectrum.wavelength)
    return None if passed is None else (passed[pixels.good_pixels], passed[pixels.covered])


def _signal_to_noise(pixels: FittedPixels, grid: ModelGrid, options: NoiseOptions) -> float:
    """Return the root-mean-square ratio per pixel of the grid; room for a sampled factor of 4 on the weights."""
    total = float((pixels.flux**2 * pixels.inverse_variance).sum())
    return float(np.sqrt(total / len(grid.wavelength))) * (1.0 if options.noise_model is None else 2.0)


def _general(
    base: StellarSpectrumModel, options: NoiseOptions, spectrum: Spectrum, dust: Dust | None
) -> GeneralSpectrumModel:
    """Return the model for noise or dust that the plain one cannot express."""
    pixels = base.pixels
    noise = pixel_noise(options, pixels, spectrum.redshift)
    covered = spectrum.rest_wavelength[pixels.covered]
    level = np.interp(covered, pixels.wavelength, noise.level)
    return GeneralSpectrumModel(base=replace(base, parabola_table=None), noise=noise, covered_level=level, dust=dust)


def _with_fixed_kinematics(model: StellarSpectrumModel, options: SFHSpectraOptions) -> StellarSpectrumModel:
    if options.los_sigma is None:
        msg = (
            "[SFHSpectra] los_sigma is missing: give it as an option, or run a stage with kinematics first "
            "(its best fit is handed over)"
        )
        raise ConfigError(msg)
    fixed = {
        ("kinematics", "los_vel"): np.array([options.los_vel]),
        ("kinematics", "los_sigma"): np.array([options.los_sigma]),
        ("kinematics", "los_h3"): np.array([options.los_h3]),
        ("kinematics", "los_h4"): np.array([options.los_h4]),
        ("dust.extinction", "a_v"): np.array([options.a_v]),
    }
    return fix_kinematics_and_dust(model, fixed)
