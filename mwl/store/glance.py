"""Reads that take less than the way to another thread, done where they are asked for.

A question that an index answers takes SQLite a tenth of a millisecond; handing it to a thread and
hearing from it takes three times that, for the interpreter lock goes to and fro.  Whoever knows that a
read is short may have it done in the event loop.  It never waits there: a lock that somebody else holds
is a reason to do it in a thread after all, as is any failure.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Engine

from mwl.errors import Unavailable
from mwl.store.engine import Link
from mwl.store.transaction import Transaction

T = TypeVar("T")


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
            with self._link.transaction() as connection:
                return work(Transaction(connection, self._clock()))
        except Unavailable:
            raise NotAtOnce from None

    def close(self) -> None:
        """Let the connection go."""
        if self._link is not None:
            self._link.close()
