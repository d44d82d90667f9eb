"""Whether anything of a spectrum is left to fit, seen before any sampler starts."""

from __future__ import annotations

from typing import Any

import numpy as np

from orchestrator.config.redshift_options import SpectraRedshiftFitOptions
from orchestrator.forward_model.pixels import fitted_pixels, model_grid
from orchestrator.forward_model.redshift_setup import look_at_redshift_spectrum
from orchestrator.forward_model.spectrum_fit import library_of, observed_spectrum, selected_pixels

__all__ = ["look_at_spectrum"]


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
    keep = selected_pixels(options, spectrum)
    library = library_of(options)
    inside = np.flatnonzero(keep)
    rest = spectrum.rest_wavelength[inside[0] : inside[-1] + 1]
    ends = (float(library.wavelength[0]), float(library.wavelength[-1]))
    name = options.input_spectrum.name
    fitted_pixels(spectrum, keep, model_grid(rest, options.velscale, ends, name), name)
