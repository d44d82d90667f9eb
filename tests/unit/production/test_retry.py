"""The retry policy, class by class."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.production.records import ErrorClass, StagePlan, State, TaskRecord
from orchestrator.production.retry import DEFAULT_RETRIES, decide

STAGE = StagePlan("history")
FAILED = TaskRecord(target_id=1, stage="history", attempt=1, recipe=0, outcome="failed")


def attempt(error, **changes):
    return replace(FAILED, error_class=error, **changes)


def test_a_result_is_done():
    assert decide(replace(FAILED, outcome="done"), STAGE, {}).state == State.DONE


@pytest.mark.parametrize("error", list(ErrorClass))
def test_each_class_has_its_number_of_further_attempts(error):
    allowed = DEFAULT_RETRIES[error]
    states = [decide(attempt(error), STAGE, {error: n}).state for n in range(allowed + 1)]
    assert states == [State.READY] * allowed + [State.FAILED]


def test_attempts_of_another_class_do_not_count():
    assert decide(attempt(ErrorClass.UNKNOWN), STAGE, {ErrorClass.CRASH: 7}).state == State.READY


def test_a_stage_may_ask_for_more():
    stage = replace(STAGE, retries={"bad_input": 2})
    assert decide(attempt(ErrorClass.BAD_INPUT), stage, {"bad_input": 1}).state == State.READY


def test_a_lost_worker_does_not_count_and_a_target_that_loses_two_is_alone():
    first = decide(attempt(ErrorClass.LOST), STAGE, {})
    again = decide(attempt(ErrorClass.LOST), STAGE, {ErrorClass.LOST: 1})
    assert (first.counted, first.alone) == (False, False)
    assert (again.counted, again.alone) == (False, True)


@pytest.mark.parametrize("error", [ErrorClass.TIMEOUT, ErrorClass.OUT_OF_MEMORY])
def test_what_ran_out_of_time_or_memory_gets_twice_as_much_alone(error):
    decision = decide(attempt(error), STAGE, {}, budget=1.0)
    assert (decision.state, decision.budget, decision.alone) == (State.READY, 2.0, True)


def test_a_crash_keeps_its_budget():
    decision = decide(attempt(ErrorClass.CRASH), STAGE, {}, budget=2.0)
    assert (decision.budget, decision.alone) == (2.0, True)


def test_a_numerical_failure_takes_the_next_recipe_until_there_is_none():
    stage = replace(STAGE, recipes=({"runtime": {"sampler": "a"}}, {"runtime": {"sampler": "b"}}))
    taken = []
    record = attempt(ErrorClass.NUMERICAL)
    while (decision := decide(record, stage, {ErrorClass.NUMERICAL: len(taken)})).state == State.READY:
        taken.append(decision.recipe)
        record = replace(record, recipe=decision.recipe)
    assert taken == [1, 2]
    assert decision.state == State.FAILED
