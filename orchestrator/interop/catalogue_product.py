"""From the journals of a run over a catalogue to its products, and from products back to results."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py

from orchestrator.errors import ProductionError
from orchestrator.fit.identity import package_version
from orchestrator.interop.catalogue_run import CatalogueRun, Known
from orchestrator.interop.catalogue_table import Results
from orchestrator.production.columns import Column, flag_bits
from orchestrator.production.records import TaskRecord
from orchestrator.production.work.journal import Journal, RecordFrame, read_blob, read_journal

__all__ = ["Samples", "known_results", "rows_of", "write_samples"]

_TEXTS = {
    "state": "done, or failed, or blocked by a stage that has failed",
    "error_class": "kind of failure",
    "error": "why there is no result",
}


def rows_of(
    work: CatalogueRun, identifier: str, stages: Sequence[str], prefixed: bool
) -> tuple[Results, dict[tuple[int, str], TaskRecord], int]:
    """Return one row per target, the records behind them, and the number of targets with a failure.

    Parameters
    ----------
    work : CatalogueRun
        That has been run.
    identifier : str
    stages : sequence of str
        Those of this run.
    prefixed : bool
        Whether names of columns begin with that of their stage.
    """
    names = [target.name for target in work.targets()]
    records, declared = work.results(), work.declared()
    results = Results(len(names))
    severe = flag_bits(["bad_input"])
    n_failed = 0
    for row, name in enumerate(names):
        results.set(row, Column(identifier, "text", "", "name of the target"), name)
        state, error_class, error = "done", "", ""
        for stage in stages:
            record = records.get((row, stage))
            if record is None:
                state = state if state == "failed" else "blocked"
                continue
            bad_input = record.outcome == "done" and int(record.columns.get("flags") or 0) & severe
            if record.outcome != "done" or bad_input:
                state = "failed"
                error_class = "bad_input" if bad_input else record.error_class
                error = record.message or str(record.columns.get("remarks", ""))
            if record.outcome == "done":
                prefix = f"{stage}_" if prefixed else ""
                values = {**record.columns, "key": record.key}
                results.set_record(row, prefix, values, declared.get(stage, {}))
        for column, text in zip(_TEXTS, (state, error_class, error), strict=True):
            results.set(row, Column(column, "text", "", _TEXTS[column]), text)
        n_failed += state != "done"
    return results, records, n_failed


class Samples:
    """What a product says of itself, so that a later stage can go on from it."""

    @staticmethod
    def about(work: CatalogueRun, changes: Mapping[str, Any]) -> dict[str, str]:
        """Return the attributes of a product."""
        return {
            "creator": f"galaxy-orchestrator {package_version()}",
            "stage": work.order.name,
            "plan": work.plan.hash,
            "options": json.dumps(dict(changes), default=str),
        }

    @staticmethod
    def changes(product: Path) -> dict[str, Any]:
        """Return the options that a product was made with, beyond those of its class."""
        with h5py.File(product, "r") as file:
            found: dict[str, Any] = json.loads(str(file.attrs.get("options", "{}")))
        return found


def write_samples(path: Path, work: CatalogueRun, records: Mapping[tuple[int, str], TaskRecord]) -> None:
    """Write the samples of all targets into one file, in the order of the table.

    Parameters
    ----------
    path : Path
    work : CatalogueRun
    records : Mapping of (int, str) to TaskRecord
        With the places of their samples.
    """
    folder = work.order.parts / "samples"
    folder.mkdir(exist_ok=True)
    for left in folder.iterdir():
        left.unlink()
    journal = Journal(folder, "all")
    for place in sorted(records):
        record = records[place]
        if record.outcome != "done" or not record.samples:
            continue
        file, _, entry = record.samples.partition("#")
        stored, blob = read_blob(work.order.parts / file, entry)
        journal.append(stored, blob)
    os.replace(journal.close(), path)


def known_results(
    table: Path, samples: Path, identifier: str, stages: Sequence[str]
) -> dict[str, dict[str, Known]]:
    """Return the results of an earlier stage, by stage and name of the target.

    Parameters
    ----------
    table, samples : Path
        Its products.
    identifier : str
    stages : sequence of str
        The stages that it has run.

    Raises
    ------
    ProductionError
        If the table is no product of such a stage.
    """
    places = {
        (frame.record.stage, frame.record.key): frame.record
        for frame in read_journal(samples)
        if isinstance(frame, RecordFrame)
    }
    found: dict[str, dict[str, Known]] = {}
    with h5py.File(table, "r") as file:
        prefixed = len(stages) > 1
        for stage in stages:
            column = f"{stage}_key" if prefixed else "key"
            if column not in file or identifier not in file:
                msg = f"{str(table)!r} has no columns {identifier!r} and {column!r}: it was made by something else"
                raise ProductionError(msg)
            pairs = zip(file[identifier].asstr()[:], file[column].asstr()[:], strict=True)
            found[stage] = {
                name: Known(key, f"{samples.resolve()}#{record.samples}", record.columns)
                for name, key in pairs
                if (record := places.get((stage, key))) is not None
            }
    return found
