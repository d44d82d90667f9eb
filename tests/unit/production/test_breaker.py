"""A stage that fails everywhere is stopped; one that fails here and there is not."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.production.breaker import Breaker
from orchestrator.production.records import ErrorClass, StagePlan, TaskRecord

STAGES = (StagePlan("kinematics", max_failed=0.5), StagePlan("history", max_failed=0.5))


def record(error="", stage="kinematics"):
    outcome = "failed" if error else "done"
    return TaskRecord(1, stage, 1, 0, outcome, error_class=error, message="no template for\nthis galaxy.")


def feed(breaker, errors, stage="kinematics"):
    return [tripped for error in errors if (tripped := breaker.see(record(error, stage)))]


def test_it_trips_once_when_everything_fails_alike():
    (tripped,) = feed(Breaker(STAGES), [ErrorClass.UNKNOWN] * 60)
    assert tripped.stage == "kinematics"
    assert tripped.n_attempts == 20
    assert "no template for this galaxy." in str(tripped)
    assert "orchestrator retry --stage kinematics" in str(tripped)


def test_a_few_attempts_say_nothing():
    assert feed(Breaker(STAGES), [ErrorClass.UNKNOWN] * 19) == []


def test_failures_of_different_kinds_are_not_one_cause():
    mixed = [ErrorClass.UNKNOWN, ErrorClass.NUMERICAL, ErrorClass.CRASH] * 30
    assert feed(Breaker(STAGES), mixed) == []


@pytest.mark.parametrize("error", [ErrorClass.LOST, ErrorClass.BAD_INPUT])
def test_lost_workers_and_bad_input_are_not_the_stage(error):
    assert feed(Breaker(STAGES), [error] * 200) == []


def test_stages_are_counted_apart():
    breaker = Breaker(STAGES)
    feed(breaker, [ErrorClass.UNKNOWN] * 15)
    assert feed(breaker, [ErrorClass.UNKNOWN] * 15, stage="history") == []


def test_only_recent_attempts_count():
    breaker = Breaker(STAGES)
    errors = np.random.default_rng(3).permutation([ErrorClass.UNKNOWN] * 200 + [""] * 800)
    assert feed(breaker, errors) == []
    assert len(feed(breaker, [ErrorClass.UNKNOWN] * 50)) == 1
