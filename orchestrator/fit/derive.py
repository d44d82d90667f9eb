"""Derived quantities and the star-formation history of a finished stage, from the samples of its chain.

The modules are those of the run, rebuilt from the header of the results file. What a fit of the same samples would
have written as extra outputs is what comes out here: the same functions compute both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.fit.best_fit import BestFit
from orchestrator.fit.chain import Chain
from orchestrator.fit.derived_parameters import Bands, DerivedParameters, DerivedSummary, FormationHistoryBands
from orchestrator.fit.moments import PERCENTILES, used_rows, weighted_percentiles
from orchestrator.fit.reader import Reader
from orchestrator.fit.summary import ResultsSummary
from orchestrator.forward_model.derived import DerivedModel
from orchestrator.physics.amplitude import Parabola
from orchestrator.physics.derived_quantities import DERIVED_QUANTITIES, NO_MASS
from orchestrator.physics.parameter import with_missing
from orchestrator.stage import StagePaths

__all__ = ["MOST_SAMPLES", "Derived", "derive", "posterior_rows", "write_derived"]

FloatArray = NDArray[np.float64]
Columns = dict[tuple[str, str], FloatArray]

MOST_SAMPLES = 1000
"""Samples that are taken: the error of a median from so many is 4 % of the posterior's width."""
_BATCH = 64
"""Points at a time, where each takes a spectrum."""
_LARGE_BATCH = 1024
"""Where it takes the masses of the SSPs."""
_SEED = 20240229


@dataclass(frozen=True)
class Derived:
    """What follows from the parameters of a stage.

    Attributes
    ----------
    parameters : DerivedParameters
    history : FormationHistoryBands or None
        None where the SSP library has no mass scale.
    """

    parameters: DerivedParameters
    history: FormationHistoryBands | None


def derive(summary: ResultsSummary, reader: Reader, modules: Mapping[str, Any]) -> Derived | None:
    """Derive masses, rates, ages, metallicities and the star-formation history of a stage.

    Parameters
    ----------
    summary : ResultsSummary
        Of the chain.
    reader : Reader
        Of the same chain.
    modules : mapping of str to CosmosisModule
        All modules of the stage, in the order in which they run.

    Returns
    -------
    Derived or None
        None if no module has a star-formation history.
    """
    with_history = {name: module for name, module in modules.items() if getattr(module, "derived", None)}
    if not with_history:
        return None
    name, module = list(with_history.items())[-1]
    chain = reader.chain
    rows, weights = posterior_rows(chain, summary)
    # The best fit comes first. A walker that stays repeats its row: each point is computed once.
    points, places = _different_points(chain, np.concatenate([[summary.best_fit.row], rows]))
    parameters = _parameters(reader, points)
    mass = _mass(chain, points, modules.values(), parameters)
    model: DerivedModel = module.derived
    found_values, unavailable = _quantities([m.derived for m in with_history.values()], parameters, mass)
    values = {quantity: column[places] for quantity, column in found_values.items()}
    meta = _meta(summary.best_fit, chain, name, module, model)
    derived = DerivedParameters(
        tuple(_summary(quantity, values[quantity], weights, model) for quantity in values),
        unavailable,
        len(rows),
        meta,
    )
    if "t50" in model.unavailable:
        return Derived(derived, None)
    unit = "1 / yr" if mass is None else "Msun / yr"
    per_point = np.ones(len(points)) if mass is None else mass
    found = model.formation_history(parameters, per_point)
    history = FormationHistoryBands(
        lookback_start=found.edges[1:],
        lookback_end=found.edges[:-1],
        rate=_bands(found.rate[places], weights),
        mass_fraction=_bands(found.mass_fraction[places], weights),
        log10_metallicity=_bands(found.log10_metallicity[places], weights),
        rate_unit=unit,
        n_samples=len(rows),
        meta=meta,
    )
    return Derived(derived, history)


