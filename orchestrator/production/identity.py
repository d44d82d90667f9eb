"""The identity of a result: the key of a task, a hash of everything that its result depends on.

The key alone decides whether a result is current. In it are the resolved options of the target, the content of the
files that they name (not their paths, so that data and productions can be moved), the content of the SSP libraries,
the seed, the keys of the results that the stage needs, and major.minor of the version. Not in it are limits,
retries, numbers of processes, the site, and options that only change what is printed.

A function stage sees the whole row of its target, so all of it counts, and so does the file that its code is in, or
the ``version`` that ``stage`` declares in place of it. A product counts through the key of the stage that makes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.production.canonical import digest
from orchestrator.production.identity_form import MISSING, Given, KeyForm, library_checksum, make_form
from orchestrator.production.plan import Plan
from orchestrator.production.records import StagePlan, Target
from orchestrator.production.target_config import prepare

__all__ = ["MISSING", "input_paths", "key_parts", "library_checksum", "task_key"]

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=str).encode


def task_key(
    plan: Plan, stage: StagePlan, target: Target, checksums: Mapping[str, str], upstream_keys: Mapping[str, str]
) -> str:
    """Return the key of a task.

    Parameters
    ----------
    plan : Plan
    stage : StagePlan
    target : Target
    checksums : Mapping of str to str
        Absolute path, as in `input_paths`, to the checksum of the content; a path that is not in it is missing.
    upstream_keys : Mapping of str to str
        Stage to key, for all that the stage needs.

    Returns
    -------
    str
        32 hexadecimal digits.

    Raises
    ------
    ConfigError
        If the target lacks a value that the stage needs.
    KeyError
        If a needed key is not given.
    """
    form = _form(plan, stage, target)
    given = Given(target, checksums, upstream_keys)
    words = []
    for piece, number in zip(form.pieces, form.order, strict=False):
        words.append(piece)
        words.append(_encode(form.leaves[number](given)))
    words.append(form.pieces[-1])
    return digest("".join(words))


def key_parts(
    plan: Plan, stage: StagePlan, target: Target, checksums: Mapping[str, str], upstream_keys: Mapping[str, str]
) -> dict[str, Any]:
    """Return what the key is made of, part by part, to be compared by `orchestrator.fit.identity.changed_parts`.

    The arguments are those of `task_key`, which is the digest of the canonical text of these parts.
    """
    form = _form(plan, stage, target)
    given = Given(target, checksums, upstream_keys)

    def filled(value: Any) -> Any:
        if isinstance(value, str) and value.startswith("\0"):
            return form.leaves[int(value.strip("\0"))](given)
        if isinstance(value, Mapping):
            return {key: filled(entry) for key, entry in value.items()}
        return [filled(entry) for entry in value] if isinstance(value, (list, tuple)) else value

    return {part: filled(content) for part, content in form.skeleton.items()}


def input_paths(plan: Plan, stage: StagePlan, target: Target) -> list[Path]:
    """Return the files that the options of a stage name for a target, each once, whether they are there or not.

    Raises
    ------
    ConfigError
        If the target lacks a value that the stage needs.
    """
    found: dict[str, None] = {}
    for file in _form(plan, stage, target).files:
        found |= dict.fromkeys(file.paths(target))
    return [Path(path) for path in found]


def _form(plan: Plan, stage: StagePlan, target: Target) -> KeyForm:
    prepared = prepare(plan, stage, target)
    key = ("key", stage.name, id(prepared))  # the plan keeps what is prepared alive
    if key not in plan.prepared:
        plan.prepared[key] = make_form(plan, stage, prepared)
    form: KeyForm = plan.prepared[key]
    return form
