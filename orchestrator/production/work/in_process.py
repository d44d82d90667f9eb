"""Fits in the worker itself: nothing protects it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.production.plan import Plan
from orchestrator.production.records import Work
from orchestrator.production.work.answers import Answer, Finished, Skipped
from orchestrator.production.work.fit_target import Setting, run_target

__all__ = ["InProcess"]


class InProcess:
    """Fits in the worker itself: nothing protects it, no limit of time holds, and one of memory only for allocations.

    Parameters
    ----------
    plan : Plan
    production, scratch : Path
    """

    def __init__(self, plan: Plan, production: Path, scratch: Path) -> None:
        self.setting = Setting(plan, production, scratch)
        scratch.mkdir(parents=True, exist_ok=True)

    def answers(self, works: Sequence[Work]) -> Iterator[Answer | Skipped | Finished]:
        """See `Fits`."""
        for work in works:
            yield from run_target(self.setting, work)

    def close(self) -> None:
        """See `Fits`."""
        shutil.rmtree(self.setting.scratch, ignore_errors=True)
