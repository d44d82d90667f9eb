"""How many targets make a chunk: as many as last the time that the site asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.production.records import Work

__all__ = ["ChunkSize", "split"]

_SMOOTHING = 0.2
_FIRST = 2
_MOST = 500
_GROWTH = 4


@dataclass
class ChunkSize:
    """Targets per chunk, from measured times.

    Parameters
    ----------
    seconds : float
        How long a chunk should last.
    fixed : int or None
        A number that the user has chosen.
    """

    seconds: float
    fixed: int | None = None
    per_target: float | None = None
    _last: int = _FIRST

    def measured(self, n_targets: int, seconds: float) -> None:
        """Take in the time of a chunk; starting up is part of the first one, and weighs less and less."""
        if n_targets:
            sample = seconds / n_targets
            old = self.per_target
            self.per_target = sample if old is None else old + _SMOOTHING * (sample - old)

    def next(self, n_waiting: int, n_slots: int) -> int:
        """Return the number of targets of the next chunk.

        Parameters
        ----------
        n_waiting : int
            Targets that are known to wait; towards the end they are shared out evenly.
        n_slots : int
            Workers.
        """
        if self.fixed is not None:
            return self.fixed
        if self.per_target is None:
            size = _FIRST
        else:
            size = min(_MOST, _GROWTH * self._last, max(1, round(self.seconds / max(self.per_target, 1e-6))))
        self._last = size
        return max(1, min(size, -(-n_waiting // (2 * max(1, n_slots)))))


def split(works: Sequence[Work], size: int) -> list[tuple[Work, ...]]:
    """Split targets into chunks; one that has cost a worker its process is alone."""
    chunks: list[tuple[Work, ...]] = [(work,) for work in works if work.alone]
    others = [work for work in works if not work.alone]
    chunks += [tuple(others[start : start + size]) for start in range(0, len(others), size)]
    return chunks
