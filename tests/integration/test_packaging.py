"""What a user gets who installs the wheel: everything of the tree, and nothing beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("orchestrator", "modules", "values_templates")
FOLDER_IN_WHEEL = {
    "orchestrator": "orchestrator",
    "modules": "orchestrator/modules",
    "values_templates": "orchestrator/values_templates",
}
IGNORED = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.nbi", "*.nbc")


def expected_files(tree: Path) -> set[str]:
    """Every file of the three source folders, by its name inside the wheel."""
    expected = set()
    for source in SOURCES:
        for file in (tree / source).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                name = PurePosixPath(FOLDER_IN_WHEEL[source], *file.relative_to(tree / source).parts)
                expected.add(str(name))
    return expected


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command outside the tree and return its output; the output is in the failure as well."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    result = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Copy of the sources without anything that an earlier build left behind."""
    tree = tmp_path_factory.mktemp("a tree with spaces")
    for source in SOURCES:
        shutil.copytree(ROOT / source, tree / source, ignore=IGNORED)
    for name in ("pyproject.toml", "README.md", "MANIFEST.in"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, tree / name)
    return tree


@pytest.fixture(scope="module")
def wheel(tree):
    """Wheel built through the source distribution, with the tools of this environment: no download."""
    pytest.importorskip("build")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", "dist", ".", cwd=tree)
    (built,) = (tree / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Python of an environment that holds the wheel, and whose dependencies are those of this one."""
    folder = tmp_path_factory.mktemp("an installation")
    environment = folder / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=folder)
    python = environment / "bin" / "python"
    site_packages = Path(
        run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    )
    run(
        *(sys.executable, "-m", "pip", "--python", python, "install", "--quiet"),
        *("--no-deps", "--no-index", wheel),
        cwd=folder,
    )
    # After the wheel's own folder on sys.path, and only as a folder: its .pth files, so this tree, stay out.
    here = Path(pytest.__file__).resolve().parents[1]
    (site_packages / "dependencies.pth").write_text(f"{here}\n")
    return python


def test_wheel_holds_every_file_of_the_tree(tree, wheel):
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name and not name.endswith("/")}
    assert packed == expected_files(tree)


def test_wheel_has_one_top_level_package(wheel):
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"orchestrator"}


def test_modules_and_templates_are_in_the_wheel(wheel):
    from orchestrator.config.module_options import MODULES

    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for declaration in MODULES.values():
        assert f"orchestrator/modules/{declaration.file}.py" in names
    assert any(name.startswith("orchestrator/values_templates/") and name.endswith(".ini") for name in names)


def test_installed_package_is_the_wheel(installed, tmp_path):
    where = run(installed, "-c", "import orchestrator; print(orchestrator.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parents[1])


def test_installed_modules_and_templates_are_found_by_path(installed, tmp_path):
    script = """
from orchestrator.config.module_options import MODULES
from orchestrator.paths import module_file
from importlib.resources import files
assert MODULES
for declaration in MODULES.values():
    assert module_file(declaration.file).is_file(), declaration.file
names = [entry.name for entry in files("orchestrator.values_templates").iterdir()]
assert [name for name in names if name.endswith(".ini")]
import orchestrator.modules
"""
    run(installed, "-c", script, cwd=tmp_path)


def test_cosmosis_loads_installed_modules_by_path(installed, tmp_path):
    script = """
from cosmosis.runtime.module import Module
from orchestrator.config.module_options import MODULES
from orchestrator.paths import module_file
for declaration in MODULES.values():
    loaded = Module(declaration.class_name, str(module_file(declaration.file)))
    assert loaded.is_python and callable(loaded.setup_function), declaration.file
    assert callable(loaded.library.execute), declaration.file
"""
    run(installed, "-c", script, cwd=tmp_path)


def test_installed_command_answers(installed, tmp_path):
    assert "orchestrator" in run(installed.with_name("orchestrator"), "--help", cwd=tmp_path)
