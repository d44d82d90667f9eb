"""The spectrum that a module fits: read, cleaned of cosmic rays, masked, and on the grid that was asked for.

All is decided here, in set-up, from the data and the options alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.config.spectrum_options import SpectrumOptions
from orchestrator.errors import DataError
from orchestrator.forward_model.emission_lines import EmissionLineMeasurements, measure_emission_lines
from orchestrator.forward_model.sigma_clipping import clip_cosmic_rays
from orchestrator.observation.line_list import keep_listed_lines, read_line_list
from orchestrator.observation.log_rebinning import NoiseCorrelation, rebin_to_log
from orchestrator.observation.masks import keep_emission_lines, keep_sky_lines, keep_telluric
from orchestrator.observation.read_spectrum import read_spectrum
from orchestrator.observation.spectrum import Spectrum

__all__ = ["measure_lines_of_fit", "observed_spectrum", "selected_pixels"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def observed_spectrum(options: SpectrumOptions) -> Spectrum:
    """Read the spectrum that the options name, clip cosmic rays, and rebin it if asked to.

    Raises
    ------
    DataError
        If the file, its units or its pixels cannot be used.
    """
    spectrum = read_spectrum(
        options.input_spectrum,
        row=options.input_spectrum_row,
        file_format=options.input_spectrum_format,
        wl_units=options.wl_units,
        flux_units=options.flux_units,
        medium=options.wl_medium,
        mask=options.mask,
        lsf=options.lsf,
        redshift=options.redshift,
    )
    if options.sigma_clip is not None:
        spectrum = clip_cosmic_rays(spectrum, options.sigma_clip, options.sigma_clip_window)
    if options.fit_grid == "native":
        return spectrum
    # Masked pixels go before the rebinning, which would spread them; the gas is measured later, and stays.
    return rebin_to_log(spectrum, options.velscale, _outside_sky_and_list(options, spectrum))


def selected_pixels(options: SpectrumOptions, spectrum: Spectrum) -> BoolArray:
    """Return which pixels the range and the masks of the options keep, shape (n_wave,).

    Raises
    ------
    DataError
        If the range holds no pixel of the spectrum, or nothing good is left.
    """
    rest = spectrum.rest_wavelength
    keep = np.ones(len(rest), dtype=bool)
    if options.wl_range is not None:
        low, high = options.wl_range
        keep &= (rest >= low) & (rest <= high)
        if not keep.any():
            msg = (
                f"wlRange {low:g}-{high:g} A (rest frame) holds no pixel of {options.input_spectrum}, which covers "
                f"{rest[0]:.1f}-{rest[-1]:.1f} A at redshift {spectrum.redshift:g}"
            )
            raise DataError(msg)
    if options.mask_emission_lines:
        # A rebinned pixel holds light from as far away as this.
        half_width = options.emission_line_half_width + float(spectrum.meta.get("reach_kms", 0.0))
        keep &= keep_emission_lines(spectrum.wavelength, redshift=spectrum.redshift, half_width_kms=half_width)
    keep &= _outside_sky_and_list(options, spectrum)
    if not (keep & spectrum.good_pixels).any():
        msg = (
            f"range and masks leave no good pixel of {options.input_spectrum}: {int(spectrum.good_pixels.sum())} of "
            f"{len(rest)} pixels are good and {int(keep.sum())} are kept; widen wlRange or the masks"
        )
        raise DataError(msg)
    return keep


def measure_lines_of_fit(
    spectrum: Spectrum,
    options: SpectrumOptions,
    covered: BoolArray,
    stellar_model: FloatArray,
    *,
    noise_factor: float | FloatArray = 1.0,
    velocity: float = 0.0,
    **choices: Any,
) -> EmissionLineMeasurements:
    """Measure the emission lines that a fit of the stars leaves.

    Pixels that were masked as emission lines are used; those masked as sky, as telluric bands, by the user's
    list, or as bad, are not. Where rebinning correlated the noise, errors are enlarged for it.

    Parameters
    ----------
    spectrum : Spectrum
    options : SpectrumOptions
        The masks.
    covered : ndarray of bool (n_wave,)
        Pixels that the model covers.
    stellar_model : ndarray (n_covered,)
        Best model [erg/s/cm2/Angstrom].
    noise_factor : float or ndarray (n_covered,)
        By which the fit enlarged the uncertainties.
    velocity : float
        Of the stars [km/s], about which the gas is looked for.
    **choices
        Further arguments of `measure_emission_lines`: ``lines``, ``kinematics``, ``dispersion``,
        ``detection``.

    Returns
    -------
    EmissionLineMeasurements
    """
    good = spectrum.good_pixels & _outside_sky_and_list(options, spectrum)
    correlation = spectrum.meta.get("noise_correlation")
    if isinstance(correlation, NoiseCorrelation):
        noise_factor = noise_factor * correlation.error_factor
    with np.errstate(divide="ignore"):
        uncertainty = 1.0 / np.sqrt(spectrum.inverse_variance * spectrum.weights)
    return measure_emission_lines(
        spectrum.wavelength[covered],
        spectrum.flux[covered],
        uncertainty[covered],
        stellar_model,
        redshift=spectrum.redshift,
        good_pixels=good[covered],
        lsf_fwhm=None if spectrum.lsf_fwhm is None else spectrum.lsf_fwhm[covered],
        noise_factor=noise_factor,
        velocity=velocity,
        name=spectrum.name,
        **choices,
    )


def _outside_sky_and_list(options: SpectrumOptions, spectrum: Spectrum) -> BoolArray:
    """Return the pixels outside the masks that do not mean the gas of the galaxy."""
    keep = np.ones(spectrum.wavelength.shape, dtype=bool)
    if options.mask_sky_lines:
        keep &= keep_sky_lines(spectrum.wavelength, pad=options.sky_line_pad)
    if options.mask_telluric:
        keep &= keep_telluric(spectrum.wavelength, pad=options.telluric_pad)
    if options.mask_lines_file is not None:
        intervals = read_line_list(options.mask_lines_file)
        keep &= keep_listed_lines(spectrum.wavelength, intervals, spectrum.redshift)
    return keep
