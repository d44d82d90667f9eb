"""Where the files that stages make are, relative to the production."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.production.records import ALL_TARGETS, StagePlan
from orchestrator.production.targets import folder_name

__all__ = ["PRODUCTS", "TABLES", "is_product", "product_folder", "product_paths"]

PRODUCTS = "products"
TABLES = "tables"
"""Results of all targets for the stages over all, by content."""


def is_product(column: str) -> bool:
    """Whether a placeholder means a product: ``stage.product``; no column that it may name has a dot."""
    return "." in column


def product_folder(stage: StagePlan, target: str) -> str:
    """Return the folder of what a stage makes of a target."""
    if stage.over == "all" or target == ALL_TARGETS:
        return f"{PRODUCTS}/all/{stage.name}"
    return f"{PRODUCTS}/targets/{folder_name(target)}/{stage.name}"


def product_paths(stages: Sequence[StagePlan], columns: Sequence[str], target: str) -> dict[str, str]:
    """Return the placeholders among `columns` that mean products, to their files for a target.

    A name that is no product is left out.
    """
    by_name = {stage.name: stage for stage in stages}
    found = {}
    for column in columns:
        first, _, product = column.partition(".")
        stage = by_name.get(first)
        if stage is not None and product in stage.outputs:
            found[column] = f"{product_folder(stage, target)}/{stage.outputs[product]}"
    return found
