"""The continuum that `use_features` takes off: a cubic spline with knots at equal distances.

Taking a continuum off is a linear operation: with the spline's functions B, the uncertainties of the data and the
pixels that shape the continuum, ``(1 - H) f`` with ``H = B (B^T W_c B)^-1 B^T W_c`` is what is left of a spectrum
f. The same operator, fixed in set-up, acts on the data and on the model at every trial redshift, so that what is
compared is what the same treatment leaves of both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import DataError
from orchestrator.physics.constants import SPEED_OF_LIGHT_KMS

__all__ = ["SplineContinuum", "spline_continuum", "without_bright_lines"]

FloatArray = NDArray[np.float64]

_ROUNDS = 10
_LINE_KNOTS, _LINE_CLIP = 200.0, 3.0
_FEWEST_PIXELS = 100
_MAD = 1.4826  # standard deviations per median absolute deviation of a normal distribution
_LEAST_INFORMATIVE = 1e-10


@dataclass(frozen=True)
class SplineContinuum:
    """The operator that takes a continuum off.

    Attributes
    ----------
    basis : ndarray, shape (n_spline, n_good)
        The spline's functions on the fitted pixels.
    shaping : ndarray of bool, shape (n_good,)
        Pixels that shape the continuum.
    shaping_weight : ndarray, shape (n_good,)
        Their inverse variance; 0 for the others.
    inverse_normal : ndarray, shape (n_spline, n_spline)
        (Pseudo-)inverse of ``B W_c B^T``.
    """

    basis: FloatArray
    shaping: NDArray[np.bool_]
    shaping_weight: FloatArray
    inverse_normal: FloatArray

    def of(self, flux: FloatArray) -> FloatArray:
        """Return the continuum of spectra, shape (..., n_good)."""
        coefficients = (flux @ (self.basis * self.shaping_weight).T) @ self.inverse_normal
        return np.asarray(coefficients @ self.basis)


def spline_continuum(
    wavelength: FloatArray, flux: FloatArray, inverse_variance: FloatArray, knot_spacing: float, sigma_clip: float
) -> SplineContinuum:
    """Fit the continuum of the data and return its operator.

    Parameters
    ----------
    wavelength : ndarray, shape (n_good,)
        Fitted pixels, observed frame, Angstrom.
    flux, inverse_variance : ndarray, shape (n_good,)
    knot_spacing : float
        Angstrom.
    sigma_clip : float
        Pixels whose deviation in units of their uncertainty is larger than so many robust standard deviations of
        all such deviations do not shape the continuum; repeated until nothing changes.

    Raises
    ------
    DataError
        If the spline has more functions than half the number of pixels.
    """
    from scipy.interpolate import BSpline

    low, high = float(wavelength[0]), float(wavelength[-1])
    n_intervals = max(round((high - low) / knot_spacing), 1)
    knots = np.concatenate([[low] * 3, np.linspace(low, high, n_intervals + 1), [high] * 3])
    basis = BSpline.design_matrix(wavelength, knots, 3).toarray().T
    if 2 * len(basis) > len(wavelength):
        msg = (
            f"a continuum with a knot every {knot_spacing:g} A has {len(basis)} terms for {len(wavelength)} pixels; "
            "set continuum_knot_spacing larger"
        )
        raise DataError(msg)
    shaping = np.ones(len(wavelength), dtype=bool)
    continuum = _operator(basis, inverse_variance, shaping)
    for _ in range(_ROUNDS):
        deviation = (flux - continuum.of(flux)) * np.sqrt(inverse_variance)
        centre = np.median(deviation[shaping])
        scatter = _MAD * float(np.median(np.abs(deviation[shaping] - centre)))
        now = np.abs(deviation - centre) <= sigma_clip * scatter
        if scatter == 0 or np.array_equal(now, shaping):
            break
        shaping = now
        continuum = _operator(basis, inverse_variance, shaping)
    return continuum


def without_bright_lines(
    wavelength: FloatArray, flux: FloatArray, inverse_variance: FloatArray, clip: float, half_width_kms: float
) -> NDArray[np.bool_]:
    """Return the pixels away from what stands out of a spectrum like an emission line, shape (n_good,).

    The redshift is not known yet, so the data alone decide, before any model is compared with them.

    Parameters
    ----------
    wavelength : ndarray, shape (n_good,)
        Observed frame, Angstrom.
    flux, inverse_variance : ndarray, shape (n_good,)
    clip : float
        A line begins so many robust standard deviations (of the deviations from a spline continuum in units of their
        uncertainties, features of the stars included) above the continuum.
    half_width_kms : float
        Pixels so near to one that stands out are not returned either.
    """
    if len(wavelength) < _FEWEST_PIXELS:
        return np.ones(len(wavelength), dtype=bool)
    continuum = spline_continuum(wavelength, flux, inverse_variance, _LINE_KNOTS, _LINE_CLIP)
    deviation = (flux - continuum.of(flux)) * np.sqrt(inverse_variance)
    centre = np.median(deviation)
    scatter = _MAD * float(np.median(np.abs(deviation - centre)))
    bright = np.log(wavelength[deviation - centre > clip * scatter]) if scatter > 0 else np.zeros(0)
    if not len(bright):
        return np.ones(len(wavelength), dtype=bool)
    place = np.log(wavelength)
    after = np.clip(np.searchsorted(bright, place), 0, len(bright) - 1)
    distance = np.minimum(np.abs(bright[after] - place), np.abs(bright[np.maximum(after - 1, 0)] - place))
    return np.asarray(distance > half_width_kms / SPEED_OF_LIGHT_KMS)


def _operator(basis: FloatArray, inverse_variance: FloatArray, shaping: NDArray[np.bool_]) -> SplineContinuum:
    weight = np.where(shaping, inverse_variance, 0.0)
    normal = (basis * weight) @ basis.T
    # functions that no pixel shapes (a wide mask) get no coefficient
    inverse = np.asarray(np.linalg.pinv(normal, rcond=_LEAST_INFORMATIVE, hermitian=True), dtype=np.float64)
    return SplineContinuum(np.ascontiguousarray(basis), shaping, weight, inverse)
