"""The mass of each SSP of a library that makes up a star-formation history.

Definition. The light of a star of age a and metallicity Z is interpolated bilinearly in ln(a) and ln(Z)
between the four nearest SSPs of the library, and held outside its range: stars younger than the first age
count as the first, older than the last as the last, and likewise in metallicity. With
Z = Z_today * m^alpha, m the fraction of the mass formed before the star, the weight of an SSP is

    integral over the mass formed of hat(ln a) * hat(ln Z),

hat being 1 at the SSP and falling linearly to 0 at its neighbours. The integral is split where the age or
the metallicity crosses a node of the library. In each piece ln(Z) is linear in ln(m), so that everything
but the products with ln(a) is closed form; those follow, by parts, from the means over ln(a) of Y, the
mass younger than a, and of m ln(m) - m, which Gauss-Legendre quadrature gives
(`orchestrator.physics.ssp_quadrature`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orchestrator.physics.sfh_base import SFHValues, StarFormationHistory
from orchestrator.physics.ssp_quadrature import NODES, AgeGrid
from orchestrator.physics.ssp_weight_kernels import project

__all__ = ["SSPGrid", "prepare_ssp_grid", "project_sfh", "project_valid", "ssp_weights"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SSPGrid:
    """Ages and metallicities of a library, prepared for `project_sfh`.

    Attributes
    ----------
    today : float
        Age of the universe at the galaxy, Gyr.
    ages : AgeGrid
        Ages, cut at `today`, and quadrature nodes between them.
    ln_metallicity : ndarray, shape (n_met,)
    """

    today: float
    ages: AgeGrid
    ln_metallicity: Array


def prepare_ssp_grid(log10_age_yr: ArrayLike, metallicity: ArrayLike, today: float) -> SSPGrid:
    """Check the ages and metallicities of a library and prepare them.

    Parameters
    ----------
    log10_age_yr : array_like, shape (n_age,)
        log10 of the ages in years, strictly increasing.
    metallicity : array_like, shape (n_met,)
        Metal mass fractions, positive, strictly increasing.
    today : float
        Age of the universe at the galaxy, Gyr. Ages above it get no mass beyond what the interpolation
        between the last age below it and the first above it gives.

    Returns
    -------
    SSPGrid

    Raises
    ------
    ValueError
        A grid is not one-dimensional, finite and strictly increasing.
    """
    log_age = np.asarray(log10_age_yr, dtype=np.float64)
    metals = np.asarray(metallicity, dtype=np.float64)
    for label, grid in (("log10_age_yr", log_age), ("metallicity", metals)):
        if grid.ndim != 1 or grid.size == 0 or not np.isfinite(grid).all() or (np.diff(grid) <= 0.0).any():
            msg = f"{label} must be one-dimensional, finite and strictly increasing, found {grid!r}"
            raise ValueError(msg)
    if metals[0] <= 0.0 or not today > 0.0:
        msg = f"metallicities ({metals[0]!r} ...) and today ({today!r}) must be positive"
        raise ValueError(msg)
    return SSPGrid(float(today), _age_grid((log_age - 9.0) * np.log(10.0), float(today)), np.log(metals))


def _age_grid(ln_age: Array, today: float) -> AgeGrid:
    ln_edges = np.minimum(ln_age, np.log(today))
    edges = np.where(ln_age < np.log(today), np.exp(ln_edges), today)
    nodes = np.exp(ln_edges[:-1] + NODES[:, None] * np.diff(ln_edges))
    widths = np.diff(ln_age)
    with np.errstate(divide="ignore"):
        edge_ln_ratio = -np.log1p(-np.minimum(edges / today, 1.0))
        node_ln_ratio = -np.log1p(-np.minimum(nodes / today, 1.0))
    return AgeGrid(edges, ln_edges, edge_ln_ratio, widths, 1.0 / widths, nodes, node_ln_ratio)


def project_sfh(grid: SSPGrid, sfh: StarFormationHistory, values: SFHValues) -> Array:
    """Return the mass fraction of each SSP (definition at the top of the module).

    Parameters
    ----------
    grid : SSPGrid
        From `prepare_ssp_grid`.
    sfh : StarFormationHistory
        The model.
    values : mapping
        Name of a parameter to values, shape (n_points,).

    Returns
    -------
    ndarray, shape (n_points, n_met, n_age)
        Sums to 1 for each point; NaN for a point outside the support of the model.
    """
    return project_valid(grid, sfh, values)[1]


def project_valid(
    grid: SSPGrid, sfh: StarFormationHistory, values: SFHValues
) -> tuple[NDArray[np.bool_], Array]:
    """Return which points are inside the support of the model, shape (n_points,), and `project_sfh`."""
    shape, valid, arrays = sfh.shape(values, grid.today)
    weights = project(
        shape,
        valid,
        arrays["ism_metallicity_today"],
        arrays["alpha_powerlaw"],
        grid.today,
        grid.ages,
        grid.ln_metallicity,
    )
    return valid, weights


def ssp_weights(
    sfh: StarFormationHistory,
    values: SFHValues,
    today: float,
    log10_age_yr: ArrayLike,
    metallicity: ArrayLike,
) -> Array:
    """Return the mass fraction of each SSP; `prepare_ssp_grid` and `project_sfh` in one call.

    Parameters
    ----------
    sfh : StarFormationHistory
        The model.
    values : mapping
        Name of a parameter to values, shape (n_points,).
    today : float
        Age of the universe at the galaxy, Gyr.
    log10_age_yr, metallicity : array_like
        As for `prepare_ssp_grid`.

    Returns
    -------
    ndarray, shape (n_points, n_met, n_age)
        Sums to 1 for each point; NaN for a point outside the support of the model.
    """
    return project_sfh(prepare_ssp_grid(log10_age_yr, metallicity, today), sfh, values)
