"""The result of a stage as a short text table."""

from __future__ import annotations

import numpy as np

from orchestrator.fit.chain import Chain
from orchestrator.fit.moments import used_rows, weighted_percentiles
from orchestrator.fit.stage_result import StageResult
from orchestrator.fit.summary import ResultsSummary
from orchestrator.report.table import ResultRow, results_table

__all__ = ["stage_rows", "stage_table"]

_UNRESOLVED = "unresolved: "


def stage_rows(result: StageResult) -> list[ResultRow]:
    """Return one row per sampled parameter, per extra output and per derived quantity of a finished stage.

    A dispersion that the module flags as unresolved is shown as its 97.5th percentile, an upper limit.
    """
    summary, chain = result.summary, result.chain
    if summary is None or chain is None:
        return []
    unresolved = {flag.split(_UNRESOLVED)[1].split()[0] for flag in result.flags if _UNRESOLVED in flag}
    rows = []
    for p in summary.parameters:
        sampled = np.isfinite(p.median)
        limit = (p.upper_95 if sampled else p.best_fit) if p.name in unresolved else None
        flags = ("unresolved",) if limit is not None else ()
        rows.append(
            ResultRow(
                p.section,
                p.name,
                p.best_fit,
                p.median,
                p.median - p.lower_68,
                p.upper_68 - p.median,
                upper_limit=limit,
                flags=flags + (("at the edge of its range",) if p.at_bound else ()),
            )
        )
    rows += [_extra_row(name, chain, summary) for name in chain.extra]
    return rows + _derived_rows(result, frozenset(chain.extra))


def _extra_row(column: str, chain: Chain, summary: ResultsSummary) -> ResultRow:
    section, _, name = column.partition("--")
    values = chain.extra[column]
    best = float(values[summary.best_fit.row])
    used = used_rows(chain, summary.convergence) & np.isfinite(values)
    if not chain.is_sampled or used.sum() < 2:
        return ResultRow(section, name, best)
    low, median, high = weighted_percentiles(
        values[used][:, None], chain.weights[used], (16.0, 50.0, 84.0)
    )[:, 0]
    return ResultRow(section, name, best, float(median), float(median - low), float(high - median))


def _derived_rows(result: StageResult, known: frozenset[str]) -> list[ResultRow]:
    """Return the derived quantities that are no extra outputs of the run."""
    if result.derived is None:
        return []
    return [
        ResultRow("extra", row.name, row.best_fit, row.median, row.median - row.lower_68, row.upper_68 - row.median)
        for row in result.derived.rows
        if f"extra--{row.name}" not in known
    ]


def stage_table(result: StageResult) -> str:
    """Return the table of a finished stage, its flags below it.

    Parameters
    ----------
    result : StageResult
    """
    title = f"{result.name} ({', '.join(module.name for module in result.stage.modules)})"
    lines = [results_table(stage_rows(result), title)]
    lines += [f"! {flag}" for flag in result.flags if not flag.startswith("at_bound")]
    return "\n".join(lines)
