"""The samples of a fit whose files lie in a folder of its target."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from orchestrator.fit.stage_result import load_run
from orchestrator.production.work.chain_lines import chain_lines
from orchestrator.production.work.fit_columns import fit_row
from orchestrator.production.work.stored_fit import StoredFit, history_entries, other_texts, without_nan

__all__ = ["stored_from_folder"]


def stored_from_folder(path: Path) -> StoredFit:
    """Return the samples of a results file and what lies beside it; without best-fit models.

    Raises
    ------
    ChainError
        If it cannot be read.
    """
    result = load_run(path)
    assert result.chain is not None
    lines = chain_lines(result.chain)
    paths = result.stage.paths
    documents = {}
    for name in ("config", "handover", "best_fit", "diagnostics", "products"):
        found = _document(getattr(paths, name))
        if found is not None:
            documents[name] = found
    documents["texts"] = other_texts(result.stage)
    derived, history = result.derived, result.formation_history
    return StoredFit(
        stage=result.name,
        columns=fit_row(result, derived, result.goodness).values,
        chain_columns=lines.columns,
        chain=lines.rows,
        header=lines.header,
        footer=lines.footer,
        documents=documents,
        derived=None if derived is None else without_nan(asdict(derived)),
        history=None if history is None else history_entries(history),
    )


def _document(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
