"""The journal of a chunk: one frame per finished task, readable up to the point where its writer was killed.

A frame is in the hands of the operating system when `Journal.append` returns, so that a writer that is killed loses
nothing; `Journal.close` makes it last through a power cut and gives the file its final name.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from orchestrator.errors import ProductionError
from orchestrator.production.columns import Column
from orchestrator.production.records import TaskRecord
from orchestrator.production.work.frames import PREFIX_SIZE, DamagedFrameError, encode, header_of, read_prefix
from orchestrator.production.work.record_text import column_from, column_to, record_from, record_to

__all__ = ["ColumnsFrame", "Journal", "RecordFrame", "read_blob", "read_journal", "sync_folder"]

logger = logging.getLogger(__name__)

OPEN, CLOSED = ".open", ".journal"
BEGINNING = b"galaxy-orchestrator journal 1\n"
"""First line of every journal."""


@dataclass(frozen=True)
class ColumnsFrame:
    """Declarations of columns of a stage; they come before the first record that has them.

    Attributes
    ----------
    stage : str
    columns : tuple of Column
    """

    stage: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class RecordFrame:
    """One finished task.

    Attributes
    ----------
    record : TaskRecord
        Its ``samples`` are the entry of this frame in its journal where the frame holds any.
    blob : bytes or None
        The samples, as `orchestrator.production.work.frames.arrays_of` reads them; None if they were skipped.
    """

    record: TaskRecord
    blob: bytes | None = None


class Journal:
    """A journal that is being written.

    Opening one that a killed worker has left goes on with it: its whole frames stay, in `found`. If its writer still
    lives (a worker that the engine has given up too early), a journal of another name is begun.

    Parameters
    ----------
    folder : Path
        The spool.
    chunk : str

    Attributes
    ----------
    path : Path
    found : list of TaskRecord
        Records that were there.
    n_records : int
    """

    def __init__(self, folder: Path, chunk: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path, self._file = _open_exclusively(folder, chunk)
        self.found: list[TaskRecord] = []
        self._declared: dict[str, dict[str, Column]] = {}
        self._end = 0
        for frame, place in _frames(self.path, with_blobs=False):
            self._end = place
            if isinstance(frame, RecordFrame):
                self.found.append(frame.record)
            else:
                self._declared.setdefault(frame.stage, {}).update({c.name: c for c in frame.columns})
        self.n_records = len(self.found)
        self._file.truncate(self._end)
        if self._end == 0:
            self._write(BEGINNING)

    def declare(self, stage: str, columns: Sequence[Column]) -> None:
        """Write the declarations of columns that are new."""
        known = self._declared.setdefault(stage, {})
        new = [column for column in columns if column.name not in known]
        if new:
            self._write(encode({"kind": "columns", "stage": stage, "columns": [column_to(one) for one in new]}))
            known.update({column.name: column for column in new})

    def append(self, record: TaskRecord, blob: bytes = b"") -> None:
        """Write a record.

        Raises
        ------
        ProductionError
            If the disk takes no more; the journal then ends with the record before.
        """
        entries = record_to(record)
        if blob:
            entries["samples"] = str(self._end)
        self._write(encode({"kind": "record", "record": entries}, blob))
        self.n_records += 1

    def close(self) -> Path:
        """Make the journal last, give it its final name and return that."""
        os.fsync(self._file.fileno())
        final = self.path.with_suffix(CLOSED)
        os.replace(self.path, final)
        self._file.close()
        sync_folder(final.parent)
        self.path = final
        return final

    def abandon(self) -> None:
        """Leave the journal as it is, for whoever goes on with it."""
        self._file.close()

    def _write(self, data: bytes) -> None:
        try:
            self._file.seek(self._end)
            left = memoryview(data)
            while left:  # a disk that is nearly full takes a part
                left = left[self._file.write(left) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(self._end)
            msg = (
                f"The journal {self.path} cannot be written: {error.strerror}. Make room, and run the same command "
                f"again; its {self.n_records} records are taken in then."
            )
            raise ProductionError(msg) from error
        self._end += len(data)


def _open_exclusively(folder: Path, chunk: str) -> tuple[Path, BinaryIO]:
    """Open the journal of a chunk, or the next name whose writer does not live any more."""
    number = 1
    while True:
        path = folder / f"{chunk}{'' if number == 1 else f'+{number}'}{OPEN}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            number += 1
            continue
        except OSError:
            pass  # a file system without locks
        return path, os.fdopen(descriptor, "r+b", buffering=0)


def sync_folder(folder: Path) -> None:
    """Make names in a folder last, where its file system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_journal(path: str | Path, *, with_blobs: bool = False) -> Iterator[ColumnsFrame | RecordFrame]:
    """Yield the frames of a journal, in order.

    A frame that was cut off at the end, because its writer was killed, is left out; a damaged one in the middle ends
    the reading. Either is said in a warning.

    Parameters
    ----------
    path : path
    with_blobs : bool
        Read and check the samples too; they are skipped otherwise.

    Raises
    ------
    ProductionError
        If the file is no journal.
    OSError
        If it cannot be read.
    """
    for frame, _ in _frames(Path(path), with_blobs=with_blobs):
        yield frame


