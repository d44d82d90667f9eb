"""A drawing of the stages of a pipeline, for where Graphviz is not installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["draw_stage_graph"]

_COLOURS = {"fit": "#cfe2f3", "function": "#d9ead3", "command": "#fff2cc"}
_WIDTH, _HEIGHT = 2.4, 0.55


def draw_stage_graph(
    stages: Mapping[str, tuple[str, str]],
    edges: Sequence[tuple[str, str, str]],
    ranks: Mapping[str, int],
    path: Path,
) -> None:
    """Draw stages in rows, with an arrow for everything that goes from one to another.

    Parameters
    ----------
    stages : Mapping of str to (str, str)
        Name to kind and to ``target`` or ``all``; a double frame means once for all targets.
    edges : sequence of (str, str, str)
        Earlier stage, later stage, what is taken.
    ranks : Mapping of str to int
        Row of each stage, 0 at the top.
    path : Path
        Picture to write; its ending says the format.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    places = _places(ranks)
    n_rows = max(ranks.values(), default=0) + 1
    n_columns = max(sum(rank == row for rank in ranks.values()) for row in range(n_rows))
    figure = Figure(figsize=(3.0 * n_columns + 1.0, 1.3 * n_rows + 0.6))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(-1.5 * n_columns - 0.3, 1.5 * n_columns + 0.3)
    axes.set_ylim(-1.3 * n_rows + 0.35, 0.75)
    axes.axis("off")
    for first, last, label in edges:
        (x0, y0), (x1, y1) = places[first], places[last]
        far = ranks[last] - ranks[first] > 1
        bend = f"arc3,rad={0.35 if x1 >= x0 else -0.35}" if far else "arc3"
        start, end = (x0, y0 - _HEIGHT / 2), (x1, y1 + _HEIGHT / 2)
        axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=12, color="0.35",
                                       connectionstyle=bend))  # fmt: skip
        if label:
            shift = (0.35 if x1 >= x0 else -0.35) * (start[1] - end[1]) / 2 if far else 0.0
            axes.text((x0 + x1) / 2 - shift, (start[1] + end[1]) / 2, label, fontsize=7, color="0.25", ha="center",
                      va="center", bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8})  # fmt: skip
    for name, (kind, over) in stages.items():
        x, y = places[name]
        for margin in (0.0, 0.07) if over == "all" else (0.0,):
            axes.add_patch(FancyBboxPatch(
                (x - _WIDTH / 2 - margin, y - _HEIGHT / 2 - margin), _WIDTH + 2 * margin, _HEIGHT + 2 * margin,
                boxstyle="round,pad=0,rounding_size=0.12", edgecolor="0.2",
                facecolor=_COLOURS.get(kind, "white") if not margin else "none",
            ))  # fmt: skip
        words = kind if over == "target" else f"{kind}, over all"
        axes.text(x, y + 0.08, name, ha="center", va="center", fontsize=9)
        axes.text(x, y - 0.15, words, ha="center", va="center", fontsize=6.5, color="0.4")
    figure.savefig(path, dpi=130)


def _places(ranks: Mapping[str, int]) -> dict[str, tuple[float, float]]:
    """Return where each stage stands: rows by rank, spread evenly around the middle."""
    rows: dict[int, list[str]] = {}
    for name, rank in ranks.items():
        rows.setdefault(rank, []).append(name)
    return {
        name: (3.0 * (index - (len(row) - 1) / 2), -1.3 * rank)
        for rank, row in rows.items()
        for index, name in enumerate(row)
    }
