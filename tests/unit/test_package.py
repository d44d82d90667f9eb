"""The front door of the package: cheap to import, exact in what it offers."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib

import pytest

import orchestrator

PUBLIC = {
    "MainPipeline",
    "Production",
    "Reader",
    "StageResult",
    "errors",
    "fit_catalogue",
    "load_run",
    "summarize_results",
}
HEAVY = {
    "astropy",
    "cosmosis",
    "emcee",
    "extinction",
    "h5py",
    "matplotlib",
    "mpi4py",
    "numba",
    "pydantic",
    "scipy",
    "speclite",
    "typer",
}


def loaded_after(statement: str) -> set[str]:
    """Return the top-level packages that a fresh interpreter holds after a statement."""
    script = f"{statement}\nimport json, sys\nprint(json.dumps(list(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in json.loads(result.stdout)}


@pytest.mark.parametrize("statement", ["import orchestrator", "from orchestrator import errors"])
def test_import_leaves_heavy_packages_alone(statement):
    before = loaded_after("pass")  # what the environment's own start-up files load is not ours
    assert (loaded_after(statement) - before) & HEAVY == set()


def test_import_of_the_pipeline_does_not_plot_or_compile():
    heavy = {"matplotlib", "numba", "cosmosis", "speclite"}
    assert (loaded_after("from orchestrator import MainPipeline") - loaded_after("pass")) & heavy == set()


def test_public_names_are_exactly_these():
    assert set(orchestrator.__all__) == PUBLIC
    assert set(dir(orchestrator)) >= PUBLIC
    for name in PUBLIC:
        assert getattr(orchestrator, name).__doc__, f"{name} has no docstring"


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="MainPipelin"):
        orchestrator.MainPipelin  # noqa: B018


def test_version_is_the_one_of_pyproject(project_root):
    declared = tomllib.loads((project_root / "pyproject.toml").read_text())["project"]["version"]
    assert importlib.metadata.version("galaxy-orchestrator") == declared


IMPORTED_BY_NAME = {"dust_extinction"}
"""Its modules of laws are imported by their names in a table."""


DISTRIBUTIONS = {"nautilus": "nautilus-sampler", "yaml": "pyyaml", "zmq": "pyzmq"}
"""Packages whose distribution has another name."""


def imported_packages(root):
    """Return the third-party packages that the source of the package imports anywhere."""
    found = set()
    for folder in ("orchestrator", "modules"):
        for file in (root / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    found |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"orchestrator"}


def test_dependencies_are_exactly_what_is_imported(project_root):
    project = tomllib.loads((project_root / "pyproject.toml").read_text())["project"]
    required = {re.match(r"[\w-]+", line).group() for line in project["dependencies"]}
    names = ("mpi", "specutils", "fsps", "slurm", "postgresql", "parquet", "ceci")
    extras = [line for name in names for line in project["optional-dependencies"][name]]
    optional = {re.match(r"[\w-]+", line).group() for line in extras}
    found = imported_packages(project_root) | IMPORTED_BY_NAME
    imported = {DISTRIBUTIONS.get(name, name) for name in found}
    assert imported - optional == required


def test_errors_of_the_package_have_one_root():
    names = [name for name in orchestrator.errors.__all__ if name.endswith("Error")]
    assert len(names) > 5
    for name in names:
        assert issubclass(getattr(orchestrator.errors, name), orchestrator.errors.OrchestratorError), name


@pytest.mark.parametrize(
    ("file", "module_class"),
    [
        ("kin_dust", "KinDustModule"),
        ("full_spectral_fit", "FullSpectralFitModule"),
        ("sfh_spectra", "SFHSpectraModule"),
        ("sfh_photometry", "SFHPhotometryModule"),
    ],
)
def test_modules_are_importable_by_the_users_path(file, module_class):
    module = importlib.import_module(f"orchestrator.modules.{file}")
    assert module.module is getattr(module, module_class)
    assert {"setup", "execute", "cleanup"} <= set(vars(module))
