"""The state of the random numbers beside a chain, so that a resumed chain is the one that an interruption cut off."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.config.text_files import write_atomically
from orchestrator.fit.samplers.mixture_move import MixtureMove, StudentMixture

__all__ = ["Checkpoint", "read_checkpoint", "write_checkpoint"]

FloatArray = NDArray[np.float64]
MersenneState = tuple[str, Any, int, int, float]
"""As numpy's ``RandomState.get_state`` returns it."""


@dataclass(frozen=True)
class Checkpoint:
    """What an ensemble needs to go on as if nothing had happened, besides its chain.

    Attributes
    ----------
    n_steps : int
        Steps of the chain when it was taken.
    next_check : int
        Step at which convergence is measured next.
    walkers : str
        Checksum of where the walkers stood: the chain beside it must hold that step.
    ensemble, numpy : list
        States of the ensemble's own generator and of numpy's global one, which some moves draw from.
    next_lesson : int
        Step at which the moves that learn do so next.
    teacher : dict
        State of the generator that they learn with.
    learned : list of dict or None
        What each of them has learned.
    """

    n_steps: int
    next_check: int
    walkers: str
    ensemble: list[Any]
    numpy: list[Any]
    next_lesson: int
    teacher: dict[str, Any]
    learned: list[dict[str, Any] | None]

    @classmethod
    def take(
        cls,
        *,
        n_steps: int,
        next_check: int,
        next_lesson: int,
        walkers: FloatArray,
        ensemble: MersenneState,
        teacher: np.random.Generator,
        learners: Sequence[MixtureMove],
    ) -> Checkpoint:
        """Take the state after a chunk of steps."""
        return cls(
            n_steps=n_steps,
            next_check=next_check,
            walkers=_checksum(walkers),
            ensemble=_as_list(ensemble),
            numpy=_as_list(np.random.get_state()),  # type: ignore[arg-type]  # noqa: NPY002
            next_lesson=next_lesson,
            teacher=dict(teacher.bit_generator.state),
            learned=[_as_dict(move.mixture) for move in learners],
        )

    def belongs_to(self, steps: FloatArray) -> bool:
        """Say whether a chain, shape (n_steps, n_walkers, n_varied), is the one that it was taken of."""
        return 0 < self.n_steps <= len(steps) and _checksum(steps[self.n_steps - 1]) == self.walkers

    def ensemble_state(self) -> MersenneState:
        """State for the ensemble's generator."""
        return _as_state(self.ensemble)

    def restore_learners(self, teacher: np.random.Generator, learners: Sequence[MixtureMove]) -> None:
        """Give the moves what they had learned, and put the generator that they learn with back."""
        teacher.bit_generator.state = self.teacher
        for move, known in zip(learners, self.learned, strict=True):
            move.mixture = None if known is None else StudentMixture(**{k: np.array(v) for k, v in known.items()})

    def restore_numpy(self) -> None:
        """Put numpy's global generator back."""
        np.random.set_state(_as_state(self.numpy))  # noqa: NPY002


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint whole or not at all; after the rows that it belongs to are on disk."""
    write_atomically(path, json.dumps(asdict(checkpoint)) + "\n")


def read_checkpoint(path: Path) -> Checkpoint | None:
    """Return the checkpoint of a chain; None if there is none or it is damaged."""
    try:
        return Checkpoint(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _as_dict(mixture: StudentMixture | None) -> dict[str, Any] | None:
    if mixture is None:
        return None
    return {name: getattr(mixture, name).tolist() for name in StudentMixture.__dataclass_fields__}


def _checksum(walkers: FloatArray) -> str:
    return hashlib.sha256(np.ascontiguousarray(walkers, dtype=float).tobytes()).hexdigest()[:16]


def _as_list(state: MersenneState) -> list[Any]:
    kind, words, *rest = state
    return [kind, np.asarray(words).tolist(), *rest]


def _as_state(entries: list[Any]) -> MersenneState:
    kind, words, position, has_gauss, cached = entries
    return str(kind), np.asarray(words, dtype=np.uint32), int(position), int(has_gauss), float(cached)
