"""The statements that a large ledger is asked all the time read one index, and no more of it than they must."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa
from ledger_records import done

from orchestrator.production.ledger.targets import measure
from orchestrator.production.records import Target


@pytest.fixture
def busy(ledger):
    """Five thousand targets, a few of them done."""
    ledger.add_targets(Target(f"T{number}", {"x": number}) for number in range(5000))
    ledger.commit([done(number) for number in range(1, 300)])
    ledger.database.write(measure)
    return ledger


def plans(ledger, act):
    """Return how the database answers each question of `act`."""
    asked = []

    def note(connection, cursor, statement, parameters, context, many):
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    engine = ledger.database._reader
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        act()
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
    word = "EXPLAIN QUERY PLAN" if ledger.database.is_sqlite else "EXPLAIN (FORMAT JSON)"
    found = {}
    with ledger.database.reading() as connection:
        for statement, parameters in asked:
            rows = connection.exec_driver_sql(f"{word} {statement}", parameters).all()
            found[statement] = "\n".join(json.dumps(row[-1]) for row in rows)
    return found


# PostgreSQL reads a table of this size as a whole.
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_counting_reads_the_index_of_states_alone(busy):
    (plan,) = [plan for text, plan in plans(busy, busy.counts).items() if "count(*)" in text]
    assert "COVERING INDEX task_by_state" in plan


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_errors_are_found_without_looking_at_what_went_well(busy):
    (plan,) = [plan for text, plan in plans(busy, busy.errors).items() if "count(*)" in text]
    assert "USING INDEX task_with_error" in plan


def test_work_is_found_in_order_without_sorting(busy):
    found = plans(busy, lambda: busy.next_work(10))
    (plan,) = [plan for text, plan in found.items() if "DISTINCT" in text]
    assert "task_ready" in plan
    assert "TEMP B-TREE" not in plan
    assert '"Sort' not in plan
    assert "COVERING" in plan or "Index Only Scan" in plan


def test_no_page_of_work_reads_a_table_as_a_whole(busy):
    for text, plan in plans(busy, lambda: busy.next_work(10)).items():
        if "FROM task" in text or "FROM target" in text:
            assert "SCAN" not in plan, text
            assert "Seq Scan" not in plan, text
