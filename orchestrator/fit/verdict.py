"""The verdict on a sampler run: whether its posterior is to be trusted, and the sentence that says why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["FAILED", "OK", "Verdict", "VerdictWord"]

VerdictWord = Literal["ok", "not_converged", "at_bound", "failed"]


@dataclass(frozen=True)
class Verdict:
    """What a run is worth.

    Attributes
    ----------
    word : {'ok', 'not_converged', 'at_bound', 'failed'}
        ``failed``: there is no posterior; ``not_converged``: what is there does not sample it, or too few samples do;
        ``at_bound``: sampled, but the best fit lies at a limit of its range. The first that holds, in this order.
    reason : str
        One sentence with the numbers that decided.
    """

    word: VerdictWord
    reason: str

    @property
    def is_ok(self) -> bool:
        """Whether nothing speaks against the result."""
        return self.word == "ok"


OK = Verdict("ok", "Nothing speaks against this result.")
FAILED = Verdict("failed", "None of the points has a finite posterior.")
