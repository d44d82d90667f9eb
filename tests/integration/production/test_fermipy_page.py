"""The page for users of fermipy.jobs, from top to bottom: its files are written, its commands are run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "fermipy.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.timeout(300)
def test_every_block_of_the_page_does_what_it_says(tmp_path):
    said = []
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for kind, text in _BLOCK.findall(PAGE.read_text()):
        if kind in ("python", "yaml"):
            name = text.partition("\n")[0].removeprefix("# ")
            (tmp_path / name).write_text(text)
            continue
        done = subprocess.run(
            ["bash", "-e", "-c", text], cwd=tmp_path, env={**os.environ, "PATH": path, "PYTHONPATH": str(tmp_path)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        said.append(done.stdout)
    link, chain, archive, files = said
    assert "Counts(n_events=1)" in link
    assert "--least" in link
    assert "threshold in GeV" in link
    assert (tmp_path / "alone" / "selected.txt").read_text() == "2.5\n"
    assert "orchestrator stage steps:select --least 2.0 --events" in link
    assert chain.splitlines()[-2] == "2.5", "the highest energy of the Crab"
    assert chain.splitlines()[-1].startswith("head -n 1 ")
    jobs = {job["stage"]: job for job in json.loads((tmp_path / "jobs.json").read_text())}
    assert {name: job["counts"]["done"] for name, job in jobs.items()} == {
        "select": 3, "bins_ordered": 3, "bins_highest": 3, "total": 1
    }  # fmt: skip
    assert all(job["verdict"] == "complete" for job in jobs.values())
    assert "select" in archive
    assert "stage     bins_highest" in files
    assert "target    crab" in files
