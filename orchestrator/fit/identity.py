"""What a stage's result depends on, and whether a result on disk is still that of this stage."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.config.plain import plain_value
from orchestrator.config.priors import PriorsFile
from orchestrator.config.values import ValuesFile
from orchestrator.stage import Stage

__all__ = ["changed_parts", "identity_parts", "identity_hash", "package_version", "versions_of"]

LENGTH_OPTIONS = frozenset({"samples", "nsteps", "maxiter"})
"""Options that make a chain longer and nothing else; a chain may be continued with other ones."""
_VERSIONS_OF = ("numpy", "scipy", "cosmosis", "emcee", "mpi4py")
_COSMETIC_PIPELINE = frozenset({"quiet", "debug", "timing", "values", "priors"})


@functools.cache
def package_version() -> str:
    """Return the version of this package."""
    return importlib.metadata.version("galaxy-orchestrator")


@functools.cache
def versions_of(names: tuple[str, ...] = _VERSIONS_OF) -> dict[str, str]:
    """Return the versions of this package, of Python, and of those packages among `names` that are installed."""
    versions = {"galaxy-orchestrator": package_version(), "python": platform.python_version()}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def identity_parts(stage: Stage, values: ValuesFile, priors: PriorsFile) -> dict[str, Any]:
    """Return everything that the posterior of a stage depends on, as plain types.

    Start values are left out: they move the start of a chain, not the posterior. Files that module options
    name enter by their content.

    Parameters
    ----------
    stage : Stage
    values, priors : ValuesFile, PriorsFile
        As the run uses them, with the handover applied.

    Returns
    -------
    dict
        Part to content; the parts can be compared one by one.
    """
    samplers = {
        name: {
            key: plain_value(option)
            for key, option in stage.sections.get(name, {}).items()
            if key not in LENGTH_OPTIONS
        }
        for name in stage.samplers
    }
    pipeline = stage.sections.get("pipeline", {})
    return {
        "samplers": {"names": list(stage.samplers), "options": samplers},
        "pipeline": {key: plain_value(value) for key, value in pipeline.items() if key not in _COSMETIC_PIPELINE},
        "modules": {
            module.name: {"file": module.file.name, "options": plain_value(dict(module.options))}
            for module in stage.modules
        },
        "input files": {str(path): _checksum(path) for path in _input_files(stage)},
        "values": {
            f"{section}--{name}": [entry.start] if entry.is_fixed else [entry.lower, entry.upper]
            for (section, name), entry in values
        },
        "priors": {
            f"{section}--{name}": entry.text()
            for section, entries in priors.sections.items()
            for name, entry in entries.items()
        },
        "seed": stage.seed,
        "version": ".".join(package_version().split(".")[:2]),
    }


def identity_hash(parts: Mapping[str, Any]) -> str:
    """Return a short hash of the parts."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def changed_parts(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Name the parts, and within them the entries, that differ.

    Returns
    -------
    list of str
        For example ``values: kinematics--los_vel``; empty if nothing changed.
    """
    new = json.loads(json.dumps(new))
    changes = []
    for part in sorted(set(old) | set(new)):
        before, after = old.get(part), new.get(part)
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            entries = sorted(key for key in set(before) | set(after) if before.get(key) != after.get(key))
            changes.append(f"{part}: {', '.join(entries)}")
        else:
            changes.append(f"{part}: {before!r} -> {after!r}")
    return changes


def _input_files(stage: Stage) -> list[Path]:
    """Files that the module options name, in order and once."""
    found: dict[Path, None] = {}
    for module in stage.modules:
        for option in module.options.values():
            if not isinstance(option, (str, Path)) or "/" not in str(option):
                continue
            path = Path(option)
            if path.is_absolute() and path.is_file():
                found[path] = None
    return list(found)


def _checksum(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]
