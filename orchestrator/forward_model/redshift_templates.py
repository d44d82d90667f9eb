"""Stellar populations and templates for a range of redshifts.

Two things about a model in its rest frame depend on the redshift slowly: the age of the universe, at which the
star-formation history ends, and the line-spread function, which is a property of the observed frame. Both are
taken at a few nodes in ln(1 + z), see `orchestrator.forward_model.redshift_nodes`; a model at any redshift is the
linear combination of those at the nodes beside it, which is continuous.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from orchestrator.forward_model.array_cache import load_arrays, load_statement, store_arrays
from orchestrator.forward_model.pixels import EDGE_KMS, ModelGrid
from orchestrator.forward_model.population_basis import population_basis, signal_to_noise_class
from orchestrator.forward_model.prepared_templates import prepare_templates
from orchestrator.forward_model.redshift_grid import RedshiftGrid
from orchestrator.forward_model.redshift_nodes import node_shares
from orchestrator.forward_model.sfh_draws import DrawnRanges, drawn_ranges
from orchestrator.forward_model.stellar_population import StellarPopulation
from orchestrator.observation.spectrum import Spectrum
from orchestrator.physics.losvd import convolve_templates, losvd_rfft, rfft_templates
from orchestrator.physics.parameter import ParameterValues
from orchestrator.physics.sfh_base import SECTION, StarFormationHistory
from orchestrator.physics.ssp_weights import SSPGrid, prepare_ssp_grid, project_valid
from orchestrator.physics.templates import TemplateBasis, compress
from orchestrator.physics.wavelength import SPEED_OF_LIGHT_KMS
from orchestrator.ssp_libraries.library import SSPLibrary

__all__ = ["RedshiftTemplates", "prepare_redshift_templates"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

SEARCH_ERROR = 0.01
"""Largest relative error of the templates with which peaks are searched; the likelihood itself does not have it."""

_FEW = 64
_MANY_ROWS = 6
_FORMAT = "redshift-templates-1"
_STATEMENT = {"delta_log_likelihood", "n_draws", "rank"}


@dataclass(frozen=True)
class PopulationOverAges(StellarPopulation):
    """A population whose histories end at several ages of the universe in turn, one after the other.

    Attributes
    ----------
    grids : tuple of SSPGrid
        One per age.
    """

    grids: tuple[SSPGrid, ...] = ()

    def weights(self, parameters: ParameterValues) -> tuple[NDArray[np.bool_], FloatArray]:
        """Return validity and the mass fractions; the row i is for the age ``i % len(grids)``."""
        rows = np.arange(len(parameters[SECTION, "alpha_powerlaw"])) % len(self.grids)
        parts = [self.at_age(k, {key: v[rows == k] for key, v in parameters.items()}) for k in range(len(self.grids))]
        valid = np.empty(len(rows), dtype=bool)
        weights = np.empty((len(rows), parts[0][1].shape[1]))
        for k, (own_valid, own) in enumerate(parts):
            valid[rows == k], weights[rows == k] = own_valid, own
        return valid, weights

    def at_age(self, k: int, parameters: ParameterValues) -> tuple[NDArray[np.bool_], FloatArray]:
        """Return validity and the mass fractions (0 where not valid) at one of the ages."""
        own = {p.name: parameters[SECTION, p.name] for p in self.sfh.parameters}
        valid, by_age = project_valid(self.grids[k], self.sfh, own)
        weights = by_age.reshape(len(valid), -1)
        return valid, weights if valid.all() else np.where(valid[:, None], weights, 0.0)


@dataclass(frozen=True)
class RedshiftTemplates:
    """Populations and spectra at the nodes.

    Attributes
    ----------
    population : PopulationOverAges
        One age per node.
    age_shift : ndarray, shape (n_ages,)
        Place of the nodes of the age of the universe, in pixels from `z_min`.
    lsf_shift : ndarray, shape (n_sets,)
        Place of the nodes of the line-spread function.
    coefficients : tuple of ndarray, shape (n_ssp, rank)
        Of the SSPs in the basis, per set of templates.
    basis : tuple of ndarray, shape (rank, n_rest)
        Lsun/Angstrom/Msun, per set of templates.
    search : TemplateBasis
        SSPs at the resolution of the middle of the range, compressed further, for the search of peaks.
    ranges : tuple of (name, lower, upper)
        Histories that the basis serves; empty for all.
    make_exact : callable or None
        Returns the same with the SSPs as they are.
    """

    population: PopulationOverAges
    age_shift: FloatArray
    lsf_shift: FloatArray
    coefficients: tuple[FloatArray, ...]
    basis: tuple[FloatArray, ...]
    search: TemplateBasis
    ranges: DrawnRanges = ()
    make_exact: Callable[[], RedshiftTemplates] | None = field(default=None, repr=False)

    def weights(
        self, parameters: ParameterValues, shift: FloatArray
    ) -> tuple[NDArray[np.bool_], FloatArray]:
        """Return validity and mass fractions at some redshifts; arguments as in :meth:`spectra`."""
        names = [(SECTION, p.name) for p in self.population.sfh.parameters]
        valid, weights = np.ones(len(shift), dtype=bool), np.zeros((len(shift), len(self.coefficients[0])))
        for k, rows, part in node_shares(shift, self.age_shift):
            own_valid, own = self.population.at_age(k, {name: parameters[name][rows] for name in names})
            valid[rows] &= own_valid
            weights[rows] += part[:, None] * own
        return valid, weights

    def search_spectra(self, parameters: ParameterValues, place: float) -> tuple[NDArray[np.bool_], FloatArray]:
        """Return validity and approximate spectra, all at one redshift; otherwise as :meth:`spectra`."""
        valid, weights = self.weights(parameters, np.full(len(parameters[SECTION, "alpha_powerlaw"]), place))
        return valid, _product(weights @ self.search.coefficients, self.search.basis)

    def spectra(
        self, parameters: ParameterValues, shift: FloatArray
    ) -> tuple[NDArray[np.bool_], FloatArray, FloatArray]:
        """Return validity, mass fractions and rest-frame spectra at some redshifts.

        Parameters
        ----------
        parameters : mapping of (section, name) to ndarray, shape (n_points,)
        shift : ndarray, shape (n_points,)
            Redshifts, in pixels from `z_min`.

        Returns
        -------
        valid : ndarray of bool, shape (n_points,)
            A history has to be possible at both nodes beside the redshift.
        weights : ndarray, shape (n_points, n_ssp)
        spectra : ndarray, shape (n_points, n_rest)
            Per Msun formed.
        """
        valid, weights = self.weights(parameters, shift)
        spectra = np.zeros((len(shift), self.basis[0].shape[1]))
        for k, rows, part in node_shares(shift, self.lsf_shift):
            own = (part[:, None] * weights[rows]) @ self.coefficients[k]
            spectra[rows] += _product(own, self.basis[k])
        return valid, weights, spectra


def _product(rows: FloatArray, basis: FloatArray) -> FloatArray:
    """Return a matrix product; for a few rows one product per row is the faster one."""
    if len(rows) > _MANY_ROWS:
        return np.asarray(rows @ basis)
    return np.stack([row @ basis for row in rows])


def prepare_redshift_templates(
    library: SSPLibrary,
    sfh: StarFormationHistory,
    grid: RedshiftGrid,
    spectrum: Spectrum,
    *,
    age_shift: FloatArray,
    ages: FloatArray,
    lsf_shift: FloatArray,
    los_sigma: float,
    compression_error: float,
    signal_to_noise: float,
) -> RedshiftTemplates:
    """Prepare populations and templates at the nodes.

    Parameters
    ----------
    library : SSPLibrary
    sfh : StarFormationHistory
        At the age of the universe at `z_max`.
    grid : RedshiftGrid
    spectrum : Spectrum
        Its line-spread function is matched, where known.
    age_shift, ages : ndarray, shape (n_ages,)
        Nodes of the age of the universe in pixels from `z_min`, and the age in Gyr.
    lsf_shift : ndarray, shape (n_sets,)
        Nodes of the line-spread function.
    los_sigma : float
        Velocity dispersion, km/s.
    compression_error : float
        0 keeps the SSPs as they are.
    signal_to_noise : float
        Root-mean-square ratio per pixel of the grid.
    """
    plain = StellarPopulation.of_library(sfh, library)
    grids = tuple(prepare_ssp_grid(library.log10_age_yr, library.metallicity, float(age)) for age in ages)
    population = PopulationOverAges(sfh, plain.grid, plain.surviving, grids)

    def exact(place: float) -> tuple[FloatArray, str]:
        return _exact_templates(library, grid, spectrum, place, los_sigma)

    search = compress(exact(0.5 * grid.largest_shift)[0], SEARCH_ERROR)

    def make_exact() -> RedshiftTemplates:
        sets = tuple(exact(place)[0] for place in lsf_shift)
        unit = np.eye(len(sets[0]))
        return RedshiftTemplates(population, age_shift, lsf_shift, (unit,) * len(sets), sets, search)

    n_ssp = library.flux.shape[0] * library.flux.shape[1]
    if compression_error == 0 or n_ssp <= _FEW:
        return make_exact()
    quality = signal_to_noise_class(signal_to_noise)
    found = [_compressed(*exact(place), population, grid, quality) for place in lsf_shift]
    sets = [entry for entry in found if entry is not None]
    if len(sets) < len(found):
        logger.info("%s: no smaller basis serves; the SSPs stay exact", library.name)
        return make_exact()
    logger.info(
        "%s for %s: %d SSPs as %s basis spectra at %d ages of the universe; the log-likelihood errs by %.1e or less",
        library.name, sfh.name, n_ssp, "/".join(str(len(basis)) for _, basis, _ in sets), len(grids),
        max(error for _, _, error in sets),
    )  # fmt: skip
    return RedshiftTemplates(
        population,
        age_shift,
        lsf_shift,
        tuple(coefficients for coefficients, _, _ in sets),
        tuple(basis for _, basis, _ in sets),
        search,
        drawn_ranges(sfh),
        make_exact,
    )


def _exact_templates(
    library: SSPLibrary, grid: RedshiftGrid, spectrum: Spectrum, place: float, los_sigma: float
) -> tuple[FloatArray, str]:
    """Return the SSPs on the rest-frame grid at the resolution that the data have at one redshift, and a key."""
    # Convolutions need both sides of a pixel; the selection of pixels has kept that much of the library free.
    pad = max(int(EDGE_KMS / SPEED_OF_LIGHT_KMS / grid.step) - 2, 0)
    n_rest = len(grid.rest_wavelength)
    wide = grid.rest_wavelength[0] * np.exp(grid.step * np.arange(-pad, n_rest + pad))
    low, high = library.wavelength[0], library.wavelength[-1]
    reach = np.exp(0.51 * grid.step)
    inside = np.flatnonzero((wide >= low * reach) & (wide <= high / reach))
    model = ModelGrid(wide[inside[0] : inside[-1] + 1], grid.step * SPEED_OF_LIGHT_KMS)
    fwhm = None
    if spectrum.lsf_fwhm is not None:
        redshift = float(grid.redshift_at(np.array(place)))
        fwhm = np.interp(model.wavelength, spectrum.wavelength / (1 + redshift), spectrum.lsf_fwhm / (1 + redshift))
    prepared = prepare_templates(library, model, lsf_fwhm=fwhm, compression_error=0.0)
    templates = prepared.basis.coefficients @ prepared.basis.basis
    if los_sigma > 0:
        n_pad = int(np.ceil(12 * los_sigma / model.velscale)) + 16
        transforms, n_fft = rfft_templates(templates, n_pad)
        kernel = losvd_rfft(n_fft, 0.0, los_sigma / model.velscale)[0]
        templates = convolve_templates(transforms, kernel, n_fft, templates.shape[1])
    # Beyond the ends of the library lie only pixels that interpolation touches, never a fitted one.
    missing = (max(int(inside[0]) - pad, 0), max(pad + n_rest - 1 - int(inside[-1]), 0))
    templates = np.pad(templates, ((0, 0), missing), mode="edge")
    start = max(pad - int(inside[0]), 0)
    digest = hashlib.sha256(_FORMAT.encode())
    digest.update(json.dumps([library.name, library.checksum, los_sigma, n_rest]).encode())
    for array in (model.wavelength, np.zeros(0) if fwhm is None else fwhm):
        digest.update(np.ascontiguousarray(array).tobytes())
    return np.ascontiguousarray(templates[:, start : start + n_rest]), digest.hexdigest()


def _compressed(
    templates: FloatArray, key: str, population: PopulationOverAges, grid: RedshiftGrid, signal_to_noise: int
) -> tuple[FloatArray, FloatArray, float] | None:
    """Return coefficients, basis and error of a basis for the histories at all nodes, from the cache if there."""
    ages = [entry.today for entry in population.grids]
    content = json.dumps([_FORMAT, key, repr(population.sfh), ages, signal_to_noise])
    own_key = hashlib.sha256(content.encode()).hexdigest()
    statement = load_statement(own_key)
    arrays = load_arrays(own_key, ("coefficients", "basis")) if statement else None
    if statement is None or arrays is None or set(statement) != _STATEMENT:
        found = population_basis(templates, population, grid.rest_wavelength, signal_to_noise)
        nothing = np.zeros((0, 0))
        arrays = {
            "coefficients": nothing if found is None else found.coefficients,
            "basis": nothing if found is None else found.basis,
        }
        statement = {
            "delta_log_likelihood": 0.0 if found is None else found.delta_log_likelihood,
            "n_draws": 0 if found is None else found.n_draws,
            "rank": len(arrays["basis"]),
        }
        store_arrays(own_key, arrays, statement)
    if not statement["n_draws"]:
        return None
    coefficients, basis = (np.ascontiguousarray(arrays[name]) for name in ("coefficients", "basis"))
    return coefficients, basis, statement["delta_log_likelihood"]
