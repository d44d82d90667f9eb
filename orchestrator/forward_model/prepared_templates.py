"""SSP templates on the model grid: rebinned, matched to the data's LSF, compressed, and cached on disk.

The result depends on the library, the grid, the LSF and the allowed error, and on nothing else; their
hash names the folder in the user's cache, whose arrays are memory-mapped by the next start.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.forward_model.array_cache import load_arrays, store_arrays
from orchestrator.forward_model.pixels import ModelGrid
from orchestrator.physics.lsf import convolve_variable_gaussian, lsf_difference
from orchestrator.physics.templates import TemplateBasis, compress
from orchestrator.physics.wavelength import SPEED_OF_LIGHT_KMS, pixel_edges, rebin_flux_density
from orchestrator.ssp_libraries.library import SSPLibrary

__all__ = ["PreparedTemplates", "prepare_templates"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

FWHM_PER_SIGMA = float(2 * np.sqrt(2 * np.log(2)))

_FORMAT = "prepared-templates-2"

_NEGLIGIBLE_KMS = 10.0
"""A mismatch of resolution below this changes no dispersion that can be measured."""


@dataclass(frozen=True)
class PreparedTemplates:
    """Templates ready for convolution.

    Attributes
    ----------
    grid : ModelGrid
    basis : TemplateBasis
        ``coefficients`` (n_met * n_age, rank) and ``basis`` (rank, n_grid) in Lsun/Angstrom/Msun, and the
        measured relative error of the compression.
    n_met, n_age : int
        Shape of the library.
    """

    grid: ModelGrid
    basis: TemplateBasis
    n_met: int
    n_age: int


def prepare_templates(
    library: SSPLibrary,
    grid: ModelGrid,
    *,
    lsf_fwhm: FloatArray | None,
    compression_error: float,
) -> PreparedTemplates:
    """Prepare `library` on `grid`, from the cache where it was prepared before.

    Parameters
    ----------
    library : SSPLibrary
    grid : ModelGrid
    lsf_fwhm : ndarray, shape (n_grid,), or None
        FWHM of the data's line-spread function in the rest frame, Angstrom; None leaves the templates at
        their own resolution.
    compression_error : float
        Largest allowed relative error of any template; 0 keeps them exact.

    Notes
    -----
    Where the templates are coarser than the data they are left as they are, and a warning counts these
    pixels: the data then show sharper lines than the model can.
    """
    n_met, n_age, _ = library.flux.shape
    own_fwhm = np.interp(grid.wavelength, library.wavelength, library.lsf_fwhm)
    key = _cache_key(library, grid, lsf_fwhm, own_fwhm, compression_error)
    stored = load_arrays(key, ("coefficients", "basis", "relative_error"))
    if stored is None:
        stored = _prepare_arrays(library, grid, lsf_fwhm, own_fwhm, compression_error)
        store_arrays(key, stored)
    if lsf_fwhm is not None:
        _warn_where_templates_are_coarse(library, grid, lsf_fwhm, own_fwhm)
    basis = TemplateBasis(stored["coefficients"], stored["basis"], float(np.ravel(stored["relative_error"])[0]))
    return PreparedTemplates(grid, basis, n_met, n_age)


def _prepare_arrays(
    library: SSPLibrary,
    grid: ModelGrid,
    lsf_fwhm: FloatArray | None,
    own_fwhm: FloatArray,
    compression_error: float,
) -> dict[str, NDArray]:
    """Do the work: rebin, convolve, compress."""
    templates = library.flux.reshape(-1, library.flux.shape[-1])
    rebinned = rebin_flux_density(library.wavelength, templates, pixel_edges(grid.wavelength))
    if lsf_fwhm is not None:
        needed, _ = lsf_difference(lsf_fwhm, own_fwhm)
        pixel_size = grid.wavelength * grid.velscale / SPEED_OF_LIGHT_KMS
        rebinned = convolve_variable_gaussian(rebinned, needed / FWHM_PER_SIGMA / pixel_size)
    basis = compress(rebinned, compression_error)
    logger.info(
        "%s: %d templates, %d pixels, compressed to rank %d (largest relative error %.1e)",
        library.name, len(rebinned), rebinned.shape[1], len(basis.basis), basis.relative_error,
    )  # fmt: skip
    return {
        "coefficients": basis.coefficients,
        "basis": basis.basis,
        "relative_error": np.array(basis.relative_error),
    }


def _warn_where_templates_are_coarse(
    library: SSPLibrary, grid: ModelGrid, lsf_fwhm: FloatArray, own_fwhm: FloatArray
) -> None:
    excess = np.sqrt(np.maximum(own_fwhm**2 - lsf_fwhm**2, 0.0)) / FWHM_PER_SIGMA
    excess_kms = excess / grid.wavelength * SPEED_OF_LIGHT_KMS
    coarse = excess_kms > _NEGLIGIBLE_KMS
    if coarse.any():
        logger.warning(
            "%s is coarser than the data in %d of %d pixels (%.0f-%.0f A), by up to %.0f km/s of dispersion in "
            "quadrature: a dispersion of that size or less cannot be measured there",
            library.name, int(coarse.sum()), len(coarse), grid.wavelength[coarse][0], grid.wavelength[coarse][-1],
            float(excess_kms.max()),
        )  # fmt: skip


def _cache_key(
    library: SSPLibrary,
    grid: ModelGrid,
    lsf_fwhm: FloatArray | None,
    own_fwhm: FloatArray,
    compression_error: float,
) -> str:
    digest = hashlib.sha256(_FORMAT.encode())
    digest.update(json.dumps([library.name, library.checksum, compression_error]).encode())
    for array in (grid.wavelength, own_fwhm, np.zeros(0) if lsf_fwhm is None else lsf_fwhm):
        digest.update(np.ascontiguousarray(array, dtype=np.float64).tobytes())
    return digest.hexdigest()
