"""What a run notes of itself: versions, and the state of the source it ran from."""

from __future__ import annotations

import subprocess
from pathlib import Path

from orchestrator.fit.identity import versions_of

__all__ = ["code_commit", "versions"]

_PACKAGES = ("cosmosis", "numpy", "scipy", "numba", "astropy", "sqlalchemy", "parsl", "emcee")


def versions() -> dict[str, str]:
    """Return package to version, of those that are installed."""
    return versions_of(_PACKAGES)


def code_commit() -> str:
    """Return the commit of the checkout that the package runs from, ``+`` if changed, empty if it is installed."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return ""
    command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty=+", "--match="]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
