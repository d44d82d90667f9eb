"""Files that stages have published: who made which, and the identity of all results of a stage together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from orchestrator.production.ledger.database import Database
from orchestrator.production.ledger.reading import target_pages
from orchestrator.production.ledger.schema import product, target, task
from orchestrator.production.records import State

__all__ = ["Product", "input_digest", "made_by", "products_of"]


@dataclass(frozen=True)
class Product:
    """A published file.

    Attributes
    ----------
    task_id : int
    target, stage : str
    key : str
        Of the result that it belongs to.
    path : str
        Relative to the production.
    size, mtime_ns : int
    checksum : str
    run_id : int
    created : float
        Unix time.
    is_current : bool
        Whether the present result of its task is the one that made it.
    """

    task_id: int
    target: str
    stage: str
    key: str
    path: str
    size: int
    mtime_ns: int
    checksum: str
    run_id: int
    created: float
    is_current: bool


_CURRENT = (task.c.key == product.c.key) & (task.c.state == str(State.DONE))


def _select() -> sa.Select[Any]:
    names = ("target_id", "stage", "key", "path", "size", "mtime_ns", "checksum", "run_id", "created")
    own = (task.c.target_id == product.c.target_id) & (task.c.stage == product.c.stage)
    columns = [product.c[name] for name in names]
    return (
        sa.select(task.c.task_id, target.c.name.label("target"), *columns, _CURRENT.label("is_current"))
        .select_from(product.join(target, target.c.target_id == product.c.target_id))
        .join(task, own)
    )


def _made(rows: Sequence[Any]) -> list[Product]:
    made = []
    for row in rows:
        values = {**row._mapping, "is_current": bool(row.is_current)}
        del values["target_id"]
        made.append(Product(**values))
    return made


def products_of(database: Database) -> Iterator[Product]:
    """Yield the files that the present results have published."""
    statement = _select().where(_CURRENT).order_by(product.c.target_id)
    for page in target_pages(database, statement, product.c.target_id):
        yield from _made(page)


def made_by(connection: sa.Connection, path: str, checksum: str) -> list[Product]:
    """Return who has published a file of this path, or else one of this content; the present results first.

    Parameters
    ----------
    connection : Connection
    path : str
        Relative to the production; may be none of its files.
    checksum : str
        Of its content; empty if there is none.
    """
    for same in (product.c.path == path, product.c.checksum == checksum):
        found = _made(connection.execute(_select().where(same).order_by(product.c.created.desc())).all())
        if found:
            return sorted(found, key=lambda one: not one.is_current)
    return []


def input_digest(connection: sa.Connection, stage: str) -> str:
    """Return the identity of all finished results of a stage together, with the rows of their targets."""
    rows = connection.execution_options(yield_per=10_000).execute(
        sa.select(task.c.target_id, task.c.key, target.c.digest)
        .join_from(task, target, target.c.target_id == task.c.target_id)
        .where(task.c.stage == stage, task.c.state == State.DONE)
        .order_by(task.c.target_id)
    )
    digest = hashlib.blake2b(digest_size=16)
    for number, key, own in rows:
        digest.update(f"{number}\0{key}\0{own}\n".encode())
    return digest.hexdigest()
