"""Where the files of a target are, in a production and on a worker."""

from __future__ import annotations

from urllib.parse import quote

__all__ = ["TARGETS", "target_folder"]

TARGETS = "targets"
_PLAIN = " =+,;@~()[]{}!$&'"


def target_folder(name: str) -> str:
    """Return the folder of a target, relative to the production; every name has its own.

    Parameters
    ----------
    name : str
        Its parts (``NAME/axis=value``) become folders in one another; what no file name should hold is written as
        ``%XX``.
    """
    return "/".join((TARGETS, *(_part(part) for part in name.split("/"))))


def _part(part: str) -> str:
    if set(part) <= {"."}:  # empty, '.', '..'
        return "%2E" * len(part) or "%"
    return quote(part, safe=_PLAIN)
