"""The pipeline in the ledger: configurations, stages, and a task of every stage for every target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from orchestrator.errors import ProductionError
from orchestrator.production.columns import COMMON_COLUMNS
from orchestrator.production.ledger.result_tables import ensure_columns, make_result_table
from orchestrator.production.ledger.schema import config, target, task
from orchestrator.production.ledger.schema import stage as stage_table
from orchestrator.production.ledger.states import Graph, read_graph, refresh_states
from orchestrator.production.records import StagePlan, State

__all__ = ["add_missing_tasks", "register_plan"]

_LONGEST = 50
"""Letters of the name of a stage: PostgreSQL cuts names of tables at 63."""


def register_plan(connection: sa.Connection, stages: Sequence[tuple[StagePlan, str]]) -> Graph:
    """Make the ledger's stages those of a plan.

    A stage that is new gets a task for every target there is. One that has gone keeps its tasks and results, out of
    sight, and finds them again if it comes back.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    stages : sequence of (StagePlan, str)
        In the order of execution, with the hash of their configuration.

    Raises
    ------
    ProductionError
        If the name of a stage cannot name a table.
    """
    before = read_graph(connection)
    known = set(connection.scalars(sa.select(stage_table.c.name)))
    _check_names([plan.name for plan, _ in stages], known)
    connection.execute(sa.update(stage_table).values(current=False))
    for position, (plan, hash_) in enumerate(stages):
        values = {
            "position": position,
            "config_id": _config_id(connection, plan, hash_),
            "needs": list(plan.needs),
            "current": True,
        }
        if plan.name in known:
            connection.execute(sa.update(stage_table).where(stage_table.c.name == plan.name).values(values))
        else:
            connection.execute(sa.insert(stage_table).values(name=plan.name, **values))
            make_result_table(connection, plan.name)
            ensure_columns(connection, plan.name, COMMON_COLUMNS)
    graph = read_graph(connection)
    add_missing_tasks(connection, graph)
    if before.needs and dict(before.needs) != dict(graph.needs):
        refresh_states(connection, graph)
    return graph


def add_missing_tasks(connection: sa.Connection, graph: Graph) -> None:
    """Add the tasks of targets that a stage has not seen, inside the database."""
    last = connection.scalar(sa.select(sa.func.max(target.c.target_id))) or 0
    rows = connection.execute(sa.select(stage_table.c.name, stage_table.c.tasks_until).where(stage_table.c.current))
    for name, until in rows.all():
        if until >= last:
            continue
        state = State.HELD if name in graph.held else State.WAITING if graph.needs[name] else State.READY
        constants = (sa.literal(name), sa.literal(str(state)))
        new = sa.select(target.c.target_id, *constants).where(target.c.target_id > until)
        connection.execute(sa.insert(task).from_select(["target_id", "stage", "state"], new))
        connection.execute(sa.update(stage_table).where(stage_table.c.name == name).values(tasks_until=last))


def _check_names(names: Sequence[str], known: set[str]) -> None:
    """Refuse names that a database cannot tell apart or cuts."""
    spelled = {name.lower(): name for name in known}
    for name in names:
        other = spelled.setdefault(name.lower(), name)
        if other != name:
            msg = f"Stages {other!r} and {name!r} differ in upper and lower case only; give one another name."
            raise ProductionError(msg)
        if not name.isidentifier() or len(name.encode()) > _LONGEST:
            msg = f"The stage {name!r} needs a name of letters, digits and underscores, of at most {_LONGEST} bytes."
            raise ProductionError(msg)
    if len(set(names)) != len(names):
        msg = f"A stage is given twice: {', '.join(names)}."
        raise ProductionError(msg)


def _config_id(connection: sa.Connection, plan: StagePlan, hash_: str) -> int:
    """Return the number of a configuration; the same content is stored once."""
    found = connection.scalar(sa.select(config.c.config_id).where(config.c.hash == hash_))
    if found is not None:
        return int(found)
    content: dict[str, Any] = asdict(plan)
    result = connection.execute(sa.insert(config).values(hash=hash_, content=content))
    return int(result.inserted_primary_key[0])  # type: ignore[index]
