"""Staged Bayesian fits of galaxy spectra and photometry on CosmoSIS.

The names below are loaded at their first use, so that ``import orchestrator`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator import errors
    from orchestrator.fit.reader import Reader
    from orchestrator.fit.stage_result import StageResult, load_run
    from orchestrator.fit.summary import summarize_results
    from orchestrator.main_pipeline import MainPipeline
    from orchestrator.production.catalogue import fit_catalogue
    from orchestrator.production.production import Production

__all__ = [
    "MainPipeline",
    "Production",
    "Reader",
    "StageResult",
    "errors",
    "fit_catalogue",
    "load_run",
    "summarize_results",
]

_HOMES = {
    "MainPipeline": "orchestrator.main_pipeline",
    "Production": "orchestrator.production.production",
    "Reader": "orchestrator.fit.reader",
    "StageResult": "orchestrator.fit.stage_result",
    "fit_catalogue": "orchestrator.production.catalogue",
    "load_run": "orchestrator.fit.stage_result",
    "summarize_results": "orchestrator.fit.summary",
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("orchestrator.errors")
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
