"""Sections of nuisance parameters in a joint fit: each data set has its own polynomial and its own noise.

Modules of one stage share every parameter whose section and name they both read. For the galaxy that is the point;
for the calibration and the noise of a data set it would be wrong. Where several modules of a stage have such
parameters in one section, each therefore gets its own, named after the suffix of the module (``FullSpectralFit_red``
reads ``legendre_red``) or, without one, after the module itself. Whoever wants to share says so, with
``legendre_section`` or ``noise_section`` in each module. A stage in which one module has them keeps BESTA's names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from orchestrator.config.module_options import MODULES, parse_options
from orchestrator.config.module_sections import ModuleDraft, module_options_of
from orchestrator.errors import ConfigError, OrchestratorError
from orchestrator.stage import Stage

__all__ = ["own_nuisance_sections", "own_sections_advice"]

_KINDS = ("legendre", "noise")


def own_nuisance_sections(
    drafts: Sequence[ModuleDraft], faults: list[str], *, can_write: bool
) -> list[ModuleDraft]:
    """Give each module its own sections of nuisance parameters where several would share one unasked.

    Parameters
    ----------
    drafts : sequence of ModuleDraft
        Modules of one stage.
    faults : list of str
        Faults are added here.
    can_write : bool
        False where the stage runs a ready ini file, in which the sections have to be named.

    Returns
    -------
    list of ModuleDraft
        The same, with the options ``legendre_section`` and ``noise_section`` filled in where needed.
    """
    result = list(drafts)
    for kind in _KINDS:
        option = f"{kind}_section"
        users = [i for i, draft in enumerate(result) if _reads(draft, option)]
        for index in users:
            section = getattr(result[index].options, option)
            sharing = [i for i in users if getattr(drafts[i].options, option) == section]
            if len(sharing) < 2 or option in _given(result[index]):
                continue
            name = _own_name(kind, result[index], [drafts[i] for i in users])
            if can_write:
                result[index] = _with_option(result[index], option, name)
            else:
                others = ", ".join(f"[{drafts[i].section.name}]" for i in sharing if i != index)
                faults.append(
                    f"[{result[index].section.name}] would share the parameters of [{section}] with {others}; "
                    f"add `{option} = {name}` to the ini file for its own, or `{option} = {section}` to share"
                )
    return result


def own_sections_advice(stage: Stage) -> list[str]:
    """Return what explains the sections of a joint fit, where a values file does not fit them."""
    lines = []
    for kind in _KINDS:
        option = f"{kind}_section"
        chosen = {
            name: getattr(options, option)
            for name, options in module_options_of(stage).items()
            if getattr(options, option, kind) != kind and _has_parameters(stage, name, options, option)
        }
        if len(chosen) > 1 and len(set(chosen.values())) > 1:
            listed = ", ".join(f"[{name}] {section}" for name, section in chosen.items())
            what = "calibration polynomial" if kind == "legendre" else "noise"
            lines.append(
                f"each data set has its own {what}, in sections of the values file: {listed}; to share one, set "
                f"{option} = {kind} in each of these modules"
            )
    return lines


def _has_parameters(stage: Stage, name: str, options: Any, option: str) -> bool:
    (module,) = (module for module in stage.modules if module.name == name)
    return _declares(str(module.class_name), options, getattr(options, option))


def _given(draft: ModuleDraft) -> set[str]:
    assert draft.options is not None
    return set(draft.options.model_fields_set)


def _reads(draft: ModuleDraft, option: str) -> bool:
    """Say whether a module has parameters in the section that an option names."""
    if draft.options is None or draft.section.class_name is None or not hasattr(draft.options, option):
        return False
    return _declares(draft.section.class_name, draft.options, getattr(draft.options, option))


def _declares(class_name: str, options: Any, section: str) -> bool:
    try:
        declared = MODULES[class_name].declared_parameters(options)
    except (ConfigError, OrchestratorError, ValueError):
        return False  # reported with the module's own faults
    return any(parameter.section == section for parameter in declared)


def _own_name(kind: str, draft: ModuleDraft, others: Sequence[ModuleDraft]) -> str:
    """Return a section's name from the suffix of the module, from its whole name where suffixes coincide."""
    labels = [_label(other.section.name) for other in others]
    name = draft.section.name
    label = _label(name) if labels.count(_label(name)) == 1 else name
    return re.sub("[^a-z0-9_]", "_", f"{kind}_{label}".lower())


def _label(name: str) -> str:
    class_name, _, suffix = name.partition("_")
    return suffix or class_name


def _with_option(draft: ModuleDraft, option: str, value: str) -> ModuleDraft:
    section = replace(draft.section, options={**draft.section.options, option: value})
    return ModuleDraft(section, parse_options(str(section.class_name), section.options, section.name, quiet=True))