def read_blob(path: str | Path, entry: str) -> tuple[TaskRecord, bytes]:
    """Return one record of a journal, and its samples.

    Parameters
    ----------
    path : path
    entry : str
        ``samples`` of the record, as `read_journal` gives it.

    Raises
    ------
    ProductionError
        If there is no such entry, or it is damaged.
    """
    try:
        with Path(path).open("rb") as stream:
            stream.seek(int(entry))
            header, blob = _read_frame(stream, os.fstat(stream.fileno()).st_size, with_blob=True)
        return record_from(header["record"]), blob or b""
    except (ValueError, KeyError, EOFError) as error:
        msg = f"The journal {path} has no samples at entry {entry!r}: {error}."
        raise ProductionError(msg) from error


def _frames(path: Path, *, with_blobs: bool) -> Iterator[tuple[ColumnsFrame | RecordFrame, int]]:
    """Yield frames and where they end."""
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        first = stream.read(len(BEGINNING))
        if first != BEGINNING:
            if BEGINNING.startswith(first):
                return  # killed before the first line was written
            msg = f"{path} is no journal of a production: it begins with {first[:16]!r}. Remove it from the spool."
            raise ProductionError(msg)
        while (place := stream.tell()) < size:
            try:
                header, blob = _read_frame(stream, size, with_blob=with_blobs)
                frame = _frame(header, blob)
            except EOFError:
                logger.warning(
                    "%s ends in the middle of a frame, at byte %d of %d: its writer was killed; what it was "
                    "writing is left out", path, place, size,
                )  # fmt: skip
                return
            except (DamagedFrameError, KeyError, TypeError, ValueError) as error:
                logger.warning("%s is damaged at byte %d of %d: %s; the rest is not read", path, place, size, error)
                return
            yield frame, stream.tell()


def _read_frame(stream: BinaryIO, size: int, *, with_blob: bool) -> tuple[dict[str, Any], bytes | None]:
    """Read a frame; EOFError if the file ends before it does."""
    begun = stream.tell()
    start = stream.read(PREFIX_SIZE)
    if len(start) < PREFIX_SIZE:
        raise EOFError
    prefix = read_prefix(start)
    text = stream.read(prefix.header)
    if len(text) < prefix.header:
        raise EOFError
    header = header_of(prefix, text)
    if begun + prefix.size > size:
        raise EOFError
    if not with_blob:
        stream.seek(prefix.blob, os.SEEK_CUR)
        return header, None
    blob = stream.read(prefix.blob)
    if blob:
        prefix.check_blob(blob)
    return header, blob


def _frame(header: dict[str, Any], blob: bytes | None) -> ColumnsFrame | RecordFrame:
    if header["kind"] == "columns":
        return ColumnsFrame(header["stage"], tuple(column_from(entry) for entry in header["columns"]))
    return RecordFrame(record_from(header["record"]), blob)
