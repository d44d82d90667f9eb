"""A graceful stop: on a signal, near the end of an allocation, or when the user asks for it."""

from __future__ import annotations

import logging
import signal
import threading
import time
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from orchestrator.errors import ProductionError

__all__ = ["STOP_FILE", "Stopping"]

logger = logging.getLogger(__name__)

STOP_FILE = "driver.stop"
"""Beside the run file; workers look for it between two targets."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopping:
    """Says whether a run should end; a context in which signals ask for it.

    The first signal asks for a graceful end: no further chunk is handed out, and workers finish the target that they
    are at. A second one ends at once; nothing that has finished is lost then either.

    Parameters
    ----------
    folder : Path
        Folder of the production.
    end : float or None
        Unix time at which the allocation ends.
    margin : float
        Seconds before it at which no further target is begun.
    """

    def __init__(self, folder: Path, end: float | None = None, margin: float = 120.0) -> None:
        self._file = folder / STOP_FILE
        self._margin = margin
        self._end = end
        self._reason = ""
        self._former: dict[int, Any] = {}

    @property
    def stop_at(self) -> float | None:
        """Unix time after which no further target is begun; None without an end."""
        return None if self._end is None else self._end - self._margin

    @property
    def reason(self) -> str:
        """Why the run should end; empty while it should go on."""
        if not self._reason and self.stop_at is not None and time.time() > self.stop_at:
            self.ask("the allocation ends soon")
        return self._reason

    def ask(self, reason: str) -> None:
        """Ask for a graceful end."""
        if not self._reason:
            self._reason = reason
            logger.warning("stopping: %s; targets that are being fitted are finished", reason)
            try:
                self._file.touch()
            except OSError as error:  # a full disk: the workers end with their chunks then
                logger.warning("%s cannot be written: %s", self._file, error)

    def __enter__(self) -> Self:
        """Take over the signals, in the main thread only, and forget an earlier stop."""
        self._file.unlink(missing_ok=True)
        if threading.current_thread() is threading.main_thread():
            self._former = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._former = {}
        self._file.unlink(missing_ok=True)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        name = signal.Signals(number).name
        if self._reason:
            msg = f"ended at once by a second signal ({name}); the same command continues"
            raise ProductionError(msg)
        self.ask(f"the signal {name}")
