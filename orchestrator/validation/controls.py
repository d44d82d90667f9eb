"""Negative controls: posteriors that are wrong in a known way, made from the draws that a study has kept.

A study that passes and whose controls do not fail says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from orchestrator.validation.records import StageRecord
from orchestrator.validation.tarp import reference_points, share_within

__all__ = ["CONTROLS", "altered"]

FloatArray = NDArray[np.float64]
Change = Callable[[FloatArray], FloatArray]


def _narrowed(draws: FloatArray) -> FloatArray:
    mean = draws.mean(axis=0)
    return np.asarray(mean + 0.8 * (draws - mean))


def _shifted(draws: FloatArray) -> FloatArray:
    return np.asarray(draws + 0.3 * draws.std(axis=0))


def _unchanged(draws: FloatArray) -> FloatArray:
    return draws


CONTROLS: Mapping[str, Change] = {
    "as they are": _unchanged,
    "widths x 0.8": _narrowed,
    "bias of 0.3 sigma": _shifted,
}
"""The first is the control of the controls: the same draws, tested again."""


def altered(
    records: Sequence[StageRecord], change: Change, ranges: Mapping[str, tuple[float, float]], seed: int = 0
) -> list[StageRecord]:
    """Return records whose draws were changed, with all that follows from draws made anew.

    Parameters
    ----------
    records : sequence of StageRecord
    change : callable
        Gets and returns draws, shape (n_draws, n_parameters).
    ranges : Mapping of str to (lower, upper)
        Of the parameters, for TARP's unit cube.
    seed : int
        Of TARP's reference points.
    """
    generator = np.random.default_rng([seed, 77])
    return [record if record.failure else _altered(record, change, ranges, generator) for record in records]


def _altered(
    record: StageRecord, change: Change, ranges: Mapping[str, tuple[float, float]], generator: np.random.Generator
) -> StageRecord:
    draws = change(np.array(record.draws))
    truth = np.array(record.truth)
    inside = [i for i, name in enumerate(record.parameters) if name in ranges]
    lower, upper = np.array([ranges[record.parameters[i]] for i in inside]).T
    # a metric from the draws that are counted would favour them over the truth
    half = len(draws) // 2
    anywhere, nearby, root = reference_points(draws[:half, inside], generator)
    cube, place = (draws[:, inside] - lower) / (upper - lower), (truth[inside] - lower) / (upper - lower)
    counted = draws[half:, inside]
    nearer = share_within(counted @ root, truth[inside] @ root, nearby @ root) * len(counted)
    tarp = {
        "prior": share_within(cube, place, anywhere),
        "posterior": (nearer + generator.random()) / (len(counted) + 1),
    }
    below = (draws < truth).sum(axis=0)
    return replace(
        record,
        mean=tuple(draws.mean(axis=0)),
        width=tuple(draws.std(axis=0, ddof=1)),
        probability=tuple((below + generator.random(len(below))) / (len(draws) + 1)),
        rank=tuple(int(value) for value in below),
        draws=tuple(map(tuple, draws)),
        tarp=tarp,
    )
