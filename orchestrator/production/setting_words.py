"""What a setting of the command line looks like. Nothing is imported here: every command asks."""

from __future__ import annotations

import re

__all__ = ["is_setting"]

_SETTING = re.compile(r"[A-Za-z_][\w-]*(?:\.[\w-]+)*\s*=(?!=)")


def is_setting(word: str) -> bool:
    """Whether a word of the command line is a setting: a dotted name, an equal sign, a value."""
    return _SETTING.match(word) is not None
