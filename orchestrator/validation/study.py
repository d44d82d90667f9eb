"""A validation from its first mock to its last: parallel, and continued where it was interrupted."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from orchestrator.config.file_lock import hold_lock_file
from orchestrator.config.text_files import write_atomically
from orchestrator.errors import ConfigError, StageError
from orchestrator.fit.local_pool import LocalPool, open_local_pool
from orchestrator.fit.mpi import one_thread_each
from orchestrator.fit.scratch import make_scratch_folder
from orchestrator.validation.config_file import ValidationConfig, stages_of
from orchestrator.validation.records import MockRecord, StageRecord, append_record, read_records

__all__ = ["RECORDS", "run_mocks"]

RECORDS = "mocks.jsonl"
IDENTITY = "validation.json"
LOCK = "validation.lock"
_AHEAD = 2
"""Mocks per process that are handed out at a time."""
_LOOK_SECONDS = 1.0
"""How often the processes are looked after while none of them has finished anything."""


def run_mocks(
    config: ValidationConfig,
    folder: Path,
    *,
    number: int,
    seed: int,
    processes: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[MockRecord]:
    """Make and fit mocks 0 to `number` - 1; those whose record is in the folder already are taken as they are.

    Parameters
    ----------
    config : ValidationConfig
    folder : Path
        For the records; made if it does not exist.
    number, seed, processes : int
    progress : callable, optional
        Gets the mocks done and their number.

    Returns
    -------
    list of MockRecord

    Raises
    ------
    ConfigError
        If the folder holds the records of another configuration or seed, or another process adds to them.
    StageError
        If the processes die again and again before they finish anything.
    """
    with _alone_in(folder):
        _check_identity(config, folder, seed)
        _cut_torn_line(folder / RECORDS)
        return _all_mocks(config, folder / RECORDS, number, seed, processes, progress)


def _all_mocks(
    config: ValidationConfig,
    records_file: Path,
    number: int,
    seed: int,
    processes: int,
    progress: Callable[[int, int], None] | None,
) -> list[MockRecord]:
    records = {index: record for index, record in read_records(records_file).items() if index < number}
    missing = [index for index in range(number) if index not in records]
    report = progress or (lambda _done, _number: None)
    report(len(records), number)
    for record in _made(config, missing, seed, min(processes, max(len(missing), 1))):
        append_record(records_file, record)
        records[record.index] = record
        report(len(records), number)
    return [records[index] for index in range(number)]


def _made(config: ValidationConfig, indices: list[int], seed: int, processes: int) -> Iterator[MockRecord]:
    """Yield records as they are finished; one process works without a pool."""
    if not indices:
        return
    if processes <= 1:
        _begin(config)
        for index in indices:
            yield _one(index, seed)
        return
    lost: list[int] = []
    try:
        with one_thread_each(), open_local_pool(processes, _begin_worker, (config,)) as pool:
            yield from _together(pool, indices, seed, lost)
            for index in lost:
                yield _alone(pool, config, index, seed)
    except BrokenProcessPool as error:
        msg = f"{error}; mocks that are finished are kept, and one process (-j 1) shows what happens"
        raise StageError(msg) from error


def _together(pool: LocalPool, indices: list[int], seed: int, lost: list[int]) -> Iterator[MockRecord]:
    """Yield records as they are finished; `lost` gets the mocks that were under way when a process died."""
    waiting = iter(indices)
    running: dict[Future[MockRecord], int] = {}
    while True:
        for index in itertools.islice(waiting, _AHEAD * pool.workers - len(running)):
            running[pool.submit(_one, index, seed)] = index
        if not running:
            return
        done, _ = wait(running, _LOOK_SECONDS, FIRST_COMPLETED)
        if not done:
            pool.fault()
        for future in done:
            index = running.pop(future)
            try:
                yield future.result()
            except BrokenProcessPool:
                lost.append(index)


def _alone(pool: LocalPool, config: ValidationConfig, index: int, seed: int) -> MockRecord:
    """Return the record of a mock with no other beside it; one that takes its process along has failed."""
    from orchestrator.validation.mock_fit import seeds_of_mock

    for record in _together(pool, [index], seed, []):
        return record
    reason = "the process that fitted it died, again with no other mock beside it"
    names = (stage.name for stage in stages_of(config.pipeline, config.folder))
    failed = tuple(StageRecord.of_failure(name, reason) for name in names)
    return MockRecord(index, seeds_of_mock(seed, index)[1], {}, None, failed)


_of_this_process: dict[str, Any] = {}


def _begin(config: ValidationConfig) -> None:
    """Import, and set up what all mocks share."""
    from orchestrator.fit.server_imports import import_everything
    from orchestrator.validation.makers import Distortion
    from orchestrator.validation.mock_data import Simulator

    logging.getLogger("orchestrator").setLevel(logging.ERROR)
    with contextlib.redirect_stderr(sys.__stderr__ or sys.stderr):  # CosmoSIS wants a real file when it is imported
        import_everything()
    stages = stages_of(config.pipeline, config.folder)
    truth = stages if config.truth == config.pipeline else stages_of(config.truth, config.folder)
    _of_this_process["stages"] = stages
    _of_this_process["needs"] = config.needs
    _of_this_process["simulator"] = Simulator(truth, Distortion(config.tilt, config.blur))
    for handler in list(logging.getLogger().handlers):
        logging.getLogger().removeHandler(handler)


def _begin_worker(config: ValidationConfig) -> None:
    """Set up in a process of the pool; its calls raise what goes wrong, or the pool would count as dead."""
    try:
        _begin(config)
    except Exception as error:  # noqa: BLE001 - see above
        _of_this_process["fault"] = error


def _one(index: int, seed: int) -> MockRecord:
    from orchestrator.validation.mock_fit import fit_mock

    if "fault" in _of_this_process:
        raise _of_this_process["fault"]
    memory = Path("/dev/shm")
    parent = memory if memory.is_dir() and os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    folder = make_scratch_folder(parent, "orchestrator-mock")
    try:
        here = _of_this_process
        return fit_mock(here["simulator"], here["stages"], here["needs"], seed, index, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _alone_in(folder: Path) -> AbstractContextManager[int]:
    """Keep a second validation out of the folder."""

    def taken(owner: str) -> ConfigError:
        place = f"{str(folder)!r} ({owner})"
        return ConfigError(f"another validation is adding mocks to {place}; wait for it, or give another --output")

    def unwritable(error: OSError) -> ConfigError:
        return ConfigError(f"{str(folder)!r} cannot be written: {error.strerror or error}")

    return hold_lock_file(folder / LOCK, taken=taken, unwritable=unwritable)


def _check_identity(config: ValidationConfig, folder: Path, seed: int) -> None:
    content = {"seed": seed, **config.to_dict()}
    text = json.dumps(content, indent=1, default=str)
    record = {"identity": hashlib.sha256(text.encode()).hexdigest(), **json.loads(text)}
    path = folder / IDENTITY
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = [key for key in record if key != "identity" and before.get(key) != record[key]]
        if changed:
            msg = (
                f"{str(folder)!r} holds mocks of another validation; changed: {', '.join(changed)}. Undo the change, "
                "or give another --output."
            )
            raise ConfigError(msg)
    write_atomically(path, json.dumps(record, indent=1) + "\n")


def _cut_torn_line(path: Path) -> None:
    """Remove a last line that was not written to its end, which the next one would be glued to."""
    if not path.is_file():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
