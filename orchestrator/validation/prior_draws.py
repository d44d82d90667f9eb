"""Truths drawn from the prior of a pipeline: ranges, priors files and declared priors honoured, truncated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from orchestrator.config.check import declared_parameters, stage_values
from orchestrator.config.priors import PriorEntry, PriorsFile, default_priors, read_priors
from orchestrator.config.values import ValueEntry
from orchestrator.errors import ConfigError
from orchestrator.stage import Stage

__all__ = ["Key", "PipelinePrior", "inverse_cdf", "prior_of_pipeline"]

FloatArray = NDArray[np.float64]
Key = tuple[str, str]


@dataclass(frozen=True)
class PipelinePrior:
    """The prior of all parameters of a pipeline, before anything is handed over.

    Attributes
    ----------
    ranges : Mapping of (section, name) to ValueEntry
        Of every parameter that some stage samples.
    densities : Mapping of (section, name) to PriorEntry
        Those that are not uniform.
    fixed : Mapping of (section, name) to float
        Parameters that no stage samples.
    notes : tuple of str
        Where stages disagree about a parameter.
    """

    ranges: Mapping[Key, ValueEntry]
    densities: Mapping[Key, PriorEntry] = field(default_factory=dict)
    fixed: Mapping[Key, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def draw(self, number: int, generator: np.random.Generator) -> dict[Key, FloatArray]:
        """Draw parameters; the fixed ones are repeated.

        Returns
        -------
        dict of (section, name) to ndarray, shape (number,)
        """
        drawn = {
            key: inverse_cdf(generator.random(number), entry, self.densities.get(key))
            for key, entry in self.ranges.items()
        }
        return drawn | {key: np.full(number, value) for key, value in self.fixed.items()}

    def in_unit_cube(self, key: Key, values: FloatArray) -> FloatArray:
        """Return values as fractions of the parameter's range."""
        entry = self.ranges[key]
        return (values - entry.lower) / (entry.upper - entry.lower)


def inverse_cdf(probability: FloatArray, entry: ValueEntry, prior: PriorEntry | None) -> FloatArray:
    """Return quantiles of a prior that the range of the values file truncates, as CosmoSIS does.

    Parameters
    ----------
    probability : ndarray, shape (n,)
        Between 0 and 1.
    entry : ValueEntry
    prior : PriorEntry or None
        None for the uniform one.

    Returns
    -------
    ndarray, shape (n,)
    """
    lower, upper = entry.lower, entry.upper
    if prior is None:
        return lower + probability * (upper - lower)
    if prior.kind == "tabulated":
        return _tabulated(probability, Path(str(prior.arguments[0])), lower, upper)
    numbers = [float(argument) for argument in prior.arguments]
    if prior.kind == "gaussian":
        mean, sigma = numbers
        ends = (lower - mean) / sigma, (upper - mean) / sigma
        found = stats.truncnorm.ppf(probability, *ends, loc=mean, scale=sigma)
    elif prior.kind == "exponential":
        lower = max(lower, 0.0)
        found = stats.truncexpon.ppf(probability, (upper - lower) / numbers[0], loc=lower, scale=numbers[0])
    else:
        lower, upper = max(lower, numbers[0]), min(upper, numbers[1])
        if prior.kind == "uniform":
            found = lower + probability * (upper - lower)
        else:
            found = lower * (upper / lower) ** probability
    return np.clip(np.asarray(found, dtype=float), entry.lower, entry.upper)


def _tabulated(probability: FloatArray, path: Path, lower: float, upper: float) -> FloatArray:
    values, density = np.loadtxt(path, unpack=True)
    grid = np.linspace(max(lower, values[0]), min(upper, values[-1]), 4001)
    height = np.interp(grid, values, density)
    cumulative = np.concatenate([[0.0], np.cumsum(0.5 * (height[1:] + height[:-1]) * np.diff(grid))])
    return np.asarray(np.interp(probability, cumulative / cumulative[-1], grid))


def prior_of_pipeline(stages: Sequence[Stage]) -> PipelinePrior:
    """Return the prior that the stages state; of a parameter of several stages, that of the first that samples it.

    Raises
    ------
    ConfigError
        If nothing is sampled.
    """
    ranges: dict[Key, ValueEntry] = {}
    densities: dict[Key, PriorEntry] = {}
    fixed: dict[Key, float] = {}
    notes: list[str] = []
    for stage in stages:
        values = stage_values(stage)
        priors = _priors(stage)
        for key, entry in values:
            prior = priors.sections.get(key[0], {}).get(key[1])
            if entry.is_fixed:
                fixed[key] = entry.start
            elif key not in ranges:
                ranges[key] = entry
                if prior is not None:
                    densities[key] = prior
            elif (entry.lower, entry.upper, prior) != (ranges[key].lower, ranges[key].upper, densities.get(key)):
                notes.append(
                    f"stage {stage.name!r} has another prior of {key[0]}--{key[1]} than an earlier stage; truths are "
                    "drawn from the earlier one, so the later posterior is not expected to be calibrated"
                )
    if not ranges:
        msg = "no stage samples a parameter, so there is nothing to validate"
        raise ConfigError(msg)
    fixed = {key: value for key, value in fixed.items() if key not in ranges}
    return PipelinePrior(ranges, densities, fixed, tuple(notes))


def _priors(stage: Stage) -> PriorsFile:
    if stage.priors_file is not None:
        return read_priors(stage.priors_file)
    return default_priors(declared_parameters(stage), stage_values(stage))
