"""The sums over pixels that a fit needs, at every trial redshift at once or at one redshift.

The likelihood depends on the model m only through sums over the fitted pixels of ``a m`` and ``q m^2`` with rows a
and q of weights that are fixed in set-up (data times inverse variance, inverse variance; further ones for
polynomials and for the continuum). As a function of a whole shift of the model these are correlations, and the
Fourier transform gives all of them at once. Where pixels lie between those of the grid, the model in a pixel is
``sum_k t_k F_k`` over four pixels of the grid, and ``q m^2`` is the sum over lags l of ``F_k F_(k+l)`` times fixed
weights: four correlations, and still exact.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import fft

from orchestrator.forward_model.redshift_grid import RedshiftGrid
from orchestrator.physics.wavelength import CubicProjection, prepare_projection

__all__ = ["PixelSums", "ShiftWindow", "pixel_sums", "shifted_flux"]

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
Mixing = tuple[FloatArray, FloatArray]

_TAPS = 4


@dataclass(frozen=True)
class ShiftWindow:
    """Trial redshifts ``first`` to ``last``, both included."""

    first: int
    last: int


@dataclass(frozen=True)
class PixelSums:
    """Weights of the sums, on the pixels and transformed.

    Attributes
    ----------
    linear : ndarray, shape (n_linear, n_good)
        Weights of m.
    quadratic : ndarray, shape (n_quadratic, n_good)
        Weights of m^2.
    n_fft : int
        Length of the transforms, at least that of the observed grid and the widest window together.
    linear_rfft : ndarray of complex, shape (n_linear, n_fft // 2 + 1)
    quadratic_rfft : ndarray of complex, shape (n_quadratic, n_lags, n_fft // 2 + 1)
    grid : RedshiftGrid
    """

    linear: FloatArray
    quadratic: FloatArray
    n_fft: int
    linear_rfft: ComplexArray = field(repr=False)
    quadratic_rfft: ComplexArray = field(repr=False)
    grid: RedshiftGrid = field(repr=False)

    @property
    def n_sums(self) -> int:
        """Number of sums."""
        return len(self.linear) + len(self.quadratic)

    def direct(self, flux: FloatArray) -> FloatArray:
        """Return the sums for models on the fitted pixels.

        Parameters
        ----------
        flux : ndarray, shape (n_points, n_good)

        Returns
        -------
        ndarray, shape (n_points, n_linear + n_quadratic)
        """
        return np.concatenate([flux @ self.linear.T, (flux * flux) @ self.quadratic.T], axis=1)

    def at_shifts(self, spectra: FloatArray, window: ShiftWindow, mixing: Mixing | None = None) -> FloatArray:
        """Return the sums at each trial redshift of a window.

        Parameters
        ----------
        spectra : ndarray, shape (n_points, n_rest)
            On the rest-frame grid.
        window : ShiftWindow
        mixing : (ndarray, ndarray), optional
            For each point, coefficients of the linear rows, shape (n_points, n_linear), and of the quadratic ones:
            only these combinations are returned, one of each.

        Returns
        -------
        ndarray, shape (n_points, n_sums or 2, n_window)
        """
        n_window = window.last - window.first + 1
        start = self.grid.n_shifts - 1 - window.last
        part = spectra[:, start : start + self.grid.n_observed + n_window - 1]
        linear, quadratic = self.linear_rfft, self.quadratic_rfft
        if mixing is None:
            # one axis for the points, one for the sums
            linear, quadratic = linear[None], quadratic[None]
        else:
            linear = (mixing[0] @ linear)[:, None]
            quadratic = np.tensordot(mixing[1], quadratic, 1)[:, None]
        own = linear * self._rfft(part)[:, None]
        product = quadratic[:, :, 0] * self._rfft(part * part)[:, None]
        for lag in range(1, quadratic.shape[2]):
            product += quadratic[:, :, lag] * self._rfft(part[:, lag:] * part[:, :-lag])[:, None]
        both = fft.irfft(np.concatenate([own, product], axis=1), self.n_fft, workers=1, overwrite_x=True)
        return np.asarray(both[:, :, :n_window][:, :, ::-1])

    def _rfft(self, values: FloatArray) -> ComplexArray:
        return np.asarray(fft.rfft(values, self.n_fft, workers=1))


def pixel_sums(linear: FloatArray, quadratic: FloatArray, grid: RedshiftGrid, widest: int) -> PixelSums:
    """Prepare the sums.

    Parameters
    ----------
    linear : ndarray, shape (n_linear, n_good)
    quadratic : ndarray, shape (n_quadratic, n_good)
    grid : RedshiftGrid
    widest : int
        Most trial redshifts in a window.
    """
    n_fft = int(fft.next_fast_len(grid.n_observed + widest - 1, real=True))
    first, taps = _taps(grid)
    n_taps = taps.shape[1]
    folded = np.zeros((len(linear), grid.n_observed))
    lagged = np.zeros((len(quadratic), n_taps, grid.n_observed))
    for a in range(n_taps):
        for row, target in zip(linear, folded, strict=True):
            np.add.at(target, first + a, row * taps[:, a])
        for b in range(a, n_taps):
            factor = taps[:, a] * taps[:, b] * (1.0 if a == b else 2.0)
            for row, targets in zip(quadratic, lagged, strict=True):
                np.add.at(targets[b - a], first + a, row * factor)
    return PixelSums(
        linear=np.ascontiguousarray(linear),
        quadratic=np.ascontiguousarray(quadratic),
        n_fft=n_fft,
        linear_rfft=np.conj(fft.rfft(folded, n_fft)),
        quadratic_rfft=np.conj(fft.rfft(lagged, n_fft)),
        grid=grid,
    )


def _taps(grid: RedshiftGrid) -> tuple[NDArray[np.int64], FloatArray]:
    """Return first grid pixel and weights of the interpolation at whole shifts, shape (n_good, 1 or 4)."""
    if grid.aligned:
        return grid.position.astype(np.int64), np.ones((len(grid.position), 1))
    index = np.exp(1e-4 * np.arange(grid.n_observed))  # any logarithmic grid: only positions count
    projection: CubicProjection = prepare_projection(index, np.exp(1e-4 * grid.position))
    assert not projection.identity
    return projection.first, projection.weights[:, :_TAPS]


def shifted_flux(
    spectra: FloatArray,
    shift: FloatArray,
    grid: RedshiftGrid,
    position: FloatArray,
    curve: FloatArray | None = None,
    exponent: FloatArray | None = None,
) -> FloatArray:
    """Return spectra at any redshift in the pixels, by the polynomial through the six nearest grid pixels.

    Parameters
    ----------
    spectra : ndarray, shape (n_points, n_rest)
        On the rest-frame grid.
    shift : ndarray, shape (n_points,)
        From `RedshiftGrid.shift_of`; between 0 and ``n_shifts - 1``.
    grid : RedshiftGrid
    position : ndarray, shape (n_pixels,)
        Places of the pixels on the observed grid.
    curve : ndarray, shape (n_rest,), optional
    exponent : ndarray, shape (n_points,), optional
        The spectra are multiplied with ``exp(exponent * curve)``; the curve, being smooth, is interpolated linearly.

    Returns
    -------
    ndarray, shape (n_points, n_pixels)
    """
    nothing = np.zeros(0)
    curve, exponent = (nothing, nothing) if curve is None or exponent is None else (curve, exponent)
    return np.asarray(_shifted(spectra, shift, position, grid.aligned, float(grid.n_shifts - 1), curve, exponent))


@njit(cache=True, nogil=True, error_model="numpy")
def _lagrange(t: float, weights: FloatArray) -> None:
    """Write the weights of nodes -2 ... 3 at t between 0 and 1."""
    a, b, c, d, e, f = t + 2, t + 1, t, t - 1, t - 2, t - 3
    weights[0] = -b * c * d * e * f / 120
    weights[1] = a * c * d * e * f / 24
    weights[2] = -a * b * d * e * f / 12
    weights[3] = a * b * c * e * f / 12
    weights[4] = -a * b * c * d * f / 24
    weights[5] = a * b * c * d * e / 120


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _shifted(
    spectra: FloatArray,
    shift: FloatArray,
    position: FloatArray,
    aligned: bool,
    largest: float,
    curve: FloatArray,
    exponent: FloatArray,
) -> FloatArray:
    n_points, n_rest = spectra.shape
    n_pixels = len(position)
    result = np.empty((n_points, n_pixels))
    w = np.empty(6)
    for i in range(n_points):
        row, offset = spectra[i], largest - shift[i]
        whole = int(np.floor(offset))
        if aligned:
            _lagrange(offset - whole, w)
        for j in range(n_pixels):
            if aligned:
                k, t = int(position[j]) + whole, offset - whole
            else:
                place = position[j] + offset
                k = int(np.floor(place))
                t = place - k
                _lagrange(t, w)
            k = min(max(k, 2), n_rest - 4)
            value = w[0] * row[k - 2] + w[1] * row[k - 1] + w[2] * row[k]
            value += w[3] * row[k + 1] + w[4] * row[k + 2] + w[5] * row[k + 3]
            if len(exponent):
                value *= np.exp(exponent[i] * ((1 - t) * curve[k] + t * curve[k + 1]))
            result[i, j] = value
    return result
