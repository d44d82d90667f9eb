"""Mocks of emission lines, and what fits make of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from orchestrator.production.stage_types import Column, Help, Output, Table, Target


@dataclass(frozen=True)
class Truth:
    amplitude: Annotated[float, Column("", "amplitude that was put in")]


@dataclass(frozen=True)
class Controls:
    n_null: Annotated[int, Column("", "null mocks")]
    null_mean: Annotated[float, Column("", "mean amplitude found where there is none")]
    n_injected: Annotated[int, Column("", "mocks with a line")]
    bias: Annotated[float, Column("", "mean of amplitude found minus put in")]
    scatter: Annotated[float, Column("", "standard deviation of the same")]


def simulate(
    target: Target,
    *,
    amplitude: Annotated[float, Help("of the line; 0 for a null mock")],
    noise: Annotated[float, Help("standard deviation per pixel")] = 0.1,
    spectrum: Annotated[Path, Output("mock.txt", "pixel, flux, error")],
) -> Truth:
    """Write a mock spectrum: a line of the target's width, and noise that follows from the seed."""
    pixel = np.arange(-30.0, 31.0)
    noises = np.random.default_rng(target["seed"]).normal(0.0, noise, pixel.size)
    flux = amplitude * np.exp(-0.5 * (pixel / target["width"]) ** 2) + noises
    np.savetxt(spectrum, np.column_stack([pixel, flux, np.full(pixel.size, noise)]))
    return Truth(amplitude)


def collect(*, fit: Table, simulate: Table) -> Controls:
    """Gather the fits by what was put in."""
    found = np.asarray(fit["amplitude_best_fit"])
    difference = found - np.asarray(simulate["amplitude"])
    null = np.asarray(fit["kind"]) == "no_line"
    return Controls(
        int(null.sum()), float(found[null].mean()),
        int((~null).sum()), float(difference[~null].mean()), float(difference.std(ddof=1)),
    )  # fmt: skip
