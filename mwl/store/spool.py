"""Audit messages that the collector does not have yet.

Theory of operation
-------------------
A message is written in the transaction of what it reports, or behind it where that changes nothing, with the
bytes that are sent; it is deleted once it was sent.  Of the brokers on one database one at a time has a
claim, the oldest messages under a lease: they leave in the order in which they were written.  A broker that
dies leaves its lease to run out, and what it had claimed is sent again, to the byte.

The spool is bounded.  When it is full what comes is dropped and what is there stays: nobody gets rid of the
traces of what he did by making more of them.  How full it is, its first and its last key tell: to count
the rows would take longer the more there are.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy import delete, exists, func, select, update

from mwl.store.prepared import Prepared, new
from mwl.store.tables import audit_spool as spool
from mwl.store.transaction import Transaction, instant, stamp

TOPIC = "audit"
"""Announced on commit when there may be something to send."""


@dataclass(frozen=True, slots=True)
class Spooled:
    """A message as it waits."""

    key: int
    message: bytes = field(repr=False)


def put(tx: Transaction, messages: Sequence[bytes], *, limit: int) -> int:
    """Have *messages* sent; return how many of them were dropped, since *limit* may wait at most."""
    kept = messages[: max(0, limit - _SPAN.scalar(tx.connection, {}))]
    if kept:
        _NEW.run_all(tx.connection, [{"created_at": tx.stamp, "message": each} for each in kept])
        tx.topics.add(TOPIC)
    return len(messages) - len(kept)


def claim(tx: Transaction, owner: str, lease: dt.timedelta, most: int) -> list[Spooled]:
    """Lease the oldest *most* messages to *owner*; none while another has some of them under way."""
    under_way = exists().where(spool.c.lease_until > stamp(tx.agreed))
    due = (
        select(spool.c.key)
        .where(~under_way)
        .order_by(spool.c.key)
        .limit(most)
        # Not rendered on SQLite, where a writer is alone.
        .with_for_update(skip_locked=True)
    )
    keys = tx.connection.scalars(due).all()
    if not keys:
        return []
    leased = {"lease_owner": owner, "lease_until": stamp(tx.agreed + lease)}
    claimed = (
        update(spool).where(spool.c.key.in_(keys)).values(leased).returning(spool.c.key, spool.c.message)
    )
    return sorted((Spooled(*row) for row in tx.connection.execute(claimed)), key=lambda each: each.key)


def sent(tx: Transaction, keys: Collection[int]) -> None:
    """Forget messages that the collector has, or that nobody can send."""
    tx.connection.execute(delete(spool).where(spool.c.key.in_(keys)))


def released(tx: Transaction, owner: str) -> None:
    """Give back what *owner* has claimed and not sent."""
    mine = update(spool).where(spool.c.lease_owner == owner)
    tx.connection.execute(mine.values(lease_owner=None, lease_until=None))


def recover(tx: Transaction) -> None:
    """End the leases of a broker that was killed; as `mwl.store.outbox.recover`."""
    if tx.connection.dialect.name == "sqlite":  # which one broker serves at a time
        leased = update(spool).where(spool.c.lease_owner.is_not(None))
        tx.connection.execute(leased.values(lease_owner=None, lease_until=None))


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits: how many messages, and since when the oldest."""

    waiting: int = 0
    oldest: dt.datetime | None = None


def backlog(tx: Transaction) -> Backlog:
    """Return what the collector does not have yet."""
    count, oldest = tx.connection.execute(select(func.count(), func.min(spool.c.created_at))).one()
    return Backlog(count, instant(oldest) if oldest else None)


# Built once: every order asks.
_NEW = new(spool)
_FIRST, _LAST = (select(each(spool.c.key)).scalar_subquery() for each in (func.min, func.max))
_SPAN = Prepared(select(func.coalesce(_LAST - _FIRST + 1, 0).label("span")))
