"""Shards: the samples of many fits in one HDF5 file, so that 10^7 fits are thousands of files.

::

    /texts/STAGE                 one text of the stage, which the others are compressed against
    /fits/TARGET/STAGE/KEY/      chain, text, models/MODULE/..., history/...

TARGET is the number of the target in the ledger, KEY the key of the result. A shard
appears whole or not at all, and is never changed.
"""

from __future__ import annotations

import os
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from orchestrator.errors import ProductionError
from orchestrator.production.records import TaskRecord
from orchestrator.production.work.frames import arrays_of
from orchestrator.production.work.journal import RecordFrame, read_journal, sync_folder
from orchestrator.production.work.stored_fit import DOCUMENTS, StoredFit, stored_from_arrays

__all__ = ["Packed", "pack", "read_entry", "shard_entries"]

_FITS, _TEXTS, _TEXT = "fits", "texts", "text"
_WORTH_COMPRESSING = 4096
"""Bytes; below this the structures of a compressed data set take more than they save."""
_ONE_CHUNK = 1 << 24


@dataclass
class Packed:
    """What was packed.

    Attributes
    ----------
    shard : str
        Its file, relative to the production.
    references : dict of str to str
        Former reference to the new one.
    n_bytes : int
        Size of the shard.
    n_bytes_before : int
        Size of the journals.
    bytes_by_part : dict of str to int
        ``chain``, ``models``, ``history``, ``text``: bytes stored, without the structures of the file.
    """

    shard: str
    references: dict[str, str] = field(default_factory=dict)
    n_bytes: int = 0
    n_bytes_before: int = 0
    bytes_by_part: dict[str, int] = field(default_factory=dict)

    @property
    def bytes_per_fit(self) -> float:
        """Bytes of the shard per fit; NaN if it holds none."""
        return self.n_bytes / len(self.references) if self.references else float("nan")


def pack(production: str | Path, journals: Iterable[str], shard: str, wanted: Iterable[str] | None = None) -> Packed:
    """Write the samples of journals into a new shard.

    Parameters
    ----------
    production : path
        Folder of the production.
    journals : iterable of str
        Files relative to it.
    shard : str
        File to write, relative to it.
    wanted : iterable of str, optional
        References that are still needed; all by default.

    Returns
    -------
    Packed
        The journals stay: they may go when the ledger has the new references.

    Raises
    ------
    ProductionError
        If the shard exists, or a journal cannot be read.
    """
    folder = Path(production)
    path = folder / shard
    if path.exists():
        msg = f"the shard {str(path)!r} exists already; give the new one another name"
        raise ProductionError(msg)
    path.parent.mkdir(parents=True, exist_ok=True)
    names = list(journals)
    packed = Packed(shard, n_bytes_before=sum((folder / name).stat().st_size for name in names))
    keep = None if wanted is None else frozenset(wanted)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with h5py.File(temporary, "w", libver="latest") as file:
            writer = _Writer(file, packed)
            for name in names:
                for record, blob in _samples(folder / name):
                    reference = f"{name}#{record.samples}"
                    if keep is None or reference in keep:
                        writer.add(reference, record, arrays_of(blob))
            writer.count()
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
    packed.n_bytes = path.stat().st_size
    return packed


def _samples(journal: Path) -> Iterator[tuple[TaskRecord, bytes]]:
    for frame in read_journal(journal, with_blobs=True):
        if isinstance(frame, RecordFrame) and frame.blob:
            yield frame.record, frame.blob


class _Writer:
    """Writes fits into an open shard."""

    def __init__(self, file: h5py.File, packed: Packed) -> None:
        self.fits = file.create_group(_FITS)
        self.texts = file.create_group(_TEXTS)
        self.packed = packed
        self._dictionaries: dict[str, bytes] = {}

    def add(self, reference: str, record: TaskRecord, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write one fit; a second one of the same task and key is the same, and only referred to."""
        entry = f"{record.target_id}/{record.stage}/{record.key or record.attempt}"
        self.packed.references[reference] = f"{self.packed.shard}#{entry}"
        if entry in self.fits:
            return
        group = self.fits.create_group(entry)
        for name, array in arrays.items():
            if name != DOCUMENTS:
                self._put(group, name, array)
        text = zlib.decompress(arrays[DOCUMENTS].tobytes())
        squeezer = zlib.compressobj(9, zdict=self._dictionary(record.stage, text))
        self._put(group, _TEXT, np.frombuffer(squeezer.compress(text) + squeezer.flush(), dtype=np.uint8))

    def _dictionary(self, stage: str, text: bytes) -> bytes:
        """Return the text that those of a stage are compressed against: its first one."""
        if stage not in self._dictionaries:
            self._dictionaries[stage] = text[-32768:]
            self.texts.create_dataset(stage, data=np.frombuffer(self._dictionaries[stage], dtype=np.uint8))
        return self._dictionaries[stage]

    def _put(self, group: h5py.Group, name: str, array: NDArray[Any]) -> None:
        options: dict[str, Any] = {}
        if array.nbytes >= _WORTH_COMPRESSING and name != _TEXT:
            options = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
            options["chunks"] = array.shape if array.nbytes < _ONE_CHUNK else True
        group.create_dataset(name, data=array, track_times=False, **options)

    def count(self) -> None:
        """Note what each part of the fits takes."""
        self.fits.file.flush()  # nothing compressed has a size before

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                part = name.split("/")[3]
                total = self.packed.bytes_by_part.get(part, 0)
                self.packed.bytes_by_part[part] = total + item.id.get_storage_size()

        self.fits.visititems(visit)


def read_entry(shard: str | Path, entry: str) -> StoredFit:
    """Return one fit of a shard.

    Parameters
    ----------
    shard : path
    entry : str
        What follows ``#`` in its reference.

    Raises
    ------
    ProductionError
        If the shard has no such fit, or cannot be read.
    """
    try:
        with h5py.File(shard, "r") as file:
            group = file[_FITS][entry]
            arrays: dict[str, NDArray[Any]] = {}
            group.visititems(lambda name, item: _take(arrays, name, item))
            stage = entry.split("/")[-2]
            text = arrays.pop(_TEXT).tobytes()
            squeezer = zlib.decompressobj(zdict=file[_TEXTS][stage][()].tobytes())
            return stored_from_arrays(arrays, squeezer.decompress(text) + squeezer.flush())
    except (OSError, KeyError, IndexError, zlib.error) as error:
        msg = f"the shard {str(shard)!r} has no samples at {entry!r}: {error}"
        raise ProductionError(msg) from error


def _take(arrays: dict[str, NDArray[Any]], name: str, item: Any) -> None:
    if isinstance(item, h5py.Dataset):
        arrays[name] = item[()]


def shard_entries(shard: str | Path) -> list[str]:
    """Return the entries of a shard: target, stage and key of each fit."""
    with h5py.File(shard, "r") as file:
        fits = file[_FITS]
        return [
            f"{target}/{stage}/{key}" for target in fits for stage in fits[target] for key in fits[target][stage]
        ]
