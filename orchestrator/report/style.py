"""What all figures share: colours, sizes, a private style, and files written whole or not at all.

Figures are plain `Figure` objects drawn by the Agg canvas. `matplotlib.pyplot` keeps global state (a
current figure, an interactive backend), which goes wrong in threads, in notebooks and after a fork.
"""

from __future__ import annotations

import os
import re
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "BLACK",
    "BLUE",
    "GREEN",
    "GREY",
    "LIGHT_GREY",
    "ORANGE",
    "PURPLE",
    "RED",
    "SKY",
    "goodness_of_fit",
    "header",
    "new_figure",
    "paper_style",
    "place_labels",
    "safe_text",
    "save_figure",
    "weighted_quantiles",
]

# Okabe & Ito (2008): told apart with every common colour-vision deficiency, and in grey.
BLACK = "#000000"
ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
BLUE = "#0072B2"
RED = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#7F7F7F"
LIGHT_GREY = "#D9D9D9"

DOTS_PER_INCH = 200
PAGE_WIDTH = 7.1  # inches, the two columns of a journal page

STYLE = {
    "font.family": ["STIXGeneral", "DejaVu Sans"],  # the second has the glyphs that the first lacks
    "mathtext.fontset": "stix",
    "text.usetex": False,
    "font.size": 9,
    "axes.labelsize": 9.5,
    "axes.titlesize": 9.5,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.linewidth": 0.7,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.minor.visible": True,
    "ytick.minor.visible": True,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "savefig.dpi": DOTS_PER_INCH,
    "figure.dpi": DOTS_PER_INCH,
    "savefig.bbox": None,
    "pdf.fonttype": 42,
}

# The parameters of matplotlib belong to the whole process: two figures drawn at once would restore
# each other's. A forked child may inherit the lock in the held state, hence the fresh one.
_drawing = threading.RLock()


def _renew_lock() -> None:
    global _drawing
    _drawing = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@contextmanager
def paper_style() -> Iterator[None]:
    """Draw in the style of a paper, whatever the user's matplotlibrc says, and leave no trace of it."""
    with _drawing, matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def new_figure(width: float = PAGE_WIDTH, height: float = 4.5, *, constrained: bool = True) -> Figure:
    """Return an empty figure on the Agg canvas.

    Parameters
    ----------
    width, height : float
        Size in inches.
    constrained : bool
        Lay the axes out so that no label is clipped.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained" if constrained else None)
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure; the file appears complete under its name, or not at all.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What to write.
    path : str or Path
        Target; its suffix chooses the format (png where there is none). Missing folders are made.

    Returns
    -------
    Path
        The file written.
    """
    path = Path(path)
    if not path.suffix:
        path = path.with_suffix(".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}{path.suffix}")
    try:
        figure.savefig(temporary, format=path.suffix[1:].lower(), dpi=DOTS_PER_INCH)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


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


def _renderer(figure: Figure) -> object:
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


def weighted_quantiles(
    samples: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Return quantiles over the first axis.

    Parameters
    ----------
    samples : (n_samples, ...) array_like
        Samples.
    probabilities : (n_probabilities,) array_like
        Between 0 and 1.
    weights : (n_samples,) array_like, optional
        Weights of the samples, not negative; equal where None.

    Returns
    -------
    (n_probabilities, ...) ndarray
    """
    samples = np.asarray(samples, dtype=float)
    probabilities = np.asarray(probabilities, dtype=float)
    if weights is None:
        return np.quantile(samples, probabilities, axis=0)
    weights = np.asarray(weights, dtype=float)
    flat = samples.reshape(samples.shape[0], -1)
    result = np.empty((probabilities.size, flat.shape[1]))
    for column in range(flat.shape[1]):
        order = np.argsort(flat[:, column])
        sorted_weights = weights[order]
        # The middle of each sample's step in the cumulative distribution: symmetric in both tails.
        cumulative = (np.cumsum(sorted_weights) - 0.5 * sorted_weights) / sorted_weights.sum()
        result[:, column] = np.interp(probabilities, cumulative, flat[order, column])
    return result.reshape((probabilities.size, *samples.shape[1:]))
