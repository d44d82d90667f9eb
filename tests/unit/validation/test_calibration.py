"""The three tests pass exact posteriors and reject wrong ones; what failed counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from orchestrator.validation.calibration import Coverage, calibration_of, holm
from orchestrator.validation.controls import CONTROLS, altered
from orchestrator.validation.records import StageRecord
from orchestrator.validation.tarp import expected_coverage, reference_points, share_within

NAMES = ("gaussian--a", "gaussian--b", "gaussian--c")
RANGES = dict.fromkeys(NAMES, (-6.0, 6.0))
ROOT = np.array([[1.0, 0.0, 0.0], [0.8, 0.5, 0.0], [0.2, -0.3, 0.4]])


def exact(number: int, seed: int, scale: float = 1.0) -> list[StageRecord]:
    """Records of posteriors that are right (scale 1): truth and draws from the same Gaussian about the data."""
    rng = np.random.default_rng(seed)
    records = []
    for _ in range(number):
        centre = rng.normal(size=3)
        truth = centre + ROOT @ rng.normal(size=3)
        draws = centre + scale * rng.normal(size=(99, 3)) @ ROOT.T
        anywhere, nearby, root = reference_points(draws, rng)
        tarp = {
            "prior": share_within((draws + 6) / 12, (truth + 6) / 12, anywhere),
            "posterior": share_within(draws @ root, truth @ root, nearby @ root),
        }
        below = (draws < truth).sum(axis=0)
        records.append(
            StageRecord(
                "fit", NAMES, tuple(truth), tuple(draws.mean(axis=0)), tuple(draws.std(axis=0)),
                tuple((below + rng.random(3)) / 100), tuple(int(b) for b in below), tuple(map(tuple, draws)), tarp,
                effective_samples=500.0,
            )
        )  # fmt: skip
    return records


def test_exact_posteriors_pass():
    found = calibration_of(exact(300, 1))
    assert found.word == "calibrated"
    assert found.faults == ()
    assert min(found.tarp_p.values()) > 0.01
    for parameter in found.parameters:
        assert parameter.pull_rms == pytest.approx(1.0, abs=0.15)


def test_false_alarms_are_as_rare_as_the_thresholds_say():
    """Some 2 % of right pipelines may be rejected by p-values and 3 % by the coverage of three parameters."""
    rejected = sum(bool(calibration_of(exact(100, seed)).faults) for seed in range(60))
    assert rejected <= 9


@pytest.mark.parametrize("name", ["widths x 0.8", "bias of 0.3 sigma"])
def test_negative_controls_fail(name):
    records = exact(300, 2)
    assert calibration_of(altered(records, CONTROLS["as they are"], RANGES)).word == "calibrated"
    assert calibration_of(altered(records, CONTROLS[name], RANGES)).word == "not calibrated"


def test_tarp_near_the_posterior_sees_widths_that_ranks_hardly_do():
    found = calibration_of(exact(120, 3, scale=0.85))
    assert found.tarp_p["posterior"] < 1e-3
    assert found.tarp_p["posterior"] < min(parameter.rank_p for parameter in found.parameters)


def test_few_mocks_are_no_proof():
    assert calibration_of(exact(40, 7)).word == "too few mocks"


def test_a_handful_of_mocks_says_nothing_about_coverage():
    records = exact(10, 8)
    records[0] = replace(records[0], probability=(0.999, 0.5, 0.5))
    records[1] = replace(records[1], probability=(0.001, 0.5, 0.5))
    assert calibration_of(records).parameters[0].coverage[2].fraction <= 0.8
    assert calibration_of(records).word == "too few mocks"


def test_failures_count_as_truths_outside():
    records = exact(100, 5)
    before = calibration_of(records)
    records[:8] = [StageRecord.of_failure("fit", "StageError: no") for _ in range(8)]
    after = calibration_of(records)
    assert after.n_failed == 8
    assert after.number == 100
    assert after.word == "not calibrated"
    assert any("failed in 8 of 100" in fault for fault in after.faults)
    for one, other in zip(before.parameters, after.parameters, strict=True):
        assert other.coverage[2].held <= one.coverage[2].held
        assert other.coverage[2].number == 100


def test_flagged_and_poor_fits_are_counted_and_kept():
    records = exact(100, 6)
    records[0] = replace(records[0], flags=("few_samples",), few_samples=True, verdict="not_converged")
    found = calibration_of(records)
    assert (found.n_few, found.n_flagged, found.verdicts["not_converged"]) == (1, 1, 1)
    assert found.parameters[0].coverage[0].number == 100


def test_holm_against_its_definition():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_coverage_in_binomial_standard_deviations():
    found = Coverage(0.68, 180, 300)
    assert found.fraction == pytest.approx(0.6)
    assert found.sd == pytest.approx(np.sqrt(0.68 * 0.32 / 300))
    assert found.deviation == pytest.approx(-0.08 / found.sd)


def test_expected_coverage_of_uniform_shares_is_the_credibility():
    shares = np.random.default_rng(1).random(20000)
    level = np.array([0.1, 0.5, 0.9])
    np.testing.assert_allclose(expected_coverage(shares, level), level, atol=0.015)


def test_share_within_counts_draws_nearer_than_the_truth():
    draws = np.array([[0.0, 1.0], [2.0, 0.0], [0.5, 0.0], [0.0, 3.0]])
    assert share_within(draws, np.array([1.5, 0.0]), np.zeros(2)) == 0.5


def test_metric_of_the_reference_points_whitens():
    rng = np.random.default_rng(1)
    samples = rng.normal(size=(5000, 3)) @ ROOT.T
    _, nearby, root = reference_points(samples, rng)
    np.testing.assert_allclose(np.cov(samples @ root, rowvar=False), np.eye(3), atol=1e-8)
    assert np.linalg.norm((nearby - samples.mean(axis=0)) @ root) < 6
