"""Results as tables for others: FITS, Parquet, ECSV, CSV, from the declarations of the columns."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.errors import ProductionError, nearest_known
from orchestrator.production.columns import Column
from orchestrator.production.export_table import ExportTable, Provenance, write_csv, write_ecsv, write_parquet
from orchestrator.production.ledger.reader import LedgerReader
from orchestrator.production.selection import EVERYTHING, Selection

__all__ = ["FORMATS", "Exported", "export_results", "publish_file", "results_provenance", "results_table"]


def _write_fits(table: ExportTable, path: Path) -> int:
    from orchestrator.production.export_fits import write_fits

    return write_fits(table, path)


FORMATS: dict[str, Callable[[ExportTable, Path], int]] = {
    ".fits": _write_fits,
    ".parquet": write_parquet,
    ".ecsv": write_ecsv,
    ".csv": write_csv,
}
"""Ending of a file to what writes it."""


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes
    ----------
    path : Path
    n_rows, n_columns : int
    """

    path: Path
    n_rows: int
    n_columns: int


def export_results(
    ledger: LedgerReader,
    stage: str | None,
    selection: Selection,
    path: str | Path,
    *,
    columns: Sequence[str] | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write the current results of a stage, or those of all stages side by side, to a file.

    Parquet and CSV take a bounded amount of memory; FITS and ECSV hold the table.

    Parameters
    ----------
    ledger : LedgerReader
    stage : str or None
        None joins all stages: a row for each target that has any result, columns ``STAGE_COLUMN``.
    selection : Selection
        Which targets.
    path : path
        Its ending, ``.fits``, ``.parquet``, ``.ecsv`` or ``.csv``, says the format. It appears when it is whole.
    columns : sequence of str, optional
        Only these, in this order; of one stage by their names, of all stages as they are named in the file.
    overwrite : bool
        Replace a file that is there.

    Raises
    ------
    ProductionError
        If the ending is none of these, the file is there already, or a column does not exist.
    ConfigError
        If stage or selection name what does not exist.
    """
    path = Path(path)
    write = FORMATS.get(path.suffix.lower())
    if write is None:
        msg = f"{str(path)!r} has none of the endings of an export: {', '.join(FORMATS)}."
        raise ProductionError(msg)
    if path.exists() and not overwrite:
        msg = f"{str(path)!r} is there already; export it to another name, or with 'overwrite'."
        raise ProductionError(msg)
    table = _chosen(_joined(ledger, selection) if stage is None else _single(ledger, stage, selection), columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix.lower())
    os.close(handle)
    try:
        n_rows = write(table, Path(temporary))
        publish_file(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return Exported(path, n_rows, len(table.columns))


def publish_file(temporary: str, path: Path) -> None:
    """Give a finished file its name; what a crash leaves is the old file or the new one."""
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(temporary, 0o666 & ~umask)
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(temporary, path)


def _single(ledger: LedgerReader, stage: str, selection: Selection) -> ExportTable:
    results = ledger.results(stage, selection)
    batches = ([values for _, values in batch] for batch in results.batches)
    return ExportTable(stage, results.columns, batches, results_provenance(ledger))


def _joined(ledger: LedgerReader, selection: Selection) -> ExportTable:
    """Return the results of all stages side by side."""
    stages = tuple(ledger.graph().of_targets)
    if not stages:
        msg = "The production has no stages yet; start it with 'orchestrator run'."
        raise ProductionError(msg)
    all_results = [ledger.results(stage, selection) for stage in stages]
    columns: list[Column] = [all_results[0].columns[0]]
    for results in all_results:
        for own in results.columns[1:]:
            group = _group(results.stage, own.group)
            columns.append(replace(own, name=f"{results.stage}_{own.name}", group=group))
    widths = [len(results.columns) - 1 for results in all_results]
    sources = [_by_target(results.batches) for results in all_results]
    return ExportTable("results", tuple(columns), _merged(sources, widths), results_provenance(ledger))


def _group(stage: str, group: str) -> str:
    return f"{stage}: {group}" if group else stage


def _by_target(batches: Iterator[list[tuple[int, tuple[Any, ...]]]]) -> Iterator[tuple[int, tuple[Any, ...]]]:
    for batch in batches:
        yield from batch


def _merged(
    sources: Sequence[Iterator[tuple[int, tuple[Any, ...]]]], widths: Sequence[int], size: int = 5000
) -> Iterator[list[tuple[Any, ...]]]:
    """Merge streams that are each in the order of the targets."""
    heads = [next(source, None) for source in sources]
    batch: list[tuple[Any, ...]] = []
    while any(head is not None for head in heads):
        number = min(head[0] for head in heads if head is not None)
        name = next(head[1][0] for head in heads if head is not None and head[0] == number)
        row: list[Any] = [name]
        for index, head in enumerate(heads):
            if head is not None and head[0] == number:
                row += head[1][1:]
                heads[index] = next(sources[index], None)
            else:
                row += [None] * widths[index]
        batch.append(tuple(row))
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _chosen(table: ExportTable, names: Sequence[str] | None) -> ExportTable:
    """Keep the columns that were asked for."""
    if names is None:
        return table
    known = {column.name: index for index, column in enumerate(table.columns)}
    for name in names:
        if name not in known:
            msg = f"The results have no column {name!r}{nearest_known(name, known)}"
            raise ProductionError(msg)
    places = [known[name] for name in names]
    batches = ([tuple(row[place] for place in places) for row in batch] for batch in table.batches)
    return ExportTable(table.name, tuple(table.columns[place] for place in places), batches, table.provenance)


def results_provenance(ledger: LedgerReader) -> Provenance:
    """Return where the results come from: the last run, if there was one."""
    runs = ledger.runs()
    last = runs[-1] if runs else {}
    return Provenance(
        production=ledger.name,
        plan=last.get("plan", ""),
        seed=last.get("seed"),
        git_commit=last.get("git_commit", ""),
        versions=last.get("versions", {}),
        written=time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()),
    )


def results_table(ledger: LedgerReader, stage: str | None, selection: Selection = EVERYTHING) -> Any:
    """Return the current results of a stage, or of all side by side, as an astropy table.

    Raises
    ------
    ConfigError
        If stage or selection name what does not exist.
    """
    from orchestrator.production.export_table import astropy_table

    return astropy_table(_joined(ledger, selection) if stage is None else _single(ledger, stage, selection))
