"""From a result to its samples: the file is stored once, each result names its entry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from orchestrator.production.ledger.result_tables import declared_columns
from orchestrator.production.ledger.schema import result_table, sample_file
from orchestrator.production.ledger.states import pages

__all__ = ["file_ids", "joined", "repack", "sample_references", "split", "upstream_rows"]


def split(reference: str) -> tuple[str, str]:
    """Return file and entry of ``FILE#ENTRY``; a results file of its own has no entry."""
    path, _, entry = reference.partition("#")
    return path, entry


def joined(path: str | None, entry: str | None) -> str:
    """Return the reference of a file and an entry, empty without a file."""
    if not path:
        return ""
    return f"{path}#{entry}" if entry else path


def file_ids(connection: sa.Connection, paths: Iterable[str]) -> dict[str, int]:
    """Return the numbers of files, giving one to each that is new."""
    wanted = sorted(set(paths))
    known: dict[str, int] = {}
    for first in range(0, len(wanted), 5000):
        part = wanted[first : first + 5000]
        rows = connection.execute(
            sa.select(sample_file.c.path, sample_file.c.file_id).where(sample_file.c.path.in_(part))
        )
        known.update({row.path: row.file_id for row in rows})
    new = [path for path in wanted if path not in known]
    if new:
        last = connection.scalar(sa.select(sa.func.max(sample_file.c.file_id))) or 0
        rows_ = [{"file_id": number, "path": path} for number, path in enumerate(new, last + 1)]
        connection.execute(sa.insert(sample_file), rows_)
        known.update({row["path"]: row["file_id"] for row in rows_})  # type: ignore[misc]
    return known


def sample_references(
    connection: sa.Connection, results: Iterable[tuple[str, int, str | None]]
) -> dict[tuple[str, int], str]:
    """Return where the samples of results are.

    Parameters
    ----------
    connection : Connection
    results : iterable of (str, int, str)
        Stage, target and key.

    Returns
    -------
    dict of (str, int) to str
        For each that is there, possibly empty.
    """
    keys: dict[str, dict[int, str]] = {}
    for stage, number, key in results:
        if key is not None:
            keys.setdefault(stage, {})[number] = key
    found = {}
    for stage, wanted in keys.items():
        table = result_table(stage, ())
        for page in pages(wanted):
            rows = connection.execute(
                sa.select(table.c.target_id, table.c.key, table.c.sample_entry, sample_file.c.path)
                .select_from(table.outerjoin(sample_file, sample_file.c.file_id == table.c.sample_file))
                .where(table.c.target_id.in_(page))
            )
            for number, key, entry, path in rows:
                if wanted[number] == key:
                    found[stage, number] = joined(path, entry)
    return found


def upstream_rows(connection: sa.Connection, stage: str, keys: Mapping[int, str]) -> dict[int, dict[str, Any]]:
    """Return the declared columns of results of a stage.

    Parameters
    ----------
    connection : Connection
    stage : str
    keys : Mapping of int to str
        Target to the key of its result.
    """
    columns = declared_columns(connection, stage)
    table = result_table(stage, columns)
    names = [column.name for column in columns]
    found = {}
    for page in pages(keys):
        rows = connection.execute(
            sa.select(table.c.target_id, table.c.key, *[table.c[name] for name in names]).where(
                table.c.target_id.in_(page)
            )
        )
        for number, key, *values in rows:
            if keys[number] == key:
                found[number] = dict(zip(names, values, strict=True))
    return found


def repack(connection: sa.Connection, stages: Iterable[str], mapping: Mapping[str, str]) -> int:
    """Let results point to where their samples have moved; return how many do.

    Parameters
    ----------
    connection : Connection
    stages : iterable of str
        All that the ledger has a table of.
    mapping : Mapping of str to str
        Old reference to new one.
    """
    old_files = file_ids(connection, {split(reference)[0] for reference in mapping})
    new_files = file_ids(connection, {split(reference)[0] for reference in mapping.values()})
    names = {number: path for path, number in old_files.items()}
    tables = [result_table(stage, ()) for stage in stages]
    n_moved = 0
    for table in tables:
        changes: list[dict[str, Any]] = []
        for page in pages(names):
            rows = connection.execute(
                sa.select(table.c.target_id, table.c.key, table.c.sample_file, table.c.sample_entry).where(
                    table.c.sample_file.in_(page)
                )
            )
            for number, key, file_id, entry in rows:
                new = mapping.get(joined(names[file_id], entry))
                if new is not None:
                    path, new_entry = split(new)
                    changes.append({"number": number, "its": key, "file": new_files[path], "entry": new_entry})
        if changes:
            connection.execute(
                sa.update(table)
                .where(table.c.target_id == sa.bindparam("number"), table.c.key == sa.bindparam("its"))
                .values(sample_file=sa.bindparam("file"), sample_entry=sa.bindparam("entry")),
                changes,
            )
        n_moved += len(changes)
    _forget_unused(connection, tables, names)
    return n_moved


def _forget_unused(connection: sa.Connection, tables: list[sa.Table], file_ids_: Iterable[int]) -> None:
    """Drop the files that no result points to any more."""
    used = [sa.exists().where(table.c.sample_file == sample_file.c.file_id) for table in tables]
    for page in pages(file_ids_):
        connection.execute(
            sa.delete(sample_file).where(sample_file.c.file_id.in_(page), *[~condition for condition in used])
        )
