"""Whether data, SSP library and options go together, seen before any sampler starts."""

from __future__ import annotations

from typing import Any

import numpy as np

from orchestrator.config.index_options import EquivalentWidthFitOptions
from orchestrator.config.photometry_options import SFHPhotometryOptions
from orchestrator.config.redshift_options import SpectraRedshiftFitOptions
from orchestrator.errors import DataError
from orchestrator.forward_model.derived import check_light_range
from orchestrator.forward_model.dust_model import check_no_emission, young_stars
from orchestrator.forward_model.index_fit import require_known_resolution
from orchestrator.forward_model.pixels import fitted_pixels, model_grid
from orchestrator.forward_model.redshift_setup import look_at_redshift_spectrum
from orchestrator.forward_model.spectrum_fit import library_of, observed_spectrum, selected_pixels
from orchestrator.observation.filters import load_filter
from orchestrator.observation.read_photometry import read_photometry
from orchestrator.physics.photometry import band_flux_weights
from orchestrator.ssp_libraries.library import SSPLibrary
from orchestrator.ssp_libraries.mass_scale import require_mass_scale

__all__ = ["look_at_model", "look_at_spectrum"]

_FAR_INFRARED = 1e8
"""Angstrom, to which spectra are continued where dust emits."""


def look_at_spectrum(options: Any) -> None:
    """Read a spectrum and apply range, masks and the ends of the SSP library.

    Parameters
    ----------
    options : Options
        Of a module with a spectrum.

    Raises
    ------
    DataError, LibraryError
        If it cannot be read or no pixel is left.
    """
    if isinstance(options, SpectraRedshiftFitOptions):
        look_at_redshift_spectrum(options)
        return
    spectrum = observed_spectrum(options)
    if isinstance(options, EquivalentWidthFitOptions):
        require_known_resolution(spectrum, options)
    keep = selected_pixels(options, spectrum)
    library = library_of(options)
    inside = np.flatnonzero(keep)
    rest = spectrum.rest_wavelength[inside[0] : inside[-1] + 1]
    ends = (float(library.wavelength[0]), float(library.wavelength[-1]))
    name = options.input_spectrum.name
    pixels = fitted_pixels(spectrum, keep, model_grid(rest, options.velscale, ends, name), name)
    check_no_emission(options, float(pixels.wavelength[-1]))
    bounds = getattr(options, "legendre_bounds", None)
    first, last = float(pixels.wavelength[0]), float(pixels.wavelength[-1])
    if bounds is not None and not (bounds[0] < last and first < bounds[1]):
        msg = (
            f"legendre_bounds {bounds[0]:g}-{bounds[1]:g} A are outside the fitted range of {name}, {first:.0f}-"
            f"{last:.0f} A (rest frame), where the polynomial would have no bounds; leave them out"
        )
        raise DataError(msg)


def look_at_model(options: Any) -> None:
    """Check an SSP library against the options that need something of it.

    Parameters
    ----------
    options : Options
        Of a module with SSPs.

    Raises
    ------
    DataError, LibraryError
        If it lacks a mass scale, young stars, or the wavelengths of a band or of the derived light.
    """
    library = library_of(options)
    if getattr(options, "light_range", None) is not None:
        check_light_range(library, options.light_range)
    if getattr(options, "birth_cloud", False):
        young_stars(options, library.log10_age_yr)
    if isinstance(options, SFHPhotometryOptions):
        _look_at_bands(options, require_mass_scale(library, "photometry"))


def _look_at_bands(options: SFHPhotometryOptions, library: SSPLibrary) -> None:
    """Require a library that covers the bands; dust continues it to the infrared."""
    observed = library.wavelength * (1 + options.redshift)
    if options.dust_emission:
        observed = np.append(observed, max(_FAR_INFRARED, 2 * observed[-1]))
    names = read_photometry(options.input_photometry, flux_units=options.flux_units, redshift=options.redshift)
    for band in map(load_filter, names.filter_names):
        band_flux_weights(observed, band.wavelength, band.transmission, band.name)
