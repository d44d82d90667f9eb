"""Plain content as JSON text that both databases take: no NaN, no numpy, names sorted."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

__all__ = ["JsonText", "clean_text", "content_digest", "json_text", "plain"]


class JsonText(str):
    """Text that is JSON already, so that it is not encoded a second time."""

    __slots__ = ()


def plain(value: Any) -> Any:
    """Return a value as JSON knows it.

    Numbers that are not finite become None, which SQL treats as missing; numpy scalars and arrays become numbers
    and lists.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(entry) for entry in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return str(value)


def json_text(value: Any) -> JsonText:
    """Return JSON text; equal content gives equal text."""
    if isinstance(value, JsonText):
        return value
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    except (TypeError, ValueError):
        text = json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return JsonText(text)


def content_digest(*texts: str) -> str:
    """Return 32 hexadecimal digits that stand for these texts."""
    return hashlib.blake2b("\n".join(texts).encode(), digest_size=16).hexdigest()


def clean_text(text: str) -> str:
    """Return text without what a database refuses: NUL characters and halves of surrogate pairs.

    The end of the log of a process that crashed may hold anything.
    """
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "")
