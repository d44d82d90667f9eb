"""From the options of SpectraRedshiftFit to its model: read, select, prepare."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.config.redshift_options import SpectraRedshiftFitOptions
from orchestrator.forward_model.observed_spectrum import observed_spectrum, selected_pixels
from orchestrator.forward_model.redshift_continuum import SplineContinuum, spline_continuum, without_bright_lines
from orchestrator.forward_model.redshift_grid import RedshiftGrid, pixels_for_all_redshifts, redshift_grid
from orchestrator.forward_model.redshift_likelihood import (
    RedshiftLikelihood,
    features_likelihood,
    polynomial_likelihood,
)
from orchestrator.forward_model.redshift_model import RedshiftModel
from orchestrator.forward_model.redshift_nodes import redshift_nodes
from orchestrator.forward_model.redshift_sums import ShiftWindow, pixel_sums
from orchestrator.forward_model.redshift_templates import prepare_redshift_templates
from orchestrator.forward_model.spectrum_fit import TEN_PARSEC_CM, dust_curves, library_of, with_ssp_lsf
from orchestrator.observation.spectrum import Spectrum
from orchestrator.physics.constants import CM_PER_MEGAPARSEC, SOLAR_LUMINOSITY, SPEED_OF_LIGHT_KMS
from orchestrator.physics.cosmology import age_of_universe, luminosity_distance_cm
from orchestrator.ssp_libraries.mass_scale import warn_without_mass_scale

__all__ = ["RedshiftFit", "look_at_redshift_spectrum", "prepare_redshift_fit"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

_MARGIN = 5  # trial redshifts on either side of a window, for interpolation


@dataclass(frozen=True)
class RedshiftFit:
    """A spectrum and the model prepared for a range of redshifts.

    Attributes
    ----------
    spectrum : Spectrum
    good_pixels : ndarray of bool, shape (n_wave,)
        Fitted at every trial redshift.
    model : RedshiftModel
    continuum : SplineContinuum or None
        With ``use_features``.
    library_name : str
    lsf_error : float
        Relative error of the dispersion of lines that the range of redshifts brings.
    """

    spectrum: Spectrum
    good_pixels: NDArray[np.bool_]
    model: RedshiftModel
    continuum: SplineContinuum | None
    library_name: str
    lsf_error: float

    @property
    def covered(self) -> NDArray[np.bool_]:
        """Pixels from the first to the last fitted one, masked ones included, shape (n_wave,)."""
        inside = np.flatnonzero(self.good_pixels)
        covered = np.zeros(len(self.good_pixels), dtype=bool)
        covered[inside[0] : inside[-1] + 1] = True
        return covered

    @property
    def covered_position(self) -> FloatArray:
        """Places of the covered pixels on the observed grid, shape (n_covered,)."""
        grid = self.model.grid
        wavelength = self.spectrum.wavelength[self.covered]
        place = np.log(wavelength / wavelength[0]) / grid.step + grid.position[0]
        return np.rint(place) if grid.aligned else place


def _selection(options: SpectraRedshiftFitOptions) -> tuple[Spectrum, NDArray[np.bool_]]:
    """Return the spectrum and the pixels to fit."""
    plain = options.model_copy(update={"mask_emission_lines": False})  # that mask would need the redshift
    spectrum = observed_spectrum(plain)
    keep = selected_pixels(plain, spectrum)
    library = library_of(options)
    ends = (float(library.wavelength[0]), float(library.wavelength[-1]))
    name = options.input_spectrum.name
    good = pixels_for_all_redshifts(spectrum, keep, (options.z_min, options.z_max), ends, name)
    if not options.mask_emission_lines:
        return spectrum, good
    kept = without_bright_lines(
        spectrum.wavelength[good], spectrum.flux[good], (spectrum.inverse_variance * spectrum.weights)[good],
        options.emission_line_clip, options.emission_line_half_width,
    )  # fmt: skip
    logger.info(
        "%s: %d of %d pixels are masked as emission lines (mask_emission_lines)", name, int((~kept).sum()), len(kept)
    )
    inside = np.flatnonzero(good)
    good[inside[~kept]] = False
    return spectrum, good


def look_at_redshift_spectrum(options: SpectraRedshiftFitOptions) -> None:
    """Raise if the spectrum cannot be read, or no pixel is left at every trial redshift.

    Raises
    ------
    DataError, LibraryError
    """
    _selection(options)


def prepare_redshift_fit(options: SpectraRedshiftFitOptions) -> RedshiftFit:
    """Read the data and prepare the model of SpectraRedshiftFit.

    Raises
    ------
    DataError, LibraryError, ConfigError
        If the data, the SSP library or the options cannot be used.
    """
    spectrum, good = _selection(options)
    library = with_ssp_lsf(warn_without_mass_scale(library_of(options)), options)
    wavelength, flux = spectrum.wavelength[good], spectrum.flux[good]
    inverse_variance = spectrum.inverse_variance[good] * spectrum.weights[good]
    z_range = (options.z_min, options.z_max)
    grid = redshift_grid(wavelength, z_range, options.velscale, options.z_step, options.input_spectrum.name)
    ages = [float(age_of_universe(z, options.h0, options.omega_m)) for z in z_range]
    age_shift, lsf_shift, lsf_error = redshift_nodes(
        grid, (ages[0], ages[1]), spectrum, wavelength, options.los_sigma
    )
    templates = prepare_redshift_templates(
        library,
        options.history(ages[1]),
        grid,
        spectrum,
        age_shift=age_shift,
        ages=age_of_universe(grid.redshift_at(age_shift), options.h0, options.omega_m),
        lsf_shift=lsf_shift,
        los_sigma=options.los_sigma,
        compression_error=options.ssp_compression_error,
        signal_to_noise=_signal_to_noise(flux, inverse_variance, grid, options),
    )
    continuum, likelihood = _likelihood(options, wavelength, flux, inverse_variance)
    windows = _windows(grid, len(age_shift))
    widest = max(window.last - window.first + 1 for _, window, _ in windows)
    dust = dust_curves(options, grid.rest_wavelength, grid.rest_wavelength[:2])
    model = RedshiftModel(
        templates=templates,
        grid=grid,
        likelihood=likelihood,
        sums=pixel_sums(likelihood.linear, likelihood.quadratic, grid, widest),
        windows=windows,
        curve=None if dust is None else dust[0],
        factor=_factor(options, grid),
        maximised=options.redshift_mode == "maximised",
    )
    logger.info(
        "%s: %d trial redshifts from %g to %g (%.0f km/s apart) for %d pixels; histories at %d ages of the universe, "
        "templates at %d resolutions (the dispersion of lines is right to %.1g %%)",
        options.input_spectrum.name, grid.n_trials, *z_range, grid.step * SPEED_OF_LIGHT_KMS, len(wavelength),
        len(age_shift), len(lsf_shift), 100 * lsf_error,
    )  # fmt: skip
    return RedshiftFit(spectrum, good, model, continuum, library.name, lsf_error)


def _likelihood(
    options: SpectraRedshiftFitOptions, wavelength: FloatArray, flux: FloatArray, inverse_variance: FloatArray
) -> tuple[SplineContinuum | None, RedshiftLikelihood]:
    noise = options.noise_model is not None
    if options.use_features:
        continuum = spline_continuum(
            wavelength, flux, inverse_variance, options.continuum_knot_spacing, options.continuum_sigma_clip
        )
        return continuum, features_likelihood(
            flux, inverse_variance, continuum, amplitude_mode=options.amplitude, sampled_noise=noise
        )
    return None, polynomial_likelihood(
        wavelength,
        flux,
        inverse_variance,
        degree=options.legendre_deg,
        bounds=options.legendre_bounds,
        scale=options.legendre_scale,
        mode=options.legendre_mode,
        amplitude_mode=options.amplitude,
        sampled_noise=noise,
    )


def _signal_to_noise(
    flux: FloatArray, inverse_variance: FloatArray, grid: RedshiftGrid, options: SpectraRedshiftFitOptions
) -> float:
    """Return the root-mean-square ratio per pixel of the grid; room for a sampled factor of 4 on the weights."""
    total = float((flux**2 * inverse_variance).sum())
    return float(np.sqrt(total / grid.n_observed)) * (1.0 if options.noise_model is None else 2.0)


def _windows(grid: RedshiftGrid, n_ages: int) -> tuple[tuple[ShiftWindow, ShiftWindow, float], ...]:
    """Cut the trial redshifts into windows, one between each two nodes of the age of the universe."""
    windows = []
    for part in np.array_split(np.arange(grid.n_trials), min(max(n_ages - 1, 1), grid.n_trials)):
        first, last = int(part[0]), int(part[-1])
        window = ShiftWindow(max(first - _MARGIN, 0), min(last + _MARGIN, grid.n_shifts - 1))
        windows.append((ShiftWindow(first, last), window, min(0.5 * (first + last), grid.largest_shift)))
    return tuple(windows)


def _factor(options: SpectraRedshiftFitOptions, grid: RedshiftGrid) -> Callable[[FloatArray], FloatArray]:
    """Return ``L_sun / (4 pi d_L^2 (1 + z))`` as a function of redshift; no distance is below 10 pc."""
    shift = np.arange(grid.n_shifts + 1, dtype=float)
    redshift = grid.redshift_at(shift)
    if options.distance_mpc is not None:
        distance = np.full(len(shift), options.distance_mpc * CM_PER_MEGAPARSEC)
    else:
        distance = np.maximum(luminosity_distance_cm(redshift, options.h0, options.omega_m), TEN_PARSEC_CM)
    log_distance = np.log(distance)

    def factor(z: FloatArray) -> FloatArray:
        found = np.exp(np.interp(grid.shift_of(z), shift, log_distance))
        return np.asarray(SOLAR_LUMINOSITY / (4 * np.pi * found**2 * (1 + z)))

    return factor
