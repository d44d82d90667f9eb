"""SSP templates on the model grid: rebinned, matched to the data's LSF, compressed, and cached on disk.

The result depends on the library, the grid, the LSF and the allowed error, for a basis of histories also on
the model of the history, the age of the universe and the class of the signal-to-noise ratio, and on nothing
else; their hash names the folder in the user's cache, whose arrays are memory-mapped by the next start.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from orchestrator.forward_model.array_cache import load_arrays, load_statement, store_arrays
from orchestrator.forward_model.pixels import ModelGrid
from orchestrator.forward_model.population_basis import (
    PopulationBasis,
    population_basis,
    signal_to_noise_class,
)
from orchestrator.forward_model.sfh_draws import DrawnRanges, drawn_ranges
from orchestrator.forward_model.stellar_population import StellarPopulation
from orchestrator.physics.constants import FWHM_PER_SIGMA
from orchestrator.physics.lsf import convolve_variable_gaussian, lsf_difference
from orchestrator.physics.templates import TemplateBasis, compress
from orchestrator.physics.wavelength import SPEED_OF_LIGHT_KMS, pixel_edges, rebin_flux_density
from orchestrator.ssp_libraries.library import SSPLibrary

__all__ = ["PreparedTemplates", "prepare_templates"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]


_FORMAT = "prepared-templates-2"
_HISTORIES_FORMAT = "basis-of-histories-2"
_STATEMENT = {"delta_log_likelihood", "n_draws", "signal_to_noise", "rank"}

_FEW = 64
"""So few SSPs cost nothing; they stay exact."""

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
        measured relative error of the compression of single templates; NaN for a basis of histories, which
        is not made for single templates.
    n_met, n_age : int
        Shape of the library.
    delta_log_likelihood : float
        Largest error of the log-likelihood that a basis of histories makes, as measured on `n_draws`
        held-out histories; 0 for exact templates, NaN for a basis of single templates.
    n_draws : int
        0 where the basis is not one of histories.
    signal_to_noise : int
        Root-mean-square signal-to-noise ratio per pixel up to which that error holds; 0 as above.
    ranges : tuple of (name, lower, upper)
        Where the parameters of the history may be for the basis to serve; empty for no restriction.
    exact : PreparedTemplates or None
        The templates as they are, for histories outside `ranges`; None where `basis` has no ranges.
    """

    grid: ModelGrid
    basis: TemplateBasis
    n_met: int
    n_age: int
    delta_log_likelihood: float = 0.0
    n_draws: int = 0
    signal_to_noise: int = 0
    ranges: DrawnRanges = ()
    exact: PreparedTemplates | None = None


def prepare_templates(
    library: SSPLibrary,
    grid: ModelGrid,
    *,
    lsf_fwhm: FloatArray | None,
    compression_error: float,
    population: StellarPopulation | None = None,
    signal_to_noise: float = 0.0,
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
        0 keeps the templates exact. Without `population`, the largest allowed relative error of any template.
    population : StellarPopulation, optional
        Compress to a basis for the histories of this population (:mod:`population_basis`), to a stated error
        of the log-likelihood.
    signal_to_noise : float
        Root-mean-square ratio per pixel of the grid of the data that the population is fitted to.

    Notes
    -----
    Where the templates are coarser than the data they are left as they are, and a warning counts these
    pixels: the data then show sharper lines than the model can.
    """
    n_met, n_age, _ = library.flux.shape
    own_fwhm = np.interp(grid.wavelength, library.wavelength, library.lsf_fwhm)
    if lsf_fwhm is not None:
        _warn_where_templates_are_coarse(library, grid, lsf_fwhm, own_fwhm)
    of_histories = population is not None and compression_error > 0 and n_met * n_age > _FEW
    allowed = 0.0 if of_histories else compression_error
    key = _cache_key(library, grid, lsf_fwhm, own_fwhm, allowed)
    stored = load_arrays(key, ("coefficients", "basis", "relative_error"))
    if stored is None:
        stored = _prepare_arrays(library, grid, lsf_fwhm, own_fwhm, allowed)
        store_arrays(key, stored)
    relative_error = float(np.ravel(stored["relative_error"])[0])
    basis = TemplateBasis(stored["coefficients"], stored["basis"], relative_error)
    is_exact = relative_error == 0.0
    templates = PreparedTemplates(grid, basis, n_met, n_age, 0.0 if is_exact else float("nan"))
    if population is None or not of_histories:
        return templates
    return _compressed_for(population, templates, key, signal_to_noise_class(signal_to_noise), library.name)


def _compressed_for(
    population: StellarPopulation, exact: PreparedTemplates, key: str, signal_to_noise: int, name: str
) -> PreparedTemplates:
    """Replace exact templates by a basis for the histories of a population, from the cache if it is there."""
    content = json.dumps([_HISTORIES_FORMAT, key, repr(population.sfh), signal_to_noise])
    own_key = hashlib.sha256(content.encode()).hexdigest()
    statement = load_statement(own_key)
    arrays = load_arrays(own_key, ("coefficients", "basis")) if statement else None
    if statement is None or arrays is None or set(statement) != _STATEMENT:
        found = population_basis(exact.basis.basis, population, exact.grid.wavelength, signal_to_noise)
        arrays, statement = _to_store(found)
        store_arrays(own_key, arrays, statement)
    if not statement["n_draws"]:
        logger.info("%s: no smaller basis serves at S/N %d; the SSPs stay exact", name, signal_to_noise)
        return exact
    logger.info(
        "%s for %s: %d SSPs as %d basis spectra; the log-likelihood errs by %.1e or less at S/N %d "
        "(%d held-out histories)",
        name, population.sfh.name, len(arrays["coefficients"]), len(arrays["basis"]),
        statement["delta_log_likelihood"], signal_to_noise, statement["n_draws"],
    )  # fmt: skip
    return replace(
        exact,
        basis=TemplateBasis(arrays["coefficients"], arrays["basis"], float("nan")),
        delta_log_likelihood=statement["delta_log_likelihood"],
        n_draws=int(statement["n_draws"]),
        signal_to_noise=signal_to_noise,
        ranges=drawn_ranges(population.sfh),
        exact=exact,
    )


def _to_store(found: PopulationBasis | None) -> tuple[dict[str, FloatArray], dict[str, float]]:
    if found is None:
        nothing = np.zeros((0, 0))
        return {"coefficients": nothing, "basis": nothing}, dict.fromkeys(_STATEMENT, 0.0)
    statement = {
        "delta_log_likelihood": found.delta_log_likelihood,
        "n_draws": found.n_draws,
        "signal_to_noise": found.signal_to_noise,
        "rank": len(found.basis),
    }
    return {"coefficients": found.coefficients, "basis": found.basis}, statement


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
