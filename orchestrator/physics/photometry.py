"""Synthetic photometry: from spectra of SSPs to fluxes in bands.

The flux in a band is the AB mean of a photon-counting detector (Bessell & Murphy 2012, PASP 124, 140,
eq. A11-A12),

    f_nu = integral of f_lambda lambda T dlambda / (c integral of T / lambda dlambda),

a linear functional of the spectrum. It is exact here for a spectrum and a transmission curve that are both
linear between their points. A fit needs it for every SSP and any A_V: `ssp_band_table` keeps it as a
Chebyshev series in A_V with the exponential of the band's mean attenuation taken out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from orchestrator.errors import DataError
from orchestrator.physics.constants import SOLAR_LUMINOSITY, SPEED_OF_LIGHT_ANGSTROM

__all__ = [
    "SOLAR_LUMINOSITY",
    "BandTable",
    "FilterCurve",
    "band_flux_weights",
    "band_fluxes",
    "band_functional",
    "ssp_band_table",
]

Array = NDArray[np.float64]

_LEAST_COVERAGE = 0.999
_MAGNITUDE = 0.4 * np.log(10.0)
_NODE_COUNTS = (1, 4, 6, 8, 10, 12, 16, 20, 24, 32, 40, 56)


class FilterCurve(Protocol):
    """What a filter must offer, such as `orchestrator.observation.filters.Filter`."""

    @property
    def name(self) -> str:
        """Name for messages."""

    @property
    def wavelength(self) -> Array:
        """Angstrom, strictly increasing, shape (n,)."""

    @property
    def transmission(self) -> Array:
        """Any scale, shape (n,)."""


@dataclass(frozen=True)
class BandTable:
    """Band fluxes of the SSPs of a library as a function of A_V; from `ssp_band_table`.

    Attributes
    ----------
    names : tuple of str
        The filters, n_bands.
    coefficients : ndarray, shape (n_ssp, n_bands, n_nodes)
        Chebyshev coefficients in x = 2 A_V / `a_v_max` - 1 of f_nu * 10^(0.4 A_V `mean_curve`),
        erg/s/cm2/Hz per Msun.
    mean_curve : ndarray, shape (n_bands,)
        Mean of A(lambda) / A_V in each band.
    a_v_max : float
        mag; the series holds in [0, a_v_max].
    max_relative_error : float
        Largest relative error of the series over SSPs, bands and A_V, as measured.
    flux : ndarray, shape (n_ssp, n_wave)
        The spectra that the table was made of, for A_V outside the range.
    functional : ndarray, shape (n_bands, n_wave)
        Band fluxes of them are flux @ functional.T.
    curve : ndarray, shape (n_wave,)
        A(lambda) / A_V at the wavelengths of the spectra.
    """

    names: tuple[str, ...]
    coefficients: Array
    mean_curve: Array
    a_v_max: float
    max_relative_error: float
    flux: Array
    functional: Array
    curve: Array


def band_flux_weights(
    wavelength: ArrayLike, filter_wavelength: ArrayLike, filter_transmission: ArrayLike, name: str = ""
) -> Array:
    """Return the weights of a spectrum's points in the flux of a band.

    Parameters
    ----------
    wavelength : array_like, shape (n_wave,)
        Wavelengths of the spectrum in the observed frame, Angstrom, strictly increasing.
    filter_wavelength, filter_transmission : array_like, shape (n,)
        The transmission curve; Angstrom, strictly increasing, on any scale. It is zero outside.
    name : str
        Name of the band, for messages.

    Returns
    -------
    ndarray, shape (n_wave,)
        ``weights @ f_lambda`` is f_nu in erg/s/cm2/Hz for f_lambda in erg/s/cm2/Angstrom.

    Raises
    ------
    DataError
        The spectrum covers less than 99.9 % of the integral of the transmission.
    """
    wave = np.asarray(wavelength, dtype=np.float64)
    x, t = np.asarray(filter_wavelength, dtype=np.float64), np.asarray(filter_transmission, dtype=np.float64)
    low, high = max(wave[0], x[0]), min(wave[-1], x[-1])
    knots = np.unique(np.concatenate([wave, x]))
    knots = knots[(knots >= low) & (knots <= high)]
    at_knots = np.interp(knots, x, t)
    total = np.trapezoid(t, x)
    coverage = np.trapezoid(at_knots, knots) / total if knots.size > 1 and total > 0.0 else 0.0
    if not coverage >= _LEAST_COVERAGE:
        msg = (
            f"band {name!r} spans {x[0]:.6g} to {x[-1]:.6g} Angstrom; the model spectrum spans {wave[0]:.6g} "
            f"to {wave[-1]:.6g} Angstrom in the observed frame and covers {coverage:.1%} of its "
            f"transmission, {_LEAST_COVERAGE:.1%} needed: leave the band out, or use an SSP "
            "library with a longer range"
        )
        raise DataError(msg)
    left, width = knots[:-1], np.diff(knots)
    slope = np.diff(at_knots) / width
    photons = np.sum((at_knots[:-1] - slope * left) * np.log1p(width / left) + slope * width)
    weights = np.zeros(wave.size)
    below = np.clip(np.searchsorted(wave, 0.5 * (left + knots[1:])) - 1, 0, wave.size - 2)
    # two Gauss nodes are exact for the cubic lambda * T * hat
    for node in (0.5 - np.sqrt(1.0 / 12.0), 0.5 + np.sqrt(1.0 / 12.0)):
        at = left + node * width
        part = 0.5 * width * at * (at_knots[:-1] + slope * node * width)
        upper = (at - wave[below]) / (wave[below + 1] - wave[below])
        weights += np.bincount(below, part * (1.0 - upper), wave.size)
        weights += np.bincount(below + 1, part * upper, wave.size)
    return weights / (SPEED_OF_LIGHT_ANGSTROM * photons)


def band_functional(wavelength: Array, filters: Sequence[FilterCurve]) -> Array:
    """Return the weights of a spectrum's points in the flux of every band, shape (n_bands, n_wave).

    Parameters
    ----------
    wavelength : ndarray, shape (n_wave,)
        Observed frame, Angstrom, strictly increasing.
    filters : sequence of FilterCurve
        The bands, n_bands.

    Raises
    ------
    DataError
        The wavelengths do not cover a band.
    """
    return np.stack([band_flux_weights(wavelength, f.wavelength, f.transmission, f.name) for f in filters])


def ssp_band_table(
    wavelength: ArrayLike,
    flux: ArrayLike,
    redshift: float,
    filters: Sequence[FilterCurve],
    curve: ArrayLike,
    flux_per_luminosity: float = 1.0,
    *,
    on_the_way: ArrayLike = 1.0,
    a_v_max: float = 5.0,
    tolerance: float = 1e-6,
) -> BandTable:
    """Tabulate the band fluxes of SSPs as a function of A_V.

    Parameters
    ----------
    wavelength : array_like, shape (n_wave,)
        Rest frame, vacuum, Angstrom, strictly increasing.
    flux : array_like, shape (n_ssp, n_wave)
        Lsun/Angstrom per Msun.
    redshift : float
        Of the galaxy.
    filters : sequence of FilterCurve
        The bands, n_bands.
    curve : array_like, shape (n_wave,)
        A(lambda) / A_V in the rest frame (`orchestrator.physics.attenuation.attenuation_curve`).
    flux_per_luminosity : float
        Observed erg/s/cm2/Angstrom at lambda (1 + z) per Lsun/Angstrom at lambda, that is
        `SOLAR_LUMINOSITY` / (4 pi d_L^2 (1 + z)) with d_L in cm.
    on_the_way : array_like, shape (n_wave,)
        Fraction of light of each wavelength that reaches us from the galaxy: dust of the Galaxy, absorption between.
    a_v_max : float
        Upper end of the range of the series, mag; beyond it `band_fluxes` computes exactly but slowly.
    tolerance : float
        Relative error to reach; the number of terms follows from it.

    Returns
    -------
    BandTable

    Raises
    ------
    DataError
        The spectra do not cover a band, named with coverage and ranges.
    ValueError
        `a_v_max` is not positive.
    """
    if not a_v_max > 0.0:
        msg = f"a_v_max={a_v_max!r} must be positive"
        raise ValueError(msg)
    observed = np.asarray(wavelength, dtype=np.float64) * (1.0 + redshift)
    spectra = np.ascontiguousarray(flux, dtype=np.float64)
    extinction = np.asarray(curve, dtype=np.float64)
    functional = band_functional(observed, filters) * (flux_per_luminosity * np.asarray(on_the_way))
    mean_curve = functional @ extinction / functional.sum(axis=1)
    # each band sees only a part of the spectrum
    parts = []
    for band, mean in zip(functional, mean_curve, strict=True):
        seen = band != 0.0
        parts.append((spectra[:, seen] * band[seen], extinction[seen] - mean))
    for count in _NODE_COUNTS:
        series = [_chebyshev_series(light, excess, a_v_max, count) for light, excess in parts]
        error = max(error for _, error in series)
        if error <= tolerance:
            break
    return BandTable(
        names=tuple(f.name for f in filters),
        coefficients=np.ascontiguousarray(np.stack([coefficients for coefficients, _ in series], axis=1)),
        mean_curve=mean_curve,
        a_v_max=float(a_v_max),
        max_relative_error=error,
        flux=spectra,
        functional=functional,
        curve=extinction,
    )


def band_fluxes(table: BandTable, weights: ArrayLike, a_v: ArrayLike) -> Array:
    """Return the flux of mixtures of SSPs in every band.

    Parameters
    ----------
    table : BandTable
        From `ssp_band_table`.
    weights : array_like, shape (n_points, n_ssp)
        Mass of each SSP, Msun.
    a_v : array_like, shape (n_points,)
        mag. Outside [0, `table.a_v_max`] the flux is integrated anew: exact, but slow.

    Returns
    -------
    ndarray, shape (n_points, n_bands)
        f_nu, erg/s/cm2/Hz.
    """
    masses = np.ascontiguousarray(weights, dtype=np.float64)
    dust = np.ascontiguousarray(np.broadcast_to(np.asarray(a_v, dtype=np.float64), masses.shape[:1]))
    if masses.ndim != 2 or masses.shape[1] != table.coefficients.shape[0]:
        msg = f"weights must have shape (n_points, {table.coefficients.shape[0]}), found {masses.shape}"
        raise ValueError(msg)
    fluxes = _evaluate(table.coefficients, table.mean_curve, table.a_v_max, masses, dust)
    outside = ~((dust >= 0.0) & (dust <= table.a_v_max))
    if outside.any():
        dimmed = masses[outside] @ table.flux * np.exp(-_MAGNITUDE * dust[outside, None] * table.curve)
        fluxes[outside] = dimmed @ table.functional.T
    return fluxes


def _chebyshev_series(light: Array, excess: Array, a_v_max: float, count: int) -> tuple[Array, float]:
    """Chebyshev coefficients, shape (n_ssp, count), of the dimmed light of one band, and their error.

    `light` (n_ssp, n) are the contributions of the points of the spectra to the undimmed band, `excess`
    (n,) A(lambda) / A_V there less its mean. The error is the largest relative one at 3 count + 5 other A_V.
    """
    angle = np.pi * (np.arange(count) + 0.5) / count
    transform = 2.0 / count * np.cos(np.outer(angle, np.arange(count)))
    transform[:, 0] *= 0.5
    coefficients = _dimmed(light, excess, 0.5 * a_v_max * (1.0 + np.cos(angle))) @ transform
    check = np.linspace(-1.0, 1.0, 3 * count + 5)
    exact = _dimmed(light, excess, 0.5 * a_v_max * (1.0 + check))
    series = np.polynomial.chebyshev.chebval(check, coefficients.T)
    # an SSP without light in the band has no relative error
    relative = np.abs(series - exact) / np.where(exact == 0.0, 1.0, np.abs(exact))
    return coefficients, float(relative.max())


def _dimmed(light: Array, excess: Array, a_v: Array) -> Array:
    return light @ np.exp(-_MAGNITUDE * np.outer(excess, a_v))


@njit(cache=True, nogil=True)
def _evaluate(coefficients: Array, mean_curve: Array, a_v_max: float, weights: Array, a_v: Array) -> Array:
    n_ssp, n_bands, n_nodes = coefficients.shape
    flat = coefficients.reshape(n_ssp, n_bands * n_nodes)
    n_points = weights.shape[0]
    fluxes = np.zeros((n_points, n_bands))
    total = np.empty(n_bands * n_nodes)
    for i in range(n_points):
        total[:] = 0.0
        for s in range(n_ssp):
            weight = weights[i, s]
            # most SSPs have no mass: a star-formation history is a line through ages and metallicities
            if weight != 0.0:
                for c in range(n_bands * n_nodes):
                    total[c] += weight * flat[s, c]
        x = 2.0 * a_v[i] / a_v_max - 1.0
        for b in range(n_bands):
            # Clenshaw's recurrence
            last = before = 0.0
            for c in range(n_nodes - 1, 0, -1):
                last, before = 2.0 * x * last - before + total[b * n_nodes + c], last
            value = x * last - before + total[b * n_nodes]
            fluxes[i, b] = value * np.exp(-_MAGNITUDE * mean_curve[b] * a_v[i])
    return fluxes
