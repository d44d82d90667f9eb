"""The row of a fit in the table of results, with the declaration of each of its columns."""

from __future__ import annotations

import functools
import math
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestrator.config.check import declared_parameters
from orchestrator.fit.chain import Chain
from orchestrator.fit.derived_parameters import DerivedParameters
from orchestrator.fit.moments import used_rows, weighted_percentiles
from orchestrator.fit.stage_result import StageResult
from orchestrator.fit.summary import ResultsSummary
from orchestrator.forward_model.goodness import Goodness
from orchestrator.production.columns import COMMON_COLUMNS, flag_bits
from orchestrator.production.work.row import Row

__all__ = ["column_name", "fit_row", "flags_of", "unit_text"]

_TAKEN = frozenset(
    {column.name for column in COMMON_COLUMNS}
    | {"target", "target_id", "name", "key", "log_posterior", "n_samples", "effective_sample_size", "log_evidence"}
)
_OF_PARAMETER = {
    "": "median",
    "_mean": "mean",
    "_std": "standard deviation",
    "_lower_68": "16th percentile",
    "_upper_68": "84th percentile",
    "_best_fit": "at the best fit",
}
_FIELD = {
    "": "median",
    "_mean": "mean",
    "_std": "std",
    "_lower_68": "lower_68",
    "_upper_68": "upper_68",
    "_best_fit": "best_fit",
}
_OF_DERIVED = ("", "_lower_68", "_upper_68", "_best_fit")


def fit_row(
    result: StageResult, derived: DerivedParameters | None, goodness: Mapping[str, Goodness]
) -> Row:
    """Return the row of a finished fit, without the columns that every result has.

    Parameters
    ----------
    result : StageResult
    derived : DerivedParameters or None
    goodness : Mapping of str to Goodness
        By module.
    """
    row = Row()
    if result.summary is None or result.chain is None:
        return row
    _add_parameters(row, result, result.summary)
    known = set() if derived is None else {entry.name for entry in derived.rows}
    _add_extra(row, result.chain, result.summary, known)
    for entry in () if derived is None else derived.rows:
        name = _free(row, entry.name, "derived")
        _add_posterior(row, name, entry, _OF_DERIVED, entry.unit, entry.description, "Derived")
    _add_quality(row, result.summary, goodness)
    return row


def _add_parameters(row: Row, result: StageResult, summary: ResultsSummary) -> None:
    names = [entry.name for entry in summary.parameters]
    declared = {(entry.section, entry.name): entry for entry in declared_parameters(result.stage)}
    for entry in summary.parameters:
        known = declared.get((entry.section, entry.name))
        unique = names.count(entry.name) == 1
        name = _free(row, entry.name if unique else f"{entry.section}_{entry.name}", entry.section)
        unit, meaning = ("", f"{entry.section}/{entry.name}") if known is None else (known.unit, known.meaning)
        _add_posterior(row, name, entry, tuple(_OF_PARAMETER), unit, meaning, "Parameters")


def _add_posterior(
    row: Row, name: str, entry: Any, endings: Iterable[str], unit: str, meaning: str, group: str
) -> None:
    """Add the columns of one quantity; where nothing was sampled, its best fit stands for the median."""
    text, extra = unit_text(unit)
    for ending in endings:
        value = getattr(entry, _FIELD[ending])
        if ending == "" and not math.isfinite(value):
            value = entry.best_fit
        row.add(name + ending, value, "float", text, f"{meaning}{extra}: {_OF_PARAMETER[ending]}", group)


def _add_extra(row: Row, chain: Chain, summary: ResultsSummary, derived: set[str]) -> None:
    """Add extra outputs that are not among the derived quantities."""
    used = used_rows(chain, summary.convergence) if chain.is_sampled else np.zeros(chain.n_rows, dtype=bool)
    for key, values in chain.extra.items():
        section, _, name = key.partition("--")
        if not name or name in derived or column_name(name) in row.values:
            continue
        rows = used & np.isfinite(values)
        weights = chain.weights[rows]
        nothing = [math.nan] * 3
        low, median, high = (
            weighted_percentiles(values[rows][:, None], weights / weights.sum(), (16.0, 50.0, 84.0))[:, 0].tolist()
            if np.count_nonzero(rows) > 1 and weights.sum() > 0
            else nothing
        )
        entry = _Extra(low, median, high, summary.best_fit.extra.get(key, math.nan))
        free = _free(row, name, section)
        _add_posterior(row, free, entry, _OF_DERIVED, "", f"extra output {section}/{name}", "Extra outputs")


@dataclass(frozen=True)
class _Extra:
    """Posterior of an extra output."""

    lower_68: float
    median: float
    upper_68: float
    best_fit: float


def _add_quality(row: Row, summary: ResultsSummary, goodness: Mapping[str, Goodness]) -> None:
    best, state = summary.best_fit, summary.convergence
    group = "Quality"
    row.add("log_posterior", best.log_posterior, "float", "", "ln posterior density of the best fit", group)
    row.add("n_samples", summary.n_used, "int", "", "rows of the chain in use, after the burn-in", group)
    effective = float(state.effective_samples) if summary.n_used else math.nan
    row.add("effective_sample_size", effective, "float", "", "independent samples that the chain is worth", group)
    if summary.evidence is not None:
        row.add("log_evidence", summary.evidence[0], "float", "", "ln of the evidence", group)
        row.add("log_evidence_error", summary.evidence[1], "float", "", "its standard deviation", group)
    for module, entry in goodness.items():
        name = column_name(module)
        row.add(f"chi2_{name}", entry.chi2, "float", "", f"chi2 of {module} at the best fit, errors as stated", group)
        row.add(f"n_data_{name}", entry.n_data, "int", "", f"data of {module} that were measured", group)


def flags_of(result: StageResult) -> tuple[int, str]:
    """Return the bits of the flags of a result, and its remarks."""
    names = set()
    for flag in result.flags:
        word = flag.partition("] ")[2] if flag.startswith("[") else flag
        word = word.partition(":")[0]
        known = word in ("not_converged", "few_samples", "at_bound", "failed_points", "unresolved")
        names.add(word if known else "module_remark")
    return flag_bits(names), "; ".join(result.flags)


def column_name(text: str) -> str:
    """Return a name of a column: lower-case letters, digits and underscores."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return f"x_{name}" if not name or name[0].isdigit() else name


def _free(row: Row, name: str, section: str) -> str:
    """Return a name that no other column has."""
    plain = column_name(name)
    return plain if plain not in _TAKEN and plain not in row.values else column_name(f"{section}_{name}")


@functools.cache
def unit_text(unit: str) -> tuple[str, str]:
    """Return a unit as astropy reads it, and what is to be added to a description where it reads none."""
    from astropy import units

    text = re.sub(r"log10\((.*)\)", r"dex(\1)", unit.strip())
    if not text:
        return "", ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return units.Unit(text).to_string(), ""
    except (ValueError, TypeError, Warning):
        return "", f" [{unit}]"
