"""The tests of a calibration, and the verdict; all thresholds are here and were fixed before any study was run.

1. Rank histograms (Talts et al. 2018, arXiv:1804.06788): the ranks of the truths among independent posterior draws
   are uniform. Kolmogorov-Smirnov per parameter, Holm's correction over parameters.
2. Coverage: central intervals of 68 and 95 % hold the truth that often, within three binomial standard deviations
   (50 % is reported).
3. TARP (see `orchestrator.validation.tarp`): the joint posterior, two kinds of reference points, Holm over them.

All three, since each is blind to something: ranks alone passed a sampler whose 95 % intervals held 86 %. A stage
that failed in a mock counts as a truth outside every interval and as a rank beyond all draws: it is not left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from orchestrator.validation.records import StageRecord

__all__ = [
    "LEVELS",
    "Coverage",
    "ParameterCalibration",
    "StageCalibration",
    "calibration_of",
    "holm",
]

FloatArray = NDArray[np.float64]

LEVELS = (0.50, 0.68, 0.95)
JUDGED_LEVELS = (0.68, 0.95)
MOST_SD = 3.0
"""Binomial standard deviations that a coverage may be off."""
LEAST_FOR_COVERAGE = 20
"""With fewer mocks the standard deviation of a coverage says little: two of ten outside 95 % are no surprise."""
LEAST_P = 0.01
"""A smaller p-value, after Holm's correction, rejects."""
MOST_FAILED = 0.02
"""Fraction of mocks in which a stage may fail."""
ENOUGH_MOCKS = 100
"""Fewer can show that a pipeline is wrong and not that it is right."""
_TIES = 20261126
"""Seed of the random numbers that spread ranks, which are whole numbers, over their interval."""


@dataclass(frozen=True)
class Coverage:
    """How often an interval holds the truth.

    Attributes
    ----------
    level : float
        What it should be.
    held, number : int
    """

    level: float
    held: int
    number: int

    @property
    def fraction(self) -> float:
        """Share of mocks."""
        return self.held / max(self.number, 1)

    @property
    def sd(self) -> float:
        """Binomial standard deviation expected of the fraction."""
        return float(np.sqrt(self.level * (1 - self.level) / max(self.number, 1)))

    @property
    def deviation(self) -> float:
        """Difference from the level in standard deviations."""
        return (self.fraction - self.level) / self.sd


@dataclass(frozen=True)
class ParameterCalibration:
    """One parameter of one stage.

    Attributes
    ----------
    name : str
    rank_p, rank_p_holm : float
        Of the ranks, alone and with Holm's correction.
    coverage : tuple of Coverage
        At `LEVELS`.
    pull_mean, pull_rms : float
        Of (mean - truth) / width; expected 0 and 1 for a Gaussian posterior.
    shares : ndarray, shape (n_mocks,)
        Where each truth lies in its posterior, 0 to 1, spread ranks; for figures.
    """

    name: str
    rank_p: float
    rank_p_holm: float
    coverage: tuple[Coverage, ...]
    pull_mean: float
    pull_rms: float
    shares: FloatArray

    @property
    def faults(self) -> tuple[str, ...]:
        """What rejects it, as sentences."""
        found = []
        if self.rank_p_holm < LEAST_P:
            found.append(f"ranks of {self.name} are not uniform (p = {self.rank_p_holm:.2g} with Holm's correction)")
        for entry in self.coverage:
            judged = entry.level in JUDGED_LEVELS and entry.number >= LEAST_FOR_COVERAGE
            if judged and abs(entry.deviation) > MOST_SD:
                found.append(
                    f"{100 * entry.level:.0f} % intervals of {self.name} hold {100 * entry.fraction:.1f} % of the "
                    f"truths ({entry.deviation:+.1f} standard deviations)"
                )
        return tuple(found)


