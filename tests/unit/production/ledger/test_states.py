"""States of a target's tasks: a pure function, and its twin inside the database."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.production.ledger.schema import metadata, task
from orchestrator.production.ledger.states import DERIVED, Graph, next_states, refresh_states, settle
from orchestrator.production.records import State


@st.composite
def graphs(draw, n_targets=1):
    """Stages that each need some earlier ones, and states of some targets."""
    names = [f"s{number}" for number in range(draw(st.integers(1, 5)))]
    needs = {
        name: tuple(sorted(draw(st.sets(st.sampled_from(names[:position]))))) if position else ()
        for position, name in enumerate(names)
    }
    states = [{name: draw(st.sampled_from(list(State))) for name in names} for _ in range(n_targets)]
    return needs, states


@settings(deadline=None)
@given(graphs())
def test_facts_stay_and_the_rest_follows(drawn):
    needs, (states,) = drawn
    after = next_states(needs, states)
    assert list(after) == list(needs)
    for stage, needed in needs.items():
        if states[stage] not in DERIVED:
            assert after[stage] == states[stage]
            continue
        before = [after[name] for name in needed]
        assert (after[stage] == State.READY) == all(state == State.DONE for state in before)
        assert (after[stage] == State.BLOCKED) == any(state in (State.FAILED, State.BLOCKED) for state in before)
        assert after[stage] in DERIVED


@settings(deadline=None)
@given(graphs())
def test_asking_twice_changes_nothing(drawn):
    needs, (states,) = drawn
    once = next_states(needs, states)
    assert next_states(needs, once) == once


@settings(deadline=None)
@given(graphs(), st.data())
def test_a_failure_is_undone_by_a_success(drawn, data):
    needs, (states,) = drawn
    stage = data.draw(st.sampled_from(list(needs)))
    done = next_states(needs, {**states, stage: State.DONE})
    failed = next_states(needs, {**states, stage: State.FAILED})
    assert next_states(needs, {**failed, stage: State.DONE}) == done


def test_a_chain_step_by_step():
    needs = {"a": (), "b": ("a",), "c": ("b",)}
    start = dict.fromkeys(needs, State.WAITING)
    assert next_states(needs, start) == {"a": "ready", "b": "waiting", "c": "waiting"}
    assert next_states(needs, {**start, "a": State.DONE}) == {"a": "done", "b": "ready", "c": "waiting"}
    assert next_states(needs, {**start, "a": State.FAILED}) == {"a": "failed", "b": "blocked", "c": "blocked"}
    assert next_states(needs, {**start, "a": State.RUNNING}) == {"a": "running", "b": "waiting", "c": "waiting"}


@settings(deadline=None, max_examples=20)
@given(graphs(n_targets=4), st.data())
def test_the_database_finds_the_same_states(drawn, data):
    needs, targets = drawn
    held = frozenset(data.draw(st.sets(st.sampled_from(list(needs)), max_size=1)))
    graph = Graph(needs, dict.fromkeys(needs, 1), held)
    engine = sa.create_engine("sqlite://")
    found = []
    with engine.begin() as connection:
        metadata.create_all(connection)
        for act in (lambda: refresh_states(connection, graph), lambda: settle(connection, graph, range(4))):
            connection.execute(sa.delete(task))
            for number, states in enumerate(targets):
                rows = [{"target_id": number, "stage": name, "state": str(state)} for name, state in states.items()]
                connection.execute(sa.insert(task), rows)
            act()
            found.append(connection.execute(sa.select(task.c.target_id, task.c.stage, task.c.state)).all())
    engine.dispose()
    assert sorted(found[0]) == sorted(found[1])
    for number, stage, state in found[0]:
        if stage in held:
            assert state not in DERIVED
        if not held:
            assert state == next_states(needs, targets[number])[stage]


def test_a_stage_without_its_need_is_an_error():
    with pytest.raises(KeyError):
        next_states({"b": ("a",)}, {"b": State.WAITING})
