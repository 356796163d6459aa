"""What a domain function of the store is handed: a connection inside a transaction, and the time.

Domain functions take the transaction first and never open their own, so that a change and the
outbox row it causes are committed together.  The clock is injected: nothing in the store asks the
system what time it is.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from functools import cached_property

from sqlalchemy import Connection


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
    announced to `Store.on_commit` once the work is committed, and never if it is not.
    """

    connection: Connection
    now: dt.datetime
    topics: set[str] = field(default_factory=set)

    @cached_property
    def stamp(self) -> str:
        """*now* as the tables hold it."""
        return stamp(self.now)
