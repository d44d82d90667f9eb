"""A circuit breaker: a stage that fails everywhere is stopped before it has spoilt every target."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from orchestrator.production.records import ErrorClass, StagePlan, TaskRecord

__all__ = ["Breaker", "Tripped"]

_WINDOW = 50
_LEAST = 20
_NOT_THE_STAGE = frozenset({ErrorClass.LOST, ErrorClass.BAD_INPUT})
"""The first says nothing about the stage, the second gives a result."""


@dataclass(frozen=True)
class Tripped:
    """A stage that was stopped.

    Attributes
    ----------
    stage, error_class : str
    n_failed, n_attempts : int
        Of the most recent attempts.
    message : str
        Of the last failure.
    """

    stage: str
    error_class: str
    n_failed: int
    n_attempts: int
    message: str

    def __str__(self) -> str:
        """Say what happened and what to do."""
        return (
            f"Stage {self.stage!r} is stopped: {self.n_failed} of its last {self.n_attempts} attempts failed alike "
            f"({self.error_class}): {self.message} Mend the cause and release it with 'orchestrator retry "
            f"--stage {self.stage}'; 'max_failed' of the stage sets the limit."
        )


@dataclass
class Breaker:
    """Counts recent attempts of every stage.

    Parameters
    ----------
    stages : tuple of StagePlan
    """

    stages: tuple[StagePlan, ...]
    _recent: dict[str, deque[tuple[str, str]]] = field(default_factory=dict)
    _stopped: set[str] = field(default_factory=set)

    def see(self, record: TaskRecord) -> Tripped | None:
        """Count an attempt.

        Returns
        -------
        Tripped or None
            The first time that a stage exceeds its limit.
        """
        if record.error_class in _NOT_THE_STAGE or record.stage in self._stopped:
            return None
        recent = self._recent.setdefault(record.stage, deque(maxlen=_WINDOW))
        recent.append((record.error_class, record.message))
        if len(recent) < _LEAST or not record.error_class:
            return None
        alike = sum(error == record.error_class for error, _ in recent)
        limit = next((stage.max_failed for stage in self.stages if stage.name == record.stage), 1.0)
        if alike <= limit * len(recent):
            return None
        self._stopped.add(record.stage)
        return Tripped(record.stage, record.error_class, alike, len(recent), " ".join(record.message.split())[:300])
