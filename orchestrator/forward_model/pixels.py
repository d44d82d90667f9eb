"""Which pixels of a spectrum are fitted, and the wavelength grid on which the model is computed.

Both are decided once, in set-up, and never depend on parameters. The data are not resampled: the model is
computed on a logarithmic grid and projected onto the observed pixels.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import DataError, LibraryError
from orchestrator.observation.spectrum import Spectrum
from orchestrator.physics.wavelength import SPEED_OF_LIGHT_KMS, CubicProjection, prepare_projection

__all__ = ["FittedPixels", "ModelGrid", "fitted_pixels", "model_grid"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

GRID_BUFFER_KMS = 3000.0
"""The model grid reaches this far beyond the data, where the templates do."""

EDGE_KMS = 800.0
"""Pixels closer than this to the end of the templates are not fitted: the LOSVD needs both sides."""

_ALIGNMENT_TOLERANCE = 2e-3  # pixels; wavelengths stored in float32 are off by up to 1e-3


@dataclass(frozen=True)
class ModelGrid:
    """Grid of the model, uniform in the logarithm of the rest wavelength.

    Attributes
    ----------
    wavelength : ndarray, shape (n_grid,)
        Pixel centres, rest frame, vacuum, Angstrom.
    velscale : float
        Step, km/s.
    """

    wavelength: FloatArray
    velscale: float


@dataclass(frozen=True)
class FittedPixels:
    """The data that enter the likelihood.

    Attributes
    ----------
    good_pixels : ndarray of bool, shape (n_wave,)
        True where a pixel of the spectrum is fitted.
    wavelength, flux, inverse_variance : ndarray, shape (n_good,)
        Rest wavelength (Angstrom), flux (erg/s/cm2/Angstrom) and inverse variance times the weights.
    to_good, to_covered : CubicProjection
        From the model grid to the fitted pixels, and to all pixels that the grid covers.
    covered : ndarray of bool, shape (n_wave,)
        True where the grid reaches.
    """

    good_pixels: NDArray[np.bool_]
    wavelength: FloatArray
    flux: FloatArray
    inverse_variance: FloatArray
    to_good: CubicProjection
    to_covered: CubicProjection
    covered: NDArray[np.bool_]

    @property
    def log_normalisation(self) -> float:
        """Sum of ln(1 / (sqrt(2 pi) sigma)) over the fitted pixels."""
        return float(0.5 * np.log(self.inverse_variance / (2 * np.pi)).sum())


def model_grid(
    rest_wavelength: FloatArray,
    velscale: float | None,
    template_range: tuple[float, float],
    name: str = "spectrum",
) -> ModelGrid:
    """Choose the model grid for a spectrum.

    Where the data are already uniform in ln(wavelength) and `velscale` is not given or is theirs, the grid
    has the pixels of the data and nothing is interpolated.

    Parameters
    ----------
    rest_wavelength : ndarray, shape (n_wave,)
        Pixels of the data inside the fitted range, Angstrom, increasing.
    velscale : float or None
        Step of the grid, km/s; None for the finest step of the data.
    template_range : (float, float)
        First and last wavelength of the templates.

    Raises
    ------
    LibraryError
        If the templates do not overlap the data.
    """
    log_wavelength = np.log(rest_wavelength)
    steps = np.diff(log_wavelength)
    index = np.arange(len(rest_wavelength))
    mean_step = (log_wavelength[-1] - log_wavelength[0]) / max(len(rest_wavelength) - 1, 1)
    deviation = np.max(np.abs(log_wavelength - log_wavelength[0] - mean_step * index)) / mean_step
    own_velscale = SPEED_OF_LIGHT_KMS * (mean_step if deviation < _ALIGNMENT_TOLERANCE else steps.min())
    aligned = deviation < _ALIGNMENT_TOLERANCE and (
        velscale is None or abs(velscale / own_velscale - 1) * len(rest_wavelength) < 0.1
    )
    step = (own_velscale if velscale is None or aligned else velscale) / SPEED_OF_LIGHT_KMS
    margin = GRID_BUFFER_KMS / SPEED_OF_LIGHT_KMS
    # The outermost half pixels of the templates are left out: a pixel average needs its whole width.
    low = max(log_wavelength[0] - margin, np.log(template_range[0]) + 0.51 * step)
    high = min(log_wavelength[-1] + margin, np.log(template_range[1]) - 0.51 * step)
    start = log_wavelength[0]
    first, last = int(np.ceil((low - start) / step)), int(np.floor((high - start) / step))
    if last - first < 8:
        msg = (
            f"the templates cover {template_range[0]:.0f}-{template_range[1]:.0f} A but {name} has its pixels at "
            f"{rest_wavelength[0]:.0f}-{rest_wavelength[-1]:.0f} A (rest frame, vacuum); "
            "choose another SSPModel or wlRange, or check redshift and wlUnits"
        )
        raise LibraryError(msg)
    return ModelGrid(np.exp(start + step * np.arange(first, last + 1)), step * SPEED_OF_LIGHT_KMS)


def fitted_pixels(
    spectrum: Spectrum, keep: NDArray[np.bool_], grid: ModelGrid, name: str = "spectrum"
) -> FittedPixels:
    """Select the pixels to fit and prepare the projections onto them.

    Parameters
    ----------
    spectrum : Spectrum
    keep : ndarray of bool, shape (n_wave,)
        Selection by range and masks; bad pixels are removed here in any case.
    grid : ModelGrid

    Raises
    ------
    LibraryError
        If the templates reach none of the selected pixels.
    DataError
        If no good pixel is selected.
    """
    rest = spectrum.rest_wavelength
    selected = keep & spectrum.good_pixels & (spectrum.weights > 0)
    if not selected.any():
        msg = f"no good pixel of {name} is left after range and masks; {int(keep.sum())} lie in the range"
        raise DataError(msg)
    step = grid.velscale / SPEED_OF_LIGHT_KMS
    data_low, data_high = rest[keep].min(), rest[keep].max()
    edge = EDGE_KMS / SPEED_OF_LIGHT_KMS
    low, high = grid.wavelength[0], grid.wavelength[-1]
    low = low * np.exp(edge) if low > data_low * np.exp(-edge) else low * np.exp(2 * step)
    high = high * np.exp(-edge) if high < data_high * np.exp(edge) else high * np.exp(-2 * step)
    inside = (rest >= low) & (rest <= high)
    dropped = int((selected & ~inside).sum())
    good = selected & inside
    if not good.any():
        msg = (
            f"the templates reach none of the {int(selected.sum())} good pixels of {name}: templates "
            f"{grid.wavelength[0]:.0f}-{grid.wavelength[-1]:.0f} A, data {data_low:.0f}-{data_high:.0f} A"
        )
        raise LibraryError(msg)
    if dropped:
        logger.warning(
            "%s: %d of %d good pixels are dropped because the templates end at %.0f-%.0f A (%.0f km/s kept free "
            "for the LOSVD)",
            name, dropped, int(selected.sum()), grid.wavelength[0], grid.wavelength[-1], EDGE_KMS,
        )  # fmt: skip
    covered = (rest >= grid.wavelength[0] * np.exp(2 * step)) & (rest <= grid.wavelength[-1] * np.exp(-2 * step))
    return FittedPixels(
        good_pixels=good,
        wavelength=rest[good],
        flux=spectrum.flux[good],
        inverse_variance=spectrum.inverse_variance[good] * spectrum.weights[good],
        to_good=prepare_projection(grid.wavelength, rest[good]),
        to_covered=prepare_projection(grid.wavelength, rest[covered | good]),
        covered=covered | good,
    )
