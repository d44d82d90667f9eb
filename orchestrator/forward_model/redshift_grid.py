"""Trial redshifts, and pixels that every one of them sees.

A redshift shifts a spectrum rigidly in ln(wavelength). The trial redshifts are whole pixels of a logarithmic grid
apart, so that one array of the rest-frame model holds the model at every trial redshift, each at its own offset.
The array is as long as data and range of redshifts together: no trial redshift reaches beyond an end, nothing
wraps around, and the same pixels of the data enter at each.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import DataError, LibraryError
from orchestrator.forward_model.pixels import EDGE_KMS, model_grid
from orchestrator.observation.spectrum import Spectrum
from orchestrator.physics.wavelength import SPEED_OF_LIGHT_KMS

__all__ = ["RedshiftGrid", "pixels_for_all_redshifts", "redshift_grid"]

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

STENCIL = 3
"""Grid pixels beyond the first and the last fitted one that interpolation needs."""

_FEWEST = 8  # trial redshifts; the refinement interpolates between six
_ON_GRID = 2e-3  # pixels; wavelengths stored in single precision are off by 1e-3


@dataclass(frozen=True)
class RedshiftGrid:
    """Trial redshifts and the rest-frame grid that serves them all.

    Attributes
    ----------
    z_min, z_max : float
        The range that is searched.
    step : float
        Distance of trial redshifts in ln(1 + z), which is that of the grid's pixels in ln(wavelength).
    n_shifts : int
        Trial redshifts that the rest-frame grid holds; the last may lie beyond `z_max`.
    n_trials : int
        Those of them up to the first that is not below `z_max`.
    rest_wavelength : ndarray, shape (n_rest,)
        Vacuum, Angstrom.
    position : ndarray, shape (n_good,)
        Place of each fitted pixel on the observed grid, whose pixel k is pixel ``k + n_shifts - 1 - j`` of the
        rest-frame grid at trial redshift j.
    aligned : bool
        Whether all fitted pixels are pixels of the grid, so that whole shifts interpolate nothing.
    """

    z_min: float
    z_max: float
    step: float
    n_shifts: int
    n_trials: int
    rest_wavelength: FloatArray
    position: FloatArray
    aligned: bool

    @property
    def n_observed(self) -> int:
        """Pixels of the observed grid."""
        return len(self.rest_wavelength) - self.n_shifts + 1

    @property
    def trial_redshift(self) -> FloatArray:
        """Trial redshifts up to `z_max`, which is the last, shape (n_trials,)."""
        return np.minimum(self.redshift_at(np.arange(self.n_trials, dtype=float)), self.z_max)

    def redshift_at(self, shift: FloatArray) -> FloatArray:
        """Return the redshift of a shift in pixels from `z_min`."""
        return np.asarray((1 + self.z_min) * np.exp(self.step * shift) - 1)

    def shift_of(self, redshift: FloatArray) -> FloatArray:
        """Return the shift in pixels from `z_min`."""
        return np.asarray(np.log((1 + redshift) / (1 + self.z_min)) / self.step)

    @property
    def largest_shift(self) -> float:
        """The shift of `z_max`."""
        return float(np.log((1 + self.z_max) / (1 + self.z_min)) / self.step)


def pixels_for_all_redshifts(
    spectrum: Spectrum,
    keep: NDArray[np.bool_],
    z_range: tuple[float, float],
    template_range: tuple[float, float],
    name: str,
) -> NDArray[np.bool_]:
    """Return the good pixels that the templates reach at every trial redshift, shape (n_wave,).

    Parameters
    ----------
    spectrum : Spectrum
        With redshift 0: its rest frame is the observed one.
    keep : ndarray of bool, shape (n_wave,)
        Selection by range and masks.
    z_range : (float, float)
        Smallest and largest trial redshift.
    template_range : (float, float)
        First and last wavelength of the templates, Angstrom.
    name : str
        Of the spectrum, for messages.

    Raises
    ------
    DataError
        If no good pixel is selected.
    LibraryError
        If the templates reach none of them at every trial redshift.
    """
    selected = keep & spectrum.good_pixels & (spectrum.weights > 0)
    if not selected.any():
        msg = f"no good pixel of {name} is left after range and masks; {int(keep.sum())} lie in the range"
        raise DataError(msg)
    edge = np.exp(EDGE_KMS / SPEED_OF_LIGHT_KMS)
    low = template_range[0] * edge * (1 + z_range[1])
    high = template_range[1] / edge * (1 + z_range[0])
    inside = selected & (spectrum.wavelength >= low) & (spectrum.wavelength <= high)
    first, last = spectrum.wavelength[selected][[0, -1]]
    if not inside.any():
        msg = (
            f"no pixel of {name} ({first:.0f}-{last:.0f} A) is covered by the templates "
            f"({template_range[0]:.0f}-{template_range[1]:.0f} A, rest frame) at every redshift from {z_range[0]:g} "
            f"to {z_range[1]:g}; narrow z_min and z_max, or choose another SSPModel"
        )
        raise LibraryError(msg)
    dropped = int(selected.sum() - inside.sum())
    if dropped:
        logger.warning(
            "%s: %d of %d good pixels are dropped at every trial redshift, because the templates (%.0f-%.0f A, rest "
            "frame) do not reach them at each redshift from %g to %g; %.0f-%.0f A are fitted",
            name, dropped, int(selected.sum()), *template_range, *z_range, max(first, low), min(last, high),
        )  # fmt: skip
    return inside


def redshift_grid(
    wavelength: FloatArray, z_range: tuple[float, float], velscale: float | None, z_step: float, name: str
) -> RedshiftGrid:
    """Choose the trial redshifts and the grid of the model for fitted pixels.

    Parameters
    ----------
    wavelength : ndarray, shape (n_good,)
        Fitted pixels, observed frame, Angstrom.
    z_range : (float, float)
        Smallest and largest trial redshift.
    velscale : float or None
        Pixel of the grid in km/s; that of the data if None.
    z_step : float
        Step of trial redshifts in these pixels; 1 / integer.
    name : str
        Of the spectrum, for messages.
    """
    pixel = model_grid(wavelength, velscale, (1.0, 1e9), name).velscale
    step = pixel * z_step / SPEED_OF_LIGHT_KMS
    position = np.log(wavelength / wavelength[0]) / step + STENCIL
    nearest = np.rint(position)
    aligned = bool(np.all(np.abs(position - nearest) < _ON_GRID / z_step))
    if aligned:
        position = nearest
    largest = float(np.log((1 + z_range[1]) / (1 + z_range[0])) / step)
    n_trials = int(np.ceil(largest - 1e-9)) + 1
    n_shifts = max(n_trials, _FEWEST)
    n_observed = int(np.ceil(position[-1])) + STENCIL + 1
    start = np.log(wavelength[0]) - STENCIL * step - np.log1p(z_range[0]) - (n_shifts - 1) * step
    rest = np.exp(start + step * np.arange(n_observed + n_shifts - 1))
    return RedshiftGrid(*z_range, step, n_shifts, n_trials, rest, position, aligned)
