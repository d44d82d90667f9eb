"""Settings of the command line, ``key.sub=value``: entries of the run file, or overrides of options of stages."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import ConfigError
from orchestrator.production.yaml_text import parse_yaml

__all__ = ["Settings", "parse_settings", "with_entries"]

_GROUPS = ("targets", "site", "options")


@dataclass(frozen=True)
class Settings:
    """Settings, sorted by what they change.

    Attributes
    ----------
    entries : Mapping of str to Any
        Dotted names of entries of the run file, but those of the site.
    site : Mapping of str to Any
        Entries of the site.
    overrides : Mapping of str to Any
        Options of stages.
    """

    entries: Mapping[str, Any] = field(default_factory=dict)
    site: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)


def parse_settings(words: Sequence[str]) -> Settings:
    """Read settings; values are YAML, and a later setting of the same name wins.

    Parameters
    ----------
    words : sequence of str
        ``name=value``.

    Raises
    ------
    ConfigError
        Listing every word that is none, or whose value cannot be read.
    """
    entries: dict[str, Any] = {}
    site: dict[str, Any] = {}
    overrides: dict[str, Any] = {}
    faults = []
    for word in words:
        name, equals, text = word.partition("=")
        name = name.strip()
        if not equals or not name:
            faults.append(f"setting {word!r}: expected name=value, such as site.workers=4")
            continue
        try:
            value = parse_yaml(text, f"setting {word!r}")
        except ConfigError as error:
            faults += error.faults
            continue
        first, _, rest = name.partition(".")
        if first == "site" and rest:
            site[rest] = value
        elif first in _GROUPS and rest:
            entries[name] = value
        elif not rest:
            entries[name] = value  # an unknown one is refused with the other entries
        else:
            overrides[name] = value
    if faults:
        raise ConfigError(faults)
    return Settings(entries, site, overrides)


def with_entries(content: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Return the content of a run file with the entries that the settings change; a copy."""
    changed: dict[str, Any] = copy.deepcopy(dict(content))
    for name, value in settings.entries.items():
        first, _, rest = name.partition(".")
        if not rest:
            changed[first] = value
            continue
        group = changed.get(first)
        changed[first] = {**group, rest: value} if isinstance(group, Mapping) else {rest: value}
    return changed


