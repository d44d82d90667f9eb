"""The graph of a pipeline: its stages, and what goes from one to the next."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import ProductionError
from orchestrator.production.placeholders import columns_of
from orchestrator.production.plan import Plan
from orchestrator.production.products import is_product

__all__ = ["Edge", "edges_of", "graph_dot", "write_graph"]

_SHAPES = {"fit": "ellipse", "function": "box", "command": "hexagon"}


@dataclass(frozen=True)
class Edge:
    """What a stage takes from an earlier one.

    Attributes
    ----------
    first, last : str
        Stages.
    label : str
        Products and columns; empty where a stage needs the other as a whole.
    """

    first: str
    last: str
    label: str = ""


def edges_of(plan: Plan) -> list[Edge]:
    """Return every need of every stage, with what is taken."""
    edges = []
    for stage in plan.stages:
        taken: dict[str, list[str]] = {need: [] for need in stage.needs}
        texts = [column for column in columns_of([stage.sections, *stage.recipes]) if is_product(column)]
        for name in dict.fromkeys([*texts, *(wire for wire in stage.wires.values() if "." in wire)]):
            first, _, what = name.partition(".")
            taken.setdefault(first, []).append(what)
        edges += [Edge(first, stage.name, ", ".join(what)) for first, what in taken.items()]
    return edges


def graph_dot(plan: Plan) -> str:
    """Return the graph in the language of Graphviz; a double line means once for all targets."""
    lines = ["digraph pipeline {", "  rankdir=TB;", '  node [fontname="sans-serif"]; edge [fontname="sans-serif"];']
    for stage in plan.stages:
        rings = 2 if stage.over == "all" else 1
        lines.append(f'  "{stage.name}" [shape={_SHAPES.get(stage.kind, "box")}, peripheries={rings}];')
    for edge in edges_of(plan):
        label = f' [label="{edge.label}"]' if edge.label else ""
        lines.append(f'  "{edge.first}" -> "{edge.last}"{label};')
    return "\n".join([*lines, "}"]) + "\n"


def write_graph(plan: Plan, path: Path) -> None:
    """Write the graph as text (``.dot``) or as a picture, by the ending; by Graphviz if it is here.

    Raises
    ------
    ProductionError
        If Graphviz refuses the ending.
    """
    text = graph_dot(plan)
    if path.suffix in (".dot", ".gv"):
        path.write_text(text, encoding="utf-8")
        return
    program = shutil.which("dot")
    if program is None:
        from orchestrator.report.stage_graph import draw_stage_graph

        kinds = {stage.name: (stage.kind, stage.over) for stage in plan.stages}
        draw_stage_graph(kinds, [(edge.first, edge.last, edge.label) for edge in edges_of(plan)], _ranks(plan), path)
        return
    done = subprocess.run(
        [program, f"-T{path.suffix[1:]}", "-Gdpi=120", "-o", str(path)], input=text, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        msg = f"Graphviz cannot write {str(path)!r}: {done.stderr.strip()[:300]}"
        raise ProductionError(msg)


def _ranks(plan: Plan) -> Mapping[str, int]:
    """Return for each stage how many come before it one after the other."""
    ranks: dict[str, int] = {}
    for stage in plan.stages:
        ranks[stage.name] = 1 + max((ranks[need] for need in stage.needs), default=-1)
    return ranks
