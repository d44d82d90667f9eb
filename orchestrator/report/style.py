"""What all figures share: colours, sizes, a private style, and files written whole or not at all.

Figures are plain `Figure` objects drawn by the Agg canvas. `matplotlib.pyplot` keeps global state (a
current figure, an interactive backend), which goes wrong in threads, in notebooks and after a fork.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
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
    "new_figure",
    "paper_style",
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

STYLE: dict[str, Any] = {
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
        matplotlib.rcParams.update(cast("Any", STYLE))
        yield


def new_figure(width: float = PAGE_WIDTH, height: float = 4.5, *, row_gap: float | None = 0.02) -> Figure:
    """Return an empty figure on the Agg canvas.

    Parameters
    ----------
    width, height : float
        Size in inches.
    row_gap : float or None
        Padding above and below the panels in inches, laid out so that no label is clipped; None leaves
        the layout to the caller.

    Returns
    -------
    matplotlib.figure.Figure
    """
    layout = None if row_gap is None else ConstrainedLayoutEngine(h_pad=row_gap, hspace=0.0)
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout=layout)
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
