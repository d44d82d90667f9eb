"""Nodes in ln(1 + z) between which models of a range of redshifts are interpolated.

There are as many as the error asks for that the interpolation makes in the age of the universe and in the width of
lines.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from orchestrator.forward_model.redshift_grid import RedshiftGrid
from orchestrator.observation.spectrum import Spectrum
from orchestrator.physics.constants import FWHM_PER_SIGMA
from orchestrator.physics.wavelength import SPEED_OF_LIGHT_KMS

__all__ = ["lsf_error", "node_shares", "redshift_nodes"]

FloatArray = NDArray[np.float64]

AGE_STEP = 0.1
"""Nodes are at most so far apart in the logarithm of the age of the universe."""

SAME_AGE = 0.001
"""Half a range of redshifts in which the age changes by so little (relative) has one node."""

LSF_TOLERANCE = 0.01
"""Largest error (relative, root mean square over the pixels) of the dispersion of lines that nodes may make."""

_MOST_SETS = 4


def node_shares(shift: FloatArray, nodes: FloatArray) -> Iterator[tuple[int, NDArray[np.int64], FloatArray]]:
    """Yield each node that serves some of the places, the rows of these, and its share in each.

    Parameters
    ----------
    shift : ndarray, shape (n_points,)
        Places, in the unit of the nodes.
    nodes : ndarray, shape (n_nodes,)
        Increasing, at equal distances.
    """
    if len(nodes) == 1:
        yield 0, np.arange(len(shift)), np.ones(len(shift))
        return
    place = np.interp(shift, nodes, np.arange(len(nodes)))
    for k in range(int(place.min()), int(np.ceil(place.max())) + 1):
        share = 1 - np.abs(place - k)
        rows = np.flatnonzero(share > 0)
        if len(rows):
            yield k, rows, share[rows]


def lsf_error(
    spectrum: Spectrum, wavelength: FloatArray, shifts: FloatArray, los_sigma: float, nodes: FloatArray
) -> float:
    """Return the error of the dispersion of lines that nodes of the line-spread function make.

    Parameters
    ----------
    spectrum : Spectrum
    wavelength : ndarray, shape (n_good,)
        Fitted pixels, observed frame.
    shifts : ndarray, shape (n,)
        ln(1 + z) of redshifts to check.
    los_sigma : float
        km/s; it broadens the lines besides the instrument.
    nodes : ndarray, shape (n_sets,)
        ln(1 + z) of the nodes.

    Returns
    -------
    float
        Relative; root mean square over the pixels, at the worst redshift.
    """
    if spectrum.lsf_fwhm is None:
        return 0.0
    log_wave, place = np.log(spectrum.wavelength), np.log(wavelength)
    dispersion = spectrum.lsf_fwhm / FWHM_PER_SIGMA / spectrum.wavelength * SPEED_OF_LIGHT_KMS
    true = np.interp(place, log_wave, dispersion) ** 2
    worst = 0.0
    for shift in shifts:
        found = np.zeros_like(true)
        for k, _, share in node_shares(np.array([shift]), nodes):
            # a pixel of the templates was given the dispersion of where it is observed at the node
            found += share[0] * np.interp(place - shift + nodes[k], log_wave, dispersion) ** 2
        error = 0.5 * (found - true) / (true + los_sigma**2)
        worst = max(worst, float(np.sqrt((error**2).mean())))
    return worst


def redshift_nodes(
    grid: RedshiftGrid, ages: tuple[float, float], spectrum: Spectrum, wavelength: FloatArray, los_sigma: float
) -> tuple[FloatArray, FloatArray, float]:
    """Choose the nodes.

    Parameters
    ----------
    grid : RedshiftGrid
    ages : (float, float)
        Age of the universe at `z_min` and at `z_max`, Gyr.
    spectrum : Spectrum
    wavelength : ndarray, shape (n_good,)
    los_sigma : float

    Returns
    -------
    age_shift : ndarray, shape (n_ages,)
        Pixels from `z_min`.
    lsf_shift : ndarray, shape (n_sets,)
        Likewise.
    error : float
        Error of the dispersion of lines (see :func:`lsf_error`).
    """
    start = np.log1p(grid.z_min)
    shifts = start + np.linspace(0, grid.largest_shift, 25) * grid.step
    contrast = float(np.log(ages[0] / ages[1]))
    n_ages = 1 if contrast <= 2 * SAME_AGE else 1 + int(np.ceil(contrast / AGE_STEP))
    error, lsf_shift = np.inf, np.zeros(0)
    for number in range(1, _MOST_SETS + 1):
        lsf_shift = _spread(number, grid.largest_shift)
        error = lsf_error(spectrum, wavelength, shifts, los_sigma, start + lsf_shift * grid.step)
        if error <= LSF_TOLERANCE:
            break
    return _spread(n_ages, grid.largest_shift), lsf_shift, error


def _spread(number: int, largest: float) -> FloatArray:
    return np.array([0.5 * largest]) if number == 1 else np.linspace(0.0, largest, number)
