"""A posterior as a tabulated prior: a density on a grid, written beside the stage that uses it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import HandoverError
from orchestrator.fit.chain import Chain
from orchestrator.fit.moments import used_rows
from orchestrator.fit.summary import ResultsSummary
from orchestrator.stage import StagePaths

__all__ = ["PriorTable", "density_on_grid", "prior_table"]

_N_GRID = 200
_REACH = 6.0


@dataclass(frozen=True)
class PriorTable:
    """A tabulated density.

    Attributes
    ----------
    path : Path
        File to write: two columns, value and density, as CosmoSIS's ``tabulated`` prior reads them.
    grid, density : ndarray, shape (n_grid,)
    """

    path: Path
    grid: NDArray[np.float64]
    density: NDArray[np.float64]

    def write(self) -> None:
        """Write the file."""
        np.savetxt(self.path, np.column_stack([self.grid, self.density]), header="value density")


def density_on_grid(
    samples: NDArray[np.float64], weights: NDArray[np.float64], grid: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Kernel density estimate of weighted samples on a grid, reflected at the ends of the grid.

    Gaussian kernel with the bandwidth of Silverman (1986, eq. 3.31) for the effective number of samples.

    Parameters
    ----------
    samples, weights : ndarray, shape (n_samples,)
    grid : ndarray, shape (n_grid,)
        Increasing; its ends are the limits of the parameter or far from the samples.

    Returns
    -------
    ndarray, shape (n_grid,)
        Integrates to 1 over the grid.
    """
    weights = weights / weights.sum()
    mean = weights @ samples
    width = float(np.sqrt(weights @ (samples - mean) ** 2))
    order = np.argsort(samples)
    quartiles = np.interp([0.25, 0.75], np.cumsum(weights[order]), samples[order])
    spread = min(width, float(quartiles[1] - quartiles[0]) / 1.34) or width
    bandwidth = max(0.9 * spread * float(np.sum(weights**2)) ** 0.2, 1e-3 * float(grid[-1] - grid[0]))
    density = np.zeros(len(grid))
    for images in (samples, 2.0 * grid[0] - samples, 2.0 * grid[-1] - samples):
        density += np.exp(-0.5 * ((grid[:, None] - images[None, :]) / bandwidth) ** 2) @ weights
    return density / np.trapezoid(density, grid)


def prior_table(
    chain: Chain,
    summary: ResultsSummary,
    key: tuple[str, str],
    limits: tuple[float, float],
    paths: StagePaths,
) -> PriorTable:
    """Tabulate the posterior of one parameter.

    Parameters
    ----------
    chain, summary : Chain, ResultsSummary
        Of the stage that sampled it.
    key : tuple of str
        Section and name.
    limits : tuple of float
        Range of the stage that uses it.
    paths : StagePaths
        Of the stage that uses it.

    Returns
    -------
    PriorTable

    Raises
    ------
    HandoverError
        If the table's path holds a blank, which CosmoSIS's priors files cannot express.
    """
    section, name = key
    path = paths.directory / f"{paths.name}_prior_{section}--{name}.txt"
    if len(str(path).split()) > 1:
        msg = (
            f"The prior table {str(path)!r} has a blank in its path, which a CosmoSIS priors file "
            "cannot hold; use another output.filename, or the rule 'prior' (Gaussian)."
        )
        raise HandoverError(msg)
    used = used_rows(chain, summary.convergence)
    samples, weights = chain.column(f"{section}--{name}")[used], chain.weights[used]
    if len(samples) > 5000:  # a smooth density needs no more, and the estimate costs grid x samples
        step = len(samples) // 5000
        samples, weights = samples[::step], weights[::step]
    std = summary[f"{section}--{name}"].std
    lower = max(limits[0], float(samples.min()) - _REACH * std)
    upper = min(limits[1], float(samples.max()) + _REACH * std)
    grid = np.linspace(lower, upper, _N_GRID)
    return PriorTable(path, grid, density_on_grid(samples, weights, grid))
