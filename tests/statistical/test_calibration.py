"""Posteriors of a galaxy's photometry are calibrated: the small version of ``benchmarks/study_calibration.py``.

60 galaxies drawn from the prior go through the code of `orchestrator validate`: eight bands at S/N 20, four
parameters, posteriors that fill their ranges. Seed and thresholds are those of the study (docs/calibration.md); the
same draws with widths x 0.8, or shifted by 0.3 sigma, are rejected.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from orchestrator.validation.calibration import calibration_of
from orchestrator.validation.config_file import validation_config
from orchestrator.validation.controls import CONTROLS, altered
from orchestrator.validation.records import read_records
from orchestrator.validation.study import RECORDS
from orchestrator.validation.validate import validate

NUMBER, SEED = 60, 2026
BANDS = {
    "sdss2010-u": 29.1, "sdss2010-g": 65.0, "sdss2010-r": 94.3, "sdss2010-i": 114.0, "sdss2010-z": 129.0,
    "twomass-J": 158.0, "twomass-H": 186.0, "twomass-Ks": 143.0,
}  # fmt: skip
RANGES = {
    "stars.sfh": {"logtau": (-0.5, 1.5), "ism_metallicity_today": (0.005, 0.03), "alpha_powerlaw": (0.0, 2.0)},
    "dust.extinction": {"a_v": (0.0, 2.0)},
}


def pipeline(folder: Path) -> dict:
    rows = [f"{band} {flux} {flux / 20}\n" for band, flux in BANDS.items()]
    (folder / "photometry.dat").write_text("".join(rows))
    return {
        "runtime": {"sampler": "multistart ensemble"},
        "ensemble": {"walkers": 32, "nsteps": 25, "max_samples": 2000, "max_rhat": 1.05, "autocorrelation_times": 30},
        "output": {"filename": "fit"},
        "pipeline": {"modules": "SFHPhotometry"},
        "SFHPhotometry": {
            "inputPhotometry": "photometry.dat", "redshift": 0.05, "fluxUnits": "uJy", "SSPModel": "PopStar",
            "SFHModel": "ExponentialSFH", "ExtinctionLaw": "ccm89",
        },
        "values": {s: {n: f"{low} {high}" for n, (low, high) in e.items()} for s, e in RANGES.items()},
    }  # fmt: skip


@pytest.mark.library("PopStar")
@pytest.mark.timeout(600)
def test_posteriors_of_photometry_are_calibrated_and_wrong_ones_are_not(tmp_path):
    config = validation_config([pipeline(tmp_path)], tmp_path)
    verdict = validate(config, tmp_path / "out", number=NUMBER, seed=SEED, processes=2)
    (stage,) = verdict.stages
    assert stage.faults == ()
    assert stage.n_failed == 0
    assert stage.n_few <= NUMBER // 10
    assert json.loads((tmp_path / "out" / "verdict.json").read_text())["verdict"] == "too few mocks"
    # all parameters together, with three times the power of one: 240 intervals, though not independent ones
    held = np.mean([parameter.coverage[1].fraction for parameter in stage.parameters])
    assert held == pytest.approx(0.68, abs=0.09)

    records = [mock.stages[0] for _, mock in sorted(read_records(tmp_path / "out" / RECORDS).items())]
    ranges = {f"{s}--{n}": ends for s, entries in RANGES.items() for n, ends in entries.items()}
    found = {name: calibration_of(altered(records, change, ranges)) for name, change in CONTROLS.items()}
    assert found["as they are"].faults == ()
    assert found["widths x 0.8"].faults
    assert found["bias of 0.3 sigma"].faults