@dataclass(frozen=True)
class StageCalibration:
    """One stage.

    Attributes
    ----------
    stage : str
    number : int
        Mocks.
    n_failed, n_few, n_flagged : int
        Stages that failed, with few effective samples, and with any flag; all are counted in the tests.
    verdicts : Mapping of str to int
        Words of the stage's own diagnostics and how often.
    parameters : tuple of ParameterCalibration
    tarp_p : Mapping of str to float
        Reference point to the p-value.
    tarp_shares : Mapping of str to ndarray, shape (n_mocks,)
    seconds : float
        Mean CPU time of a fit.
    effective_samples : float
        Median.
    """

    stage: str
    number: int
    n_failed: int
    n_few: int
    n_flagged: int
    verdicts: Mapping[str, int]
    parameters: tuple[ParameterCalibration, ...]
    tarp_p: Mapping[str, float]
    tarp_shares: Mapping[str, FloatArray]
    seconds: float
    effective_samples: float

    @property
    def faults(self) -> tuple[str, ...]:
        """Everything that rejects the stage."""
        found = [fault for parameter in self.parameters for fault in parameter.faults]
        for reference, p in zip(self.tarp_p, holm(list(self.tarp_p.values())), strict=True):
            if p < LEAST_P:
                found.append(f"TARP with points of the {reference} rejects the joint posterior (p = {p:.2g})")
        if self.n_failed > MOST_FAILED * self.number:
            found.append(f"the stage failed in {self.n_failed} of {self.number} mocks")
        return tuple(found)

    @property
    def word(self) -> str:
        """'calibrated', 'not calibrated', or 'too few mocks' to tell."""
        if self.faults:
            return "not calibrated"
        return "calibrated" if self.number >= ENOUGH_MOCKS else "too few mocks"


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values with Holm's correction (1979, Scand. J. Statist. 6, 65)."""
    order = np.argsort(p_values)
    corrected = np.empty(len(p_values))
    largest = 0.0
    for position, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - position) * p_values[index]))
        corrected[index] = largest
    return [float(value) for value in corrected]


def calibration_of(records: Sequence[StageRecord]) -> StageCalibration:
    """Test one stage over all mocks.

    Parameters
    ----------
    records : sequence of StageRecord
        Of the same stage, one per mock, in the order of the mocks.
    """
    done = [record for record in records if not record.failure]
    n_failed = len(records) - len(done)
    names = list(dict.fromkeys(name for record in done for name in record.parameters))
    spread = np.random.default_rng(_TIES)
    raw = [_parameter(name, records, spread) for name in names]
    corrected = holm([parameter.rank_p for parameter in raw])
    parameters = tuple(
        ParameterCalibration(p.name, p.rank_p, holm_p, p.coverage, p.pull_mean, p.pull_rms, p.shares)
        for p, holm_p in zip(raw, corrected, strict=True)
    )
    references = list(dict.fromkeys(name for record in done for name in record.tarp))
    shares = {name: _tarp_shares(name, records, spread) for name in references}
    verdicts = [record.verdict for record in records]
    return StageCalibration(
        stage=records[0].stage,
        number=len(records),
        n_failed=n_failed,
        n_few=sum(record.few_samples for record in records),
        n_flagged=sum(bool(record.flags) for record in records),
        verdicts={word: verdicts.count(word) for word in sorted(set(verdicts))},
        parameters=parameters,
        tarp_p={name: float(stats.kstest(values, "uniform").pvalue) for name, values in shares.items()},
        tarp_shares=shares,
        seconds=float(np.mean([record.seconds for record in done])) if done else float("nan"),
        effective_samples=float(np.median([record.effective_samples for record in done])) if done else 0.0,
    )


def _parameter(name: str, records: Sequence[StageRecord], spread: np.random.Generator) -> ParameterCalibration:
    shares, probabilities, pulls = [], [], []
    for record in records:
        offset = spread.random()
        if record.failure or name not in record.parameters:
            shares.append(1.0)
            probabilities.append(1.0)
            continue
        i = record.parameters.index(name)
        shares.append((record.rank[i] + offset) / (len(record.draws) + 1))
        probabilities.append(record.probability[i])
        pulls.append((record.mean[i] - record.truth[i]) / max(record.width[i], 1e-300))
    outside = 2 * np.abs(np.array(probabilities) - 0.5)
    coverage = tuple(Coverage(level, int((outside <= level).sum()), len(records)) for level in LEVELS)
    p = float(stats.kstest(shares, "uniform").pvalue)
    rms = float(np.sqrt(np.mean(np.square(pulls))))
    return ParameterCalibration(name, p, p, coverage, float(np.mean(pulls)), rms, np.array(shares))


def _tarp_shares(name: str, records: Sequence[StageRecord], spread: np.random.Generator) -> FloatArray:
    shares = []
    for record in records:
        offset = spread.random()
        if record.failure:
            shares.append(1.0)
        else:
            n_draws = len(record.draws)
            shares.append((round(record.tarp[name] * n_draws) + offset) / (n_draws + 1))
    return np.array(shares)
