"""Set-up of the model of a stellar spectrum from its prepared parts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orchestrator.forward_model.fixed_spectrum import fix_kinematics_and_dust, with_templates
from orchestrator.forward_model.pixels import FittedPixels
from orchestrator.forward_model.prepared_templates import PreparedTemplates
from orchestrator.forward_model.spectrum_model import StellarSpectrumModel
from orchestrator.forward_model.stellar_population import StellarPopulation
from orchestrator.physics.continuum import legendre_basis, legendre_degrees, legendre_products

__all__ = ["StellarSpectrumModel", "fix_kinematics_and_dust", "prepare_stellar_spectrum"]

FloatArray = NDArray[np.float64]


def prepare_stellar_spectrum(
    population: StellarPopulation,
    pixels: FittedPixels,
    templates: PreparedTemplates,
    *,
    attenuation: tuple[FloatArray, FloatArray] | None,
    legendre_degree: int,
    legendre_bounds: tuple[float, float] | None,
    legendre_scale: float | None,
    covered_wavelength: FloatArray,
    polynomial_mode: str,
    amplitude_mode: str,
    flux_per_luminosity: float,
    sampled_noise: bool,
    foreground: tuple[FloatArray, FloatArray] | None = None,
) -> StellarSpectrumModel:
    """Assemble the model from its prepared parts.

    Parameters
    ----------
    attenuation : (ndarray, ndarray) or None
        A(lambda) / A_V on the fitted and on the covered pixels.
    legendre_degree : int
        0 for no polynomial.
    legendre_scale : float or None
        Largest scale that the polynomials follow, Angstrom (see :func:`legendre_degrees`).
    covered_wavelength : ndarray, shape (n_covered,)
        Rest wavelength of all pixels that the grid covers, Angstrom.
    foreground : (ndarray, ndarray), optional
        What the dust of the Galaxy lets pass on the fitted and on the covered pixels.
    """
    grid = templates.grid
    bounds = legendre_bounds or (float(pixels.wavelength[0]), float(pixels.wavelength[-1]))
    degrees = legendre_degrees(legendre_degree, bounds, legendre_scale)
    highest = int(degrees[-1])
    weighted = pixels.flux * pixels.inverse_variance
    model = StellarSpectrumModel(
        population=population,
        pixels=pixels,
        velscale=grid.velscale,
        n_fft=0,
        n_grid=len(grid.wavelength),
        coefficients=templates.basis.coefficients,
        basis_rfft=None,
        attenuation_good=None if attenuation is None else attenuation[0],
        attenuation_covered=None if attenuation is None else attenuation[1],
        polynomials=legendre_basis(pixels.wavelength, highest, bounds)[degrees],
        polynomials_covered=legendre_basis(covered_wavelength, highest, bounds)[degrees],
        polynomial_products=legendre_basis(pixels.wavelength, 2 * highest, bounds),
        product_table=legendre_products(degrees),
        polynomial_mode=polynomial_mode if legendre_degree else "none",
        amplitude_mode=amplitude_mode,
        flux_per_luminosity=flux_per_luminosity,
        sampled_noise=sampled_noise,
        log_normalisation=pixels.log_normalisation,
        weighted_data_square=float((weighted * pixels.flux).sum()),
        weighted_data=weighted,
        foreground=foreground,
    )
    return with_templates(model, templates)
