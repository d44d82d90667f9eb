"""Which site a run file means: the entries of one, a name among ``sites``, or the word for an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.errors import ConfigError, nearest_known
from orchestrator.production.overrides import parse_override
from orchestrator.production.pipeline_stages import override_file
from orchestrator.production.records import StagePlan
from orchestrator.production.run_model import RunEntries
from orchestrator.production.settings import Settings
from orchestrator.production.site import EXECUTORS, Site, make_site

__all__ = ["chosen_site", "with_absolute_options"]


def chosen_site(entries: RunEntries, settings: Settings, name: str | None, faults: list[str]) -> Site:
    """Return the site: the named one, or that of the run file, with the settings of the command line."""
    wanted = entries.site if name is None else name
    place = "site" if name is None else "--site"
    if isinstance(wanted, str):
        known = entries.sites.get(wanted)
        if known is not None:
            place, wanted = f"sites.{wanted}", {"name": wanted, **known} if isinstance(known, Mapping) else known
        elif wanted in EXECUTORS and name is not None and isinstance(entries.site, Mapping):
            # The engine is another one, the rest is as in the run file.
            changed = {key: value for key, value in entries.site.items() if key not in ("name", "isolation")}
            wanted = {**changed, "executor": wanted}
        elif wanted not in EXECUTORS and ":" not in wanted:
            hint = nearest_known(wanted, [*entries.sites, *EXECUTORS])
            faults.append(f"{place}: there is no site {wanted!r}{hint}")
            return make_site({})
        else:
            wanted = {"executor": wanted}
    if isinstance(wanted, Mapping) and settings.site:
        wanted = {**wanted, **_with_settings(wanted, settings.site)}
    try:
        return make_site(wanted, place)
    except ConfigError as error:
        faults += error.faults
        return make_site({})


def _with_settings(entries: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for name, value in given.items():
        first, _, rest = name.partition(".")
        if rest:
            changed[first] = {**(changed.get(first) or entries.get(first) or {}), rest: value}
        else:
            changed[first] = value
    return changed


def with_absolute_options(
    sites: Mapping[str, Any], stages: Sequence[StagePlan], folder: Path
) -> dict[str, Any]:
    """Return the sites with the files in their options absolute; a faulty one is told when it is chosen."""
    changed = dict(sites)
    for name, entries in sites.items():
        options = entries.get("options") if isinstance(entries, Mapping) else None
        if not isinstance(options, Mapping):
            continue
        absolute = {}
        for key, value in options.items():
            try:
                absolute[key] = override_file(parse_override(str(key), stages), value, stages, folder)
            except ConfigError:
                absolute[key] = value
        changed[name] = {**entries, "options": absolute}
    return changed
