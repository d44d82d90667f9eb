"""A validation from its first mock to its last: parallel, and continued where it was interrupted."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import json
import logging
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

from orchestrator.config.text_files import write_atomically
from orchestrator.errors import ConfigError
from orchestrator.fit.mpi import THREAD_VARIABLES
from orchestrator.validation.config_file import ValidationConfig, stages_of
from orchestrator.validation.records import MockRecord, append_record, read_records

__all__ = ["RECORDS", "run_mocks"]

RECORDS = "mocks.jsonl"
IDENTITY = "validation.json"
LOCK = "validation.lock"
_AHEAD = 2
"""Mocks per process that are handed out at a time."""


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
    """
    folder.mkdir(parents=True, exist_ok=True)
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
    waiting = iter(indices)
    context = multiprocessing.get_context("spawn")
    with _one_thread_each(), ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(config,)) as pool:
        running: set[Future[MockRecord]] = set()
        while True:
            for index in itertools.islice(waiting, _AHEAD * processes - len(running)):
                running.add(pool.submit(_one, index, seed))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()


class _one_thread_each:  # noqa: N801 - a context manager is used like a function
    """Give child processes one thread each: numpy reads the variables when it is imported."""

    def __enter__(self) -> None:
        self.before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
        for name in THREAD_VARIABLES:
            os.environ.setdefault(name, "1")

    def __exit__(self, *_: object) -> None:
        for name, value in self.before.items():
            if value is None:
                os.environ.pop(name, None)


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


def _one(index: int, seed: int) -> MockRecord:
    from orchestrator.validation.mock_fit import fit_mock

    memory = Path("/dev/shm")
    scratch = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="orchestrator_mock_", dir=scratch))
    try:
        here = _of_this_process
        return fit_mock(here["simulator"], here["stages"], here["needs"], seed, index, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep a second validation out of the folder; the lock ends with the process, whatever ends it."""
    with (folder / LOCK).open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = f"another validation is adding mocks to {str(folder)!r}; wait for it, or give another --output"
            raise ConfigError(msg) from error
        yield


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
