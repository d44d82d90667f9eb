"""Checks that need all stages: output files, handover rules, and options that a handover must fill."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.config.handover_rules import HANDED_OPTIONS, HandoverNames, check_handover
from orchestrator.config.module_sections import declared_parameters, module_options_of
from orchestrator.config.stage_values import stage_values
from orchestrator.config.values import ValuesFile
from orchestrator.stage import Stage

__all__ = ["check_between_stages"]

_Key = tuple[str, str]

_OPTIMISERS = frozenset(("maxlike", "multistart", "pmaxlike", "minuit", "gridmax", "test"))
"""Samplers of CosmoSIS that give a point and no posterior."""


@dataclasses.dataclass(frozen=True)
class _Passed:
    """Parameters that a stage so far varies, and those with a posterior; and what is known of the redshift.

    ``redshift`` is that of an option, and ``searched`` says that a stage maximised over it.
    """

    varied: frozenset[_Key] = frozenset()
    with_posterior: frozenset[_Key] = frozenset()
    redshift: float | None = None
    searched: bool = False

    def after(self, stage: Stage, values: ValuesFile) -> _Passed:
        """Return what is known once a further stage is done."""
        keys = frozenset(key for key, _ in values)
        varied = frozenset(values.varied)
        sampled = varied if stage.samplers and stage.samplers[-1] not in _OPTIMISERS else frozenset()
        options = module_options_of(stage).values()
        given = [float(o.redshift) for o in options if getattr(o, "redshift", 0.0) != 0]
        return _Passed(
            self.varied | varied,
            (self.with_posterior - keys) | sampled,
            given[-1] if given else self.redshift,
            self.searched or any(hasattr(o, "z_min") for o in options),
        )


def check_between_stages(stages: Sequence[Stage | None]) -> tuple[tuple[Stage, ...], list[str]]:
    """Check stages against each other.

    Parameters
    ----------
    stages : sequence of Stage or None
        Drafts; None where a stage has faults of its own.

    Returns
    -------
    stages : tuple of Stage
        With their handover rules in canonical spelling.
    faults : list of str
        Every fault found.
    """
    faults = _shared_files(stages)
    checked = []
    passed: _Passed | None = _Passed()
    for index, stage in enumerate(stages):
        if stage is None:
            passed = None  # what this stage would pass on is not known
            continue
        values = stage_values(stage)
        keys = frozenset(key for key, _ in values)
        options = module_options_of(stage)
        fillable = _fillable(options.values())
        known = passed or _Passed()
        names = HandoverNames(
            parameters=keys,
            options=fillable,
            earlier=None if passed is None else passed.varied,
            varied=frozenset(values.varied),
            with_posterior=known.with_posterior,
        )
        own: list[str] = []
        rules = check_handover(stage.handover, names, is_first=index == 0, faults=own)
        if "prior_tabulated" in rules.values() and len(str(stage.paths.directory / stage.paths.name).split()) > 1:
            own.append(
                f"[handover] prior_tabulated: its tables lie beside {str(stage.paths.chain)!r}, whose path holds a "
                "blank, which a CosmoSIS priors file cannot; use another output.filename, or the rule prior"
            )
        if passed is not None:
            own += _option_faults(options, passed, rules) + _redshift_faults(options, passed, rules)
            passed = passed.after(stage, values)
        checked.append(dataclasses.replace(stage, handover=rules))
        faults += [f"stage {index + 1}: {fault}" for fault in own]
    return tuple(checked), faults


def _fillable(models: Iterable[Any]) -> frozenset[str]:
    """Return the options of these modules that a handover can fill."""
    return frozenset(name for model in models for name in HANDED_OPTIONS if name in type(model).model_fields)


def _option_faults(options: Mapping[str, Any], passed: _Passed, rules: Mapping[str, str]) -> list[str]:
    """Options that stay empty, and dust that arrives where no law can use it."""
    faults = []
    for section, model in options.items():
        fields = type(model).model_fields
        for option in ("los_sigma", "a_v"):
            key = HANDED_OPTIONS[option]
            blocked = "none" in (rules.get(option), rules.get(key[0]), rules.get("--".join(key)))
            if option not in fields:
                continue
            if option == "los_sigma" and model.los_sigma is None and (blocked or key not in passed.varied):
                faults.append(
                    f"[{section}] los_sigma is missing: give it in km/s, or let an earlier stage "
                    "(KinDust) hand it over"
                )
            if option == "a_v" and model.extinction_law is None and key in passed.varied and not blocked:
                faults.append(
                    f"[{section}] takes a_v from an earlier stage, but has no ExtinctionLaw, so it "
                    "would have no effect; set ExtinctionLaw, or 'handover': {'a_v': 'none'}"
                )
    return faults


def _redshift_faults(options: Mapping[str, Any], passed: _Passed, rules: Mapping[str, str]) -> list[str]:
    """Modules that would take the default redshift, 0, after a stage in which it is another."""
    key = HANDED_OPTIONS["redshift"]
    blocked = "none" in (rules.get("redshift"), rules.get(key[0]), rules.get("--".join(key)))
    if key in passed.varied and not blocked:
        return []  # it is handed over
    if passed.searched:
        hint = "SpectraRedshiftFit hands it over with redshift_mode = sampled only; set that, or give it here"
    elif passed.redshift is not None:
        hint = f"an earlier stage has {passed.redshift:g}; give it here too (0 if that is meant)"
    else:
        return []
    return [
        f"[{section}] redshift is missing: {hint}"
        for section, model in options.items()
        if "redshift" in type(model).model_fields
        and not hasattr(model, "z_min")
        and "redshift" not in model.model_fields_set
    ]


def _shared_files(stages: Sequence[Stage | None]) -> list[str]:
    """Files that two stages would write."""
    faults: list[str] = []
    written: dict[str, int] = {}
    templates: dict[str, tuple[int, frozenset[_Key]]] = {}
    for number, stage in enumerate(stages, 1):
        if stage is None:
            continue
        for path in _chains(stage):
            first = written.setdefault(os.path.realpath(path), number)
            if first != number:
                text = f"stages {first} and {number} both write {str(path)!r}; give each its own filename"
                faults.append(text)
        if stage.values_file is not None and not stage.values_file.exists() and not stage.inline_values:
            keys = frozenset((parameter.section, parameter.name) for parameter in declared_parameters(stage))
            first, known = templates.setdefault(os.path.realpath(stage.values_file), (number, keys))
            if known != keys:
                faults.append(
                    f"stages {first} and {number} have different parameters and the same values file, which "
                    f"does not exist yet ({str(stage.values_file)!r}); give each its own"
                )
    return faults


def _chains(stage: Stage) -> list[Path]:
    """Return the results files of a stage, one per sampler."""
    return [stage.paths.chain, *(stage.paths.intermediate_chain(sampler) for sampler in stage.samplers[:-1])]
