"""Short text tables of results, with as many digits as the uncertainties allow."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.report.labels import unit_for

__all__ = ["ResultRow", "format_value", "format_value_mathtext", "results_table"]

_PLUS_MINUS = "\N{PLUS-MINUS SIGN}"
# An error this much smaller than the other one does not decide the digits alone.
_MOST_UNEQUAL = 100.0


@dataclass(frozen=True)
class ResultRow:
    """One line of a table of results.

    Attributes
    ----------
    section, name : str
        The parameter.
    best_fit : float
        Value at the best-fit point; NaN where there is none.
    median, minus, plus : float
        Median of the posterior and the distances to its 16th and 84th percentiles; NaN where not sampled.
    upper_limit : float or None
        Where given, the value is not resolved: the table shows ``< limit`` in place of numbers.
    flags : tuple of str
        Remarks, for example ``at the edge of its range``.
    unit : str or None
        None takes the known unit of the parameter.
    """

    section: str
    name: str
    best_fit: float = math.nan
    median: float = math.nan
    minus: float = math.nan
    plus: float = math.nan
    upper_limit: float | None = None
    flags: tuple[str, ...] = ()
    unit: str | None = None


def format_value(value: float, minus: float, plus: float) -> str:
    """Return a value with its uncertainties: two digits of the uncertainty, the value to match.

    Parameters
    ----------
    value, minus, plus : float
        Value and the (positive) distances to the ends of its interval. The smaller one sets the digits.
        Where neither is finite and positive, the value stands alone.

    Returns
    -------
    str
        ``116.2 \N{PLUS-MINUS SIGN} 4.1``, ``0.32 -0.04 +0.11`` or ``(1.234 \N{PLUS-MINUS SIGN} 0.056)e10``.
    """
    digits, lower, upper, exponent = _rounded(value, minus, plus)
    if not lower and not upper:
        return digits
    errors = f"{_PLUS_MINUS} {upper}" if lower == upper else f"-{lower} +{upper}"
    return f"({digits} {errors})e{exponent}" if exponent else f"{digits} {errors}"


def format_value_mathtext(value: float, minus: float, plus: float) -> str:
    """Return the same as `format_value`, set as a formula.

    Parameters
    ----------
    value, minus, plus : float
        As for `format_value`.

    Returns
    -------
    str
        In mathtext.
    """
    digits, lower, upper, exponent = _rounded(value, minus, plus)
    if not lower and not upper:
        return digits
    errors = rf"\pm {upper}" if lower == upper else f"_{{-{lower}}}^{{+{upper}}}"
    if exponent:
        return rf"$({digits}{errors})\times 10^{{{exponent}}}$"
    return f"${digits}{errors}$"


def _rounded(value: float, minus: float, plus: float) -> tuple[str, str, str, int]:
    """Return value, errors (empty where unknown) and the power of ten taken out of all three."""
    if not math.isfinite(value):
        return str(value), "", "", 0
    known = [error for error in (minus, plus) if math.isfinite(error) and error > 0]
    if not known:
        return f"{value:.6g}", "", "", 0
    exponent = 0
    size = max(abs(value), *known)
    if size >= 1e6 or size < 1e-3:
        exponent = int(f"{size:.6e}".partition("e")[2])
    scale = 10.0**exponent
    finest = max(min(known), max(known) / _MOST_UNEQUAL) / scale
    # The exponent after rounding to two digits: 0.0996 becomes 0.10 and keeps two decimals, not three.
    decimals = 1 - int(f"{finest:.1e}".partition("e")[2])

    def text(number: float) -> str:
        if not math.isfinite(number) or number < 0:
            return "?"
        return _fixed(number / scale, decimals)

    return _fixed(value / scale, decimals), text(minus), text(plus), exponent


def _fixed(number: float, decimals: int) -> str:
    shown = f"{round(number, decimals):.{max(decimals, 0)}f}"
    # "-0.00" would look like a negative result.
    return shown.removeprefix("-") if not shown.strip("-0.") else shown


def _cells(row: ResultRow) -> tuple[str, ...]:
    unit = unit_for(row.section, row.name) if row.unit is None else row.unit
    flags = ", ".join(row.flags)
    if row.upper_limit is not None:
        limit = f"< {row.upper_limit:.3g}"
        return row.name, unit, limit, limit, "", "", flags
    digits, lower, upper, exponent = _rounded(row.median, row.minus, row.plus)
    if not lower and not upper:
        best = f"{row.best_fit:.6g}" if math.isfinite(row.best_fit) else "-"
        return row.name, unit, best, digits if math.isfinite(row.median) else "-", "", "", flags
    power = f"e{exponent}" if exponent else ""
    decimals = len(digits.partition(".")[2])
    best = _fixed(row.best_fit / 10.0**exponent, decimals) + power if math.isfinite(row.best_fit) else "-"
    return row.name, unit, best, digits + power, f"-{lower}{power}", f"+{upper}{power}", flags


def results_table(rows: Iterable[ResultRow], title: str = "") -> str:
    """Return results as text in aligned columns.

    Parameters
    ----------
    rows : iterable of ResultRow
        One line each.
    title : str
        A line above.

    Returns
    -------
    str
        Without a newline at the end. A column that is empty in all rows is left out.
    """
    heading = ("parameter", "unit", "best fit", "median", "-68 %", "+68 %", "flags")
    body = [_cells(row) for row in rows]
    kept = [i for i in range(len(heading)) if i == 0 or any(cells[i] not in ("", "-") for cells in body)]
    table = [[cells[i] for i in kept] for cells in (heading, *body)]
    widths = [max(len(cells[j]) for cells in table) for j in range(len(kept))]
    left_aligned = {0, 1, 6}

    def line(cells: list[str]) -> str:
        aligned = [
            cell.ljust(width) if kept[j] in left_aligned else cell.rjust(width)
            for j, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(aligned).rstrip()

    lines = [line(table[0]), "-" * (sum(widths) + 2 * (len(widths) - 1)), *map(line, table[1:])]
    return "\n".join([title, *lines] if title else lines)
