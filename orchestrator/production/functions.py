"""The functions of a pipeline: what each declares, and the identity of its code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from orchestrator.production.command_declaration import command_declaration
from orchestrator.production.declaration import Declaration, declaration_of
from orchestrator.production.function_code import load_function, source_checksum, use_python_path
from orchestrator.production.records import StagePlan

__all__ = ["Functions", "declare"]

def declare(stage: StagePlan) -> Declaration | None:
    """Return what a stage declares; None for a fit.

    Raises
    ------
    ConfigError
        If its function cannot be imported, or its signature is that of no stage.
    """
    if stage.kind == "command":
        return command_declaration(stage)
    if stage.kind != "function":
        return None
    call = str(stage.sections["function"].get("call"))
    return declaration_of(load_function(call), call)


class Functions:
    """What is known of the functions of a pipeline.

    Parameters
    ----------
    folders : sequence of str
        That they are imported from.
    look : bool
        Whether they are imported.
    """

    def __init__(self, folders: Sequence[str], *, look: bool) -> None:
        self.folders = folders
        self.look = look
        if folders and look:
            use_python_path(folders)

    def with_code(self, stage: StagePlan) -> StagePlan:
        """Return a stage with the identity of its code."""
        if stage.kind != "function" or stage.code:
            return stage
        call = stage.sections["function"].get("call")
        return replace(stage, code=source_checksum(call, self.folders)) if isinstance(call, str) else stage

    def declare(self, stage: StagePlan) -> Declaration | None:
        """Return what a stage declares; None if it cannot be imported: a check says why."""
        if stage.kind == "function" and not self.look:
            return None
        try:
            return declare(stage)
        except Exception:  # noqa: BLE001 - the module is the user's
            return None
