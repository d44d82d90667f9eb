"""What the result of a ceci stage depends on, and whether the one that is there is current.

The parts are the options of the stage, the content of its inputs, the identity of the results that other stages made
for it, the code of its class, and the names of what it makes. ceci looks only whether the products exist.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.interop.ceci_classes import source_files
from orchestrator.interop.ceci_wiring import CeciStage
from orchestrator.interop.run_record import StageRecord
from orchestrator.production.canonical import canonical_text, digest

__all__ = ["Checksums", "file_options", "identity_of", "parts_of", "reasons_to_run"]


class Checksums:
    """Checksums of files; a file is read again only if its size or time of change is another.

    Parameters
    ----------
    known : dict of str to list
        Path to size, time and checksum, as an earlier run knew them; changed in place.
    """

    def __init__(self, known: dict[str, list[Any]]) -> None:
        self.known = known

    def of(self, path: Path | None) -> str:
        """Return the checksum of a file, or of all files in a folder; empty if there is none."""
        if path is None or not path.exists():
            return ""
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.is_file())
            return digest(canonical_text([[str(file.relative_to(path)), self._of_file(file)] for file in files]))
        return self._of_file(path)

    def _of_file(self, path: Path) -> str:
        status = path.stat()
        known = self.known.get(str(path))
        if known is not None and list(known[:2]) == [status.st_size, status.st_mtime_ns]:
            return str(known[2])
        with path.open("rb") as stream:
            checksum = hashlib.file_digest(stream, "sha256").hexdigest()[:32]
        self.known[str(path)] = [status.st_size, status.st_mtime_ns, checksum]
        return checksum


def file_options(options: Mapping[str, Any], root: Path) -> dict[str, Path]:
    """Return the options that name a file which is there: their content counts too."""
    found = {}
    for name, value in options.items():
        if isinstance(value, str) and value and (os.sep in value or "." in value):
            path = root / os.path.expanduser(value)
            if path.is_file():
                found[str(name)] = path
    return found


def parts_of(
    stage: CeciStage, root: Path, checksums: Checksums, upstream: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return what the result of a stage depends on, part by part.

    Parameters
    ----------
    stage : CeciStage
    root : Path
        Folder of the run.
    checksums : Checksums
    upstream : Mapping of str to Mapping
        Stage to the parts of the result that it has.
    """
    files = file_options(stage.options, root)
    return {
        "options": {str(name): value for name, value in stage.options.items()},
        "files in options": {name: checksums.of(path) for name, path in files.items()},
        "inputs": {tag: checksums.of(file) for tag, file in stage.inputs.items()},
        "stages": {name: identity_of(upstream.get(name, {})) for name in stage.needs},
        "code": {path.name: checksums.of(path) for path in source_files(stage.stage_class)},
        "products": {tag: path.name for tag, path in stage.outputs.items()},
        "class": f"{stage.stage_class.__module__}.{stage.stage_class.__name__}",
    }


def identity_of(parts: Mapping[str, Any]) -> str:
    """Return the identity of a result: a hash of its parts."""
    return digest(canonical_text(_plain(parts)))


def reasons_to_run(
    stage: CeciStage, record: StageRecord | None, parts: Mapping[str, Any], checksums: Checksums
) -> list[str]:
    """Return why a stage must run; nothing if its result is current.

    Parameters
    ----------
    stage : CeciStage
    record : StageRecord or None
        What is known of its last run.
    parts : Mapping
        What its result would depend on now.
    checksums : Checksums
    """
    if record is None or not record.parts:
        return ["it was never run here"]
    if record.state != "done":
        return ["it failed" if record.state == "failed" else "it was not finished"]
    changes = _changes(record.parts, _plain(parts))
    for tag, path in stage.outputs.items():
        made = record.products.get(tag, "")
        if made and checksums.of(path) != made:
            changes.append(f"product {tag} {'was changed' if path.exists() else 'is gone'}")
    return changes


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    words = {"options": "option", "files in options": "file of option", "inputs": "input", "code": "code in"}
    found = []
    for part in now:
        old, new = before.get(part), now[part]
        if old == new:
            continue
        if part == "stages":
            found += [f"stage {name} has another result" for name in new if (old or {}).get(name) != new[name]]
        elif part in words and isinstance(old, Mapping):
            for name in dict.fromkeys([*old, *new]):
                if old.get(name) != new.get(name):
                    values = f": {_short(old, name)} -> {_short(new, name)}" if part == "options" else " was changed"
                    found.append(f"{words[part]} {name}{values}")
        else:
            found.append(f"{part} was changed")
    return found


def _short(options: Mapping[str, Any], name: str) -> str:
    return f"{options[name]!r:.40}" if name in options else "left out"


def _plain(value: Any) -> Any:
    """Return a copy as JSON gives it back."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
