"""Which task may run follows from the states of the others of its target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from orchestrator.production.ledger.schema import stage as stage_table
from orchestrator.production.ledger.schema import task
from orchestrator.production.records import State

__all__ = [
    "ALL_NUMBER",
    "DERIVED",
    "PAGE",
    "Graph",
    "next_states",
    "pages",
    "read_graph",
    "refresh_states",
    "set_states",
    "settle",
    "states_over_all",
]

DERIVED = frozenset({State.WAITING, State.READY, State.BLOCKED})
"""States that follow from those of the needed stages; the others are facts."""
ALL_NUMBER = 0
"""Number of the pseudo-target whose tasks are those of the stages over all targets."""
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
    over_all : Mapping of str to float
        Stages that run once for all targets, to the fraction of targets that may be without a result.
    """

    needs: Mapping[str, tuple[str, ...]]
    configs: Mapping[str, int]
    held: frozenset[str] = frozenset()
    former: tuple[str, ...] = ()
    over_all: Mapping[str, float] = field(default_factory=dict)

    @property
    def of_targets(self) -> dict[str, tuple[str, ...]]:
        """Stages that every target has a task of, with what they need."""
        return {stage: needed for stage, needed in self.needs.items() if stage not in self.over_all}

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
        over_all={row.name: row.max_failed for row in rows if row.over_all},
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
        State of each stage; of those that are needed from outside too.

    Returns
    -------
    dict of str to State
    """
    after: dict[str, State] = {}
    for stage, needed in needs.items():
        state = states[stage]
        if state in DERIVED:
            before = {after[name] if name in after else states[name] for name in needed}
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
    """Bring the tasks of these targets into the states that follow from each other, and those over all targets."""
    numbers = set(target_ids)
    outside = states_over_all(connection, graph)
    for page in pages(sorted(numbers - {ALL_NUMBER} if graph.over_all else numbers)):
        _settle_page(connection, graph, page, outside)
    if graph.over_all and numbers:
        changed = [stage for stage in graph.over_all if _settle_over_all(connection, graph, stage)]
        if changed or ALL_NUMBER in numbers:
            _refresh_after(connection, graph, graph.over_all)


def _settle_page(
    connection: sa.Connection, graph: Graph, page: list[int], outside: Mapping[str, State]
) -> None:
    needs = graph.of_targets
    rows = connection.execute(
        sa.select(task.c.task_id, task.c.target_id, task.c.stage, task.c.state).where(
            task.c.target_id.in_(page), task.c.stage.in_(list(needs))
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
        for stage, state in next_states(needs, {**outside, **before, **held}).items():
            if state != before[stage]:
                changes.setdefault(state, []).append(numbers[target_id, stage])
    set_states(connection, changes)


def states_over_all(connection: sa.Connection, graph: Graph) -> dict[str, State]:
    """Return the states of the tasks over all targets."""
    if not graph.over_all:
        return {}
    rows = connection.execute(
        sa.select(task.c.stage, task.c.state).where(
            task.c.target_id == ALL_NUMBER, task.c.stage.in_(list(graph.over_all))
        )
    )
    return {row.stage: State(row.state) for row in rows}


def _settle_over_all(connection: sa.Connection, graph: Graph, stage: str) -> bool:
    """Bring the task of a stage over all targets into the state that follows; say whether it has changed."""
    known = states_over_all(connection, graph)
    state = known.get(stage)
    if state not in DERIVED:
        return False
    if stage in graph.held:
        after = State.HELD
    else:
        needed = graph.needs[stage]
        before = {
            name: known[name] if name in graph.over_all else _state_of_all(connection, name, graph.over_all[stage])
            for name in needed
        }
        after = next_states({stage: needed}, {**before, stage: state})[stage]
    if after == state:
        return False
    connection.execute(
        sa.update(task).where(task.c.target_id == ALL_NUMBER, task.c.stage == stage).values(state=str(after))
    )
    return True


def _state_of_all(connection: sa.Connection, stage: str, tolerance: float) -> State:
    """Return a state for all tasks of a stage together: done if few enough have failed, waiting if any is open."""
    ended = (State.DONE, State.FAILED, State.BLOCKED)
    for state in State:
        if state not in ended:
            open_ = sa.select(task.c.task_id).where(task.c.stage == stage, task.c.state == str(state)).limit(1)
            if connection.scalar(open_) is not None:
                return State.WAITING
    rows = connection.execute(
        sa.select(task.c.state, sa.func.count()).where(task.c.stage == stage).group_by(task.c.state)
    )
    counts = {State(row[0]): row[1] for row in rows}
    total = sum(counts.values())
    if not total:
        return State.WAITING
    return State.FAILED if total - counts.get(State.DONE, 0) > tolerance * total else State.DONE


def set_states(connection: sa.Connection, changes: Mapping[State, list[int]]) -> None:
    """Give tasks a new state: one statement for each state and page."""
    for state, task_ids in changes.items():
        for page in pages(task_ids):
            connection.execute(sa.update(task).where(task.c.task_id.in_(page)).values(state=str(state)))


def refresh_states(connection: sa.Connection, graph: Graph) -> None:
    """Do what `settle` does for all targets at once, inside the database."""
    for stage in graph.needs:
        if stage in graph.over_all:
            _settle_over_all(connection, graph, stage)
        else:
            _refresh(connection, graph, stage)


def _refresh_after(connection: sa.Connection, graph: Graph, changed: Iterable[str]) -> None:
    """Refresh the stages of targets that need one of these, directly or through others."""
    found = set(changed)
    for stage, needed in graph.of_targets.items():
        if found & set(needed):
            found.add(stage)
            _refresh(connection, graph, stage)


def _refresh(connection: sa.Connection, graph: Graph, stage: str) -> None:
    other = task.alias("other")
    needed = graph.needs[stage]
    own: sa.ColumnElement[bool] = other.c.target_id == task.c.target_id
    if set(needed) & graph.over_all.keys():
        own = own | (other.c.target_id == ALL_NUMBER)
    same = own & other.c.stage.in_(needed)
    failed = sa.exists().where(same, other.c.state.in_([State.FAILED, State.BLOCKED]))
    undone = sa.exists().where(same, other.c.state != State.DONE)
    after: sa.ColumnElement[str] = sa.literal(str(State.READY))
    if stage in graph.held:
        after = sa.literal(str(State.HELD))
    elif needed:
        after = sa.case((failed, str(State.BLOCKED)), (undone, str(State.WAITING)), else_=str(State.READY))
    connection.execute(
        sa.update(task)
        .where(task.c.stage == stage, task.c.state.in_(sorted(DERIVED)), task.c.state != after)
        .values(state=after)
    )
