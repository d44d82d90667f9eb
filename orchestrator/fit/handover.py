"""What a stage receives from the earlier ones: start values, fixed values and priors.

By default each parameter that an earlier stage sampled and this one samples too starts at the earlier best fit, and
a module option of the same name as an earlier parameter takes its value. Rules choose otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from orchestrator.config.values import ValueEntry, ValuesFile
from orchestrator.errors import HandoverError, nearest_known
from orchestrator.fit.best_fit import BestFit
from orchestrator.fit.chain import Chain
from orchestrator.fit.double_counting import counted_twice
from orchestrator.fit.handover_record import Handover, Update
from orchestrator.fit.prior_table import PriorTable, prior_table
from orchestrator.fit.summary import ResultsSummary
from orchestrator.stage import Stage

__all__ = ["RULES", "make_handover"]

RULES = ("start", "fix", "prior", "prior_tabulated", "none")
Key = tuple[str, str]
EDGE = 1e-3
"""A start value outside the range is moved inside it by this fraction of the range."""


class Finished(Protocol):
    """What is needed of a finished stage."""

    @property
    def stage(self) -> Stage: ...

    @property
    def chain(self) -> Chain | None: ...

    @property
    def best_fit(self) -> BestFit | None: ...

    @property
    def summary(self) -> ResultsSummary | None: ...


@dataclass(frozen=True)
class _Rules:
    """The user's rules, the most particular one first: ``section--name``, then name, then section."""

    rules: Mapping[str, str]

    def find(self, section: str, name: str) -> tuple[str | None, str]:
        """Return the rule (None for the default) and the key that it was given under."""
        for key in (f"{section}--{name}", f"{section}/{name}", name, section):
            if key in self.rules:
                return self.rules[key], key
        return None, ""


def make_handover(results: Sequence[Finished], stage: Stage, values: ValuesFile) -> Handover:
    """Decide what a stage receives from the finished ones.

    Parameters
    ----------
    results : sequence of StageResult
        Finished stages, oldest first; the latest one that sampled a parameter gives its value.
    stage : Stage
        The stage that receives.
    values : ValuesFile
        Its values file before the handover.

    Returns
    -------
    Handover

    Raises
    ------
    HandoverError
        If a rule matches nothing, is no rule, asks for a prior of a parameter that was not sampled, or leaves
        nothing to sample.
    """
    sources = _latest_sources(results)
    rules = _checked_rules(stage, sources, values)
    if not sources:
        return Handover(stage.name)
    builder = _Builder(stage, values, rules, sources)
    for key in sources:
        builder.add_value(key)
    for key in sources:
        builder.add_options(key)
    builder.check_used()
    handover = Handover(stage.name, tuple(builder.updates), tuple(builder.tables), tuple(builder.notes))
    if values.varied and not handover.apply_to_values(values).varied:
        msg = (
            f"Stage {stage.name!r}: the handover fixes every parameter, so nothing is left to sample; "
            "use 'start' or 'prior' for at least one."
        )
        raise HandoverError(msg)
    return handover


def _latest_sources(results: Sequence[Finished]) -> dict[Key, Finished]:
    sources: dict[Key, Finished] = {}
    for result in results:
        if result.best_fit is not None:
            sources.update(dict.fromkeys(result.best_fit.values, result))
    return sources


def _checked_rules(stage: Stage, sources: Mapping[Key, Finished], values: ValuesFile) -> _Rules:
    rules = {key.strip().lower(): str(rule).strip().lower() for key, rule in stage.handover.items()}
    known = {section for section, _ in sources} | {name for _, name in sources}
    known |= {f"{section}--{name}" for section, name in sources}
    for key, rule in rules.items():
        if rule not in RULES:
            msg = f"Stage {stage.name!r}: handover {key} = {rule!r} is no rule{nearest_known(rule, RULES)}"
            raise HandoverError(msg)
        harmless = rule == "none" and any(key in (s, n, f"{s}--{n}", f"{s}/{n}") for (s, n), _ in values)
        if key.replace("/", "--") not in known and not harmless:
            hint = nearest_known(key, known) if known else "; no stage has finished before it"
            msg = (
                f"Stage {stage.name!r}: the handover rule {key} = {rule} matches no parameter of an "
                f"earlier stage{hint}"
            )
            raise HandoverError(msg)
    return _Rules(rules)


