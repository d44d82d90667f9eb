"""Which task may run follows from the states of the others of its target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from orchestrator.production.ledger.schema import stage as stage_table
from orchestrator.production.ledger.schema import task
from orchestrator.production.records import State

__all__ = ["DERIVED", "PAGE", "Graph", "next_states", "pages", "read_graph", "refresh_states", "set_states", "settle"]

DERIVED = frozenset({State.WAITING, State.READY, State.BLOCKED})
"""States that follow from those of the needed stages; the others are facts."""
PAGE = 5000
"""Rows that are named in one statement; databases limit the number of its parameters."""


@dataclass(frozen=True)
class Graph:
    """The stages of the pipeline.

    Attributes
    ----------
    needs : Mapping of str to tuple of str
        Stage to earlier stages that it needs; in the order of execution.
    configs : Mapping of str to int
        Stage to the number of its present configuration.
    held : frozenset of str
        Stages that are held as a whole.
    former : tuple of str
        Stages that were taken out of the pipeline; their tasks are left alone.
    """

    needs: Mapping[str, tuple[str, ...]]
    configs: Mapping[str, int]
    held: frozenset[str] = frozenset()
    former: tuple[str, ...] = ()

    @property
    def stages(self) -> tuple[str, ...]:
        """Stages in the order of execution."""
        return tuple(self.needs)


def read_graph(connection: sa.Connection) -> Graph:
    """Read the stages that the pipeline has now."""
    stages = connection.execute(sa.select(stage_table).order_by(stage_table.c.position)).all()
    rows = [row for row in stages if row.current]
    return Graph(
        needs={row.name: tuple(row.needs) for row in rows},
        configs={row.name: row.config_id for row in rows},
        held=frozenset(row.name for row in rows if row.held),
        former=tuple(sorted(row.name for row in stages if not row.current)),
    )


def next_states(needs: Mapping[str, tuple[str, ...]], states: Mapping[str, State]) -> dict[str, State]:
    """Return the states of the tasks of one target after one of them has changed.

    A task is ready when all that it needs is done, blocked when something that it needs has failed or is blocked
    itself, and waiting otherwise. What is running, done, failed or held stays so: whether a result still stands is
    for its key to say.

    Parameters
    ----------
    needs : Mapping of str to tuple of str
        Stage to earlier stages that it needs; in the order of execution.
    states : Mapping of str to State
        State of each stage.

    Returns
    -------
    dict of str to State
    """
    after: dict[str, State] = {}
    for stage, needed in needs.items():
        state = states[stage]
        if state in DERIVED:
            before = {after[name] for name in needed}
            if before & {State.FAILED, State.BLOCKED}:
                state = State.BLOCKED
            else:
                state = State.READY if before <= {State.DONE} else State.WAITING
        after[stage] = state
    return after


def pages(numbers: Iterable[int], size: int = PAGE) -> Iterable[list[int]]:
    """Split numbers into lists that fit into one statement."""
    page: list[int] = []
    for number in numbers:
        page.append(number)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page


def settle(connection: sa.Connection, graph: Graph, target_ids: Iterable[int]) -> None:
    """Bring the tasks of these targets into the states that follow from each other."""
    for page in pages(sorted(set(target_ids))):
        rows = connection.execute(
            sa.select(task.c.task_id, task.c.target_id, task.c.stage, task.c.state).where(
                task.c.target_id.in_(page), task.c.stage.in_(graph.stages)
            )
        )
        states: dict[int, dict[str, State]] = {}
        numbers: dict[tuple[int, str], int] = {}
        for row in rows:
            states.setdefault(row.target_id, {})[row.stage] = State(row.state)
            numbers[row.target_id, row.stage] = row.task_id
        changes: dict[State, list[int]] = {}
        for target_id, before in states.items():
            held = {name: State.HELD for name in graph.held if before.get(name) in DERIVED}
            for stage, state in next_states(graph.needs, {**before, **held}).items():
                if state != before[stage]:
                    changes.setdefault(state, []).append(numbers[target_id, stage])
        set_states(connection, changes)


def set_states(connection: sa.Connection, changes: Mapping[State, list[int]]) -> None:
    """Give tasks a new state: one statement for each state and page."""
    for state, task_ids in changes.items():
        for page in pages(task_ids):
            connection.execute(sa.update(task).where(task.c.task_id.in_(page)).values(state=str(state)))


def refresh_states(connection: sa.Connection, graph: Graph) -> None:
    """Do what `settle` does for all targets at once, inside the database."""
    other = task.alias("other")
    for stage, needed in graph.needs.items():
        same = (other.c.target_id == task.c.target_id) & other.c.stage.in_(needed)
        failed = sa.exists().where(same, other.c.state.in_([State.FAILED, State.BLOCKED]))
        undone = sa.exists().where(same, other.c.state != State.DONE)
        after: sa.ColumnElement[str] = sa.literal(str(State.READY))
        if stage in graph.held:
            after = sa.literal(str(State.HELD))
        elif needed:
            after = sa.case(
                (failed, str(State.BLOCKED)), (undone, str(State.WAITING)), else_=str(State.READY)
            )
        connection.execute(
            sa.update(task)
            .where(task.c.stage == stage, task.c.state.in_(sorted(DERIVED)), task.c.state != after)
            .values(state=after)
        )
