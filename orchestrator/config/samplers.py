"""Which samplers the installed CosmoSIS has and which options they read, without importing it.

The names and options come from the source of the installed version, so they are never out of date.
Importing CosmoSIS costs a second, which a check of a configuration need not.
"""

from __future__ import annotations

import ast
import importlib.util
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

__all__ = ["SamplerDeclaration", "known_samplers", "missing_requirement", "samplers_in_file"]

_NEEDS_PACKAGE = {
    "emcee": "emcee",
    "zeus": "zeus",
    "dynesty": "dynesty",
    "nautilus": "nautilus",
    "kombine": "kombine",
    "pymc": "pymc",
    "pocomc": "pocomc",
    "cosmopower": "tensorflow",
}
_PACKAGE_ON_INDEX = {"zeus": "zeus-mcmc", "nautilus": "nautilus-sampler"}
_NEEDS_LIBRARY = {"multinest": "libnest3.so", "polychord": "libchord.so", "minuit": "minuit_wrapper.so"}
_OF_ALL_SAMPLERS = "sampler.py"
_OWN_SAMPLERS = {"ensemble": ("ensemble.py", "emcee"), "multistart": ("optimiser.py", "maxlike")}
"""Our samplers: the file that reads their options, and the CosmoSIS sampler whose place they can take."""


@dataclass(frozen=True)
class SamplerDeclaration:
    """One sampler.

    Attributes
    ----------
    name : str
        Name in ``runtime.sampler``, which is also the name of its section.
    options : Mapping of str to type name
        Option (lower case) to ``int``, ``float``, ``bool`` or ``str``.
    """

    name: str
    options: dict[str, str] = field(default_factory=dict)


def _samplers_folder() -> Path | None:
    """Return the folder of CosmoSIS's samplers; None if CosmoSIS is not installed."""
    found = importlib.util.find_spec("cosmosis")
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / "samplers"


@cache
def known_samplers() -> dict[str, SamplerDeclaration]:
    """Return the samplers of the installed CosmoSIS by name; empty if it is not installed."""
    folder = _samplers_folder()
    if folder is None:
        return {}
    common = _options_read(ast.parse((folder / _OF_ALL_SAMPLERS).read_text(encoding="utf-8")))
    declarations: dict[str, SamplerDeclaration] = {}
    for source in sorted(folder.glob("*/*.py")):
        tree = ast.parse(source.read_text(encoding="utf-8"))
        options = {**common, **_options_read(tree), "resume": "bool"}
        for name in _class_names(tree):
            earlier = declarations.get(name)
            merged = {**earlier.options, **options} if earlier else options
            declarations[name] = SamplerDeclaration(name, merged)
    for name, (file, replaced) in _OWN_SAMPLERS.items():
        own = _options_read(ast.parse((_own_folder() / file).read_text(encoding="utf-8")))
        declarations[name] = SamplerDeclaration(name, {**common, **own, "resume": "bool"})
        stock = declarations[replaced]
        declarations[replaced] = SamplerDeclaration(replaced, {**own, **stock.options})
    return declarations


def _own_folder() -> Path:
    return Path(__file__).resolve().parents[1] / "fit" / "samplers"


def samplers_in_file(path: Path) -> set[str]:
    """Return the names of the samplers that a plug-in file (``runtime.import_samplers``) defines."""
    return set(_class_names(ast.parse(path.read_text(encoding="utf-8"))))


def _class_names(tree: ast.AST) -> list[str]:
    """Return the sampler names that the classes of a file stand for: ``EmceeSampler`` is ``emcee``."""
    return [
        node.name.removesuffix("Sampler").lower()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name.endswith("Sampler") and node.bases
    ]


def _options_read(tree: ast.AST) -> dict[str, str]:
    """Find the calls ``self.read_ini("name", type, ...)`` of a file."""
    options = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or len(node.args) < 2:
            continue
        name, kind = node.args[:2]
        is_read = node.func.attr in ("read_ini", "read_ini_choices")
        if is_read and isinstance(name, ast.Constant) and isinstance(kind, ast.Name):
            options[str(name.value).lower()] = kind.id
    return options


def missing_requirement(name: str) -> str | None:
    """Say what a sampler needs that is not installed, or None.

    Parameters
    ----------
    name : str
        Name of a known sampler.
    """
    package = _NEEDS_PACKAGE.get(name)
    if package and importlib.util.find_spec(package) is None:
        install = _PACKAGE_ON_INDEX.get(package, package)
        return f"sampler {name!r} needs the package {package}; install it with `pip install {install}`"
    library = _NEEDS_LIBRARY.get(name)
    folder = _samplers_folder()
    if library and folder is not None and not any(folder.rglob(library)):
        return (
            f"sampler {name!r} needs {library}, which this installation of CosmoSIS was built without; "
            "choose another sampler, or build CosmoSIS with it"
        )
    return None
