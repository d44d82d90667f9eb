"""A validation goes on where it stopped, and counts what failed."""

from __future__ import annotations

import fcntl
import json

import numpy as np
import pytest
from gaussian_stages import gaussian_stage

from orchestrator.errors import ConfigError
from orchestrator.validation.records import read_records
from orchestrator.validation.study import LOCK, RECORDS, run_mocks
from orchestrator.validation.validate import validate


def run(config, folder, number, seed=3):
    return run_mocks(config, folder, number=number, seed=seed, processes=1)


@pytest.mark.timeout(120)
def test_interrupted_or_not_the_records_are_the_same(gaussian, tmp_path):
    config = gaussian()
    whole = run(config, tmp_path / "whole", 4)
    run(config, tmp_path / "parts", 2)
    records = tmp_path / "parts" / RECORDS
    with records.open("a") as file:
        file.write('{"index": 2, "seed"')  # killed while it wrote
    parts = run(config, tmp_path / "parts", 4)
    assert [mock.index for mock in parts] == [0, 1, 2, 3]
    for one, other in zip(whole, parts, strict=True):
        assert one.truth == other.truth
        assert one.stages[0].rank == other.stages[0].rank
        assert one.stages[0].draws == other.stages[0].draws
    assert len(records.read_text().splitlines()) == 4
    assert run(config, tmp_path / "parts", 3) == parts[:3]


def test_another_seed_or_pipeline_is_refused(gaussian, tmp_path):
    run(gaussian(), tmp_path / "out", 1)
    with pytest.raises(ConfigError, match="changed: seed"):
        run(gaussian(), tmp_path / "out", 1, seed=4)
    wider = gaussian_stage(GaussianTarget={"mean": [1.0, -2.0], "sigma": [0.6, 2.0]})
    with pytest.raises(ConfigError, match="changed: pipeline, truth"):
        run(gaussian(wider), tmp_path / "out", 1)


def test_a_second_process_is_kept_out(gaussian, tmp_path):
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another validation is adding mocks"):
            run(gaussian(), tmp_path / "out", 1)


@pytest.mark.timeout(120)
def test_posteriors_of_a_known_target(gaussian, tmp_path):
    """Means and widths are the target's about the mock datum; the truth is drawn from the prior."""
    (mock,) = run(gaussian(), tmp_path / "out", 1)
    (stage,) = mock.stages
    assert stage.failure == ""
    np.testing.assert_allclose(stage.width, [0.5, 2.0], rtol=0.25)
    assert set(mock.truth) == {"gaussian--x_1", "gaussian--x_2"}
    for mean, truth, width in zip(stage.mean, stage.truth, stage.width, strict=True):
        assert abs(mean - truth) < 5 * width
    assert len(stage.draws) == 99
    assert set(stage.tarp) == {"prior", "posterior"}


@pytest.mark.timeout(120)
def test_a_stage_that_fails_is_a_record_and_blocks_only_what_needs_it(gaussian, tmp_path):
    (tmp_path / "mine.py").write_text(
        "def setup(options):\n    raise RuntimeError('the lamp went out')\n"
        "def execute(block, when):\n    return 0\n"
    )
    broken = gaussian_stage(
        "broken", pipeline={"modules": "Mine", "likelihoods": "mine"}, Mine={"file": str(tmp_path / "mine.py")}
    )
    broken.pop("GaussianTarget")
    last = gaussian_stage("last", stage={"needs": ["broken"]})
    alone = gaussian_stage("alone", stage={"needs": []})
    config = gaussian(broken, last, alone)
    from dataclasses import replace

    config = replace(config, truth=gaussian().pipeline)
    (mock,) = run(config, tmp_path / "out", 1)
    assert "the lamp went out" in mock.stages[0].failure
    assert mock.stages[1].failure == "an earlier stage failed"
    assert mock.stages[2].failure == ""
    assert read_records(tmp_path / "out" / RECORDS)[0] == mock


@pytest.mark.timeout(120)
def test_validate_leaves_verdict_and_figure(gaussian, tmp_path):
    seen = []
    verdict = validate(
        gaussian(), tmp_path / "out", number=3, seed=1, progress=lambda done, number: seen.append((done, number))
    )
    assert verdict.word == "too few mocks"
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    content = json.loads((tmp_path / "out" / "verdict.json").read_text())
    assert content["verdict"] == "too few mocks"
    assert content["stages"][0]["mocks"] == 3
    assert set(content["stages"][0]["parameters"]["gaussian--x_1"]["coverage"]) == {"0.50", "0.68", "0.95"}
    assert (tmp_path / "out" / "calibration_target.png").stat().st_size > 10_000
    assert "too few" in content["sentence"] or "cannot show" in content["sentence"]
    assert "gaussian--x_2" in verdict.to_text()


def test_one_mock_is_no_validation(gaussian, tmp_path):
    with pytest.raises(ConfigError, match="at least 2 mocks"):
        validate(gaussian(), tmp_path / "out", number=1)
