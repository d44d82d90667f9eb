"""One spelling for plain content: the text that is hashed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

__all__ = ["canonical_text", "digest"]


def canonical_text(content: Any) -> str:
    """Return content as JSON with sorted names and without blanks: equal content, equal text."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)


def digest(text: str, size: int = 16) -> str:
    """Return the BLAKE2b digest of a text as ``2 * size`` hexadecimal digits."""
    return hashlib.blake2b(text.encode(), digest_size=size).hexdigest()
