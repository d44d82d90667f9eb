"""The maximum of the likelihood over the redshift: a search on a grid, refined with the model itself.

The search takes one population per window of redshifts and compressed templates, and gives the sums over pixels at
every trial redshift at once. What counts is then evaluated at the peaks, at the very redshift.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from orchestrator.forward_model.evaluation import Evaluation
from orchestrator.forward_model.redshift_peaks import highest_peaks, lagrange_weights, refined
from orchestrator.forward_model.redshift_rows import evaluation_of, parabola_rows, parameter_rows
from orchestrator.forward_model.redshift_sums import ShiftWindow, shifted_flux
from orchestrator.physics.amplitude import AmplitudeSolution, Parabola
from orchestrator.physics.parameter import ParameterValues

if TYPE_CHECKING:
    from orchestrator.forward_model.redshift_model import RedshiftModel

__all__ = ["maximum"]

FloatArray = NDArray[np.float64]

N_PEAKS = 3
"""Peaks of the search that are refined and evaluated; the best of them counts."""

DOUBT, DOUBT_SHARE = 10.0, 0.1
"""A peak that the search finds lower than the best by more than the first number, and the second times the height
of the best over the median of all redshifts, is not looked at again."""

_NODES = 6
_WIDE, _NARROW = 0.3, 0.1  # pixels; distances of the points of the parabolas in search and evaluation
_REACH = 0.5  # pixels from the peak of the search to that of the model


def maximum(
    model: RedshiftModel, parameters: ParameterValues, before: Parabola, possible: NDArray[np.bool_]
) -> Evaluation:
    """Search the grid, refine the highest peaks, and evaluate the model itself at each of them."""
    found = [_search(model, parameters, window, place) for _, window, place in model.windows]
    coarse = _coarse_profile(model, found, parameters, before)
    peaks = highest_peaks(coarse, N_PEAKS)
    shift, curvature, height = _refine(model, coarse, peaks.index, [sums for sums, _ in found], parameters, before)
    height = np.where(peaks.exists, height, -np.inf)
    best = np.max(height, axis=1, keepdims=True)
    # The search is good to the difference of populations at neighbouring nodes; where it leaves no doubt the
    # lower peaks need not be evaluated.
    with np.errstate(invalid="ignore"):
        doubt = DOUBT + DOUBT_SHARE * (best - np.median(coarse, axis=1, keepdims=True))
        in_doubt = (height == best) | (height > best - doubt)
    in_doubt[:, 0] |= ~in_doubt.any(axis=1)
    point, peak = np.nonzero(in_doubt)
    own, own_before = parameter_rows(parameters, point), parabola_rows(before, point)
    found_at = _at_maximum(model, own, shift[point, peak], own_before)
    shift[point, peak], curvature[point, peak], solution, surviving, valid = found_at
    exact = np.full(shift.shape, -np.inf)
    exact[point, peak] = np.where(valid & possible[point], solution.log_likelihood, -np.inf)
    order = np.argsort(-exact, axis=1, kind="stable")
    row_of = np.zeros(shift.shape, dtype=np.int64)
    row_of[point, peak] = np.arange(len(point))
    chosen = np.take_along_axis(row_of, order, axis=1)[:, 0]
    top = np.take_along_axis(exact, order, axis=1)[:, 0]
    result = AmplitudeSolution(
        top, solution.amplitude[chosen], solution.uncertainty[chosen], parabola_rows(solution.joint, chosen)
    )
    heights = np.where(in_doubt, exact, top[:, None] + height - best)
    extra = _about_peaks(model, shift, curvature, heights, order[:, 0])
    return evaluation_of(result, np.isfinite(top), None if surviving is None else surviving[chosen], extra)


def _coarse_profile(
    model: RedshiftModel,
    found: list[tuple[FloatArray, NDArray[np.bool_]]],
    parameters: ParameterValues,
    before: Parabola,
) -> FloatArray:
    """Return the log-likelihood of the search at every trial redshift, shape (n_points, n_trials)."""
    coarse = np.full((len(found[0][1]), model.grid.n_trials), -np.inf)
    for (core, window, _), (sums, valid) in zip(model.windows, found, strict=True):
        inside = slice(core.first - window.first, core.last - window.first + 1)
        trial = np.tile(np.arange(core.first, core.last + 1, dtype=float), (len(valid), 1))
        values = _values(model, sums[:, :, inside], trial, parameters, before)
        coarse[:, core.first : core.last + 1] = np.where(valid[:, None], values, -np.inf)
    return coarse


def _at_maximum(
    model: RedshiftModel, parameters: ParameterValues, shift: FloatArray, before: Parabola
) -> tuple[FloatArray, FloatArray, AmplitudeSolution, FloatArray | None, NDArray[np.bool_]]:
    """Move to the maximum nearby, with the model itself, and evaluate it there.

    Over such a distance the age of the universe is the same, so that one spectrum per point serves.
    """
    valid, weights, spectra = model.templates.spectra(parameters, shift)

    def solution_at(places: FloatArray, rows: NDArray[np.int64]) -> AmplitudeSolution:
        own = parameter_rows(parameters, rows)
        flux = shifted_flux(spectra[rows], places, model.grid, model.grid.position, model.curve, model.exponent(own))
        sums = model.likelihood.mixed(model.sums.direct(flux), own)
        return model.solution(sums, model.grid.redshift_at(places), own, parabola_rows(before, rows))

    def value(places: FloatArray) -> FloatArray:
        rows = np.repeat(np.arange(len(shift)), places.shape[1])
        return solution_at(places.ravel(), rows).log_likelihood.reshape(places.shape)

    lowest = np.maximum(shift - _REACH, 0.0)
    highest = np.minimum(shift + _REACH, model.grid.largest_shift)
    place, curvature, _ = refined(value, shift, lowest, highest, _NARROW)
    surviving = model.templates.population.surviving_fraction(weights)
    return place, curvature, solution_at(place, np.arange(len(shift))), surviving, valid


def _about_peaks(
    model: RedshiftModel, shift: FloatArray, curvature: FloatArray, height: FloatArray, best: NDArray[np.int64]
) -> dict[str, FloatArray]:
    """Return redshift, its uncertainty, and the second peak; NaN where there is none."""
    rows = np.arange(len(shift))
    redshift = np.minimum(model.grid.redshift_at(shift), model.grid.z_max)
    sharp = curvature[rows, best]
    others = height.copy()
    others[rows, best] = -np.inf
    second = np.argmax(others, axis=1)
    has_second = np.isfinite(others[rows, second])
    with np.errstate(invalid="ignore"):
        lower = height[rows, best] - others[rows, second]
    return {
        "redshift": redshift[rows, best],
        "redshift_error": (1 + redshift[rows, best]) * model.grid.step / np.sqrt(np.where(sharp > 0, sharp, np.nan)),
        "second_redshift": np.where(has_second, redshift[rows, second], np.nan),
        "second_lower_by": np.where(has_second, lower, np.nan),
    }


def _search(
    model: RedshiftModel, parameters: ParameterValues, window: ShiftWindow, place: float
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return the sums at the trial redshifts of a window, with one population, and its validity."""
    valid, spectra = model.templates.search_spectra(parameters, place)
    exponent = model.exponent(parameters)
    if exponent is not None and model.curve is not None:
        dimming = exponent[:, None] * model.curve
        spectra *= np.exp(dimming, out=dimming)
    return model.sums.at_shifts(spectra, window, model.likelihood.mixing(parameters)), valid


