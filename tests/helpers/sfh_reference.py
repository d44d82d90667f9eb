"""Star-formation histories and SSP weights written down a second time, from scipy and slow quadrature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq
from scipy.special import gammainc
from scipy.stats import norm

from orchestrator.physics.sfh import FixedMassFracSFH, MassBinsSFH, StarFormationHistory, build_sfh

Array = NDArray[np.float64]
NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(24)

ARGUMENTS: dict[str, str | None] = {
    "ExponentialSFH": None,
    "ExponentialQuenchedSFH": None,
    "DelayedTauSFH": None,
    "DelayedTauQuenchedSFH": None,
    "LogNormalSFH": None,
    "LogNormalQuenchedSFH": None,
    "FixedMassFracSFH": "0.02, 0.1, 0.5, 0.9, 0.98",
    "FixedTimeSFH": "0.1, 0.5, 1, 3, 7",
    "FixedTime_sSFR_SFH": "0.1, 0.5, 1, 3, 7",
    "FixedCosmicTimeSFH": "0.1, 0.5, 1, 3, 7",
    "FlexibleCosmicTimeSFH": "5",
}


def all_models(today: float) -> list[StarFormationHistory]:
    return [build_sfh(name, args, today) for name, args in ARGUMENTS.items()]


def draw(sfh: StarFormationHistory, n_points: int, seed: int) -> dict[str, Array]:
    """Draw valid points over the ranges: ordered times, masses from a Dirichlet distribution."""
    rng = np.random.default_rng(seed)
    values = {p.name: rng.uniform(p.lower, p.upper, n_points) for p in sfh.parameters}
    if isinstance(sfh, FixedMassFracSFH):
        names = [name for name in values if name.startswith("t_at_frac")]
        values.update(zip(names, np.sort([values[name] for name in names], axis=0), strict=True))
    elif isinstance(sfh, MassBinsSFH):
        masses = np.maximum(rng.dirichlet(np.ones(len(sfh.bin_names) + 1), n_points), 1e-5)
        values.update(sfh.values_of_masses(masses))
    assert sfh.valid(values).all()
    return values


@dataclass(frozen=True)
class History:
    """Mass formed and rate as functions of cosmic time, and the times at which the rate is not smooth."""

    mass: Callable[[Array], Array]
    rate: Callable[[Array], Array]
    breaks: tuple[float, ...]


def history(name: str, values: dict[str, float], today: float) -> History:
    """Build the history of one point; `values` as in a values file."""
    end = values.get("quenching_time", today)
    breaks = (end,) if end < today else ()
    if name.startswith(("Exponential", "Delayed")):
        tau, power = 10.0 ** values["logtau"], 1 if name.startswith("Exponential") else 2
        total = gammainc(power, end / tau)

        def rate(t: Array) -> Array:
            return np.where(t < end, (t / tau) ** (power - 1) * np.exp(-t / tau) / tau / total, 0.0)

        return History(lambda t: gammainc(power, np.minimum(t, end) / tau) / total, rate, breaks)
    if name.startswith("LogNormal"):
        t0, scale = values["t0"], values["scale"]
        total = norm.cdf(np.log(end / t0) / scale)

        def z(t: Array) -> Array:
            return np.log(np.maximum(np.minimum(t, end), 1e-200) / t0) / scale

        return History(
            lambda t: norm.cdf(z(t)) / total,
            lambda t: np.where(t < end, norm.pdf(z(t)) / (scale * np.maximum(t, 1e-200)) / total, 0.0),
            breaks,
        )
    times, masses = points_of_table(name, values, today)
    table = PchipInterpolator(times, masses)
    return History(table, table.derivative(), tuple(times[1:-1]))


def points_of_table(name: str, values: dict[str, float], today: float) -> tuple[Array, Array]:
    """Cosmic times and masses formed of a tabulated history, from the words of the documentation."""
    own = {key: value for key, value in values.items() if key not in ("alpha_powerlaw", "ism_metallicity_today")}
    numbers = np.array(list(own.values()))
    if name == "FixedMassFracSFH":
        return np.array([0.0, *numbers, today]), np.array([0.0, *(float(key[10:]) for key in own), 1.0])
    if name == "FlexibleCosmicTimeSFH":
        lookback = np.geomspace(0.05, today, len(own) + 1)[::-1][1:]
    else:
        lookback = np.array([float(word) for word in str(ARGUMENTS[name]).split(",")])[::-1]
    if name == "FixedTimeSFH":
        formed = np.cumsum(10.0**numbers)
    elif name == "FixedTime_sSFR_SFH":
        formed = 1.0 - 10.0**numbers * lookback * 1e9
    else:
        masses: list[float] = []
        for coefficient in numbers:
            masses.append(coefficient * (1.0 - sum(masses)))
        formed = np.cumsum(masses)
    return np.array([0.0, *(today - lookback), today]), np.array([0.0, *formed, 1.0])


def hats(x: Array, grid: Array) -> Array:
    """Linear interpolation as a matrix: (x.size, grid.size), ends held."""
    return np.stack([np.interp(x, grid, row) for row in np.eye(grid.size)], axis=1)


def direct_weights(name: str, values: dict[str, float], today: float, log_ages: Array, metals: Array) -> Array:
    """Integrate rate * hat(ln age) * hat(ln Z) over cosmic time, split wherever anything has a kink."""
    model = history(name, values, today)
    ages, alpha = 10.0 ** (log_ages - 9.0), values["alpha_powerlaw"]
    lowest = 1e-190 if name.startswith("LogNormal") else 1e-30
    cuts = [0.0, *(today - ages[ages < today]), today, *model.breaks]
    for limit in metals / values["ism_metallicity_today"]:
        target = limit ** (1.0 / alpha) if alpha > 0.0 and limit < 1.0 else 0.0
        if target > max(1e-13, float(model.mass(lowest))):
            ln_t = brentq(
                lambda x, m=target: float(model.mass(np.exp(x))) - m, np.log(lowest), np.log(today), xtol=1e-15
            )
            cuts.append(np.exp(ln_t))
    # and cuts that resolve fast histories near the big bang and anywhere else
    cuts += [*(today * np.geomspace(1e-9, 1.0, 120)), *np.linspace(0.0, today, 150)]
    if name.startswith("LogNormal"):
        cuts += list(np.geomspace(1e-190, 1e-8, 500))
    edges = np.unique(cuts)
    # both the cosmic time and the age keep their digits: the nodes are placed from the nearer end
    left, width = edges[:-1, None], np.diff(edges)[:, None]
    times = (left + 0.5 * width * (1.0 + NODES)).ravel()
    age = ((today - edges[1:])[:, None] + 0.5 * width * (1.0 - NODES)).ravel()
    mass = model.rate(times) * (0.5 * width * NODE_WEIGHTS).ravel()
    formed = np.maximum(model.mass(times), 1e-300)
    ln_z = np.log(values["ism_metallicity_today"]) + alpha * np.log(formed)
    return np.einsum("i,iz,ia->za", mass, hats(ln_z, np.log(metals)), hats(np.log(age), np.log(ages)))