class _Builder:
    """Collects the updates of one handover."""

    def __init__(
        self, stage: Stage, values: ValuesFile, rules: _Rules, sources: Mapping[Key, Finished]
    ) -> None:
        self.stage = stage
        self.values = values
        self.rules = rules
        self.sources = sources
        self.updates: list[Update] = []
        self.tables: list[PriorTable] = []
        self.notes: list[str] = []
        self.used_rules: set[str] = set()

    def add_value(self, key: Key) -> None:
        """Hand over one parameter of the values file."""
        rule, rule_key = self.rules.find(*key)
        entry = self.values.get(*key)
        if rule == "none":
            self.used_rules.add(rule_key)
            return
        own_modules = any(module.class_name is None for module in self.stage.modules)
        if rule == "fix" and (entry is not None or own_modules):
            self.used_rules.add(rule_key)
            self.updates.append(self._update(key, "fix", self._best(key)))
        elif entry is not None and not entry.is_fixed:
            self.used_rules.add(rule_key)
            self.updates.append(self._start_or_prior(key, entry, rule or "start"))

    def _start_or_prior(self, key: Key, entry: ValueEntry, rule: str) -> Update:
        value, note = _inside(self._best(key), entry)
        update = replace(self._update(key, rule, value), note=note)
        if rule == "start":
            return update
        source = self.sources[key]
        name = f"{key[0]}--{key[1]}"
        if source.summary is None or source.chain is None or source.summary.n_used == 0:
            msg = (
                f"Stage {self.stage.name!r}: handover {name} = {rule} needs a posterior, but stage "
                f"{source.stage.name!r} ran only {', '.join(source.stage.samplers)!r}; let it "
                "sample (emcee), or use 'start'."
            )
            raise HandoverError(msg)
        posterior = source.summary[name]
        if (
            not posterior.std > 0
            or not entry.lower <= np.clip(posterior.mean, entry.lower, entry.upper) == posterior.mean
        ):
            msg = (
                f"Stage {self.stage.name!r}: the posterior of {name} in stage {source.stage.name!r} is "
                f"{posterior.mean:.6g} +- {posterior.std:.3g}, which is no prior for the range "
                f"from {entry.lower:g} to {entry.upper:g}; widen the range or use 'start'."
            )
            raise HandoverError(msg)
        twice = counted_twice(name, self.stage, source.stage)
        if twice:
            self.notes.append(twice)
        if rule == "prior":
            return replace(update, mean=posterior.mean, sigma=posterior.std)
        table = prior_table(source.chain, source.summary, key, (entry.lower, entry.upper), self.stage.paths)
        self.tables.append(table)
        return replace(update, prior_file=str(table.path))

    def add_options(self, key: Key) -> None:
        """Hand over one parameter to the module options of its name."""
        rule, rule_key = self.rules.find(*key)
        if rule == "none":
            return
        for module in self.stage.modules:
            spelling = _option_spelling(module.class_name, module.options, key[1])
            if spelling is None:
                continue
            same_name = [f"{s}--{n}" for s, n in self.sources if n == key[1]]
            fault = (
                f"several parameters have that name: {same_name}"
                if len(same_name) > 1 and rule is None
                else ""
            )
            value = self._best(key)
            fault = fault or _option_fault(
                module.class_name, {**module.options, spelling: value}, module.name
            )
            if fault and rule is not None:
                msg = (
                    f"Stage {self.stage.name!r}: option {spelling} of {module.name} cannot take "
                    f"{value:.6g}: {fault}"
                )
                raise HandoverError(msg)
            if fault:
                self.notes.append(f"option {spelling} of {module.name} is left as it is: {fault}")
                continue
            self.used_rules.add(rule_key)
            source = self.sources[key].stage.name
            self.updates.append(Update("option", module.name, spelling, "fix", value, source))

    def check_used(self) -> None:
        """Every rule must have moved something."""
        for key, rule in self.rules.rules.items():
            if rule != "none" and key not in self.used_rules:
                sampled = [f"{section}--{name}" for section, name in self.values.varied]
                lacks = "has no such parameter or option" if rule == "fix" else "does not sample it"
                msg = (
                    f"Stage {self.stage.name!r}: the handover rule {key} = {rule} changes nothing; "
                    f"this stage {lacks}. It samples: {', '.join(sampled)}"
                )
                raise HandoverError(msg)

    def _best(self, key: Key) -> float:
        best = self.sources[key].best_fit
        return float("nan") if best is None else best.values[key]

    def _update(self, key: Key, rule: str, value: float) -> Update:
        return Update("values", *key, rule, value, self.sources[key].stage.name)


def _inside(value: float, entry: ValueEntry) -> tuple[float, str]:
    """Move a value inside its range, with a note."""
    if entry.lower <= value <= entry.upper:
        return value, ""
    edge = EDGE * (entry.upper - entry.lower)
    inside = float(np.clip(value, entry.lower + edge, entry.upper - edge))
    return inside, f"clipped from {value:.6g} into the range from {entry.lower:g} to {entry.upper:g}"


def _option_spelling(class_name: str | None, options: Mapping[str, Any], name: str) -> str | None:
    """Return the spelling of the option of that name, None if the module has none."""
    for given in options:
        if given.lower() == name:
            return given
    if class_name is None:
        return None
    from orchestrator.config.module_options import MODULE_OPTIONS

    return MODULE_OPTIONS[class_name].spellings().get(name) if class_name in MODULE_OPTIONS else None


def _option_fault(class_name: str | None, options: Mapping[str, Any], section: str) -> str:
    """Return why a module refuses these options, empty if it takes them."""
    from orchestrator.config.module_options import MODULE_OPTIONS, parse_options
    from orchestrator.errors import ConfigError

    if class_name not in MODULE_OPTIONS:
        return ""
    try:
        parse_options(str(class_name), options, section, quiet=True)
    except ConfigError as error:
        return "; ".join(error.faults)
    return ""
