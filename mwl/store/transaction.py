"""What a domain function of the store is handed: a connection inside a transaction, and the time.

Domain functions take the transaction first and never open their own, so that a change and the
outbox row it causes are committed together.  The clock is injected: nothing in the store asks the
system what time it is.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from functools import cached_property

from sqlalchemy import Connection, func, select


def stamp(instant: dt.datetime) -> str:
    """Return an aware instant as the tables hold it: UTC, microseconds, sorting as it reads."""
    return instant.astimezone(dt.UTC).isoformat(timespec="microseconds")


def instant(stamped: str) -> dt.datetime:
    """Return the aware instant that `stamp` wrote."""
    return dt.datetime.fromisoformat(stamped)


@dataclass
class Transaction:
    """One piece of work's view of the database.

    *now* is aware, in UTC, and the same for the whole piece of work.  What is added to *topics* is
    announced to `Store.on_commit` once the work is committed, and never if it is not.  A clock that was
    *given* is everybody's.
    """

    connection: Connection
    now: dt.datetime
    topics: set[str] = field(default_factory=set)
    given: bool = False

    @cached_property
    def agreed(self) -> dt.datetime:
        """The instant by the clock that all brokers of the database share.

        Of their own ones one may be minutes ahead, and a lease has to be over for all at once.
        """
        if self.given or self.connection.dialect.name != "postgresql":
            return self.now
        found: dt.datetime = self.connection.execute(_SERVERS_CLOCK).scalar_one()
        return found

    @cached_property
    def stamp(self) -> str:
        """*now* as the tables hold it."""
        return stamp(self.now)


_SERVERS_CLOCK = select(func.clock_timestamp())
