"""Targets come in once, stages come and go."""

from __future__ import annotations

import dataclasses

import pytest
from ledger_records import STAGES, done, failed, galaxy, register, states

from orchestrator.errors import ProductionError
from orchestrator.production.columns import Column
from orchestrator.production.ledger.ledger import open_ledger
from orchestrator.production.ledger.targets import BATCH
from orchestrator.production.records import StagePlan, Target


def test_every_target_has_a_task_of_every_stage(filled):
    assert filled.counts() == {
        "kinematics": {"ready": 10},
        "Stellar_history": {"waiting": 10},
        "colours": {"ready": 10},
    }
    assert filled.n_targets() == 10
    assert filled.target("NGC3") == (3, galaxy(3))
    assert filled.target("NGC99") is None


def test_the_same_table_again_changes_nothing(filled):
    again = filled.add_targets(galaxy(number) for number in range(1, 11))
    assert (again.n_new, again.n_changed, again.n_same) == (0, 0, 10)
    assert sum(sum(by.values()) for by in filled.counts().values()) == 30


def test_new_and_changed_rows_are_told_apart(filled):
    filled.commit([done(2)])
    table = [galaxy(2, redshift=9.0), galaxy(1), galaxy(11), Target("NGC3", galaxy(3).values, {"a.b": 1})]
    added = filled.add_targets(table)
    assert (added.n_new, added.n_changed, added.n_same, added.changed) == (1, 2, 1, (2, 3))
    assert filled.target("NGC2")[1].values["redshift"] == 9.0
    assert filled.target("NGC3")[1].overrides == {"a.b": 1}
    assert states(filled, "kinematics") == ["ready", "done"] + ["ready"] * 9


def test_more_than_one_batch_is_streamed(ledger):
    read = []

    def table():
        for number in range(2 * BATCH + 5):
            read.append(number)
            if number == 2 * BATCH:
                assert ledger.n_targets() == 2 * BATCH  # what came before is committed
            yield Target(f"T{number}", {"x": number})

    assert ledger.add_targets(table()).n_new == 2 * BATCH + 5
    assert ledger.counts()["kinematics"] == {"ready": 2 * BATCH + 5}


@pytest.mark.parametrize("second", [1, BATCH + 1])
def test_a_name_that_comes_twice_is_refused(ledger, second):
    table = [Target("A", {"x": 1}), *(Target(f"T{n}") for n in range(second)), Target("A", {"x": 2})]
    with pytest.raises(ProductionError, match="'A' comes twice"):
        ledger.add_targets(table)


def test_an_empty_name_is_refused(ledger):
    with pytest.raises(ProductionError, match="empty name"):
        ledger.add_targets([Target("", {"x": 1})])


def test_awkward_names_and_values_come_back(ledger):
    values = {"text": 'x"y\\z', "big": 2**53, "small": 1e-300, "nothing": None, "large": 1e22}
    awkward = Target("a'b\"c/seed=1 %s é", values)
    ledger.add_targets([awkward])
    assert ledger.target(awkward.name)[1] == awkward
    assert ledger.next_work(1)[0].target == awkward


def test_a_new_stage_gets_tasks_for_old_targets(filled):
    filled.commit([done(1), failed(2)])
    register(filled, (*STAGES, StagePlan("photometry", needs=("kinematics",))))
    assert filled.counts()["photometry"] == {"ready": 1, "blocked": 1, "waiting": 8}


def test_a_stage_that_went_is_out_of_sight_and_comes_back(filled):
    filled.commit([done(1, "colours")])
    register(filled, STAGES[:2])
    filled.add_targets([galaxy(11)])
    assert list(filled.counts()) == ["kinematics", "Stellar_history"]
    assert all(order.stage != "colours" for work in filled.next_work(20) for order in work.tasks)
    register(filled, STAGES)
    assert filled.counts()["colours"] == {"ready": 10, "done": 1}
    assert [row[0] for row in filled.results("colours").rows] == ["NGC1"]


def test_a_changed_order_changes_what_waits(filled):
    filled.commit([done(1)])
    colours_last = dataclasses.replace(STAGES[2], needs=("Stellar_history",))
    register(filled, (*STAGES[:2], colours_last))
    assert filled.counts()["colours"] == {"waiting": 10}


@pytest.mark.parametrize("name", ["KINEMATICS", "a-b", "x" * 60, "1st"])
def test_names_that_cannot_name_a_table_are_refused(ledger, name):
    with pytest.raises(ProductionError, match=name):
        register(ledger, (*STAGES, StagePlan(name)))
    assert list(ledger.counts()) == [stage.name for stage in STAGES]


def test_columns_are_added_as_results_bring_them(filled):
    filled.commit([done(1)])
    mass = Column("log_mass", "float", "dex(Msun)", "stellar mass", "Mass")
    filled.ensure_columns("kinematics", [mass, Column("n_pixels", "int")])
    filled.commit([done(2, columns={"log_mass": 10.5, "n_pixels": 3}), done(3, columns={"log_mass": float("nan")})])
    results = filled.results("kinematics")
    names = [column.name for column in results.columns]
    assert mass in results.columns
    rows = {row[0]: dict(zip(names, row, strict=True)) for row in results.rows}
    assert [rows[f"NGC{n}"]["log_mass"] for n in (1, 2, 3)] == [None, 10.5, None]
    assert [rows[f"NGC{n}"]["n_pixels"] for n in (1, 2, 3)] == [None, 3, None]


def test_whole_numbers_may_become_others(filled):
    filled.ensure_columns("kinematics", [Column("x", "int")])
    filled.commit([done(1, columns={"x": 2})])
    filled.ensure_columns("kinematics", [Column("x", "float", "", "better")])
    filled.commit([done(2, columns={"x": 2.5})])
    results = filled.results("kinematics")
    place = [column.name for column in results.columns].index("x")
    found = [row[place] for row in results.rows]
    assert found == [2.0, 2.5]
    assert [type(value) for value in found] == [float, float]
    assert results.columns[place].description == "better"


@pytest.mark.parametrize(
    ("column", "part"),
    [
        (Column("x", "text"), "holds values of kind 'float'"),
        (Column("x", "float", "m/s"), "would be in 'm/s'"),
        (Column("key", "text"), "the ledger itself has"),
        (Column("Upper", "int"), "cannot name a column"),
        (Column("y", "complex"), "kind 'complex'"),
    ],
)
def test_a_column_that_cannot_be_is_refused(ledger, column, part):
    ledger.ensure_columns("kinematics", [Column("x", "float", "km/s")])
    ledger.ensure_columns("kinematics", [Column("x", "float", "km / s")])
    with pytest.raises(ProductionError, match=part):
        ledger.ensure_columns("kinematics", [column])


def test_a_second_process_finds_it_all(filled, url):
    filled.commit([done(1)])
    with open_ledger(url, read_only=True, name="test") as reader:
        assert reader.name == "test"
        assert reader.counts() == filled.counts()
        assert reader.runs()[0]["versions"] == {"cosmosis": "3.26"}
        with pytest.raises(ProductionError, match="reading only"):
            reader.release_running()
