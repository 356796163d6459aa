"""Reads that take less than the way to another thread, done where they are asked for.

A question that an index answers takes SQLite a tenth of a millisecond; handing it to a thread and
hearing from it takes three times that, for the interpreter lock goes to and fro.  Whoever knows that a
read is short may have it done in the event loop.  It never waits there: a lock that somebody else holds
is a reason to do it in a thread after all, as is any failure.  So is a read that turns out to be long: what
took next to nothing the last time may find a database that has become slow, and whoever else is served in
the loop must not wait for it (F54).
"""

from __future__ import annotations

import datetime as dt
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection, Engine

from mwl.errors import Unavailable
from mwl.store.engine import Link
from mwl.store.transaction import Transaction

T = TypeVar("T")

_LONGEST = 0.02  # seconds; a glance takes a thousandth
_EVERY = 5000  # steps of SQLite's machine between two looks at the clock: some 0.1 ms


class NotAtOnce(Exception):
    """It cannot be read here and now."""


class Glance:
    """A connection for short reads in the event loop's thread; PostgreSQL, which is elsewhere, has none."""

    def __init__(self, engine: Engine, clock: Callable[[], dt.datetime]) -> None:
        self._link = Link(engine, writing=False, patient=False) if engine.dialect.name == "sqlite" else None
        self._clock = clock

    def read(self, work: Callable[[Transaction], T]) -> T:
        """Return what *work* returns, from one snapshot; raise `NotAtOnce`."""
        if self._link is None:
            raise NotAtOnce
        try:
            with self._link.transaction() as connection, _brief(connection):
                return work(Transaction(connection, self._clock()))
        except Unavailable:
            raise NotAtOnce from None

    def close(self) -> None:
        """Let the connection go."""
        if self._link is not None:
            self._link.close()


@contextmanager
def _brief(connection: Connection) -> Iterator[None]:
    """Let SQLite give up what takes too long; it says so as it does of a lock."""
    over = time.monotonic() + _LONGEST
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)  # noqa: S101  `Glance` has no other
    driver.set_progress_handler(lambda: time.monotonic() > over, _EVERY)
    try:
        yield
    finally:
        driver.set_progress_handler(None, 0)
