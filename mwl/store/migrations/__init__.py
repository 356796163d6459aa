"""Bringing a database's schema to the one this code was written for, in process.

Several brokers may start at once on one database: the whole upgrade is one transaction, under an
advisory lock on PostgreSQL and under BEGIN IMMEDIATE on SQLite, so one does it and the others find
it done.  Alembic takes half a second to import and is only imported when there is something to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from mwl.errors import SchemaTooNew, Unavailable
from mwl.store.engine import Link, file_of, make_file

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0006"
"""The revision this code was written for."""

_ADVISORY_LOCK = 0x6D776C  # "mwl": any number will do, as long as every broker takes the same


def current(engine: Engine) -> str | None:
    """Return the revision the database is at, None for an empty one; raises `Unavailable`."""
    if (path := file_of(engine)) is not None and not path.exists():
        message = f'there is no database at {path}: "mwl serve" makes one, and so does "mwl db upgrade"'
        raise Unavailable(f"{message}; the setting database names another, in the file of --config")
    with Link(engine, writing=False) as link, link.transaction() as connection:
        return _revision(connection)


def require_current(engine: Engine) -> None:
    """Raise unless the schema is the one this code was written for."""
    found = current(engine)
    if found == HEAD:
        return
    if found is not None:
        require_known(found)
    raise Unavailable("the database schema is older than this program: run mwl db upgrade")


def require_known(revision: str) -> None:
    """Raise `SchemaTooNew` for a revision that this code does not know."""
    if revision not in _known():
        raise _too_new(revision)


def upgrade(engine: Engine) -> None:
    """Create the schema or bring it up to date.

    Raises `SchemaTooNew` and changes nothing when a later version of the broker wrote it.
    """
    make_file(engine)
    if current(engine) == HEAD:
        return
    with Link(engine, writing=True) as link, link.transaction() as connection:
        _alone(connection)
        found = _revision(connection)
        if found is not None:
            require_known(found)
        _upgrade(connection)


def _alone(connection: Connection) -> None:
    """Keep every other broker out until this transaction ends."""
    if connection.dialect.name == "postgresql":
        # Another broker's upgrade may take longer than any statement of ordinary work.
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})


def _upgrade(connection: Connection) -> None:
    from alembic import command

    configuration = _configuration()
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, "head")


def _configuration() -> Config:
    from alembic.config import Config

    configuration = Config()
    # Alembic interpolates its options: a literal percent sign of the path is doubled.
    configuration.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return configuration


def _known() -> set[str]:
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(_configuration())
    return {revision.revision for revision in script.walk_revisions()}


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision


def _too_new(found: str) -> SchemaTooNew:
    return SchemaTooNew(
        f"the database has schema {found}, this program knows {HEAD} at most: install the later version"
    )
