"""Stages that run once for all targets: the tables that they are given, and the key that follows from these."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from orchestrator.production.columns import Column
from orchestrator.production.export import publish_file, results_provenance
from orchestrator.production.export_table import ExportTable
from orchestrator.production.ledger.ledger import Ledger
from orchestrator.production.ledger.reader import LedgerReader
from orchestrator.production.ledger.schema import target
from orchestrator.production.plan import Plan
from orchestrator.production.products import TABLES
from orchestrator.production.reconcile import Checksums, over_all_key
from orchestrator.production.records import TaskOrder, Work

__all__ = ["prepared_work", "write_table"]


def prepared_work(plan: Plan, ledger: Ledger, folder: Path, work: Work, tasks: tuple[TaskOrder, ...]) -> Work | None:
    """Return the work over all targets with its tables, or None if all its results are there already.

    Parameters
    ----------
    plan : Plan
    ledger : Ledger
        Open for writing: a task whose result is there is done without running.
    folder : Path
        Of the production.
    work : Work
    tasks : tuple of TaskOrder
        Those to carry out.
    """
    keys, places = dict(work.upstream_keys), dict(work.upstream)
    checksums = Checksums()
    numbers = {name: row.task_id for name, row in ledger.tasks_over_all().items()}
    left = []
    for task in tasks:
        stage = plan.stage(task.stage)
        key, upstream = over_all_key(plan, ledger, stage, keys, checksums)
        if all(upstream.values()) and ledger.point_to_existing([(numbers[task.stage], key)]):
            continue
        left.append(task)
        for need, digest in upstream.items():
            keys[need] = digest
            if plan.stage(need).over == "target":
                places[need] = write_table(ledger, folder, need, digest)
    if not left:
        return None
    return replace(work, tasks=tuple(left), upstream=places, upstream_keys=keys, alone=True)


def write_table(ledger: LedgerReader, folder: Path, stage: str, digest: str) -> str:
    """Write the results of a stage for all targets, with the columns of the targets, and return its place.

    Parameters
    ----------
    ledger : LedgerReader
    folder : Path
        Of the production.
    stage : str
    digest : str
        Identity of the results; names the file, so that it is written once.

    Returns
    -------
    str
        A FITS file, relative to the production. A result column of the name of a target's column has that of its
        stage before it.
    """
    place = folder / TABLES / f"{stage}-{digest[:16]}.fits"
    if not place.is_file():
        from orchestrator.production.export_fits import write_fits

        place.parent.mkdir(exist_ok=True)
        passing = place.with_name(f".{place.name}.{os.getpid()}.fits")
        write_fits(_table(ledger, stage), passing)
        publish_file(str(passing), place)
        for old in place.parent.glob(f"{stage}-????????????????.fits"):
            if old != place:
                old.unlink(missing_ok=True)
    return f"{TABLES}/{place.name}"


def _table(ledger: LedgerReader, stage: str) -> ExportTable:
    kinds = {name: kind for name, kind in ledger.known_columns().targets.items() if name != "target"}
    results = ledger.results(stage)
    taken = {"target", *kinds}
    own = [replace(one, name=f"{stage}_{one.name}") if one.name in taken else one for one in results.columns[1:]]
    targets = [Column(name, kind, "", "of the target", "Target") for name, kind in kinds.items()]
    batches = _batches(ledger, results.batches, list(kinds.items()))
    return ExportTable(stage, (results.columns[0], *targets, *own), batches, results_provenance(ledger))


def _batches(
    ledger: LedgerReader, batches: Iterator[list[tuple[int, tuple[Any, ...]]]], kinds: list[tuple[str, str]]
) -> Iterator[list[tuple[Any, ...]]]:
    for batch in batches:
        numbers = [number for number, _ in batch]
        with ledger.database.reading() as connection:
            rows = connection.execute(
                sa.select(target.c.target_id, target.c["values"]).where(target.c.target_id.in_(numbers))
            ).all()
        values = {number: content for number, content in rows}
        yield [
            (row[0], *(_of_kind(values[number].get(name), kind) for name, kind in kinds), *row[1:])
            for number, row in batch
        ]


def _of_kind(value: Any, kind: str) -> Any:
    if value is None:
        return None
    return str(value) if kind == "text" else value
