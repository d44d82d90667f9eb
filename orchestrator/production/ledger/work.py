"""What is to be done: targets with ready tasks, handed out and taken back."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from orchestrator.production.ledger.result_links import sample_references, upstream_rows
from orchestrator.production.ledger.schema import attempt, literal, target, task
from orchestrator.production.ledger.states import ALL_NUMBER, Graph, pages, settle
from orchestrator.production.records import State, Target, TaskOrder, Work

__all__ = ["failures_before", "mark_running", "next_work", "release"]

_LOOK = 5000


def next_work(
    connection: sa.Connection, graph: Graph, limit: int, now: float, exclude: Container[int] = ()
) -> list[Work]:
    """Return targets that have a ready task, in the order of their table.

    Parameters
    ----------
    connection : Connection
    graph : Graph
    limit : int
        At most so many.
    now : float
        Unix time; tasks that are to wait longer are left out.
    exclude : container of int
        Targets that are being worked on.
    """
    chosen: list[int] = []
    last = ALL_NUMBER - 1
    ready = [task.c.state == literal(State.READY), task.c.not_before <= now]
    if graph.former:
        # Not "in the present ones": a database might take the index of states for that, and sort all that is ready.
        ready.append(task.c.stage.not_in(graph.former))
    while len(chosen) < limit:
        size = max(limit - len(chosen), min(_LOOK, limit + 100))
        rows = connection.scalars(
            sa.select(task.c.target_id)
            .distinct()
            .where(task.c.target_id > last, *ready)
            .order_by(task.c.target_id)
            .limit(size)
        ).all()
        chosen += [number for number in rows if number not in exclude]
        if len(rows) < size:
            break
        last = rows[-1]
    works = []
    for page in pages(chosen[:limit]):
        works += _works(connection, graph, page, now)
    return works


def _works(connection: sa.Connection, graph: Graph, target_ids: list[int], now: float) -> list[Work]:
    columns = [
        task.c[name]
        for name in ("target_id", "stage", "state", "key", "attempt", "recipe", "budget", "alone", "not_before")
    ]
    tasks: dict[int, dict[str, Any]] = {}
    for row in connection.execute(
        sa.select(*columns).where(task.c.target_id.in_(target_ids), task.c.stage.in_(graph.stages))
    ):
        tasks.setdefault(row.target_id, {})[row.stage] = row
    outside = _done_over_all(connection, graph, columns)
    tasks = {number: {**outside, **rows} for number, rows in tasks.items()}
    done = [
        (stage, row.target_id, row.key)
        for rows in tasks.values()
        for stage, row in rows.items()
        if row.state == State.DONE
    ]
    samples = sample_references(connection, done)
    targets = connection.execute(
        sa.select(target.c.target_id, target.c.name, target.c["values"], target.c.overrides)
        .where(target.c.target_id.in_(target_ids))
        .order_by(target.c.target_id)
    )
    orders_of = {number: _orders(graph, rows, now) for number, rows in tasks.items()}
    columns_of = _upstream_columns(connection, graph, tasks, orders_of)
    works = []
    for number, name, values, overrides in targets:
        rows, orders = tasks[number], orders_of[number]
        if orders:
            works.append(
                Work(
                    target_id=number,
                    target=Target(name, values, overrides),
                    tasks=orders,
                    upstream={stage: samples[stage, number] for stage in graph.stages if (stage, number) in samples},
                    upstream_keys={stage: rows[stage].key for stage in graph.stages if _is_done(rows, stage)},
                    alone=any(rows[order.stage].alone for order in orders),
                    upstream_columns=columns_of.get(number, {}),
                )
            )
    return works


def _done_over_all(connection: sa.Connection, graph: Graph, columns: list[sa.Column[Any]]) -> dict[str, Any]:
    """Return the finished tasks over all targets, which targets may need."""
    if not graph.over_all:
        return {}
    rows = connection.execute(
        sa.select(*columns).where(
            task.c.target_id == ALL_NUMBER,
            task.c.stage.in_(list(graph.over_all)),
            task.c.state == literal(State.DONE),
        )
    )
    return {row.stage: row for row in rows}


def _upstream_columns(
    connection: sa.Connection,
    graph: Graph,
    tasks: Mapping[int, Mapping[str, Any]],
    orders: Mapping[int, Sequence[TaskOrder]],
) -> dict[int, dict[str, dict[str, Any]]]:
    """Return the rows of finished stages that a stage to be carried out needs."""
    keys: dict[str, dict[int, str]] = {}
    for number, rows in tasks.items():
        for stage in {name for order in orders[number] for name in graph.needs[order.stage]}:
            if _is_done(rows, stage):
                keys.setdefault(stage, {})[number] = rows[stage].key
    found: dict[int, dict[str, dict[str, Any]]] = {}
    for stage, wanted in keys.items():
        if stage in graph.over_all:
            (row,) = upstream_rows(connection, stage, {ALL_NUMBER: next(iter(wanted.values()))}).values()
            for number in wanted:
                found.setdefault(number, {})[stage] = row
            continue
        for number, row in upstream_rows(connection, stage, wanted).items():
            found.setdefault(number, {})[stage] = row
    return found


def _is_done(rows: Mapping[str, Any], stage: str) -> bool:
    return stage in rows and rows[stage].state == State.DONE


def _orders(graph: Graph, rows: Mapping[str, Any], now: float) -> tuple[TaskOrder, ...]:
    """Return what is ready, and what becomes ready when that is done."""
    orders: dict[str, TaskOrder] = {}
    for stage, needed in graph.needs.items():
        row = rows.get(stage)
        if row is None or row.not_before > now:
            continue
        follows = row.state == State.WAITING and all(name in orders or _is_done(rows, name) for name in needed)
        if row.state == State.READY or follows:
            orders[stage] = TaskOrder(stage, attempt=row.attempt + 1, recipe=row.recipe, budget=row.budget)
    return tuple(orders.values())


def mark_running(connection: sa.Connection, works: Iterable[Work], chunk: str) -> None:
    """Mark the ready tasks of these targets as running; those that follow still wait."""
    targets: dict[str, list[int]] = {}
    for work in works:
        for order in work.tasks:
            targets.setdefault(order.stage, []).append(work.target_id)
    for stage, numbers in targets.items():
        for page in pages(numbers):
            connection.execute(
                sa.update(task)
                .where(task.c.target_id.in_(page), task.c.stage == stage, task.c.state == literal(State.READY))
                .values(state=str(State.RUNNING), chunk=chunk)
            )


def release(connection: sa.Connection, graph: Graph, target_ids: Iterable[int] | None) -> int:
    """Make running tasks ready again, of these targets or of all; return how many."""
    running = task.c.state == literal(State.RUNNING)
    ready = sa.update(task).values(state=str(State.READY), chunk="")
    if target_ids is None:
        numbers = connection.scalars(sa.select(task.c.target_id).where(running).distinct()).all()
    else:
        numbers = sorted(set(target_ids))
    n_released = 0
    for page in pages(numbers):
        n_released += connection.execute(ready.where(running, task.c.target_id.in_(page))).rowcount
        settle(connection, graph, page)
    return n_released


def failures_before(
    connection: sa.Connection, tasks: Sequence[tuple[int, str]]
) -> dict[tuple[int, str], tuple[dict[str, int], float]]:
    """Return how often tasks have failed, since they were last made ready by hand, and their budget.

    Parameters
    ----------
    connection : Connection
    tasks : sequence of (int, str)
        Target and stage.

    Returns
    -------
    dict of (int, str) to (dict, float)
        Class of error to number of failed attempts; factor that the present attempt has on its limits.
    """
    wanted = set(tasks)
    found: dict[tuple[int, str], tuple[dict[str, int], float]] = {}
    for page in pages(sorted({number for number, _ in wanted})):
        rows = connection.execute(
            sa.select(task.c.target_id, task.c.stage, task.c.budget, attempt.c.error_class, sa.func.count())
            .select_from(
                task.outerjoin(
                    attempt,
                    (attempt.c.task_id == task.c.task_id)
                    & (attempt.c.number > task.c.attempts_before)
                    & (attempt.c.outcome != "done"),
                )
            )
            .where(task.c.target_id.in_(page))
            .group_by(task.c.target_id, task.c.stage, task.c.budget, attempt.c.error_class)
        )
        for number, stage, budget, error_class, n in rows:
            if (number, stage) not in wanted:
                continue
            failures, _ = found.setdefault((number, stage), ({}, budget))
            if error_class is not None:
                failures[error_class] = n
    return found
