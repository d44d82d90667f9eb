"""What a run of ceci stages has done, as a JSON file beside its products, and the lock of their folder.

The file is the only state. It says for each stage what its result was made of, so that the next run can tell what is
current; it is written anew, and put in place at once, after every change.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.config.file_lock import hold_lock_file
from orchestrator.config.text_files import write_atomically
from orchestrator.errors import ProductionError
from orchestrator.interop.recognise import RECORD_FILE

__all__ = ["LOCK_FILE", "RunRecord", "StageRecord", "hold_folder", "is_held", "read_record", "write_record"]

LOCK_FILE = ".orchestrator.lock"
_FORMAT = 1


@dataclass(frozen=True)
class StageRecord:
    """What became of a stage.

    Attributes
    ----------
    state : {'waiting', 'running', 'done', 'failed', 'blocked'}
    parts : Mapping
        What its result depends on: options, input files, code; compared part by part with what they are now.
    products : Mapping of str to str
        Tag to the checksum of what it made; empty for what it did not make.
    started, seconds : float
        Unix time; wall time.
    exit_code : int or None
    message : str
        Why it failed.
    log, command : str
    """

    state: str = "waiting"
    parts: Mapping[str, Any] = field(default_factory=dict)
    products: Mapping[str, str] = field(default_factory=dict)
    started: float = 0.0
    seconds: float = 0.0
    exit_code: int | None = None
    message: str = ""
    log: str = ""
    command: str = ""


@dataclass
class RunRecord:
    """What is known of a run.

    Attributes
    ----------
    source : str
        The run file.
    stages : dict of str to StageRecord
    files : dict of str to list
        Path to size, time of change and checksum of files that were read.
    process : int
        Of the command that is at work, or was last.
    outcome : str
    """

    source: str = ""
    stages: dict[str, StageRecord] = field(default_factory=dict)
    files: dict[str, list[Any]] = field(default_factory=dict)
    process: int = 0
    outcome: str = ""


def read_record(folder: Path) -> RunRecord:
    """Return the record of a folder of products; an empty one if there is none.

    Raises
    ------
    ProductionError
        If it cannot be read.
    """
    path = folder / RECORD_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        stages = {name: StageRecord(**entry) for name, entry in content.pop("stages").items()}
        if content.pop("format") != _FORMAT:
            raise ValueError("another format")  # noqa: EM101, TRY301
        return RunRecord(stages=stages, **content)
    except FileNotFoundError:
        return RunRecord()
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        msg = f"cannot read {str(path)!r} ({error}); remove it, and the next run does everything again"
        raise ProductionError(msg) from error


def write_record(folder: Path, record: RunRecord) -> None:
    """Put a record in place."""
    text = json.dumps({"format": _FORMAT, **asdict(record)}, indent=1, default=str)
    write_atomically(folder / RECORD_FILE, text + "\n")


@contextlib.contextmanager
def hold_folder(folder: Path) -> Iterator[int]:
    """Hold the lock of a folder of products; make the folder.

    The descriptor is handed to the guards of the stages, so that the lock stays until the last of them has ended
    its stage, whatever became of this process.

    Raises
    ------
    ProductionError
        If another run holds it, or the folder cannot be made.
    """
    def taken(owner: str) -> ProductionError:
        msg = f"another run works in {str(folder)!r} ({owner}); wait for it, end it, or choose another output_dir"
        return ProductionError(msg)

    def unwritable(error: OSError) -> ProductionError:
        return ProductionError(f"output_dir: the folder {str(folder)!r} cannot be written: {error.strerror}")

    with hold_lock_file(folder / LOCK_FILE, taken=taken, unwritable=unwritable) as descriptor:
        yield descriptor


def is_held(folder: Path) -> bool:
    """Whether a run is at work in a folder."""
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
