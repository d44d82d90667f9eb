"""The light of SSPs and of gas in the bands of line indices, on the pixels and at the resolution of the data."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.config.index_options import EquivalentWidthFitOptions
from orchestrator.errors import ConfigError, LibraryError
from orchestrator.forward_model.index_table import GasEmission, IndexLight
from orchestrator.observation.line_indices import GAS_GROUPS, GasLine, gas_lines
from orchestrator.physics.attenuation import attenuation_curve
from orchestrator.physics.constants import FWHM_PER_SIGMA, SPEED_OF_LIGHT_KMS
from orchestrator.physics.index_bands import REACH, band_weights, line_in_pixels
from orchestrator.physics.line_indices import IndexSet, LineIndex
from orchestrator.physics.lsf import convolve_variable_gaussian, lsf_difference
from orchestrator.physics.wavelength import rebin_flux_density
from orchestrator.ssp_libraries.library import SSPLibrary

__all__ = ["IndexPixels", "gas_emission", "light_of_ssps", "why_not_in"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

_CONTINUUM = (20.0, 60.0)  # Angstrom from an emission line on either side: the continuum of its equivalent width
_WEAK = 1e-6  # response below which an emission line does not reach an index
_COARSE = 1.02


@dataclass(frozen=True)
class IndexPixels:
    """Pixels of the rest frame that the model has, and the resolution that it is brought to.

    Attributes
    ----------
    edges : ndarray, shape (n_pixels + 1,)
        Vacuum, Angstrom.
    target_fwhm : ndarray, shape (n_pixels,), or None
        Angstrom, without the dispersion of the stars; None for the resolution of the library.
    """

    edges: FloatArray
    target_fwhm: FloatArray | None

    @property
    def centres(self) -> FloatArray:
        """Angstrom, shape (n_pixels,)."""
        return 0.5 * (self.edges[1:] + self.edges[:-1])


def why_not_in(library: SSPLibrary, index: LineIndex, pixels: IndexPixels) -> str:
    """Say why the SSPs cannot give an index; empty if they can."""
    low, high = index.limits
    margin = 0.003 * low  # three dispersions of 300 km/s
    first, last = float(library.wavelength[0]), float(library.wavelength[-1])
    if low - margin < first or high + margin > last or low < pixels.edges[0] or high > pixels.edges[-1]:
        return f"it needs {low - margin:.0f}-{high + margin:.0f} A and {library.name} covers {first:.0f}-{last:.0f} A"
    return ""


def light_of_ssps(
    library: SSPLibrary, index_set: IndexSet, pixels: IndexPixels, options: EquivalentWidthFitOptions
) -> list[IndexLight]:
    """Bring the SSPs to the pixels and the resolution of the data around each index."""
    assert options.los_sigma is not None
    flux = library.flux.reshape(-1, library.flux.shape[-1])
    own = np.interp(pixels.centres, library.wavelength, library.lsf_fwhm)
    target = own if pixels.target_fwhm is None else pixels.target_fwhm
    dispersion = options.los_sigma / SPEED_OF_LIGHT_KMS * FWHM_PER_SIGMA * pixels.centres
    total = np.hypot(target, dispersion)
    needed, _ = lsf_difference(total, own)
    sigma = needed / FWHM_PER_SIGMA
    light, coarse = [], []
    for index in index_set.indices:
        window, edges = _window(index, pixels.edges, sigma, library)
        if (own[window] > _COARSE * total[window]).any():
            coarse.append(index.name)
        rebinned = rebin_flux_density(library.wavelength, flux, edges)
        broadened = convolve_variable_gaussian(rebinned, sigma[window] / np.diff(edges))
        weights = band_weights(index, edges)
        curve = attenuation_curve(options.extinction_law, pixels.centres[window], options.r_v)
        reference = float(np.average(curve, weights=np.abs(weights[:2]).sum(axis=0)))
        light.append(IndexLight(broadened, weights, curve - reference, reference))
    if coarse:
        logger.warning(
            "%s is coarser than the data (resolution and dispersion together) at %s: these lines are weaker in the "
            "model than they should be",
            library.name, ", ".join(coarse),
        )  # fmt: skip
    return light


def _window(
    index: LineIndex, edges: FloatArray, sigma: FloatArray, library: SSPLibrary
) -> tuple[slice, FloatArray]:
    """Return the pixels around an index that broadening needs, inside the library, and their edges."""
    low, high = index.limits
    inside = slice(int(np.searchsorted(edges, low)), int(np.searchsorted(edges, high)))
    reach = REACH * float(sigma[inside].max())
    covered = np.flatnonzero((edges >= library.wavelength[0]) & (edges <= library.wavelength[-1]))
    first = max(int(np.searchsorted(edges, low - reach, "right")) - 1, int(covered[0]))
    last = min(int(np.searchsorted(edges, high + reach)), int(covered[-1]))
    return slice(first, last), edges[first : last + 1]


def gas_emission(
    library: SSPLibrary,
    index_set: IndexSet,
    pixels: IndexPixels,
    options: EquivalentWidthFitOptions,
    reasons: Sequence[str],
) -> GasEmission | None:
    """Prepare the emission lines whose strength is sampled."""
    groups = tuple(group for group in GAS_GROUPS if options.samples(group))
    if not groups:
        return None
    lines = [line for line in gas_lines() if line.group in groups]
    response = np.stack([_line_response(line, library, index_set, pixels, options) for line in lines])
    reached = np.abs(response).max(axis=(1, 2)) > _WEAK
    _check_effect(groups, lines, reached, index_set, options, reasons)
    law, r_v = options.extinction_law, options.r_v
    heads = {line.group: line for line in reversed(lines)}
    head_curve = attenuation_curve(law, [heads[group].wavelength for group in groups], r_v)
    kept = [line for line, reaches in zip(lines, reached, strict=True) if reaches]
    group = np.array([groups.index(line.group) for line in kept])
    curve = attenuation_curve(law, [line.wavelength for line in kept], r_v)
    return GasEmission(
        groups=groups,
        continuum=np.stack([_continuum(library, heads[name].wavelength) for name in groups], axis=1),
        continuum_curve=head_curve,
        group=group,
        ratio=np.array([line.ratio for line in kept]),
        curve=curve - head_curve[group],
        response=response[reached],
    )


def _line_response(
    line: GasLine, library: SSPLibrary, index_set: IndexSet, pixels: IndexPixels, options: EquivalentWidthFitOptions
) -> FloatArray:
    """Return the band integrals of a line of unit flux, shape (n_indices, N_INTEGRALS)."""
    if pixels.target_fwhm is None:
        instrument = float(np.interp(line.wavelength, library.wavelength, library.lsf_fwhm))
    else:
        instrument = float(np.interp(line.wavelength, pixels.centres, pixels.target_fwhm))
    gas_sigma = options.los_sigma if options.gas_sigma is None else options.gas_sigma
    assert gas_sigma is not None
    dispersion = float(np.hypot(instrument / FWHM_PER_SIGMA, gas_sigma / SPEED_OF_LIGHT_KMS * line.wavelength))
    profile = line_in_pixels(pixels.edges, line.wavelength, dispersion)
    return np.stack([band_weights(index, pixels.edges) @ profile for index in index_set.indices])


def _continuum(library: SSPLibrary, wavelength: float) -> FloatArray:
    """Return the mean flux density of the SSPs on both sides of a line, shape (n_ssp,)."""
    near, far = _CONTINUUM
    edges = wavelength + np.array([-far, -near, near, far])
    if edges[0] < library.wavelength[0] or edges[-1] > library.wavelength[-1]:
        msg = f"{library.name} does not cover {edges[0]:.0f}-{edges[-1]:.0f} A, the continuum of an emission line"
        raise LibraryError(msg)
    flux = library.flux.reshape(-1, library.flux.shape[-1])
    means = rebin_flux_density(library.wavelength, flux, edges)
    return np.asarray(0.5 * (means[:, 0] + means[:, 2]))


def _check_effect(
    groups: Sequence[str],
    lines: Sequence[GasLine],
    reached: NDArray[np.bool_],
    index_set: IndexSet,
    options: EquivalentWidthFitOptions,
    reasons: Sequence[str],
) -> None:
    """Refuse a parameter of the emission that no index that could be measured depends on."""
    why = f" (not measured: {'; '.join(reasons)})" if reasons else ""
    fitted = ", ".join(index_set.names)
    faults = []
    for group in groups:
        own = {line.name for line, reaches in zip(lines, reached, strict=True) if reaches and line.group == group}
        if not own:
            faults.append(f"[EquivalentWidthFit] {group}_emission has no effect on {fitted}{why}; set it to F")
        elif group == "balmer" and options.gas_extinction and own == {"Hbeta"}:
            faults.append(f"[EquivalentWidthFit] gas_extinction has no effect on {fitted}{why}; set it to F")
    if faults:
        raise ConfigError(faults)
