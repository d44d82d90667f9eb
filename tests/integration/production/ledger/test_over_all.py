"""Stages over all targets in the ledger: when they run, what blocks them, what waits for them, what they made."""

from __future__ import annotations

import pytest
from ledger_records import done, failed, galaxy, register, states

from orchestrator.errors import ProductionError
from orchestrator.production.ledger.ledger import Ledger, open_ledger
from orchestrator.production.records import InputFile, StagePlan, Target
from orchestrator.production.selection import Selection

STAGES = (
    StagePlan("fit"),
    StagePlan("mean", kind="function", needs=("fit",), over="all", max_failed=0.25),
    StagePlan("offset", kind="function", needs=("fit", "mean")),
)


@pytest.fixture
def survey(url: str):
    with open_ledger(url, create=True, name="test", patience=20.0) as made:
        register(made, STAGES)
        made.begin_run()
        made.add_targets(galaxy(number) for number in range(1, 5))
        yield made


def test_it_waits_for_every_target_and_others_wait_for_it(survey: Ledger):
    assert survey.n_targets() == 4
    assert (states(survey, "mean"), states(survey, "offset")) == (["waiting"], ["waiting"] * 4)
    survey.commit([done(1, "fit"), done(2, "fit"), done(3, "fit")])
    assert states(survey, "mean") == ["waiting"]
    survey.commit([done(4, "fit")])
    assert states(survey, "mean") == ["ready"]
    (work,) = survey.next_work(10)
    assert (work.target_id, work.target.name, [task.stage for task in work.tasks]) == (0, "@all", ["mean"])
    survey.commit([done(0, "mean", columns={"remarks": "of all"})])
    assert states(survey, "offset") == ["ready"] * 4
    works = survey.next_work(10)
    assert [work.target_id for work in works] == [1, 2, 3, 4]
    assert {work.upstream_keys["mean"] for work in works} == {"mean-0"}
    assert {work.upstream_columns["mean"]["remarks"] for work in works} == {"of all"}


def test_its_tolerance_decides_on_failures(survey: Ledger):
    survey.commit([done(1, "fit"), done(2, "fit"), failed(3, "fit"), failed(4, "fit")])
    assert (states(survey, "mean"), states(survey, "offset")) == (["blocked"], ["blocked"] * 4)
    survey.retry(Selection(("NGC3",)))
    assert states(survey, "mean") == ["waiting"]
    survey.commit([done(3, "fit", attempt=2)])
    assert states(survey, "mean") == ["ready"]
    survey.commit([done(0, "mean")])
    assert states(survey, "offset") == ["ready", "ready", "ready", "blocked"]


def test_a_new_target_makes_it_wait_again(survey: Ledger):
    survey.commit([done(number, "fit") for number in range(1, 5)])
    before = survey.input_digest("fit")
    survey.add_targets([galaxy(5)])
    assert states(survey, "mean") == ["waiting"]
    assert survey.input_digest("fit") == before, "it has no result yet"
    survey.commit([done(5, "fit")])
    assert states(survey, "mean") == ["ready"]
    assert survey.input_digest("fit") != before


def test_a_stage_that_turns_into_one_over_all_has_one_task(survey: Ledger):
    register(survey, (STAGES[0], StagePlan("mean", kind="function", needs=("fit",)), STAGES[2]))
    assert states(survey, "mean") == ["waiting"] * 4
    register(survey, STAGES)
    assert states(survey, "mean") == ["waiting"]


def test_a_limit_counts_targets_and_not_all_of_them_together(survey: Ledger):
    assert {task.target for task in survey.tasks(Selection(limit=2))} == {"NGC1", "NGC2"}
    assert {task.target for task in survey.tasks(Selection(("@all",), limit=2))} == {"@all"}


def test_no_target_has_its_name(survey: Ledger):
    with pytest.raises(ProductionError, match="stands for all of them"):
        survey.add_targets([Target("@all")])


def test_products_are_found_by_path_and_by_content(survey: Ledger):
    file = InputFile("products/targets/NGC1/fit/a.txt", 3, 7, "abc")
    survey.commit([done(1, "fit", products=(file,)), done(2, "fit")])
    (product,) = survey.products()
    assert (product.target, product.stage, product.path, product.is_current) == ("NGC1", "fit", file.path, True)
    assert [one.target for one in survey.made_by(file.path, "")] == ["NGC1"]
    assert [one.target for one in survey.made_by("", "abc")] == ["NGC1"]
    assert survey.made_by("other", "") == []
