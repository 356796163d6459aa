"""From a database URL to connections that keep the store's promises.

SQLite: write-ahead log, ``synchronous=FULL`` (an acknowledged message survives a power cut), foreign
keys, a busy timeout.  The driver's own transaction handling is off (``isolation_level=None``): with
it, a released savepoint survives the rollback of its transaction, and half a group commit would stay.
Writers say BEGIN IMMEDIATE, because a deferred BEGIN that turns into a writer meets "database is
locked" at once, in spite of the timeout; readers say BEGIN.

PostgreSQL: psycopg 3, optional.  Readers see one snapshot; nobody waits for ever for a lock, an
answer or a peer that has gone.  Of several brokers one at a time makes changes, as on SQLite: else an
order and its exam that come in at two brokers at once would each miss the other and both be kept, and
two batches would deadlock over the rows they share.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    ExceptionContext,
    NullPool,
    create_engine,
    event,
    exc,
    make_url,
)

from mwl.errors import BadDocument, Problem, Unavailable

T = TypeVar("T")

SECONDS = 1000  # milliseconds
LOCK_TIMEOUT = 5 * SECONDS
"""How long a statement waits for somebody else's lock; MLLP senders commonly give up after 10 s or more."""

STATEMENT_TIMEOUT = 30 * SECONDS
SILENCE_TIMEOUT = 10 * SECONDS
"""How long PostgreSQL waits for a broker in a transaction: one that is frozen must not keep its locks."""

PEER_TIMEOUT = 10 * SECONDS
"""How long bytes sent to PostgreSQL may stay unacknowledged before the connection counts as lost."""

_WRITERS = 0x6D776C77  # "mwlw": any number will do, as long as every broker takes the same

CACHE = 3 * 1024
"""KiB of pages that each SQLite connection, of which there are six, keeps: the system has the others at hand.
More made no query faster among a million steps, and took 130 MB."""


def create(url: str) -> Engine:
    """Return an engine for *url*, without connecting.

    Connections are not pooled: each thread of the store keeps its own (`Link`).
    Raises `BadDocument` when the URL cannot be used at all, for want of a driver for instance.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed)
    return _postgresql(parsed)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError):
        raise _unusable("not a database URL (the forms are in the manual)") from None
    if parsed.drivername in {"sqlite", "sqlite+pysqlite"}:
        if parsed.database in {None, "", ":memory:"}:
            raise _unusable("SQLite needs a file: what is in memory survives nothing")
        if parsed.query:
            raise _unusable("SQLite takes a file and no options")
        return parsed
    if parsed.drivername not in {"postgresql", "postgresql+psycopg"}:
        raise _unusable("write sqlite:///file or postgresql+psycopg://user@host/name")
    return parsed.set(drivername="postgresql+psycopg")


def _unusable(reason: str) -> BadDocument:
    return BadDocument([Problem("database", 1, 1, reason)])


def _sqlite(url: URL) -> Engine:
    path = Path(str(url.database)).absolute()

    def connect() -> sqlite3.Connection:
        # mode=rw: a database that vanished is a failure, not an invitation to begin an empty one.
        return sqlite3.connect(
            f"{path.as_uri()}?mode=rw",
            uri=True,
            timeout=LOCK_TIMEOUT / SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )

    engine = create_engine(url, creator=connect, poolclass=NullPool, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _pragmas(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={LOCK_TIMEOUT}",
            f"cache_size=-{CACHE}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get("mwl_writer")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    @event.listens_for(engine, "commit")
    def _whole(connection: Connection) -> None:
        # A full disk, for one, ends the transaction by itself; then the driver's COMMIT does nothing.
        if not _driver(connection).in_transaction:
            raise _taken_back()

    return engine


def _postgresql(url: URL) -> Engine:
    arguments: dict[str, Any] = {
        "connect_timeout": 5,
        "keepalives_idle": 30,
        "tcp_user_timeout": PEER_TIMEOUT,
        "application_name": "mwl",
    }
    try:
        engine = create_engine(
            url,
            connect_args={key: value for key, value in arguments.items() if key not in url.query},
            poolclass=NullPool,
            hide_parameters=True,
        )
    except ModuleNotFoundError:
        raise _unusable("PostgreSQL needs psycopg: install mwl[postgres]") from None
    from psycopg.pq import TransactionStatus

    @event.listens_for(engine, "connect")
    def _limits(connection: Any, _record: object) -> None:
        connection.execute(f"SET lock_timeout = {LOCK_TIMEOUT}")
        connection.execute(f"SET statement_timeout = {STATEMENT_TIMEOUT}")
        connection.execute(f"SET idle_in_transaction_session_timeout = {SILENCE_TIMEOUT}")
        connection.commit()

    @event.listens_for(engine, "begin")
    def _alone(connection: Connection) -> None:
        if connection.get_execution_options().get("mwl_alone"):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS})")

    @event.listens_for(engine, "commit")
    def _whole(connection: Connection) -> None:
        # The server answers COMMIT after a failed statement with ROLLBACK, and the driver says nothing.
        if _driver(connection).info.transaction_status == TransactionStatus.INERROR:
            raise _taken_back()

    @event.listens_for(engine, "handle_error")
    def _without_rows(context: ExceptionContext) -> None:
        for error in (context.original_exception, context.sqlalchemy_exception):
            if error is not None:
                forget_row(error)

    return engine


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _taken_back() -> exc.SQLAlchemyError:
    """Return what a COMMIT raises that would keep nothing: a statement failed, and nobody made it known."""
    return exc.InvalidRequestError("the database has taken the transaction back")


def forget_row(error: BaseException) -> None:
    """Take out of a driver's error the row that it quotes: errors end in log files."""
    # PostgreSQL's DETAIL of a violated constraint; of the others' arguments nothing changes but their type.
    error.args = tuple(str(part).partition("\nDETAIL:")[0] for part in error.args)