def write_derived(
    summary: ResultsSummary, reader: Reader, modules: Mapping[str, Any], paths: StagePaths
) -> Derived | None:
    """Derive everything of a finished stage, and write the tables beside its results.

    Parameters
    ----------
    summary, reader, modules
        As for `derive`.
    paths : StagePaths
        Tables that an earlier run has left there are removed first.
    """
    paths.derived_parameters.unlink(missing_ok=True)
    paths.formation_history.unlink(missing_ok=True)
    found = derive(summary, reader, modules)
    if found is None:
        return None
    found.parameters.write(paths.derived_parameters)
    if found.history is not None:
        found.history.write(paths.formation_history)
    return found


def posterior_rows(
    chain: Chain, summary: ResultsSummary, most: int = MOST_SAMPLES
) -> tuple[NDArray[np.int64], FloatArray]:
    """Return rows of the chain that represent the posterior, and their weights.

    All rows in use if they are few; otherwise a systematic sample of them by weight, after shuffling them with a
    fixed seed.

    Returns
    -------
    rows : ndarray of int, shape (n_samples,)
        None for an optimiser.
    weights : ndarray, shape (n_samples,)
        Normalised.
    """
    used = np.flatnonzero(used_rows(chain, summary.convergence))
    if not chain.is_sampled or len(used) < 2:
        return np.empty(0, dtype=np.int64), np.empty(0)
    weights = chain.weights[used] / chain.weights[used].sum()
    if len(used) <= most:
        return used, weights
    order = np.random.default_rng(_SEED).permutation(len(used))
    places = np.searchsorted(np.cumsum(weights[order]), (np.arange(most) + 0.5) / most)
    chosen, counts = np.unique(order[np.minimum(places, len(used) - 1)], return_counts=True)
    return used[chosen], counts / counts.sum()


