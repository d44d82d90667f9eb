"""What a command imports before it does anything: a production is started, and its processes are, again and again."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("astropy", "scipy", "numba", "cosmosis", "matplotlib", "h5py", "parsl")


@pytest.mark.parametrize(
    "module",
    [
        "orchestrator.cli.main",
        "orchestrator.production.production",  # the driver
        "orchestrator.production.work.chunk",  # a worker
        "orchestrator.production.work.fit_target",  # its watched process, as long as there are only functions
    ],
)
def test_what_only_fits_and_tables_need_is_not_imported(module):
    code = f"import sys, {module}; print(*(name for name in {HEAVY} if name in sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.split() == []
