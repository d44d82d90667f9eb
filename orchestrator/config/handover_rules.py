"""Checks of the `handover` section: what a stage takes over from earlier ones, and how.

A rule names a section (``kinematics``), a parameter (``kinematics--los_sigma``, ``kinematics/los_sigma``
or plainly ``los_sigma``) or a module option of the same name as a parameter. A name that matches nothing
is a fault: it would silently do nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import nearest_known

__all__ = ["HANDED_OPTIONS", "RULES", "HandoverNames", "check_handover"]

RULES = ("start", "fix", "prior", "prior_tabulated", "none")

_Key = tuple[str, str]

HANDED_OPTIONS: dict[str, tuple[str, str]] = {
    "los_vel": ("kinematics", "los_vel"),
    "los_sigma": ("kinematics", "los_sigma"),
    "los_h3": ("kinematics", "los_h3"),
    "los_h4": ("kinematics", "los_h4"),
    "a_v": ("dust.extinction", "a_v"),
    "redshift": ("redshift", "redshift"),
}
"""Module options that are parameters of other modules: option to (section, name)."""


@dataclass(frozen=True)
class HandoverNames:
    """What can move into a stage.

    Attributes
    ----------
    parameters : frozenset of (str, str)
        (section, name) of the stage's own parameters.
    options : frozenset of str
        Module options of the stage that can be handed over.
    earlier : frozenset of (str, str) or None
        Parameters that the stages before vary; None if they are not all known.
    varied : frozenset of (str, str)
        Those of the stage's own parameters that vary.
    with_posterior : frozenset of (str, str)
        Parameters that the latest stage before which has them samples, and not only optimises.
    """

    parameters: frozenset[_Key]
    options: frozenset[str]
    earlier: frozenset[_Key] | None
    varied: frozenset[_Key] = frozenset()
    with_posterior: frozenset[_Key] = frozenset()


def check_handover(
    given: Mapping[str, Any], names: HandoverNames, *, is_first: bool, faults: list[str]
) -> dict[str, str]:
    """Check the rules of one stage.

    Parameters
    ----------
    given : Mapping
        The `handover` section.
    names : HandoverNames
        What can move.
    is_first : bool
        The stage is the first, so nothing can move into it.
    faults : list of str
        Faults are added here.

    Returns
    -------
    dict of str to str
        Rules with parameters written ``section--name``; sections and options as they are.
    """
    if given and is_first:
        faults.append("[handover] the first stage has no earlier one to take values from; remove the section")
        return {}
    rules: dict[str, str] = {}
    for key, value in given.items():
        rule = str(value).strip().lower()
        if rule not in RULES:
            faults.append(f"[handover] {key} = {value!r}: expected one of {', '.join(RULES)}")
            continue
        targets = _targets(str(key), names)
        if not targets:
            hint = _hint(str(key), names)
            faults.append(f"[handover] {key!r} is no section, parameter or option here{hint}")
            continue
        for target in targets:
            if fault := _target_fault(target, rule, names):
                faults.append(f"[handover] {key} = {rule}: {fault}")
            rules[target] = rule
    return rules


def _targets(key: str, names: HandoverNames) -> list[str]:
    """Return what a key stands for, in canonical spelling."""
    sections = {section for section, _ in names.parameters}
    if key in sections:
        return [key]
    section, _, name = key.replace("/", "--").rpartition("--")
    name = name.lower()
    targets = [
        f"{owner}--{parameter}"
        for owner, parameter in sorted(names.parameters)
        if parameter == name and section in ("", owner)
    ]
    if not targets and name in names.options and section in ("", HANDED_OPTIONS[name][0]):
        return [name]
    if not targets and not section:
        return sorted(option for option in names.options if HANDED_OPTIONS[option][0] == key)
    return targets


def _target_fault(target: str, rule: str, names: HandoverNames) -> str | None:
    """Say why a rule cannot work on a target, or None."""
    if rule == "none":
        return None
    if target in names.options:
        if rule != "fix":
            return f"{target} is a fixed option here and not a parameter; only 'fix' and 'none' are possible"
        missing = names.earlier is not None and HANDED_OPTIONS[target] not in names.earlier
        return "no earlier stage fits it" if missing else None
    moved = {key for key in names.parameters if target in (key[0], "--".join(key))}
    if rule != "fix":
        moved &= names.varied
        if not moved:
            return "it is fixed in this stage; only 'fix' and 'none' are possible"
    if names.earlier is None:
        return None
    moved &= names.earlier
    if not moved:
        return "no earlier stage fits it"
    if rule.startswith("prior") and (without := sorted(moved - names.with_posterior)):
        listed = ", ".join("--".join(key) for key in without)
        return (
            f"no posterior of {listed}: the stage before only optimises it; sample it (emcee), or use 'start'"
        )
    return None


def _hint(key: str, names: HandoverNames) -> str:
    known = {f"{section}--{name}" for section, name in names.parameters} | set(names.options)
    known |= {section for section, _ in names.parameters} | {name for _, name in names.parameters}
    return nearest_known(key, known)
