"""Selections and questions give the same answers on both databases."""

from __future__ import annotations

import pytest
from ledger_records import done, failed, galaxy

from orchestrator.errors import ConfigError, ProductionError
from orchestrator.production.columns import Column
from orchestrator.production.records import Target
from orchestrator.production.selection import Selection


@pytest.fixture
def mixed(filled):
    """Ten targets, some with results; NGC10 lacks a redshift, and one more has another kind of name."""
    other = Target("ngc1/seed=2", {"redshift": 5, "object": 2**60, "mixed": 3})
    filled.add_targets([galaxy(10, redshift=None), other])
    filled.add_targets([galaxy(9, mixed="three")])
    filled.ensure_columns("kinematics", [Column("los_vel", "float", "km/s"), Column("good_fit", "bool")])
    columns = [{"los_vel": 100.0 * number, "good_fit": number % 2 == 0} for number in range(4)]
    filled.commit([done(number, columns=columns[number]) for number in (1, 2, 3)] + [failed(4)])
    return filled


def names(ledger, **fields):
    return [task.target for task in ledger.tasks(Selection(stages=("kinematics",), **fields))]


def numbers(*of):
    return [f"NGC{number}" for number in of]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("redshift < 0.25", numbers(1, 2)),
        ("0.25 <= redshift < 0.45 and n_good != 3", numbers(4)),
        ("redshift is None", numbers(10)),
        ("not redshift < 5", ["ngc1/seed=2"]),
        ("kind == 'spiral' and barred", numbers(7, 9)),
        ("not barred and n_good in (2, 3, 8)", numbers(2, 3)),
        ("n_good / 4 > 2.2", numbers(9, 10)),
        ("1 / (n_good - 1) > 0.4", numbers(2, 3)),
        ("object == 1152921504606846976", ["ngc1/seed=2"]),
        ("mixed == '3' or mixed == 'three'", [*numbers(9), "ngc1/seed=2"]),
        ("kinematics.los_vel > 150", numbers(2, 3)),
        ("kinematics.good_fit", numbers(2)),
        ("kinematics.los_vel / redshift > 999 or name == 'NGC9'", numbers(1, 2, 3, 9)),
        ("Stellar_history.flags is not None", []),
        ("kinematics.verdict == 'ok' and kinematics.flags == 0", numbers(1, 2, 3)),
    ],
)
def test_expressions(mixed, where, expected):
    assert names(mixed, where=where) == expected


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (("NGC3",), numbers(3)),
        (("NGC1*",), numbers(1, 10)),
        (("ngc1*",), ["ngc1/seed=2"]),
        (("?GC1?", "*=2"), [*numbers(10), "ngc1/seed=2"]),
        (("NGC_",), []),
        (("%",), []),
        (("*.*",), []),
    ],
)
def test_names_and_patterns(mixed, patterns, expected):
    assert names(mixed, targets=patterns) == expected


def test_limits_count_targets_that_have_what_is_asked_for(mixed):
    assert names(mixed, limit=2) == numbers(1, 2)
    assert names(mixed, states=("ready", "failed"), limit=2) == numbers(4, 5)
    assert names(mixed, where="redshift > 0.25", states=("done",), limit=2) == numbers(3)
    assert mixed.counts(Selection(limit=4)) == {
        "kinematics": {"done": 3, "failed": 1},
        "Stellar_history": {"ready": 3, "blocked": 1},
        "colours": {"ready": 4},
    }
    assert mixed.counts(Selection(states=("failed",))) == {
        "kinematics": {"failed": 1}, "Stellar_history": {}, "colours": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"where": "redshfit > 1"}, "did you mean 'redshift'"),
        ({"where": "kinematics.los_val > 1"}, "did you mean 'los_vel'"),
        ({"stages": ("kinematic",)}, "did you mean 'kinematics'"),
        ({"states": ("fail",)}, "did you mean 'failed'"),
    ],
)
def test_a_wrong_name_gets_the_nearest(mixed, fields, part):
    with pytest.raises(ConfigError, match=part):
        list(mixed.tasks(Selection(**fields)))


def test_results_follow_the_selection(mixed):
    results = mixed.results("kinematics", Selection(where="n_good > 1", limit=1))
    assert [row[0] for row in results.rows] == ["NGC2"]
    with pytest.raises(ConfigError, match="no stage"):
        mixed.results("nothing")


def test_pages_hold_whole_targets(mixed):
    from orchestrator.production.ledger.reading import target_pages
    from orchestrator.production.ledger.schema import task

    statement = task.select().order_by(task.c.target_id)
    for size in (1, 2, 4, 33, 100):
        pages = list(target_pages(mixed.database, statement, task.c.target_id, size))
        seen = [row.target_id for page in pages for row in page]
        assert seen == sorted(list(range(1, 12)) * 3)
        assert all(len(page) % 3 == 0 for page in pages)


def test_questions_in_sql(mixed):
    question = "SELECT name, target_id FROM target WHERE name LIKE 'NGC%' ORDER BY target_id;"
    answer = mixed.select_sql(question, limit=3)
    assert answer.names == ("name", "target_id")
    assert answer.rows == [("NGC1", 1), ("NGC2", 2), ("NGC3", 3)]
    assert not answer.complete
    assert mixed.select_sql('SELECT count(*) FROM "result_kinematics"').rows == [(3,)]


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM task",
        "DROP TABLE task",
        "UPDATE task SET state = 'done'",
        "SELECT 1; DELETE FROM task",
        "SELECT 1; COMMIT; DELETE FROM task",
        "COMMIT",
        "WITH gone AS (DELETE FROM task RETURNING 1) SELECT * FROM gone",
        "CREATE TABLE mine (a int)",
        "SELEC 1",
        "",
    ],
)
def test_sql_cannot_change_anything(mixed, text):
    before = mixed.counts()
    with pytest.raises(ProductionError):
        mixed.select_sql(text)
    assert mixed.counts() == before
    assert mixed.select_sql("SELECT 1").rows == [(1,)]
