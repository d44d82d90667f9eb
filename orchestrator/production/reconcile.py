"""What is current, what is stale: the identity of every result, computed anew and compared.

A task is current if the key of its result is the one that its stage would have now: same options, same content of its
input files, same upstream results, same libraries, same version. Nothing else is asked, and no time of a file decides;
times and sizes only spare the reading of files that have not been touched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.production.identity import input_paths, task_key
from orchestrator.production.ledger.ledger import Ledger
from orchestrator.production.plan import Plan
from orchestrator.production.records import InputFile, State, Target

__all__ = ["Checksums", "Reconciled", "expected_keys", "reconcile"]

_GROUP = 5000
MISSING = "missing"
"""In place of the checksum of a file that is not there."""


class Checksums:
    """Checksums of files, read again only where size or time differ from what is known of them."""

    def __init__(self) -> None:
        self._known: dict[str, InputFile] = {}
        self._now: dict[str, str] = {}

    def learn(self, files: Iterable[InputFile]) -> None:
        """Take what a task has recorded of its files."""
        for file in files:
            self._known.setdefault(file.path, file)

    def of(self, path: Path) -> str:
        """Return the checksum of a file as it is now."""
        name = str(path)
        if name not in self._now:
            self._now[name] = self._checksum(path)
        return self._now[name]

    def forget(self) -> None:
        """Drop what was learnt: files are shared by neighbours in the table at most."""
        if len(self._now) > _GROUP:
            self._known.clear()
            self._now.clear()

    def _checksum(self, path: Path) -> str:
        try:
            status = path.stat()
        except OSError:
            return MISSING
        known = self._known.get(str(path))
        if known is not None and (known.size, known.mtime_ns) == (status.st_size, status.st_mtime_ns):
            return known.checksum
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


@dataclass
class Reconciled:
    """What was found.

    Attributes
    ----------
    n_current : int
        Finished tasks whose result stands.
    stale : dict of str to int
        Stage to finished tasks that are to be done again.
    found_again : dict of str to int
        Stage to tasks whose result was there from an earlier configuration.
    """

    n_current: int = 0
    stale: dict[str, int] = field(default_factory=dict)
    found_again: dict[str, int] = field(default_factory=dict)

    def to_text(self) -> str:
        """Return a sentence, empty if all is current."""
        parts = [f"{n} of {stage} are stale and are done again" for stage, n in self.stale.items()]
        parts += [f"{n} of {stage} were found again in the ledger" for stage, n in self.found_again.items()]
        return "; ".join(parts)


def expected_keys(
    plan: Plan, target: Target, checksums: Checksums, known: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the key that each stage of a target would have now.

    Parameters
    ----------
    plan : Plan
    target : Target
    checksums : Checksums
    known : Mapping of str to str, optional
        Stages whose key is taken as given.
    """
    keys: dict[str, str] = {}
    for stage in plan.stages:
        if known and stage.name in known:
            keys[stage.name] = known[stage.name]
            continue
        files = {str(path): checksums.of(path) for path in input_paths(plan, stage, target)}
        upstream = {name: keys[name] for name in stage.needs}
        keys[stage.name] = task_key(plan, stage, target, files, upstream)
    return keys


def reconcile(plan: Plan, ledger: Ledger) -> Reconciled:
    """Compare every finished task with what it would be now, and make the stale ones ready again.

    Parameters
    ----------
    plan : Plan
    ledger : Ledger
        Open for writing.

    Returns
    -------
    Reconciled
    """
    found = Reconciled()
    checksums = Checksums()
    stale: list[int] = []
    again: list[tuple[int, str]] = []
    for entry in ledger.targets_with_results():
        for task in entry.tasks.values():
            checksums.learn(task.files)
        keys = expected_keys(plan, entry.target, checksums)
        for stage, task in entry.tasks.items():
            if stage not in keys or task.state not in (State.DONE, State.FAILED) or not task.key:
                continue
            if task.key == keys[stage]:
                found.n_current += 1
            elif task.state == State.DONE or task.error_class != "bad_input":
                stale.append(task.task_id)
                again.append((task.task_id, keys[stage]))
                found.stale[stage] = found.stale.get(stage, 0) + 1
        checksums.forget()
    _apply(ledger, stale, again, found)
    return found


def _apply(ledger: Ledger, stale: list[int], again: list[tuple[int, str]], found: Reconciled) -> None:
    ledger.make_stale(stale)
    for stage, n in ledger.point_to_existing(again).items():
        found.found_again[stage] = n
        found.stale[stage] = found.stale.get(stage, 0) - n
    found.stale = {stage: n for stage, n in found.stale.items() if n}
