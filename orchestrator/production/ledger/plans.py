"""The pipeline in the ledger: configurations, stages, and a task of every stage for every target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from orchestrator.errors import ProductionError
from orchestrator.production.columns import COMMON_COLUMNS
from orchestrator.production.ledger.json_text import content_digest, json_text
from orchestrator.production.ledger.result_tables import ensure_columns, make_result_table
from orchestrator.production.ledger.schema import config, target, task
from orchestrator.production.ledger.schema import stage as stage_table
from orchestrator.production.ledger.states import ALL_NUMBER, Graph, read_graph, refresh_states
from orchestrator.production.records import ALL_TARGETS, StagePlan, State

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
            "over_all": plan.over == "all",
            "max_failed": plan.max_failed,
            "current": True,
        }
        if plan.name in known:
            connection.execute(sa.update(stage_table).where(stage_table.c.name == plan.name).values(values))
        else:
            connection.execute(sa.insert(stage_table).values(name=plan.name, **values))
            make_result_table(connection, plan.name)
            ensure_columns(connection, plan.name, COMMON_COLUMNS)
    graph = read_graph(connection)
    _drop_tasks_of_another_kind(connection, graph)
    add_missing_tasks(connection, graph)
    if before.needs and (dict(before.needs) != dict(graph.needs) or before.over_all != graph.over_all):
        refresh_states(connection, graph)
    return graph


def add_missing_tasks(connection: sa.Connection, graph: Graph) -> None:
    """Add the tasks of targets that a stage has not seen, inside the database."""
    last = connection.scalar(sa.select(sa.func.max(target.c.target_id))) or 0
    rows = connection.execute(sa.select(stage_table.c.name, stage_table.c.tasks_until).where(stage_table.c.current))
    _add_tasks_over_all(connection, graph)
    for name, until in rows.all():
        if until >= last or name in graph.over_all:
            continue
        state = State.HELD if name in graph.held else State.WAITING if graph.needs[name] else State.READY
        constants = (sa.literal(name), sa.literal(str(state)))
        new = sa.select(target.c.target_id, *constants).where(target.c.target_id > until)
        connection.execute(sa.insert(task).from_select(["target_id", "stage", "state"], new))
        connection.execute(sa.update(stage_table).where(stage_table.c.name == name).values(tasks_until=last))


def _drop_tasks_of_another_kind(connection: sa.Connection, graph: Graph) -> None:
    """Drop the tasks of stages that were once for each target and are over all now, or the other way round."""
    others = task.c.target_id != ALL_NUMBER
    for name in graph.over_all:
        if connection.execute(sa.delete(task).where(task.c.stage == name, others)).rowcount:
            connection.execute(sa.update(stage_table).where(stage_table.c.name == name).values(tasks_until=0))
    own = list(graph.of_targets)
    connection.execute(sa.delete(task).where(task.c.target_id == ALL_NUMBER, task.c.stage.in_(own)))


def _add_tasks_over_all(connection: sa.Connection, graph: Graph) -> None:
    """Add the tasks of the stages over all, those of the pseudo-target; they wait for the others."""
    if not graph.over_all:
        return
    number = task.c.target_id == ALL_NUMBER
    known = set(connection.scalars(sa.select(task.c.stage).where(number)))
    if not known and connection.scalar(sa.select(target.c.name).where(target.c.target_id == ALL_NUMBER)) is None:
        values, overrides = json_text({}), json_text({})
        row = {"values": values, "overrides": overrides, "digest": content_digest(values, overrides)}
        connection.execute(sa.insert(target).values(target_id=ALL_NUMBER, name=ALL_TARGETS, **row))
    for name in sorted(set(graph.over_all) - known):
        connection.execute(sa.insert(task).values(target_id=ALL_NUMBER, stage=name, state=str(State.WAITING)))


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
