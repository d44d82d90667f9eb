"""A drawing of the stages of a pipeline, for where Graphviz is not installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["draw_stage_graph"]

_COLOURS = {"fit": "#cfe2f3", "function": "#d9ead3", "command": "#fff2cc"}
_WIDTH, _HEIGHT, _STEP = 2.4, 0.55, 1.35
_ROOM = {True: 3.0, False: 1.1}
"""Width that a stage, or the passing of an arrow, takes in a row."""
_SWEEPS = 4

_Place = tuple[float, float]
_Lane = tuple[str, ...]


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

    lanes, places = _layout(edges, ranks)
    across = [x for x, _ in places.values()]
    left, right = min(across) - _WIDTH / 2 - 0.3, max(across) + _WIDTH / 2 + 0.3
    bottom, top = -_STEP * max(ranks.values()) - 0.6, 0.6
    figure = Figure(figsize=(right - left, top - bottom))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0), xlim=(left, right), ylim=(bottom, top))
    axes.axis("off")
    for lane, (_, _, label) in zip(lanes, edges, strict=True):
        _draw_arrow(axes, [places[name] for name in lane], label)
    for name, (kind, over) in stages.items():
        _draw_stage(axes, name, kind, over, places[name])
    figure.savefig(path, dpi=130)


def _layout(
    edges: Sequence[tuple[str, str, str]], ranks: Mapping[str, int]
) -> tuple[list[_Lane], dict[str, _Place]]:
    """Return for each edge what it passes, and where everything stands.

    An edge over several rows takes a place in each row between, so that no arrow crosses a stage; rows are put in
    the order of what stands above and below.
    """
    rows: dict[int, list[str]] = {}
    for name, rank in ranks.items():
        rows.setdefault(rank, []).append(name)
    lanes = []
    for number, (first, last, _) in enumerate(edges):
        passed = [f"\0{number}.{rank}" for rank in range(ranks[first] + 1, ranks[last])]
        for rank, name in enumerate(passed, ranks[first] + 1):
            rows[rank].append(name)
        lanes.append((first, *passed, last))
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for lane in lanes:
        for upper, lower in zip(lane, lane[1:], strict=False):
            above.setdefault(lower, []).append(upper)
            below.setdefault(upper, []).append(lower)
    places: dict[str, _Place] = {}
    for rank, row in rows.items():
        _spread(row, rank, places)
    for sweep in range(_SWEEPS):
        near, order = (above, sorted(rows)) if sweep % 2 == 0 else (below, sorted(rows, reverse=True))
        for rank in order:
            rows[rank].sort(key=lambda name: _middle(name, near, places))
            _spread(rows[rank], rank, places)
    return lanes, places


def _middle(name: str, near: Mapping[str, Sequence[str]], places: Mapping[str, _Place]) -> float:
    others = [places[other][0] for other in near.get(name, ())]
    return sum(others) / len(others) if others else places[name][0]


def _spread(row: Sequence[str], rank: int, places: dict[str, _Place]) -> None:
    """Place a row around the middle, from left to right."""
    widths = [_ROOM[not name.startswith("\0")] for name in row]
    x = -sum(widths) / 2
    for name, width in zip(row, widths, strict=True):
        places[name] = (x + width / 2, -_STEP * rank)
        x += width


def _draw_arrow(axes: object, points: list[_Place], label: str) -> None:
    from matplotlib.axes import Axes
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Line

    assert isinstance(axes, Axes)
    (x0, y0), (x1, y1) = points[0], points[-1]
    corners = [(x0, y0 - _HEIGHT / 2), *points[1:-1], (x1, y1 + _HEIGHT / 2 + 0.08)]
    vertices, codes = [corners[0]], [int(Line.MOVETO)]
    for (ax, ay), (bx, by) in zip(corners, corners[1:], strict=False):
        half = (ay + by) / 2
        vertices += [(ax, half), (bx, half), (bx, by)]  # upright at both ends
        codes += [int(Line.CURVE4)] * 3
    axes.add_patch(FancyArrowPatch(path=Line(vertices, codes), arrowstyle="-|>", mutation_scale=11, color="0.35",
                                   fill=False))  # fmt: skip
    if label:
        (ax, ay), (bx, by) = corners[-2:]
        axes.text((ax + bx) / 2, (ay + by) / 2, label, fontsize=7, color="0.25", ha="center", va="center",
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8})  # fmt: skip


def _draw_stage(axes: object, name: str, kind: str, over: str, place: _Place) -> None:
    from matplotlib.axes import Axes
    from matplotlib.patches import FancyBboxPatch

    assert isinstance(axes, Axes)
    x, y = place
    for margin in (0.06, 0.0) if over == "all" else (0.0,):
        axes.add_patch(FancyBboxPatch(
            (x - _WIDTH / 2 - margin, y - _HEIGHT / 2 - margin), _WIDTH + 2 * margin, _HEIGHT + 2 * margin,
            boxstyle="round,pad=0,rounding_size=0.12", edgecolor="0.2",
            facecolor="white" if margin else _COLOURS.get(kind, "white"),
        ))  # fmt: skip
    words = kind if over == "target" else f"{kind}, over all"
    axes.text(x, y + 0.08, name, ha="center", va="center", fontsize=9)
    axes.text(x, y - 0.15, words, ha="center", va="center", fontsize=6.5, color="0.4")
