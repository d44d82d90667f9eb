"""What every test shares: one thread per process, no display, marks by folder, SSP libraries on demand."""

from __future__ import annotations

import os

# Before numpy and matplotlib are imported by any test.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ["MPLBACKEND"] = "Agg"

from functools import cache
from pathlib import Path

import pytest

pytest.register_assert_rewrite("small_productions")  # what its `check` finds is shown as in a test

TESTS = Path(__file__).resolve().parent
KINDS = ("unit", "integration", "statistical")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the name of its folder."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in KINDS:
            item.add_marker(folder)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose SSP library is not on this machine, unless `make test` has promised that it is."""
    if os.environ.get("ORCHESTRATOR_REQUIRE_LIBRARIES"):
        return
    for mark in item.iter_markers("library"):
        for name in mark.args:
            reason = _why_library_is_missing(name)
            if reason:
                pytest.skip(reason)


@cache
def _why_library_is_missing(name: str) -> str:
    from orchestrator.errors import LibraryError
    from orchestrator.ssp_libraries.load import load_library

    try:
        load_library(name)
    except LibraryError as error:
        return str(error)
    return ""


@pytest.fixture(scope="session")
def project_root() -> Path:
    """Folder of pyproject.toml."""
    return TESTS.parent


@pytest.fixture(scope="session")
def example_data(project_root: Path) -> Path:
    """Excerpts of real spectra that the examples use too."""
    return project_root / "examples" / "data"
