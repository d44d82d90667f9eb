"""What the figures of the benchmarks were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent


def machine() -> dict[str, str | int | None]:
    """Return commit, processor and versions, for the end of a JSON line."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True, check=False
    )
    return {
        "commit": commit.stdout.strip() or "unknown",
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "scipy", "numba", "emcee", "cosmosis")},
    }
