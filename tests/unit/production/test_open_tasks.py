"""What is left of a target after some of its stages have been answered."""

from __future__ import annotations

import pytest

from orchestrator.production.open_tasks import open_tasks
from orchestrator.production.plan import Plan
from orchestrator.production.records import StagePlan, TaskOrder

# first -> second -> third, and one that needs nothing
PLAN = Plan(
    "test",
    (
        StagePlan("first"),
        StagePlan("second", needs=("first",)),
        StagePlan("third", needs=("second",)),
        StagePlan("other"),
    ),
)
TASKS = tuple(TaskOrder(stage.name) for stage in PLAN.stages)


def open_after(tasks, answered, failed):
    outcomes = {stage: "failed" if stage in failed else "done" for stage in (*answered, *failed)}
    return open_tasks(PLAN, tasks, outcomes)


@pytest.mark.parametrize(
    ("answered", "failed", "left"),
    [
        ((), (), ["first", "second", "third", "other"]),
        (("first",), (), ["second", "third", "other"]),
        (("first",), ("first",), ["other"]),
        (("first", "second"), ("second",), ["other"]),
        (("first", "other"), ("first",), []),
        (("first", "other"), ("other", "first"), []),
        (("other",), ("other",), ["first", "second", "third"]),
    ],
)
def test_what_has_no_answer_and_waits_for_nothing_that_failed(answered, failed, left):
    assert [task.stage for task in open_after(TASKS, answered, failed)] == left


def test_only_tasks_that_were_ordered_count():
    assert open_after(TASKS[2:3], (), ()) == TASKS[2:3]
    assert open_after(TASKS[1:3], (), ("first",)) == ()
