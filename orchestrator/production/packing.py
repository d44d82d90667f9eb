"""Journals of samples become shards while the production goes on.

The engine does the work; the ledger gets the new references in one transaction; the journals go when no chunk that
was handed out before can still ask for them.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.production.intake import SAMPLES
from orchestrator.production.ledger.ledger import Ledger

if TYPE_CHECKING:
    from orchestrator.production.shards import Packed

__all__ = ["Packer", "remove_unreferenced"]

logger = logging.getLogger(__name__)

FITS_PER_SHARD = 1000


class Packer:
    """Packs journals into shards of about a thousand fits.

    Parameters
    ----------
    folder : Path
        Folder of the production.
    ledger : Ledger
    """

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self.folder = folder
        self.ledger = ledger
        self._waiting: dict[str, int] = {}
        self._packing: tuple[Future[Packed], list[str]] | None = None
        self._retired: list[tuple[int, list[str]]] = []

    def add(self, journal: str, n_fits: int) -> None:
        """Take note of a committed journal with samples."""
        self._waiting[journal] = n_fits

    def step(self, executor: Executor, handed_out: int, in_flight: Collection[int]) -> None:
        """Begin to pack if there is enough, finish what has been packed, remove what nobody needs.

        Parameters
        ----------
        executor : Executor
        handed_out : int
            Number of the last chunk.
        in_flight : collection of int
            Numbers of the chunks that have not come back.
        """
        if self._packing is not None and self._packing[0].done():
            self._finish(handed_out)
        if self._packing is None and sum(self._waiting.values()) >= FITS_PER_SHARD:
            from orchestrator.production.shards import pack

            journals = list(self._waiting)
            future = executor.submit(pack, str(self.folder), journals, _new_shard())
            self._packing = (future, journals)
        oldest = min(in_flight, default=handed_out + 1)
        for number, journals in list(self._retired):
            if number < oldest:
                self._remove(journals)
                self._retired.remove((number, journals))

    def close(self) -> None:
        """Pack what is left, here; no chunk is in flight any more."""
        if self._packing is not None:
            self._packing[0].cancel()
            self._finish(0)
        if self._waiting:
            from orchestrator.production.shards import pack

            self._apply(pack(str(self.folder), list(self._waiting), _new_shard()), list(self._waiting), 0)
        for _, journals in self._retired:
            self._remove(journals)
        self._retired = []

    def _finish(self, handed_out: int) -> None:
        assert self._packing is not None
        future, journals = self._packing
        self._packing = None
        if future.cancelled() or future.exception() is not None:
            reason = "it was called off" if future.cancelled() else future.exception()
            logger.warning("%d journals are not packed yet: %s", len(journals), reason)
            return
        self._apply(future.result(), journals, handed_out)

    def _apply(self, packed: Packed, journals: list[str], handed_out: int) -> None:
        self.ledger.repack(packed.references)
        for journal in journals:
            self._waiting.pop(journal, None)
        self._retired.append((handed_out, journals))
        logger.info("%s: %d fits, %.0f bytes each", packed.shard, len(packed.references), packed.bytes_per_fit)

    def _remove(self, journals: list[str]) -> None:
        for journal in journals:
            (self.folder / journal).unlink(missing_ok=True)


def _new_shard() -> str:
    return f"{SAMPLES}/shard-{uuid.uuid4().hex[:12]}.h5"


def remove_unreferenced(folder: Path, ledger: Ledger) -> list[str]:
    """Remove files of samples that no result points to, left by a driver that was killed while it packed.

    Returns
    -------
    list of str
        Journals that results point to: they wait to be packed.
    """
    samples = folder / SAMPLES
    if not samples.is_dir():
        return []
    known = set(ledger.sample_files())
    journals = []
    for path in sorted(samples.iterdir()):
        name = f"{SAMPLES}/{path.name}"
        if name not in known:
            path.unlink()
        elif path.suffix == ".journal":
            journals.append(name)
    return journals
