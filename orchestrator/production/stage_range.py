"""Stages from one to another along what they need."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.errors import ConfigError, nearest_known
from orchestrator.production.plan import Plan

__all__ = ["stage_range"]


def stage_range(
    plan: Plan, first: Sequence[str] = (), last: Sequence[str] = (), only: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the stages to work on, in order; empty for all.

    Parameters
    ----------
    plan : Plan
    first : sequence of str
        These stages and all that need them, directly or through others.
    last : sequence of str
        These stages and all that they need.
    only : sequence of str
        These and no others.

    Raises
    ------
    ConfigError
        If there is no such stage, or nothing is left.
    """
    names = [stage.name for stage in plan.stages]
    faults = [
        f"there is no stage {name!r}{nearest_known(name, names)}"
        for name in (*first, *last, *only)
        if name not in names
    ]
    if faults:
        raise ConfigError(faults)
    chosen = set(names)
    if first:
        chosen &= {later for name in first for later in (name, *plan.later_stages(name))}
    if last:
        chosen &= {earlier for name in last for earlier in (name, *earlier_stages(plan, name))}
    if only:
        chosen &= set(only)
    if not chosen:
        msg = f"no stage lies from {', '.join(first) or 'the first'} to {', '.join(last) or 'the last'}"
        raise ConfigError(msg)
    return tuple(name for name in names if name in chosen) if first or last or only else ()


def earlier_stages(plan: Plan, name: str) -> tuple[str, ...]:
    """Return the stages that `name` needs, directly or through others, in order."""
    found = {name}
    for stage in reversed(plan.stages):
        if stage.name in found:
            found.update(stage.needs)
    return tuple(stage.name for stage in plan.stages if stage.name in found - {name})
