"""Tasks that are to be done again, or need not be: what reconciliation and people decide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import sqlalchemy as sa

from orchestrator.errors import ProductionError, nearest_known
from orchestrator.production.ledger.schema import result_table, task
from orchestrator.production.ledger.schema import stage as stage_table
from orchestrator.production.ledger.states import Graph, pages, refresh_states, settle
from orchestrator.production.records import InputFile, State

__all__ = ["hold_stage", "make_stale", "point_to_existing", "release_stages", "update_files"]


def make_stale(connection: sa.Connection, graph: Graph, task_ids: Iterable[int], reason: str) -> int:
    """Let tasks be done again, from their first recipe and with all their tries; return how many.

    They become ready, or wait for or are blocked by what they need. A running task is left alone.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    graph : Graph
    task_ids : iterable of int
    reason : str
        Why, for `why`.
    """
    n_stale = 0
    afresh = sa.update(task).values(
        state=str(State.WAITING),
        reason=reason,
        attempts_before=task.c.attempt,
        recipe=0,
        budget=1.0,
        alone=False,
        not_before=0.0,
        error_class="",
    )
    for page in pages(task_ids):
        chosen = (task.c.task_id.in_(page), task.c.state != State.RUNNING)
        targets = set(connection.scalars(sa.select(task.c.target_id).where(*chosen)))
        n_stale += connection.execute(afresh.where(*chosen)).rowcount
        settle(connection, graph, targets)
    return n_stale


def point_to_existing(
    connection: sa.Connection, graph: Graph, keys: Sequence[tuple[int, str]]
) -> dict[str, int]:
    """Let tasks have a result that the ledger has already under their key, so that they are done without running.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    graph : Graph
    keys : sequence of (int, str)
        Task and the key that its result has to have. Tasks without such a result stay as they are.

    Returns
    -------
    dict of str to int
        Stage to number of tasks that are done now.
    """
    wanted = dict(keys)
    found: dict[str, int] = {}
    for page in pages(wanted):
        rows = connection.execute(
            sa.select(task.c.task_id, task.c.target_id, task.c.stage).where(
                task.c.task_id.in_(page), task.c.stage.in_(graph.stages)
            )
        ).all()
        by_stage: dict[str, dict[int, int]] = {}
        for row in rows:
            by_stage.setdefault(row.stage, {})[row.target_id] = row.task_id
        for stage, numbers in by_stage.items():
            table = result_table(stage, ())
            existing = connection.execute(
                sa.select(table.c.target_id, table.c.key).where(table.c.target_id.in_(list(numbers)))
            )
            hits = [
                {"number": numbers[number], "its_key": key}
                for number, key in existing
                if wanted[numbers[number]] == key
            ]
            if hits:
                connection.execute(
                    sa.update(task)
                    .where(task.c.task_id == sa.bindparam("number"))
                    .values(key=sa.bindparam("its_key"), state=str(State.DONE), error_class="", reason=""),
                    hits,
                )
                found[stage] = found.get(stage, 0) + len(hits)
        settle(connection, graph, {row.target_id for row in rows})
    return found


def update_files(connection: sa.Connection, files: Mapping[int, Sequence[InputFile]]) -> None:
    """Renew what is known of the input files of tasks: size and time changed, the content did not."""
    rows = [
        {"number": number, "new_files": [[file.path, file.size, file.mtime_ns, file.checksum] for file in of_task]}
        for number, of_task in files.items()
    ]
    if rows:
        connection.execute(
            sa.update(task)
            .where(task.c.task_id == sa.bindparam("number"))
            .values(files=sa.bindparam("new_files", type_=task.c.files.type)),
            rows,
        )


def hold_stage(connection: sa.Connection, graph: Graph, stage: str) -> None:
    """Stop a stage everywhere; what is running goes on. It stays so until it is released.

    Raises
    ------
    ProductionError
        If there is no such stage.
    """
    _check_stages(graph, [stage])
    connection.execute(sa.update(stage_table).where(stage_table.c.name == stage).values(held=True))
    refresh_states(connection, _with_held(graph, graph.held | {stage}))


def release_stages(connection: sa.Connection, graph: Graph, stages: Iterable[str]) -> Graph:
    """Let stages that were held go on, and return the pipeline as it is then.

    Raises
    ------
    ProductionError
        If there is no such stage.
    """
    stages = list(stages)
    _check_stages(graph, stages)
    free = _with_held(graph, graph.held - set(stages))
    if free.held == graph.held:
        return graph
    connection.execute(sa.update(stage_table).where(stage_table.c.name.in_(stages)).values(held=False))
    connection.execute(
        sa.update(task)
        .where(task.c.stage.in_(stages), task.c.state == State.HELD)
        .values(state=str(State.WAITING))
    )
    refresh_states(connection, free)
    return free


def _with_held(graph: Graph, held: frozenset[str]) -> Graph:
    return replace(graph, held=held)


def _check_stages(graph: Graph, stages: Iterable[str]) -> None:
    for stage in stages:
        if stage not in graph.needs:
            msg = f"There is no stage {stage!r}{nearest_known(stage, graph.stages)}"
            raise ProductionError(msg)
