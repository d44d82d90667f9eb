"""The layers of the package: who may import whom, read from the source without running it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST_LINES = 450

# Each layer may import itself and every layer before it. Layers in one row do not see each other.
LAYERS = (
    ("errors", "paths"),
    ("stage",),
    ("physics",),
    ("observation", "ssp_libraries"),
    ("config",),
    ("forward_model",),
    ("adapters",),
    ("fit",),
    ("report",),
    ("main_pipeline",),
    ("validation", "production"),
    ("interop",),
    ("cli",),
)
RANK = {name: rank for rank, row in enumerate(LAYERS) for name in row}
BELOW_FIT = {name for name, rank in RANK.items() if rank < RANK["fit"]}
# The other side of CosmoSIS: they draw through `report`, but only when asked to, so inside a function.
DRAW_LAZILY = {"adapters", "modules"}

# A third-party package -> the only layers that may import it.
RESERVED = {
    "matplotlib": {"report"},
    "typer": {"cli"},
    "rich": {"cli", "production"},
    "cosmosis": {"config", "adapters", "fit", "report", "main_pipeline", "cli", "modules"},
    "mpi4py": {"fit", "interop", "cli"},
    "sqlalchemy": {"production"},
    "psycopg": {"production"},
    "parsl": {"production"},
    "ceci": {"interop"},
}
ALLOWED_IN_PHYSICS = {"dust_extinction", "llvmlite", "numpy", "scipy", "numba", "extinction", "celerite2"}


@dataclass(frozen=True)
class Import:
    """One imported name, fully dotted, and where it stands."""

    name: str
    line: int
    inside_function: bool
    relative: bool


def imports_of(source: str, package: str) -> Iterator[Import]:
    """Yield every import of a source text; relative ones are resolved against `package`."""

    def visit(node: ast.AST, inside_function: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inside = inside_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(alias.name, child.lineno, inside, relative=False)
            elif isinstance(child, ast.ImportFrom):
                origin = child.module or ""
                if child.level:
                    parents = package.split(".")[: len(package.split(".")) - child.level + 1]
                    origin = ".".join([*parents, *filter(None, [origin])])
                for alias in child.names:
                    yield Import(f"{origin}.{alias.name}", child.lineno, inside, relative=bool(child.level))
            else:
                yield from visit(child, inside)

    yield from visit(ast.parse(source), inside_function=False)


def faults_of(source: str, layer: str, package: str = "orchestrator") -> list[str]:
    """Return what is wrong with the imports of one file of a layer (or of ``modules``)."""
    faults = []
    for found in imports_of(source, package):
        top, *rest = found.name.split(".")
        if top == "orchestrator" and rest and (rest[0] in RANK or rest[0] == "modules"):
            faults += _internal_faults(found, layer, rest[0])
        elif top != "orchestrator":
            faults += _external_faults(found, layer, top)
        if layer == "modules" and found.relative:
            faults.append(f"line {found.line}: a relative import does not survive loading by path")
    return faults


def _internal_faults(found: Import, layer: str, target: str) -> list[str]:
    below = BELOW_FIT if layer == "modules" else {name for name in RANK if RANK[name] < RANK[layer]} | {layer}
    draws = target == "report" and layer in DRAW_LAZILY and found.inside_function
    allowed = target in below or draws
    return [] if allowed else [f"line {found.line}: {layer} imports {found.name}"]


def _external_faults(found: Import, layer: str, top: str) -> list[str]:
    third_party = top not in sys.stdlib_module_names
    if layer == "physics" and third_party and top not in ALLOWED_IN_PHYSICS:
        return [f"line {found.line}: physics imports {found.name}"]
    if layer not in RESERVED.get(top, {layer}):
        return [f"line {found.line}: {layer} imports {found.name}, kept for {sorted(RESERVED[top])}"]
    if layer == "modules" and top == "cosmosis" and not found.name.startswith("cosmosis.datablock"):
        return [f"line {found.line}: a module imports {found.name}; only cosmosis.datablock is for modules"]
    return []


def package_files() -> list[Path]:
    """Every Python file of the package, `modules` included, but the lazy front door."""
    front_door = ROOT / "orchestrator" / "__init__.py"
    files = [*(ROOT / "orchestrator").rglob("*.py"), *(ROOT / "modules").glob("*.py")]
    return sorted(file for file in files if file != front_door)


def layer_and_package(file: Path) -> tuple[str, str]:
    """Return the layer of a file and the dotted name of the package that holds it."""
    parts = file.relative_to(ROOT).parts
    if parts[0] == "modules":
        return "modules", "orchestrator.modules"
    return parts[1].removesuffix(".py"), ".".join(parts[:-1])


@pytest.mark.parametrize("file", package_files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_only_from_the_layers_below(file):
    layer, package = layer_and_package(file)
    assert layer in RANK or layer == "modules", f"{layer!r} has no place in LAYERS"
    assert faults_of(file.read_text(), layer, package) == []


@pytest.mark.parametrize(
    ("source", "layer"),
    [
        ("from orchestrator.fit.chain import Chain", "physics"),
        ("from orchestrator import config", "observation"),
        ("import orchestrator.cli.main", "report"),
        ("from orchestrator.observation.spectrum import Spectrum", "ssp_libraries"),
        ("def f():\n    from orchestrator.modules.kin_dust import module", "fit"),
        ("import matplotlib.pyplot as plt", "fit"),
        ("from astropy import units", "physics"),
        ("from orchestrator.modules import kin_dust", "modules"),
        ("from .kin_dust import module", "modules"),
        ("from orchestrator.report.spectrum_figure import plot_spectrum", "modules"),
        ("from cosmosis.runtime import Inifile", "modules"),
    ],
)
def test_a_forbidden_import_is_found(source, layer):
    package = "orchestrator.modules" if layer == "modules" else "orchestrator"
    assert faults_of(source, layer, package)


@pytest.mark.parametrize(
    ("source", "layer"),
    [
        ("from orchestrator.physics.losvd import losvd_rfft", "observation"),
        ("from orchestrator.stage import Stage", "config"),
        ("def plot():\n    from orchestrator.report.spectrum_figure import plot_spectrum", "modules"),
        ("def plot():\n    from orchestrator.report.spectrum_figure import plot_spectrum", "adapters"),
        ("from cosmosis.datablock import option_section", "modules"),
        ("from scipy.special import log_ndtr", "physics"),
    ],
)
def test_an_allowed_import_passes(source, layer):
    assert faults_of(source, layer) == []


def test_a_relative_import_is_resolved():
    (found,) = imports_of("from ..fit import chain", "orchestrator.physics")
    assert found.name == "orchestrator.fit.chain"


def loaded_by_path() -> list[Path]:
    """Files that CosmoSIS puts into ``sys.modules`` under their bare name."""
    folders = (ROOT / "modules", ROOT / "orchestrator" / "fit" / "samplers")
    return [file for folder in folders for file in folder.glob("*.py") if file.stem != "__init__"]


def test_names_of_files_loaded_by_path_are_unique():
    names = [file.stem for file in loaded_by_path()]
    assert sorted(names) == sorted(set(names))
    taken = set(sys.stdlib_module_names) | set(RESERVED) | ALLOWED_IN_PHYSICS | {"orchestrator"}
    assert taken.isdisjoint(names)


def test_no_drawer_for_leftovers():
    leftovers = {"utils", "util", "helpers", "misc", "common", "tools"}
    assert [file for file in package_files() if file.stem in leftovers] == []


def test_files_stay_readable():
    folders = ("orchestrator", "modules", "tests", "examples", "benchmarks")
    lengths = {
        str(file.relative_to(ROOT)): len(file.read_text().splitlines())
        for folder in folders
        for file in (ROOT / folder).rglob("*.py")
    }
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}
