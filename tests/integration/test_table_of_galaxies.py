"""The example that makes a table of galaxies: one spectrum that is masked, through the command."""

from __future__ import annotations

import subprocess
import sys

import pytest
from astropy.table import Table


@pytest.mark.library("MIUSCAT")
def test_a_masked_spectrum_gets_one_clear_line(project_root, tmp_path):
    command = [sys.executable, str(project_root / "examples" / "table_of_galaxies.py"), "--rows", "5"]
    done = subprocess.run(
        [*command, "--without-desi", "--output", str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1, done.stderr
    table = Table.read(tmp_path / "table_of_galaxies.ecsv", format="ascii.ecsv")
    assert list(table["galaxy"]) == ["MaNGA 5"]
    assert "all 4563 pixels are masked; there is nothing to fit" in table["message"][0]
    assert "Traceback" not in done.stderr
