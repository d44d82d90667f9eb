"""The examples of stages beyond fits, run as they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from orchestrator.production.check import check_run_file
from orchestrator.production.production import Production

EXAMPLES = Path(__file__).parents[3] / "examples"
pytestmark = pytest.mark.timeout(300)


def copied(folder: Path, *names: str) -> Path:
    for name in names:
        shutil.copytree(EXAMPLES / name, folder / name)
    return folder / names[0] / "run.yaml"


def test_a_rocket_pipeline_in_less_than_forty_lines(tmp_path):
    assert len((EXAMPLES / "rocket" / "rocket.py").read_text().splitlines()) < 40
    production = Production(copied(tmp_path, "rocket", "production", "data"))
    assert production.run().exit_code == 0
    found = production.results("rocket")
    rows = {row["target"]: row for row in found}
    assert len(rows) == 9
    assert rows["manga-5"]["flags"] == 1, "no good pixel: bad input, and no number"
    assert found["d4000"].mask.tolist().count(True) == 1
    low = [name for name, row in rows.items() if row["low_snr"]]
    assert 0 < len(low) < 8
    assert all(rows[name]["verdict"] == "flagged" and "signal-to-noise" in rows[name]["remarks"] for name in low)
    good = [row["d4000"] for row in rows.values() if not row["low_snr"] and not row["flags"]]
    (summary,) = production.results("summary")
    assert summary["n_good"] == len(good)
    assert summary["median_d4000"] == pytest.approx(np.median(good))


def test_mocks_with_and_without_a_line_are_fitted_and_gathered(tmp_path):
    production = Production(copied(tmp_path, "mocks"))
    assert check_run_file(production.run_file).n_targets == 12
    assert production.run().exit_code == 0
    fits = production.results("fit")
    truth = production.results("simulate")
    assert list(truth["amplitude"]) == [1.0 if "kind=line" in name else 0.0 for name in truth["target"]]
    # The error of an amplitude is noise / sqrt(sum of profile squared): 0.038 and 0.027 for the two widths.
    assert np.abs(fits["amplitude_best_fit"] - truth["amplitude"]).max() < 4 * 0.038
    (controls,) = production.results("collect")
    assert (controls["n_null"], controls["n_injected"]) == (6, 6)
    assert abs(controls["null_mean"]) < 4 * 0.038 / np.sqrt(6)
    assert 0.01 < controls["scatter"] < 0.1
    mock = production.folder / "products/targets/broad/kind=line/seed=2/simulate/mock.txt"
    assert np.loadtxt(mock).shape == (61, 3)
    mock.write_text("0 0 0.1\n")
    again = production.run()
    assert again.driven.n_done == 1, "the file is made again as it was, so that nothing else is stale"
