"""Broadband fluxes of the SSPs, once and for all, as a function of dust attenuation.

A band flux is linear in the SED, so each SSP is integrated over each band in set-up, and an evaluation is one
small matrix product. Dust changes the SED by ``10**(-0.4 A_V k(lambda))``; for each SSP and band that is a smooth
function of A_V, held as a Chebyshev series of measured error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orchestrator.errors import DataError

__all__ = ["Bandpass", "BandTable", "band_flux_weights", "band_fluxes", "ssp_band_table"]

FloatArray = NDArray[np.float64]

LIGHT_SPEED = 2.99792458e18
"""Angstrom/s, exact."""

COVERED = 0.999
"""Least share of a band's transmission that the SED has to cover."""

_MAX_NODES = 64


class Bandpass(Protocol):
    """A filter as the kernels see it."""

    @property
    def name(self) -> str:
        """Name for messages."""

    @property
    def wavelength(self) -> FloatArray:
        """Angstrom, increasing, shape (n,)."""

    @property
    def transmission(self) -> FloatArray:
        """Response per photon, any scale, shape (n,)."""


@dataclass(frozen=True)
class BandTable:
    """Band fluxes of SSPs as a function of A_V.

    Attributes
    ----------
    coefficients : ndarray, shape (n_ssp, n_nodes * n_bands)
        Chebyshev coefficients in A_V (erg/s/cm2/Hz per Msun): the flux of SSP ``s`` in band ``b`` is
        ``sum_k coefficients[s, k * n_bands + b] T_k(2 A_V / a_v_max - 1)``.
    a_v_max : float
        End of the range of the series; 0 where there is no dust.
    n_bands : int
    relative_error : float
        Largest error of any SSP in any band over its flux at A_V = 0, measured between the nodes.
    functional : ndarray, shape (n_bands, n_wave)
        From a rest-frame SED to the fluxes, for A_V beyond the range.
    ssp : ndarray, shape (n_ssp, n_wave)
        The SEDs it applies to.
    curve : ndarray, shape (n_wave,)
        A(lambda) / A_V.
    """

    coefficients: FloatArray
    a_v_max: float
    n_bands: int
    relative_error: float
    functional: FloatArray
    ssp: FloatArray
    curve: FloatArray


def band_flux_weights(wavelength: ArrayLike, band: Bandpass) -> FloatArray:
    r"""Return the linear functional from an SED to its flux in a band.

    The flux is the photon-counting mean of the AB system,
    ``f_nu = int f_lambda lambda T dlambda / (c int T / lambda dlambda)``, integrated exactly for SED and
    transmission that are both linear between their own points.

    Parameters
    ----------
    wavelength : array_like, shape (n_wave,)
        Of the SED, observed frame, Angstrom, increasing.
    band : Bandpass

    Returns
    -------
    ndarray, shape (n_wave,)
        ``f_nu = weights @ f_lambda``, in erg/s/cm2/Hz for erg/s/cm2/Angstrom.

    Raises
    ------
    DataError
        If the SED covers less than 99.9 % of the band.

    References
    ----------
    Bessell & Murphy (2012), PASP 124, 140, equation A12 and section A2.2.
    """
    sed = np.asarray(wavelength, dtype=np.float64)
    x, t = np.asarray(band.wavelength, dtype=float), np.asarray(band.transmission, dtype=float)
    inside = (sed > x[0]) & (sed < x[-1])
    nodes = np.union1d(x, sed[inside])
    covered = (nodes >= sed[0]) & (nodes <= sed[-1])
    response = np.interp(nodes, x, t)
    total = _integral_over_wavelength(nodes, response)
    share = _integral_over_wavelength(nodes[covered], response[covered]) / total if covered.sum() > 1 else 0.0
    if share < COVERED:
        msg = (
            f"the model SED ({sed[0]:.0f}-{sed[-1]:.0f} A in the observed frame) covers {100 * share:.1f} % of the band "
            f"{band.name} ({x[0]:.0f}-{x[-1]:.0f} A); leave the band out, or use an SSP library that reaches further"
        )
        raise DataError(msg)
    nodes, response = nodes[covered], response[covered]
    # The integrand lambda T f is cubic between nodes: two Gauss-Legendre points per interval are exact.
    half = 0.5 * np.diff(nodes)
    middle = 0.5 * (nodes[1:] + nodes[:-1])
    weights = np.zeros(len(sed))
    for sign in (-1.0, 1.0):
        at = middle + sign * half / np.sqrt(3.0)
        amount = half * at * np.interp(at, nodes, response)
        cell = np.clip(np.searchsorted(sed, at) - 1, 0, len(sed) - 2)
        fraction = (at - sed[cell]) / (sed[cell + 1] - sed[cell])
        np.add.at(weights, cell, amount * (1 - fraction))
        np.add.at(weights, cell + 1, amount * fraction)
    return weights / (LIGHT_SPEED * total)


def _integral_over_wavelength(nodes: FloatArray, response: FloatArray) -> float:
    """Return the integral of T / lambda for T linear between the nodes, in closed form."""
    if len(nodes) < 2:
        return 0.0
    slope = np.diff(response) / np.diff(nodes)
    offset = response[:-1] - slope * nodes[:-1]
    return float((slope * np.diff(nodes) + offset * np.log(nodes[1:] / nodes[:-1])).sum())


