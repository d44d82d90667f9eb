"""What a setting of the command line looks like. Nothing is imported here: every command asks."""

from __future__ import annotations

__all__ = ["is_setting"]


def is_setting(word: str) -> bool:
    """Whether a word of the command line is a setting: a dotted name, an equal sign, a value."""
    name, equals, _ = word.partition("=")
    return bool(equals) and all(part.strip() and not set(part) & set("/*?[") for part in name.split("."))
