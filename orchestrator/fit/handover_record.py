"""The records of a handover: each value that moves, and how it changes a stage's files."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from orchestrator.config.priors import PriorEntry, PriorsFile
from orchestrator.config.values import ValueEntry, ValuesFile
from orchestrator.fit.prior_table import PriorTable
from orchestrator.stage import Stage

__all__ = ["Handover", "Update"]

Key = tuple[str, str]


@dataclass(frozen=True)
class Update:
    """One value that moves.

    Attributes
    ----------
    target : {'values', 'option'}
        A parameter of the values file, or an option of a module.
    section, name : str
        Section of the values file or name of the module's section; parameter or option.
    rule : str
        ``start``, ``fix``, ``prior`` or ``prior_tabulated``.
    value : float
        Start or fixed value.
    source : str
        Name of the stage that it comes from.
    mean, sigma : float or None
        Of a Gaussian prior.
    prior_file : str or None
        Table of a tabulated prior.
    note : str
        What was changed on the way, for example that the value was clipped.
    """

    target: Literal["values", "option"]
    section: str
    name: str
    rule: str
    value: float
    source: str
    mean: float | None = None
    sigma: float | None = None
    prior_file: str | None = None
    note: str = ""

    def __str__(self) -> str:
        """Return the update in words."""
        what = (
            f"{self.section}--{self.name}"
            if self.target == "values"
            else f"option {self.name} of {self.section}"
        )
        prior = self.prior()
        tail = f", prior {prior.text()}" if prior is not None else ""
        note = f" ({self.note})" if self.note else ""
        return f"{what} = {self.value:.6g}, {self.rule} from {self.source}{tail}{note}"

    def prior(self) -> PriorEntry | None:
        """Return the entry for the priors file, None without one."""
        if self.rule == "prior" and self.mean is not None and self.sigma is not None:
            return PriorEntry("gaussian", (self.mean, self.sigma))
        if self.rule == "prior_tabulated" and self.prior_file is not None:
            return PriorEntry("tabulated", (self.prior_file,))
        return None


@dataclass(frozen=True)
class Handover:
    """Everything that a stage receives.

    Attributes
    ----------
    stage : str
        Name of the stage that receives.
    updates : tuple of Update
    tables : tuple of PriorTable
        Files to write before the run.
    notes : tuple of str
        What was not handed over, and why.
    """

    stage: str
    updates: tuple[Update, ...] = ()
    tables: tuple[PriorTable, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()

    def apply_to_values(self, values: ValuesFile) -> ValuesFile:
        """Return the values file with starts moved and parameters fixed."""
        entries: dict[Key, ValueEntry] = {}
        for update in self.updates:
            if update.target == "values":
                key = (update.section, update.name)
                old = values.get(*key)
                fixed = update.rule == "fix" or old is None
                entries[key] = ValueEntry.fixed(update.value) if fixed else _started(old, update.value)
        return values.apply(entries)

    def apply_to_priors(self, priors: PriorsFile) -> PriorsFile:
        """Return the priors file with the posteriors of earlier stages as priors."""
        entries = {(update.section, update.name): update.prior() for update in self.updates}
        return priors.apply({key: prior for key, prior in entries.items() if prior is not None})

    def apply_to_stage(self, stage: Stage) -> Stage:
        """Return the stage with its module options updated."""
        options: dict[str, dict[str, float]] = {}
        for update in self.updates:
            if update.target == "option":
                options.setdefault(update.section, {})[update.name] = update.value
        modules = tuple(
            replace(module, options={**module.options, **options.get(module.name, {})})
            for module in stage.modules
        )
        return replace(stage, modules=modules)

    def to_dict(self) -> dict[str, Any]:
        """Return plain types for JSON."""
        updates = [
            {key: value for key, value in vars(update).items() if value not in (None, "")}
            for update in self.updates
        ]
        return {"stage": self.stage, "updates": updates, "notes": list(self.notes)}

    def write_json(self, path: str | Path) -> Path:
        """Record the handover in a file and return its path."""
        path = Path(path)
        path.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")
        return path


def _started(entry: ValueEntry | None, value: float) -> ValueEntry:
    if entry is None:
        return ValueEntry.fixed(value)
    return entry.started_at(value)
