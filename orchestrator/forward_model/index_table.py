"""Band integrals of SSPs, with dust and the emission of gas: all that an evaluation of indices needs.

The integrals of a mixture are those of its SSPs times the masses. Dust in front of them is a Chebyshev series in A_V,
as for photometry, with the dimming at a reference wavelength of each index taken out: it cancels in the index. The
gas adds its own integrals, which are those of narrow lines, times the flux of a line: the equivalent width that is
sampled times the stars' continuum at the line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.physics.line_indices import N_INTEGRALS, IndexSet

__all__ = ["GasEmission", "IndexLight", "IndexTable", "index_table"]

FloatArray = NDArray[np.float64]

_MAGNITUDE = 0.4 * np.log(10.0)
_NODE_COUNTS = (3, 4, 5, 6, 8, 10, 12, 16, 24)
_TOLERANCE = 1e-8


@dataclass(frozen=True)
class IndexLight:
    """The light of the SSPs around one index, pixel by pixel.

    Attributes
    ----------
    flux : ndarray, shape (n_ssp, n_pixels)
        At the resolution of the data.
    weights : ndarray, shape (N_INTEGRALS, n_pixels)
        Of the pixels in the band integrals.
    curve : ndarray, shape (n_pixels,)
        A(lambda) / A_V less its value `reference`.
    reference : float
        Of the index: mean of A(lambda) / A_V over its bands.
    """

    flux: FloatArray
    weights: FloatArray
    curve: FloatArray
    reference: float

    def integrals(self, a_v: FloatArray) -> FloatArray:
        """Return the band integrals of every SSP behind dust, shape (n_a_v, n_ssp, N_INTEGRALS)."""
        dimming = np.exp(-_MAGNITUDE * np.multiply.outer(a_v, self.curve))
        return np.asarray(np.einsum("sp,kp,ap->ask", self.flux, self.weights, dimming, optimize=True))


@dataclass(frozen=True)
class GasEmission:
    """Emission lines that fall on the indices.

    Attributes
    ----------
    groups : tuple of str
        Groups of lines with fixed ratios; each has one sampled equivalent width.
    continuum : ndarray, shape (n_ssp, n_groups)
        Flux density of the SSPs beside the line that the equivalent width of a group is of.
    continuum_curve : ndarray, shape (n_groups,)
        A(lambda) / A_V at that line.
    group : ndarray of int, shape (n_lines,)
        Which group a line belongs to.
    ratio : ndarray, shape (n_lines,)
        Flux of a line over that of its group, without dust.
    curve : ndarray, shape (n_lines,)
        A(lambda) / A_V at the line less that of its group.
    response : ndarray, shape (n_lines, n_indices, N_INTEGRALS)
        Band integrals of a line of unit flux.
    """

    groups: tuple[str, ...]
    continuum: FloatArray
    continuum_curve: FloatArray
    group: NDArray[np.int64]
    ratio: FloatArray
    curve: FloatArray
    response: FloatArray

    def fluxes(
        self, weights: FloatArray, widths: FloatArray, a_v: FloatArray, a_v_gas: FloatArray
    ) -> FloatArray:
        """Return the observed flux of each line.

        Parameters
        ----------
        weights : ndarray, shape (n_points, n_ssp)
        widths : ndarray, shape (n_points, n_groups)
            Equivalent widths, Angstrom, as observed: of the dimmed line over the dimmed continuum.
        a_v, a_v_gas : ndarray, shape (n_points,)
            Of the stars, and of the gas, which sets the ratios within a group.

        Returns
        -------
        ndarray, shape (n_points, n_lines)
        """
        continuum = weights @ self.continuum * np.exp(-_MAGNITUDE * np.outer(a_v, self.continuum_curve))
        relative = self.ratio * np.exp(-_MAGNITUDE * np.outer(a_v_gas, self.curve))
        return np.asarray((widths * continuum)[:, self.group] * relative)


@dataclass(frozen=True)
class IndexTable:
    """Band integrals of the SSPs as a function of A_V; from :func:`index_table`.

    Attributes
    ----------
    index_set : IndexSet
    coefficients : ndarray, shape (n_ssp, n_nodes * n_indices * N_INTEGRALS)
        Chebyshev coefficients in ``x = 2 A_V / a_v_max - 1``; one node and no dust where `a_v_max` is 0.
    n_nodes : int
    a_v_max : float
        mag; beyond it the pixels are summed anew: exact, but slow.
    max_error : float
        Largest error of an integral over the mean flux in the blue band, as measured.
    reference : ndarray, shape (n_indices,)
        A(lambda) / A_V that is taken out of each index.
    light : tuple of IndexLight
        What the table was made of.
    gas : GasEmission or None
    """

    index_set: IndexSet
    coefficients: FloatArray
    n_nodes: int
    a_v_max: float
    max_error: float
    reference: FloatArray
    light: tuple[IndexLight, ...]
    gas: GasEmission | None

    def stellar_integrals(self, weights: FloatArray, a_v: FloatArray) -> FloatArray:
        """Return the band integrals of mixtures of SSPs.

        Parameters
        ----------
        weights : ndarray, shape (n_points, n_ssp)
        a_v : ndarray, shape (n_points,)
            mag, not negative.

        Returns
        -------
        ndarray, shape (n_points, n_indices, N_INTEGRALS)
        """
        shape = (len(weights), len(self.reference), N_INTEGRALS)
        series = weights @ self.coefficients
        if self.n_nodes == 1:
            return np.asarray(series.reshape(shape))
        x = np.clip(2.0 * a_v / self.a_v_max - 1.0, -1.0, 1.0)
        terms = np.cos(np.arange(self.n_nodes) * np.arccos(x)[:, None])
        result = np.einsum("pn,pni->pi", terms, series.reshape(len(weights), self.n_nodes, -1)).reshape(shape)
        for p in np.flatnonzero(a_v > self.a_v_max):
            for i, light in enumerate(self.light):
                result[p, i] = weights[p] @ light.integrals(a_v[p : p + 1])[0]
        return result

    def integrals(
        self,
        weights: FloatArray,
        a_v: FloatArray,
        widths: FloatArray | None = None,
        a_v_gas: FloatArray | None = None,
    ) -> FloatArray:
        """Return the band integrals of stars and gas, shape (n_points, n_indices, N_INTEGRALS).

        Parameters
        ----------
        weights : ndarray, shape (n_points, n_ssp)
        a_v : ndarray, shape (n_points,)
        widths : ndarray, shape (n_points, n_groups), optional
            Equivalent widths of the groups of lines, Angstrom, positive in emission.
        a_v_gas : ndarray, shape (n_points,), optional
            `a_v` if left out.
        """
        stars = self.stellar_integrals(weights, a_v)
        if self.gas is None or widths is None:
            return stars
        fluxes = self.gas.fluxes(weights, widths, a_v, a_v if a_v_gas is None else a_v_gas)
        response = self.gas.response
        added = (fluxes @ response.reshape(len(response), -1)).reshape(stars.shape)
        if self.a_v_max > 0:  # what was taken out of the stars comes off the gas
            added = added * np.exp(_MAGNITUDE * np.outer(a_v, self.reference))[:, :, None]
        return stars + added


def index_table(
    index_set: IndexSet, light: Sequence[IndexLight], gas: GasEmission | None, a_v_max: float
) -> IndexTable:
    """Tabulate the band integrals of SSPs as a function of A_V.

    Parameters
    ----------
    index_set : IndexSet
    light : sequence of IndexLight
        One per index.
    gas : GasEmission or None
    a_v_max : float
        Upper end of the range of the series, mag; 0 for no dust.

    Returns
    -------
    IndexTable
    """
    n_ssp = len(light[0].flux)
    if a_v_max == 0:
        series = np.concatenate([part.integrals(np.zeros(1))[0] for part in light], axis=1)[:, None]
        error = 0.0
    else:
        for count in _NODE_COUNTS:
            found = [_chebyshev_series(part, a_v_max, count) for part in light]
            error = max(error for _, error in found)
            if error <= _TOLERANCE:
                break
        series = np.concatenate([coefficients for coefficients, _ in found], axis=2)
    return IndexTable(
        index_set=index_set,
        coefficients=np.ascontiguousarray(series.reshape(n_ssp, -1)),
        n_nodes=series.shape[1],
        a_v_max=float(a_v_max),
        max_error=error,
        reference=np.array([part.reference for part in light]),
        light=tuple(light),
        gas=gas,
    )


def _chebyshev_series(light: IndexLight, a_v_max: float, count: int) -> tuple[FloatArray, float]:
    """Return coefficients, shape (n_ssp, count, N_INTEGRALS), and their error at other values of A_V."""
    angle = np.pi * (np.arange(count) + 0.5) / count
    transform = 2.0 / count * np.cos(np.outer(np.arange(count), angle))
    transform[0] *= 0.5
    at_nodes = light.integrals(0.5 * a_v_max * (1.0 + np.cos(angle)))
    coefficients = np.einsum("na,ask->snk", transform, at_nodes)
    check = np.linspace(-1.0, 1.0, 2 * count + 3)
    exact = light.integrals(0.5 * a_v_max * (1.0 + check))
    terms = np.cos(np.arange(count) * np.arccos(check)[:, None])
    series = np.einsum("an,snk->ask", terms, coefficients)
    scale = np.abs(exact[..., :1])
    relative = np.abs(series - exact) / np.where(scale > 0, scale, 1.0)
    return coefficients, float(relative.max())
