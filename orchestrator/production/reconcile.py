"""What is current, what is stale: the identity of every result, computed anew and compared.

A task is current if the key of its result is the one that its stage would have now: same options, same content of
its input files, same upstream results, same libraries, same version. Nothing else is asked, and no time of a file
decides; times and sizes only spare the reading of files that have not been touched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.errors import ConfigError
from orchestrator.production.identity import MISSING, input_paths, task_key
from orchestrator.production.intake import sample_path
from orchestrator.production.ledger.ledger import Ledger
from orchestrator.production.ledger.products import Product
from orchestrator.production.ledger.reader import LedgerReader
from orchestrator.production.ledger.reading import TargetTasks, TaskRow
from orchestrator.production.plan import Plan
from orchestrator.production.records import ALL_TARGETS, InputFile, StagePlan, State, Target
from orchestrator.production.work.step import content_checksum

__all__ = [
    "Checksums",
    "Reconciled",
    "compared_over_all",
    "expected_keys",
    "is_intact",
    "over_all_key",
    "reconcile",
    "target_keys",
]

_GROUP = 5000


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
    n_without_samples : int
        Tasks that are to be done again because the file of their samples has gone.
    n_without_products : int
        The same for files that they have published.
    """

    n_current: int = 0
    stale: dict[str, int] = field(default_factory=dict)
    found_again: dict[str, int] = field(default_factory=dict)
    n_without_samples: int = 0
    n_without_products: int = 0

    def to_text(self) -> str:
        """Return a sentence, empty if all is current."""
        parts = [f"{n} of {stage} are stale and are done again" for stage, n in self.stale.items()]
        parts += [f"{n} of {stage} were found again in the ledger" for stage, n in self.found_again.items()]
        if self.n_without_samples:
            parts.append(f"{self.n_without_samples} are done again because the file of their samples is gone")
        if self.n_without_products:
            parts.append(f"{self.n_without_products} are done again because a file that they made is gone or changed")
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
        if stage.over == "all":
            continue  # none of a target; those that need it cannot run before it has one
        files = {str(path): checksums.of(path) for path in input_paths(plan, stage, target)}
        upstream = {name: keys.get(name, "") for name in stage.needs}
        keys[stage.name] = task_key(plan, stage, target, files, upstream)
    return keys


def reconcile(plan: Plan, ledger: Ledger, folder: Path) -> Reconciled:
    """Compare every finished task with what it would be now, and make the stale ones ready again.

    Parameters
    ----------
    plan : Plan
    ledger : Ledger
        Open for writing.
    folder : Path
        Folder of the production, where samples lie.

    Returns
    -------
    Reconciled
    """
    found = Reconciled()
    checksums = Checksums()
    changed: list[tuple[int, str]] = []
    known = ledger.keys_over_all()
    for entry in ledger.targets_with_results():
        if entry.target.name == ALL_TARGETS:
            continue
        keys = target_keys(plan, entry, checksums, known)
        for stage, task in entry.tasks.items():
            if stage not in keys or task.state not in (State.DONE, State.FAILED) or not task.key:
                continue
            if task.key == keys[stage]:
                found.n_current += 1
            else:
                changed.append((task.task_id, keys[stage]))
                found.stale[stage] = found.stale.get(stage, 0) + 1
        checksums.forget()
    ledger.make_stale([task_id for task_id, _ in changed], "its options, data or upstream results have changed")
    for stage, n in ledger.point_to_existing(changed).items():
        found.found_again[stage] = n
        found.stale[stage] -= n
    found.n_without_samples = _without_samples(ledger, folder)
    found.n_without_products = _without_products(ledger, folder)
    _compare_over_all(plan, ledger, found)
    found.stale = {stage: n for stage, n in found.stale.items() if n}
    return found


def over_all_key(
    plan: Plan, ledger: LedgerReader, stage: StagePlan, known: Mapping[str, str], checksums: Checksums
) -> tuple[str, dict[str, str]]:
    """Return the key that a stage over all would have now, and the identities of what it needs.

    Parameters
    ----------
    plan : Plan
    ledger : LedgerReader
    stage : StagePlan
    known : Mapping of str to str
        Keys of the other stages over all.
    checksums : Checksums
    """
    over = {each.name: each.over for each in plan.stages}
    upstream = {
        need: known.get(need, "") if over[need] == "all" else ledger.input_digest(need) for need in stage.needs
    }
    target = Target(ALL_TARGETS)
    files = {str(path): checksums.of(path) for path in input_paths(plan, stage, target)}
    return task_key(plan, stage, target, files, upstream), upstream


def compared_over_all(
    plan: Plan, ledger: LedgerReader, is_renewed: Callable[[str], bool]
) -> Iterator[tuple[TaskRow, bool]]:
    """Yield the finished tasks over all targets, and whether each has to be done again.

    Parameters
    ----------
    plan : Plan
    ledger : LedgerReader
    is_renewed : callable
        Whether a stage has open tasks; asked after what was yielded before has been dealt with.
    """
    stages = [stage for stage in plan.stages if stage.over == "all"]
    tasks = ledger.tasks_over_all() if stages else {}
    known = {name: task.key for name, task in tasks.items() if task.key and task.state == State.DONE}
    checksums = Checksums()
    for stage in stages:
        task = tasks.get(stage.name)
        if task is None or task.state not in (State.DONE, State.FAILED):
            known.pop(stage.name, None)
            continue
        key, _ = over_all_key(plan, ledger, stage, known, checksums)
        is_stale = task.key != key or any(is_renewed(need) for need in stage.needs)
        if is_stale:
            known.pop(stage.name, None)
        yield task, is_stale


def _compare_over_all(plan: Plan, ledger: Ledger, found: Reconciled) -> None:
    """Let the stages over all be done again whose inputs, or anything else of their key, have changed."""
    for task, is_stale in compared_over_all(plan, ledger, ledger.open_over_all):
        if not is_stale:
            found.n_current += 1
            continue
        found.stale[task.stage] = found.stale.get(task.stage, 0) + 1
        ledger.make_stale([task.task_id], "the results that it is made from are new, or its options have changed")


def _without_products(ledger: Ledger, folder: Path) -> int:
    """Let tasks be done again whose files have gone or were changed, and return how many."""
    stale = {product.task_id for product in ledger.products() if not is_intact(product, folder)}
    return ledger.make_stale(sorted(stale), "a file that it has made is gone, or another one now") if stale else 0


def is_intact(product: Product, folder: Path) -> bool:
    """Whether a published file is what it was; its content is read only if size or time differ."""
    path = folder / product.path
    try:
        status = path.stat()
    except OSError:
        return False
    if (status.st_size, status.st_mtime_ns) == (product.size, product.mtime_ns):
        return True
    return content_checksum(path) == product.checksum


def target_keys(
    plan: Plan, entry: TargetTasks, checksums: Checksums, known: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the keys that the tasks of a target would have; none for one whose row lacks what a stage needs."""
    for task in entry.tasks.values():
        checksums.learn(task.files)
    try:
        return expected_keys(plan, entry.target, checksums, known)
    except ConfigError:
        return {}  # its stages say so when they are run


def _without_samples(ledger: Ledger, folder: Path) -> int:
    """Let tasks be done again whose samples have gone, and return how many."""
    gone = [path for path in ledger.sample_files() if sample_path(folder, path) is None]
    return ledger.make_stale(ledger.tasks_with_samples_in(gone), "the file of its samples is gone") if gone else 0
