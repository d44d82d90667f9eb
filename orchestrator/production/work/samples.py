"""Samples by reference: in a journal, in a shard, or in the folder of a target."""

from __future__ import annotations

from pathlib import Path

from orchestrator.errors import ProductionError
from orchestrator.production.work.frames import arrays_of
from orchestrator.production.work.journal import read_blob
from orchestrator.production.work.stored_fit import StoredFit, stored_from_arrays

__all__ = ["read_samples"]


def read_samples(production: str | Path, reference: str) -> StoredFit:
    """Return the samples that a reference of the ledger names.

    Parameters
    ----------
    production : path
        Folder of the production.
    reference : str
        ``samples/CHUNK.journal#ENTRY``, ``samples/shard-N.h5#ENTRY``, or the results file of a target.

    Raises
    ------
    ProductionError
        If they are not there, or damaged.
    """
    name, _, entry = reference.partition("#")
    path = Path(production) / name
    if not path.is_file():
        msg = f"the samples {reference!r} are gone: there is no file {str(path)!r}"
        raise ProductionError(msg)
    if path.suffix == ".h5":
        from orchestrator.production.shards import read_entry

        return read_entry(path, entry)
    if path.suffix == ".txt":
        from orchestrator.production.work.stored_folder import stored_from_folder

        return stored_from_folder(path)
    record, blob = read_blob(path, entry)
    if not blob:
        msg = f"the entry {reference!r} holds no samples"
        raise ProductionError(msg)
    del record
    return stored_from_arrays(arrays_of(blob))
