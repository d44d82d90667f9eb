"""A ledger is found, made, or refused."""

from __future__ import annotations

import time

import sqlalchemy as sa

from orchestrator.errors import ProductionError
from orchestrator.production.ledger.database import Database
from orchestrator.production.ledger.file_system import refuse_network_file_system
from orchestrator.production.ledger.schema import SCHEMA_VERSION, metadata, production

__all__ = ["make_tables", "must_exist", "prepare_folder"]


def prepare_folder(database: Database, *, create: bool) -> None:
    """Look after the file of a SQLite ledger.

    Raises
    ------
    ProductionError
        If it is not there and is not to be made, or would lie on a network file system.
    """
    if database.path is None:
        return
    if create:
        database.path.parent.mkdir(parents=True, exist_ok=True)
    elif not database.path.is_file():
        raise ProductionError(_missing(database))
    if not database.read_only:
        refuse_network_file_system(database.path)


def _missing(database: Database) -> str:
    return f"There is no ledger at {database.place}; start the production with 'orchestrator run'."


def make_tables(database: Database, name: str) -> None:
    """Make the tables of a new ledger; an old one stays as it is.

    Raises
    ------
    ProductionError
        If the database cannot be reached or written.
    """
    with database.impatient():
        database.write(lambda connection: _make_tables(connection, name))


def _make_tables(connection: sa.Connection, name: str) -> None:
    if sa.inspect(connection).has_table(production.name):
        return
    metadata.create_all(connection)
    row = {"name": name, "schema_version": SCHEMA_VERSION, "created": time.time()}
    connection.execute(sa.insert(production).values(row))


def must_exist(database: Database, name: str) -> None:
    """Check that this is a ledger, of this version and of this production.

    Raises
    ------
    ProductionError
    """
    with database.reading() as connection:
        if not sa.inspect(connection).has_table(production.name):
            raise ProductionError(_missing(database))
        found = connection.execute(sa.select(production.c.name, production.c.schema_version)).one()
    if found.schema_version != SCHEMA_VERSION:
        age = "a newer" if found.schema_version > SCHEMA_VERSION else "an older"
        msg = (
            f"The ledger {database.place} was made by {age} version of this package: its schema is "
            f"{found.schema_version}, this version writes {SCHEMA_VERSION}. Use the version that made it, or give "
            "the production a new output folder."
        )
        raise ProductionError(msg)
    if name and found.name and name != found.name:
        msg = (
            f"The ledger {database.place} is that of production {found.name!r}, not of {name!r}. Give each "
            "production a database of its own, or a schema: '...?options=-csearch_path=SCHEMA'."
        )
        raise ProductionError(msg)
