"""From the options of EquivalentWidthFit to its model: read or measure the indices, integrate the SSPs."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.config.index_options import EquivalentWidthFitOptions
from orchestrator.errors import ConfigError, DataError
from orchestrator.forward_model.index_light import IndexPixels, gas_emission, light_of_ssps, why_not_in
from orchestrator.forward_model.index_model import IndexData, IndexModel
from orchestrator.forward_model.index_table import index_table
from orchestrator.forward_model.spectrum_fit import (
    library_of,
    observed_spectrum,
    selected_pixels,
    with_ssp_lsf,
)
from orchestrator.forward_model.stellar_population import StellarPopulation
from orchestrator.observation.line_indices import lick_fwhm, line_indices, read_indices
from orchestrator.observation.spectrum import Spectrum
from orchestrator.physics.constants import FWHM_PER_SIGMA, SPEED_OF_LIGHT_KMS
from orchestrator.physics.cosmology import age_of_universe
from orchestrator.physics.index_bands import measure_indices
from orchestrator.physics.line_indices import IndexSet, LineIndex
from orchestrator.physics.lsf import lsf_difference
from orchestrator.physics.wavelength import log_wavelength_grid, pixel_edges
from orchestrator.ssp_libraries.library import SSPLibrary

__all__ = ["IndexFit", "prepare_index_fit", "require_known_resolution"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

A_V_MAX = 5.0
"""mag; the table of band integrals holds up to here."""
_TABLE_STEP_KMS = 20.0  # pixels of the model where the data are a table
_LOW_SIGNAL = 5.0
_GAP = 1.4  # step between pixels over both its neighbours, from which pixels are taken to be missing


@dataclass(frozen=True)
class IndexFit:
    """Indices and the model prepared for them.

    Attributes
    ----------
    model : IndexModel
    library : SSPLibrary
    not_measured : tuple of (str, str)
        Indices asked for that are not fitted, and why.
    name : str
        Of the data.
    """

    model: IndexModel
    library: SSPLibrary
    not_measured: tuple[tuple[str, str], ...]
    name: str


def prepare_index_fit(options: EquivalentWidthFitOptions) -> IndexFit:
    """Read the data and prepare the model.

    Raises
    ------
    DataError, LibraryError, ConfigError
        If the data, the SSP library or the options cannot be used.
    """
    if options.los_sigma is None:
        msg = (
            "[EquivalentWidthFit] los_sigma is missing: give it as an option (0 for indices corrected to no "
            "dispersion), or run a stage with kinematics first (its best fit is handed over)"
        )
        raise ConfigError(msg)
    library = with_ssp_lsf(library_of(options), options)
    if options.input_indices is not None:
        indices, values, covariance, reasons, pixels = _from_table(options)
        path = options.input_indices
    else:
        assert options.input_spectrum is not None
        indices, values, covariance, reasons, pixels = _from_spectrum(options)
        path = options.input_spectrum
    reasons = [reason or why_not_in(library, index, pixels) for reason, index in zip(reasons, indices, strict=True)]
    kept = [i for i, reason in enumerate(reasons) if not reason]
    not_measured = tuple((indices[i].name, reason) for i, reason in enumerate(reasons) if reason)
    for name, reason in not_measured:
        logger.warning("%s: %s is not fitted: %s", path.name, name, reason)
    if not kept:
        listed = "; ".join(f"{name}: {reason}" for name, reason in not_measured)
        msg = f"{path.name}: none of the indices can be used ({listed})"
        raise DataError(msg)
    index_set = IndexSet.of([indices[i] for i in kept])
    covariance = covariance[np.ix_(kept, kept)] + np.diag(_floor(options, index_set) ** 2)
    light = light_of_ssps(library, index_set, pixels, options)
    gas = gas_emission(library, index_set, pixels, options, [reason for _, reason in not_measured])
    a_v_max = 0.0 if options.extinction_law is None else A_V_MAX
    today = float(age_of_universe(options.redshift, options.h0, options.omega_m))
    sfh = options.history(today)
    model = IndexModel(
        population=StellarPopulation.of_library(sfh, library),
        table=index_table(index_set, light, gas, a_v_max),
        data=IndexData.of(index_set.names, values[kept], covariance),
        dusty=options.extinction_law is not None,
        gas_extinction=options.gas_extinction,
    )
    row = options.input_spectrum_row
    name = path.name if row is None else f"{path.name} row {row}"
    return IndexFit(model=model, library=library, not_measured=not_measured, name=name)


_Source = tuple[list[LineIndex], FloatArray, FloatArray, list[str], IndexPixels]


def _from_table(options: EquivalentWidthFitOptions) -> _Source:
    """Take the indices of a table, and pixels fine enough not to matter."""
    assert options.input_indices is not None
    table = read_indices(options.input_indices)
    missing = [name for name in options.ew_names if name not in table.names]
    if missing:
        msg = (
            f"{options.input_indices.name} has no {', '.join(missing)}, which ew_names asks for; it has "
            f"{', '.join(table.names)}"
        )
        raise DataError(msg)
    rows = [table.names.index(name) for name in options.ew_names] or list(range(len(table.names)))
    indices = [line_indices()[table.names[row]] for row in rows]
    low, high = min(i.limits[0] for i in indices), max(i.limits[1] for i in indices)
    edges = pixel_edges(log_wavelength_grid(low * 0.97, high * 1.03, _TABLE_STEP_KMS))
    centres = 0.5 * (edges[1:] + edges[:-1])
    pixels = IndexPixels(edges, _wanted_fwhm(options, centres))
    return indices, table.values[rows], np.diag(table.errors[rows] ** 2), [""] * len(rows), pixels


def _from_spectrum(options: EquivalentWidthFitOptions) -> _Source:
    """Measure the indices of a spectrum."""
    spectrum = observed_spectrum(options)
    good = selected_pixels(options, spectrum) & spectrum.good_pixels & ~_beside_gaps(spectrum.wavelength)
    doppler = np.exp(options.los_vel / SPEED_OF_LIGHT_KMS)
    edges = pixel_edges(spectrum.rest_wavelength) / doppler
    centres = 0.5 * (edges[1:] + edges[:-1])
    own = None if spectrum.lsf_fwhm_rest is None else spectrum.lsf_fwhm_rest / doppler
    wanted = _wanted_fwhm(options, centres)
    smoothing, target = None, own
    if wanted is not None:
        smoothing, target = _smoothing(spectrum, own, wanted, np.diff(edges), options)
    indices = [line_indices()[name] for name in options.index_names]
    with np.errstate(divide="ignore"):
        variance = np.where(good, 1.0 / (spectrum.inverse_variance * spectrum.weights), 0.0)
    measured = measure_indices(indices, edges, spectrum.flux, variance, good, smoothing)
    poor = [i.name for i, s in zip(indices, measured.continuum_signal_to_noise, strict=True) if s < _LOW_SIGNAL]
    if poor:
        logger.warning(
            "%s: a continuum band of %s has a signal-to-noise ratio below %g; errors of an index are to first order "
            "in the noise and too small there",
            spectrum.name, ", ".join(poor), _LOW_SIGNAL,
        )  # fmt: skip
    pixels = IndexPixels(edges, target)
    return indices, measured.values, measured.covariance, list(measured.reasons), pixels


def _beside_gaps(wavelength: FloatArray) -> NDArray[np.bool_]:
    """Return which pixels have missing neighbours, so that their width is not known, shape (n_wave,)."""
    step = np.diff(wavelength)
    neighbours = np.maximum(np.concatenate([step[1:], step[-1:]]), np.concatenate([step[:1], step[:-1]]))
    gap = step > _GAP * neighbours
    return np.concatenate([gap, [False]]) | np.concatenate([[False], gap])


def _wanted_fwhm(options: EquivalentWidthFitOptions, wavelength: FloatArray) -> FloatArray | None:
    """Return the resolution that the options ask for; None for that of the data."""
    if options.index_resolution == "data":
        return None
    if options.index_resolution == "lick":
        return lick_fwhm(wavelength)
    return np.full(len(wavelength), float(options.index_resolution))


def require_known_resolution(spectrum: Spectrum, options: EquivalentWidthFitOptions) -> None:
    """Require a known line-spread function where indices are brought to a resolution.

    Raises
    ------
    DataError
        If it is not known.
    """
    if options.index_resolution != "data" and spectrum.lsf_fwhm is None:
        msg = (
            f"index_resolution = {options.index_resolution}: the line-spread function of {spectrum.name} is not "
            "known; give it with lsf, or set index_resolution = data"
        )
        raise DataError(msg)


def _smoothing(
    spectrum: Spectrum,
    own: FloatArray | None,
    wanted: FloatArray,
    width: FloatArray,
    options: EquivalentWidthFitOptions,
) -> tuple[FloatArray, FloatArray]:
    """Return the dispersion in pixels that takes the data to the resolution wanted, and the FWHM reached."""
    require_known_resolution(spectrum, options)
    assert own is not None
    needed, coarse = lsf_difference(wanted, own)
    if coarse:
        logger.warning(
            "%s is coarser than index_resolution = %s in %d of %d pixels; the model is brought to the data there",
            spectrum.name, options.index_resolution, coarse, len(width),
        )  # fmt: skip
    return needed / FWHM_PER_SIGMA / width, np.maximum(wanted, own)


def _floor(options: EquivalentWidthFitOptions, index_set: IndexSet) -> FloatArray:
    floors = {
        "Angstrom": options.ew_error_floor, "mag": options.mag_error_floor, "ratio": options.break_error_floor
    }  # fmt: skip
    return np.array([floors[unit] for unit in index_set.units])
