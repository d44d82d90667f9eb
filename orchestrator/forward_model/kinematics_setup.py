"""Set-up of a kinematic fit: from a spectrum and an SSP library to a :class:`KinematicsModel`."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ConfigError, LibraryError, nearest_known
from orchestrator.forward_model.kinematic_resolution import kinematic_resolution
from orchestrator.forward_model.kinematics import TEMPLATE_WEIGHTS, KinematicPoint, KinematicsModel
from orchestrator.forward_model.pixels import FittedPixels, fitted_pixels, model_grid
from orchestrator.forward_model.prepared_templates import prepare_templates
from orchestrator.observation.spectrum import Spectrum
from orchestrator.physics.attenuation import attenuation_curve
from orchestrator.physics.continuum import legendre_basis, legendre_degrees
from orchestrator.physics.convolved_templates import prepare_template_bank
from orchestrator.physics.template_weights import Coefficients, GaussianPrior
from orchestrator.physics.wavelength import apply_projection
from orchestrator.ssp_libraries.library import SSPLibrary

__all__ = ["eigen_templates", "prepare_kinematics_model"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

_FIRST_POOL = 60
_PILOT_SIGMAS = (40.0, 100.0, 180.0, 300.0)
_PILOT_VELOCITIES = (-200.0, 0.0, 200.0)
_PILOT_HERMITES = (-0.1, 0.1)
_PILOT_ATTENUATIONS = (0.5, 1.5)


def prepare_kinematics_model(
    spectrum: Spectrum,
    library: SSPLibrary,
    *,
    wave_range: tuple[float, float] | None = None,
    keep: NDArray[np.bool_] | None = None,
    velscale: float | None = None,
    multiplicative_degree: int = 10,
    additive_degree: int = -1,
    legendre_bounds: tuple[float, float] | None = None,
    legendre_scale: float | None = None,
    template_weights: str = "non_negative",
    moments: int = 4,
    extinction_law: str | None = None,
    r_v: float | None = None,
    n_eigen_templates: int = 30,
    eigen_prior_width: float = 1.0,
    polynomial_prior_width: float = 1.0,
    name: str | None = None,
) -> KinematicsModel:
    """Prepare the model of a kinematic fit.

    Everything that decides which data enter is fixed here. The templates are matched to the resolution of
    the data on the model grid, and the model is projected onto the observed pixels; the data are never
    resampled.

    Parameters
    ----------
    spectrum : Spectrum
    library : SSPLibrary
    wave_range : (float, float), optional
        Fitted range, rest frame, vacuum, Angstrom.
    keep : ndarray of bool, shape (n_wave,), optional
        Pixels that the masks keep. Bad pixels are left out in any case.
    velscale : float, optional
        Step of the model grid, km/s; that of the data if left out.
    multiplicative_degree : int
        Degree of the multiplicative Legendre polynomial; 0 for none.
    additive_degree : int
        Degree of the additive Legendre polynomial; -1 for none.
    legendre_bounds : (float, float), optional
        Wavelengths mapped to -1 and 1; the ends of the fitted pixels if left out.
    legendre_scale : float, optional
        Largest scale that the multiplicative polynomial follows, Angstrom.
    template_weights : {'non_negative', 'marginalised'}
    moments : {2, 4}
        2 fits velocity and dispersion, 4 adds h3 and h4.
    extinction_law : str, optional
        Attenuation law of the stars; no dust if left out.
    r_v : float, optional
        A_V / E(B-V) of the law; its usual value if left out.
    n_eigen_templates : int
        Number of eigen-templates beside the mean, if marginalised.
    eigen_prior_width : float
        Prior width of each eigen-coefficient in units of its scatter over the library, if marginalised.
    polynomial_prior_width : float
        Prior width of the polynomial coefficients, relative to the continuum, and of the mean template,
        relative to the mean flux of the data, if marginalised.
    name : str, optional
        What messages call the spectrum; its own name if left out.

    Returns
    -------
    KinematicsModel

    Raises
    ------
    ConfigError
        For an unknown choice.
    DataError
        If no good pixel is left.
    LibraryError
        If the templates reach none of the pixels, or are zero there.
    """
    _check_choices(template_weights, moments, multiplicative_degree, additive_degree)
    label = name or spectrum.name or "spectrum"
    rest = spectrum.rest_wavelength
    kept = np.ones(len(rest), dtype=bool) if keep is None else np.array(keep, dtype=bool)
    if wave_range is not None:
        kept &= (rest >= wave_range[0]) & (rest <= wave_range[1])
    inside = np.flatnonzero(kept)
    if len(inside) == 0:
        covered_range = f"{rest[0]:.0f}-{rest[-1]:.0f} A"
        msg = f"range {wave_range!r} (rest frame) and masks keep no pixel of {label}, {covered_range}"
        raise ConfigError(msg)
    library_range = (float(library.wavelength[0]), float(library.wavelength[-1]))
    grid = model_grid(rest[inside[0] : inside[-1] + 1], velscale, library_range, label)
    pixels = fitted_pixels(spectrum, kept, grid, label)
    fwhm = spectrum.lsf_fwhm_rest
    lsf = None if fwhm is None else np.interp(grid.wavelength, rest, fwhm)
    if lsf is None:
        logger.warning("%s has no LSF: the templates keep their own, and sigma is relative to it", label)
    # No compression: 60 components of MIUSCAT leave errors of 1e-3, which the noise of good spectra shows.
    prepared = prepare_templates(library, grid, lsf_fwhm=lsf, compression_error=0.0)
    templates = prepared.basis.coefficients @ prepared.basis.basis
    scaled, means, flux_mean = _scale(templates, pixels, library.name)
    prior = None
    if template_weights == "marginalised":
        components, mean = eigen_templates(scaled, n_eigen_templates)
        scaled = np.concatenate([mean[None, :], components])
        widths = eigen_prior_width, polynomial_prior_width
        prior = _prior(len(components), multiplicative_degree + additive_degree + 1, *widths)
    bounds = legendre_bounds or (float(pixels.wavelength[0]), float(pixels.wavelength[-1]))
    covered = rest[pixels.covered]
    dust = _dust(extinction_law, r_v, pixels.wavelength, covered)
    degrees = legendre_degrees(multiplicative_degree, bounds, legendre_scale)
    multiplicative = legendre_basis(pixels.wavelength, int(degrees[-1]), bounds)[degrees]
    n_additive = additive_degree + 1
    whitening = np.sqrt(pixels.inverse_variance)
    bank = prepare_template_bank(scaled)
    pool = _first_pool(len(scaled), prior is not None)
    draft = KinematicsModel(
        pixels=pixels,
        resolution=kinematic_resolution(spectrum, library, pixels.wavelength),
        grid=grid,
        bank=bank,
        template_weights=template_weights,
        moments=moments,
        whitening=whitening,
        multiplicative=np.ascontiguousarray(multiplicative[1:]),
        additive=flux_mean * legendre_basis(pixels.wavelength, max(additive_degree, 0), bounds)[:n_additive],
        multiplicative_covered=legendre_basis(covered, int(degrees[-1]), bounds)[degrees[1:]],
        additive_covered=flux_mean * legendre_basis(covered, max(additive_degree, 0), bounds)[:n_additive],
        dust=None if dust is None else dust[0],
        dust_covered=None if dust is None else dust[1],
        pool=pool,
        pool_transforms=bank.transforms[pool],
        start=_first_start(len(pool), multiplicative_degree, n_additive, prior),
        start_polynomial=np.asarray(
            np.linalg.pinv(multiplicative.T * whitening[:, None]) * whitening, dtype=np.float64
        ),
        column_norms=np.linalg.norm(apply_projection(pixels.to_good, scaled) * whitening, axis=1),
        prior=prior,
        template_means=means,
        n_met=prepared.n_met,
        n_age=prepared.n_age,
    )
    model = _with_reference(draft)
    logger.info(
        "%s: %d pixels fitted, %d templates (%s), first pool of %d; instrumental dispersion %.0f km/s",
        label, len(pixels.flux), len(scaled), template_weights, len(model.pool),
        model.resolution.instrumental_dispersion,
    )  # fmt: skip
    return model


def eigen_templates(templates: FloatArray, n_components: int) -> tuple[FloatArray, FloatArray]:
    """Return the leading principal components of the templates and their mean.

    Parameters
    ----------
    templates : ndarray, shape (n_templates, n_grid)
        Scaled to a common mean flux.
    n_components : int
        At most ``n_templates - 1`` are returned.

    Returns
    -------
    components : ndarray, shape (n_components, n_grid)
        Scaled so that the coefficients of the templates have unit scatter.
    mean : ndarray, shape (n_grid,)
    """
    mean = templates.mean(axis=0)
    _, singular, vectors = np.linalg.svd(templates - mean, full_matrices=False)
    n = min(n_components, len(templates) - 1)
    return vectors[:n] * (singular[:n, None] / np.sqrt(len(templates))), mean


def _check_choices(
    template_weights: str, moments: int, multiplicative_degree: int, additive_degree: int
) -> None:
    faults = []
    if template_weights not in TEMPLATE_WEIGHTS:
        hint = nearest_known(str(template_weights), TEMPLATE_WEIGHTS)
        faults.append(f"template_weights {template_weights!r} is not known{hint}")
    if moments not in (2, 4):
        faults.append(f"moments is {moments!r}; expected 2 (velocity, dispersion) or 4 (h3 and h4 too)")
    if multiplicative_degree < 0:
        faults.append(f"multiplicative_degree is {multiplicative_degree!r}; expected 0 (none) or more")
    if additive_degree < -1:
        faults.append(f"additive_degree is {additive_degree!r}; expected -1 (none) or more")
    if faults:
        raise ConfigError(faults)


def _scale(
    templates: FloatArray, pixels: FittedPixels, library_name: str
) -> tuple[FloatArray, FloatArray, float]:
    """Scale each template to the mean flux of the data; return also its own mean, and that flux."""
    flux_mean = float(np.abs(np.average(pixels.flux)))
    if flux_mean == 0.0:
        flux_mean = float(1.0 / np.sqrt(pixels.inverse_variance.mean()))
    means = apply_projection(pixels.to_good, templates).mean(axis=1)
    if not np.all(means > 0):
        worst = int(np.argmin(means))
        found = float(means[worst])
        msg = f"template {worst} of {library_name} has mean flux {found!r} in the fitted range, not above 0"
        raise LibraryError(msg)
    return templates * (flux_mean / means)[:, None], means, flux_mean


def _prior(n_eigen: int, n_polynomial: int, eigen_width: float, polynomial_width: float) -> GaussianPrior:
    mean = np.zeros(1 + n_eigen + n_polynomial)
    mean[0] = 1.0
    width = np.full(len(mean), polynomial_width)
    width[1 : 1 + n_eigen] = eigen_width
    return GaussianPrior(mean, width)


def _dust(
    law: str | None, r_v: float | None, wavelength: FloatArray, covered: FloatArray
) -> tuple[FloatArray, FloatArray] | None:
    if law is None:
        return None
    curve, curve_covered = attenuation_curve(law, wavelength, r_v), attenuation_curve(law, covered, r_v)
    mean = curve.mean()
    return curve - mean, curve_covered - mean


def _first_pool(n_templates: int, take_all: bool) -> NDArray[np.int64]:
    step = 1 if take_all else max(1, n_templates // _FIRST_POOL)
    return np.arange(0, n_templates, step)


def _first_start(
    n_pool: int, multiplicative_degree: int, n_additive: int, prior: GaussianPrior | None
) -> Coefficients:
    templates = np.full(n_pool, 1.0 / n_pool) if prior is None else prior.mean[:n_pool].copy()
    return Coefficients(templates, np.zeros(multiplicative_degree), np.zeros(n_additive))


def _with_reference(draft: KinematicsModel) -> KinematicsModel:
    """Choose the pool and the start of all later solves from pilot solutions over the parameters' range.

    They save time and do not change the result: prices bring in any other template that is needed.
    """
    best_chi2, best, best_members = np.inf, draft.start, draft.pool
    used: set[int] = set()
    for point in _pilot_points(draft):
        solution, members = draft.solve(point)
        weights = solution.coefficients.templates
        used.update(int(member) for member in members[weights != 0])
        if solution.chi2 < best_chi2:
            best_chi2, best, best_members = solution.chi2, solution.coefficients, members
    if draft.prior is not None:
        return replace(draft, start=best)
    pool = np.array(sorted(used), dtype=np.int64)
    templates = np.zeros(len(draft.column_norms))
    templates[best_members] = best.templates
    return replace(
        draft,
        pool=pool,
        pool_transforms=np.ascontiguousarray(draft.bank.transforms[pool]),
        start=replace(best, templates=templates[pool]),
    )


def _pilot_points(draft: KinematicsModel) -> list[KinematicPoint]:
    points = [(v, sigma, 0.0, 0.0, 0.0) for sigma in _PILOT_SIGMAS for v in _PILOT_VELOCITIES]
    if draft.moments == 4:
        points += [(0.0, sigma, h, 0.0, 0.0) for sigma in (80.0, 200.0) for h in _PILOT_HERMITES]
        points += [(0.0, sigma, 0.0, h, 0.0) for sigma in (80.0, 200.0) for h in _PILOT_HERMITES]
    if draft.dust is not None:
        points += [(0.0, sigma, 0.0, 0.0, a_v) for sigma in (80.0, 200.0) for a_v in _PILOT_ATTENUATIONS]
    return [KinematicPoint(*values) for values in points]
