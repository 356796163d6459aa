"""What is too old is deleted: a few rows a transaction, so that nobody waits for it.

A message takes with it what it was found by, its attempts and its links; what it touched stays.
Several brokers on one database may delete at once: each takes rows the others do not hold.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import delete, select

from mwl.store import allowances
from mwl.store.tables import messages
from mwl.store.transaction import Transaction, stamp

BATCH = 500
"""Rows of one transaction: some tens of milliseconds, which an acknowledgement can wait."""


def purge_messages(tx: Transaction, before: dt.datetime, *, most: int = BATCH) -> int:
    """Delete messages that came, for the last time, before an instant; return how many, *most* at most."""
    old = (
        select(messages.c.key)
        .where(messages.c.last_at < stamp(before))
        .order_by(messages.c.last_at)
        .limit(most)
        # Not rendered on SQLite, where a writer is alone.
        .with_for_update(skip_locked=True)
    )
    keys = tx.connection.scalars(old).all()
    if keys:
        tx.connection.execute(delete(messages).where(messages.c.key.in_(keys)))
    allowances.forget(tx, stamp(before))
    return len(keys)