def _values(
    model: RedshiftModel, sums: FloatArray, shift: FloatArray, parameters: ParameterValues, before: Parabola
) -> FloatArray:
    """Return the log-likelihood from sums, shape (n_points, n_sums, n), at places, shape (n_points, n)."""
    n_points, n_sums, n = sums.shape
    rows = np.repeat(np.arange(n_points), n)
    flat = sums.transpose(0, 2, 1).reshape(-1, n_sums)
    redshift = model.grid.redshift_at(shift.ravel())
    solution = model.solution(flat, redshift, parameter_rows(parameters, rows), parabola_rows(before, rows))
    return solution.log_likelihood.reshape(n_points, n)


def _refine(
    model: RedshiftModel,
    coarse: FloatArray,
    index: NDArray[np.int64],
    sums_of_windows: list[FloatArray],
    parameters: ParameterValues,
    before: Parabola,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return places of the peaks between grid points, curvatures and heights, of shape (n_points, n_peaks)."""
    shift, curvature = index.astype(float), np.zeros(index.shape)
    height = np.take_along_axis(coarse, index, axis=1)
    for (core, window, _), sums in zip(model.windows, sums_of_windows, strict=True):
        point, peak = np.nonzero((index >= core.first) & (index <= core.last))
        if not len(point):
            continue
        middle = index[point, peak]
        first = np.clip(middle - 2, window.first, window.last - _NODES + 1)
        nodes = first[:, None] - window.first + np.arange(_NODES)
        near = sums[point[:, None], :, nodes]  # (n, nodes, sums)
        own, own_before = parameter_rows(parameters, point), parabola_rows(before, point)

        def value(
            places: FloatArray, near: FloatArray = near, first: NDArray[np.int64] = first,
            own: ParameterValues = own, own_before: Parabola = own_before,
        ) -> FloatArray:  # fmt: skip
            weights = lagrange_weights(places - first[:, None], _NODES)
            return _values(model, np.einsum("pks,pmk->psm", near, weights), places, own, own_before)

        lowest = np.maximum(middle - 1.0, 0.0)
        highest = np.minimum(middle + 1.0, model.grid.largest_shift)
        shift[point, peak], curvature[point, peak], height[point, peak] = refined(
            value, np.minimum(middle.astype(float), highest), lowest, np.maximum(highest, lowest + 1e-6), _WIDE
        )
    return np.minimum(shift, model.grid.largest_shift), curvature, height
