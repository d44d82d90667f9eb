"""Where the package keeps the files that CosmoSIS and the user read."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

__all__ = ["module_file", "values_template_file"]


def module_file(name: str) -> Path:
    """Return the path of a CosmoSIS module of this package, for example ``module_file("kin_dust")``."""
    return Path(str(files("orchestrator.modules") / f"{name}.py"))


def values_template_file(name: str) -> Path:
    """Return the path of a values template, for example ``values_template_file("KinDust")``."""
    return Path(str(files("orchestrator.values_templates") / f"{name}.ini"))
