"""Text in figures: safe to draw, and never over data or over other text."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser
from numpy.typing import ArrayLike, NDArray

from orchestrator.report.style import PAGE_WIDTH

__all__ = ["goodness_of_fit", "header", "place_labels", "safe_text"]


def safe_text(text: str) -> str:
    """Return text that can be drawn: '+-' becomes a sign, and dollars that are no formula stay dollars.

    Parameters
    ----------
    text : str
        A title or an annotation from outside, for example a file name.

    Returns
    -------
    str
    """
    text = text.replace("+-", "\N{PLUS-MINUS SIGN}").replace("+/-", "\N{PLUS-MINUS SIGN}")
    try:
        MathTextParser("agg").parse(text)
    except ValueError:
        return text.replace("$", r"\$")
    return text


def goodness_of_fit(chi2: float, n_degrees_of_freedom: int) -> str:
    """Return chi2, degrees of freedom and their ratio in mathtext; empty where chi2 is not known.

    Parameters
    ----------
    chi2 : float
        Sum of squared residuals in sigma.
    n_degrees_of_freedom : int
        Without a positive number the ratio is left out.

    Returns
    -------
    str
    """
    if not np.isfinite(chi2):
        return ""
    if n_degrees_of_freedom <= 0:
        return rf"$\chi^2$ = {chi2:.1f}"
    ratio = chi2 / n_degrees_of_freedom
    return rf"$\chi^2$/dof = {chi2:.1f}/{n_degrees_of_freedom} = {ratio:.2f}"


def header(axes: Axes, title: str, remarks: Sequence[str], width: float = PAGE_WIDTH) -> None:
    """Write the title at the left and the remarks at the right above the axes, in as many lines as needed.

    Text above the axes can never hide data, which text inside them sooner or later does.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        The uppermost panel.
    title : str
        May be empty.
    remarks : sequence of str
        Short results, for example ``v = 12 +- 3 km/s``.
    width : float
        Width of the figure in inches.
    """
    title, texts = safe_text(title), [_true_minus(safe_text(remark)) for remark in remarks]
    available = 0.86 * width
    separator = "     "
    lines: list[str] = []
    room = available - _width_in_inches(axes, title) - 0.3 if title else available
    for text in texts:
        longer = f"{lines[-1]}{separator}{text}" if lines else text
        if lines and _width_in_inches(axes, longer) > (room if len(lines) == 1 else available):
            lines.append(text)
        else:
            lines = [*lines[:-1], longer]
    if lines and _width_in_inches(axes, lines[0]) > room:
        lines.insert(0, "")  # the title keeps a line of its own
    if title:
        axes.set_title(title + "\n" * max(len(lines) - 1, 0), loc="left", fontsize=9)
    if lines:
        axes.set_title("\n".join(lines), loc="right", fontsize=9)


def _true_minus(text: str) -> str:
    return re.sub(r"(?<=[\s=(])-(?=[\d.])", "\N{MINUS SIGN}", text)


def _width_in_inches(axes: Axes, text: str, size: float = 9.0) -> float:
    figure = axes.get_figure(root=True)
    if figure is None or not text:
        return 0.0
    probe = figure.text(0, 0, text, fontsize=size)
    width = probe.get_window_extent(_renderer(figure)).width / figure.dpi
    probe.remove()
    return float(width)


def _renderer(figure: Figure) -> RendererAgg:
    return FigureCanvasAgg(figure).get_renderer()


def place_labels(
    axes: Axes, positions: ArrayLike, texts: Sequence[str], size: float, n_rows: int, width: float = 6.2
) -> NDArray[np.int64]:
    """Give every label a row in which it overlaps no other one.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        With its final x limits and scale.
    positions : (n,) array_like
        Centres of the labels on the x axis, in data units.
    texts : sequence of str
        The labels, those that matter most first.
    size : float
        Font size in points.
    n_rows : int
        Rows available.
    width : float
        Width of the axes in inches.

    Returns
    -------
    (n,) ndarray of int
        Row of each label; -1 where no row has room.
    """
    positions = np.asarray(positions, dtype=float)
    transform = axes.transData + axes.transAxes.inverted()
    centres = transform.transform(np.column_stack([positions, np.ones_like(positions)]))[:, 0] * width
    taken: list[list[tuple[float, float]]] = [[] for _ in range(n_rows)]
    rows = np.full(positions.size, -1)
    for i, (centre, text) in enumerate(zip(centres, texts, strict=True)):
        half = 0.5 * _width_in_inches(axes, text, size) + 0.03
        low, high = centre - half, centre + half
        for row, intervals in enumerate(taken):
            if all(high <= start or low >= end for start, end in intervals):
                intervals.append((low, high))
                rows[i] = row
                break
    return rows