def make_file(engine: Engine) -> None:
    """Create the file of an SQLite database that does not exist yet, readable by its owner alone."""
    if (path := file_of(engine)) is not None:
        try:
            path.touch(mode=0o600)
        except OSError as error:
            raise Unavailable("the database file cannot be made", path=str(path)) from error


def file_of(engine: Engine) -> Path | None:
    """Return the file of an SQLite database, None for any other."""
    return Path(str(engine.url.database)).absolute() if engine.dialect.name == "sqlite" else None


def means_unavailable(error: BaseException) -> bool:
    """Tell whether a driver's error means that the database cannot answer now, not that we asked wrongly."""
    if isinstance(error, exc.DBAPIError):
        # A bare DatabaseError is SQLite's "not a database" and "disk image is malformed".
        return (
            error.connection_invalidated
            or isinstance(error, (exc.OperationalError, exc.InterfaceError, exc.InternalError))
            or type(error) is exc.DatabaseError
        )
    return isinstance(error, (exc.TimeoutError, exc.PendingRollbackError, exc.ResourceClosedError))


class CannotBegin(Unavailable):
    """No transaction could be opened: nothing of the work was tried."""


class Lost(Unavailable):
    """The connection was gone: it may have been so for hours, and a new one may do."""


class Link:
    """One thread's connection: opened at first use, and opened anew after it failed."""

    def __init__(self, engine: Engine, *, writing: bool, alone: bool = False, patient: bool = True) -> None:
        """One that writes *alone* begins when no other such has a transaction open; on SQLite all do.

        One that is not *patient* never waits for a lock: it fails at once (SQLite).
        """
        self._engine = engine
        self._writing, self._alone = writing, alone
        self._patient = patient
        self._file = file_of(engine)
        self._inode: tuple[int, int] | None = None
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Run the body in a transaction: COMMIT at its end, ROLLBACK when it raises.

        Raises `CannotBegin` before the body, `Unavailable` when the database fails in the body or
        at COMMIT; any other error of the body passes through.
        """
        connection = self._attempt(self._begun, CannotBegin)
        try:
            yield connection
        except BaseException as error:
            if means_unavailable(error):
                self._drop()
                raise _unavailable(error) from error
            self._attempt(connection.rollback)
            raise
        self._attempt(self._commit)

    def close(self) -> None:
        """Let the connection go, in whatever state it is."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            connection.close()
        except (exc.SQLAlchemyError, sqlite3.Error):
            with suppress(exc.SQLAlchemyError, sqlite3.Error):
                connection.invalidate()

    def _drop(self) -> None:
        """Let a connection go that failed, without a last word to the server: it may be in the middle of one.

        To roll back is the server's (or the file's) own affair when a connection ends.
        """
        if self._connection is not None:
            with suppress(exc.SQLAlchemyError, sqlite3.Error):
                self._connection.invalidate()
        self.close()

    def _begun(self) -> Connection:
        kept = self._connection is not None
        try:
            return self._begin()
        except exc.DBAPIError as error:
            if not (kept and error.connection_invalidated):
                raise
            self._drop()  # the server was restarted while nobody asked
            return self._begin()

    def _begin(self) -> Connection:
        if self._connection is None:
            self._connection = self._open()
            self._inode = self._stat()
        self._same_file()
        self._connection.begin()
        return self._connection

    def _open(self) -> Connection:
        connection = self._engine.connect()
        if self._writing:
            if connection.dialect.name == "postgresql":
                # Whatever the server's default: who has waited for the others must see what they did.
                connection = connection.execution_options(isolation_level="READ COMMITTED")
            return connection.execution_options(mwl_writer=True, mwl_alone=self._alone)
        if connection.dialect.name == "postgresql":
            # What is matched and what is then loaded must be of one moment.
            return connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        connection.exec_driver_sql("PRAGMA query_only = ON")
        if not self._patient:
            connection.exec_driver_sql("PRAGMA busy_timeout = 0")
        connection.rollback()
        return connection

    def _commit(self) -> None:
        self._same_file()
        if self._connection is not None:
            self._connection.commit()

    def _attempt(self, step: Callable[[], T], failure: type[Unavailable] | None = None) -> T:
        try:
            return step()
        except (exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
            self._drop()
            raise _unavailable(error, failure) from error

    def _stat(self) -> tuple[int, int] | None:
        if self._file is None:
            return None
        found = os.stat(self._file)
        return found.st_dev, found.st_ino

    def _same_file(self) -> None:
        # SQLite goes on happily in a file that was deleted or replaced: what it acknowledged is gone.
        if self._stat() != self._inode:
            raise FileNotFoundError("the database file was replaced")


def _unavailable(error: BaseException, kind: type[Unavailable] | None = None) -> Unavailable:
    if kind is None:
        lost = isinstance(error, exc.DBAPIError) and error.connection_invalidated
        kind = Lost if lost else Unavailable
    cause = getattr(error, "orig", None) or error
    return kind("the database cannot answer now", cause=f"{type(cause).__name__}: {cause}")