def ssp_band_table(
    wavelength_rest: ArrayLike,
    flux: ArrayLike,
    redshift: float,
    bands: Sequence[Bandpass],
    curve: ArrayLike,
    flux_per_luminosity: float,
    *,
    a_v_max: float = 5.0,
    max_relative_error: float = 1e-6,
) -> BandTable:
    """Integrate SSPs over bands.

    Parameters
    ----------
    wavelength_rest : array_like, shape (n_wave,)
        Angstrom.
    flux : array_like, shape (n_ssp, n_wave)
        Lsun/Angstrom/Msun.
    redshift : float
    bands : sequence of Bandpass
    curve : array_like, shape (n_wave,)
        A(lambda) / A_V in the rest frame; zeros for no dust.
    flux_per_luminosity : float
        erg/s/cm2/Angstrom (observed) per Lsun/Angstrom (rest).
    a_v_max : float
        Attenuation up to which the series is used, mag; beyond, the integral is done at each call.
    max_relative_error : float
        Allowed error of the series, relative to the flux without dust.

    Raises
    ------
    DataError
        If the SEDs do not cover a band.
    """
    rest = np.asarray(wavelength_rest, dtype=np.float64)
    ssp = np.asarray(flux, dtype=np.float64)
    law = np.asarray(curve, dtype=np.float64)
    functional = np.array([band_flux_weights(rest * (1 + redshift), band) for band in bands])
    functional = functional * flux_per_luminosity
    used = np.flatnonzero(np.any(functional != 0, axis=0))
    used = np.arange(used[0], used[-1] + 1)
    functional_used, ssp_used, law_used = functional[:, used], np.ascontiguousarray(ssp[:, used]), law[used]
    if not np.any(law_used):
        return BandTable(ssp_used @ functional_used.T, 0.0, len(bands), 0.0, functional_used, ssp_used, law_used)
    n_nodes = 12
    while True:
        coefficients = _chebyshev(functional_used, ssp_used, law_used, a_v_max, n_nodes)
        draft = BandTable(coefficients, a_v_max, len(bands), np.nan, functional_used, ssp_used, law_used)
        error = _measured_error(draft)
        if error <= max_relative_error or n_nodes >= _MAX_NODES:
            return BandTable(coefficients, a_v_max, len(bands), error, functional_used, ssp_used, law_used)
        n_nodes += 4


def _chebyshev(
    functional: FloatArray, ssp: FloatArray, curve: FloatArray, a_v_max: float, n_nodes: int
) -> FloatArray:
    """Return Chebyshev coefficients in A_V from the values at Chebyshev nodes."""
    angles = np.pi * (np.arange(n_nodes) + 0.5) / n_nodes
    a_v = 0.5 * a_v_max * (np.cos(angles) + 1)
    values = np.array([ssp @ (functional * 10 ** (-0.4 * a * curve)).T for a in a_v])
    transform = 2.0 / n_nodes * np.cos(np.arange(n_nodes)[:, None] * angles[None, :])
    transform[0] *= 0.5
    coefficients = np.einsum("kn,nsb->skb", transform, values)
    return np.ascontiguousarray(coefficients.reshape(len(ssp), -1))


def _measured_error(table: BandTable) -> float:
    """Return the largest error between the nodes, relative to the flux without dust."""
    dustless = table.ssp @ table.functional.T
    scale = np.where(dustless > 0, dustless, np.inf)
    worst = 0.0
    for a_v in np.linspace(0.0, table.a_v_max, 23):
        exact = table.ssp @ (table.functional * 10 ** (-0.4 * a_v * table.curve)).T
        series = (
            table.coefficients.reshape(len(table.ssp), -1, table.n_bands)
            * _polynomials(np.array([a_v]), table)[0][None, :, None]
        ).sum(axis=1)
        worst = max(worst, float(np.max(np.abs(series - exact) / scale)))
    return worst


def _polynomials(a_v: FloatArray, table: BandTable) -> FloatArray:
    n_nodes = table.coefficients.shape[1] // table.n_bands
    scaled = 2 * a_v / table.a_v_max - 1
    return np.polynomial.chebyshev.chebvander(scaled, n_nodes - 1)


def band_fluxes(table: BandTable, weights: ArrayLike, a_v: ArrayLike) -> FloatArray:
    """Return band fluxes of composite populations.

    Parameters
    ----------
    table : BandTable
    weights : array_like, shape (n_points, n_ssp)
        Mass of each SSP, Msun.
    a_v : array_like, shape (n_points,)
        mag.

    Returns
    -------
    ndarray, shape (n_points, n_bands)
        erg/s/cm2/Hz.
    """
    mass = np.asarray(weights, dtype=np.float64)
    attenuation = np.asarray(a_v, dtype=np.float64)
    series = mass @ table.coefficients
    if table.a_v_max == 0.0:
        return series
    n_points = len(mass)
    inside = (attenuation >= 0) & (attenuation <= table.a_v_max)
    polynomials = _polynomials(np.clip(attenuation, 0, table.a_v_max), table)
    result = np.einsum("pk,pkb->pb", polynomials, series.reshape(n_points, -1, table.n_bands))
    for point in np.flatnonzero(~inside):
        dimmed = table.functional * 10 ** (-0.4 * attenuation[point] * table.curve)
        result[point] = (mass[point] @ table.ssp) @ dimmed.T
    return np.asarray(result)