def _different_points(
    chain: Chain, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows that hold each point of the given ones once, and the place of each given one among them."""
    if chain.samples.shape[1] == 0:
        return rows, np.arange(len(rows))
    values = np.ascontiguousarray(chain.samples[rows]) + 0.0  # no negative zero
    whole = values.view(np.dtype((np.void, values.dtype.itemsize * values.shape[1]))).ravel()
    _, first, places = np.unique(whole, return_index=True, return_inverse=True)
    return rows[first], places.reshape(-1)


def _parameters(reader: Reader, rows: NDArray[np.int64]) -> Columns:
    """Return sampled and fixed parameters of these rows."""
    chain = reader.chain
    columns: Columns = {
        key: np.ascontiguousarray(chain.samples[rows, index]) for index, key in enumerate(chain.parameters)
    }
    for key, entry in reader.ini_values:
        if entry.is_fixed:
            columns.setdefault(key, np.full(len(rows), float(entry.start)))
    return columns


def _mass(
    chain: Chain, rows: NDArray[np.int64], modules: Sequence[Any] | Any, parameters: Columns
) -> FloatArray | None:
    """Return the mass formed that all data of the stage share, Msun; None where the data say nothing about it."""
    written = chain.extra.get("extra--stellar_mass")
    if written is not None:
        return np.asarray(10.0 ** written[rows])
    parts = []
    for start in range(0, len(rows), _BATCH):
        before: Parabola | None = None
        mass: FloatArray | None = None
        for module in modules:
            if not hasattr(module, "evaluate_batch"):
                continue  # a user's own module knows no mass
            part = {key: values[start : start + _BATCH] for key, values in parameters.items()}
            evaluation = module.evaluate_batch(with_missing(module.parameters, part), before)
            before = evaluation.joint if evaluation.joint is not None else before
            mass = evaluation.amplitude if evaluation.amplitude is not None else mass
        if mass is None:
            return None
        parts.append(mass)
    return np.concatenate(parts)


def _quantities(
    models: Sequence[DerivedModel], parameters: Columns, mass: FloatArray | None
) -> tuple[dict[str, FloatArray], dict[str, str]]:
    """Return the values of all quantities and the reasons for those that there are none of.

    The last model that can give a quantity does, as in a run.
    """
    reasons = dict(models[-1].unavailable)
    if mass is None:
        reasons |= {q.name: reasons.get(q.name, NO_MASS) for q in DERIVED_QUANTITIES.values() if q.scales_with_mass}
    n_points = len(next(iter(parameters.values())))
    known_mass = np.full(n_points, np.nan) if mass is None else mass
    values: dict[str, FloatArray] = {}
    for model in models:
        names = [n for n in model.available if mass is not None or not DERIVED_QUANTITIES[n].scales_with_mass]
        parts = []
        for start in range(0, n_points, _LARGE_BATCH):
            rows = slice(start, start + _LARGE_BATCH)
            part = {key: column[rows] for key, column in parameters.items()}
            parts.append(model.evaluate(names, part, known_mass[rows]))
        values |= {name: np.concatenate([part[name] for part in parts]) for name in names}
    ordered = {name: values[name] for name in DERIVED_QUANTITIES if name in values}
    return ordered, {name: reason for name, reason in reasons.items() if name not in values}


def _meta(best: BestFit, chain: Chain, name: str, module: Any, model: DerivedModel) -> dict[str, Any]:
    low, high = model.light_range
    return {
        "results": chain.path.name,
        "n_rows": chain.n_rows,
        "best_log_posterior": best.log_posterior,
        "module": name,
        "ssp_model": str(module.options.ssp_model),
        "light": f"luminosity at {low:g}-{high:g} Angstrom (rest frame), before dust",
        "age_of_the_universe_gyr": model.population.sfh.today,
    }


def _summary(name: str, values: FloatArray, weights: FloatArray, model: DerivedModel) -> DerivedSummary:
    quantity = DERIVED_QUANTITIES[name]
    meaning = quantity.meaning
    if name.startswith("light_weighted"):
        meaning += ", {:g}-{:g} Angstrom in the rest frame".format(*model.light_range)
    best, samples = float(values[0]), values[1:]
    finite = np.isfinite(samples)
    if finite.sum() < 2:
        return DerivedSummary(name, quantity.unit, meaning, best)
    share = weights[finite] / weights[finite].sum()
    mean = float(share @ samples[finite])
    spread = float(share @ (samples[finite] - mean) ** 2) / max(1.0 - float(share @ share), np.finfo(float).tiny)
    low_95, low_68, median, high_68, high_95 = weighted_percentiles(
        samples[finite][:, None], share, PERCENTILES
    )[:, 0].tolist()
    return DerivedSummary(
        name, quantity.unit, meaning, best, mean, float(np.sqrt(spread)), median, low_68, high_68, low_95, high_95
    )


def _bands(curves: FloatArray, weights: FloatArray) -> Bands:
    best, samples = curves[0], curves[1:]
    finite = np.isfinite(samples).all(axis=1)
    if finite.sum() < 2:
        nothing = np.full(len(best), np.nan)
        return Bands(best, nothing, nothing, nothing, nothing, nothing)
    low_95, low_68, median, high_68, high_95 = _percentiles(samples[finite], weights[finite])
    return Bands(best, median, low_68, high_68, low_95, high_95)


def _percentiles(samples: FloatArray, weights: FloatArray) -> FloatArray:
    """Return `weighted_percentiles`; all columns at once where the weights are equal."""
    n_samples = len(samples)
    if np.ptp(weights) != 0:
        return weighted_percentiles(samples, weights, PERCENTILES)
    ordered = np.sort(np.ascontiguousarray(samples.T), axis=1)
    place = np.clip(np.array(PERCENTILES) / 100.0 * n_samples - 0.5, 0.0, n_samples - 1.0)
    below = np.minimum(place.astype(int), n_samples - 2)
    low, high = ordered[:, below], ordered[:, below + 1]
    return np.asarray((low + (place - below) * (high - low)).T)
