"""What must leave the house: rows written with the change that caused them, sent later, in order.

Theory of operation
-------------------

A row is born *pending* in the transaction of the change it reports, with the control ID (MSH-10) it
keeps for life: however often it is sent, the receiver can tell that it is the same message (C-33).

A worker claims rows by writing its name and an end of lease into them.  The database decides who
wins: PostgreSQL skips rows that another claim has locked, SQLite lets one writer in at a time, and
the same statements serve both.  The time is the transaction's.  A worker that dies leaves a lease
that runs out; then the row is claimable again, and is sent again with the same control ID.

Rows of one *thread* (one requested procedure) to one *destination* leave in the order in which they
were written: a row can be claimed only when no earlier one is pending, so IN PROGRESS cannot be
overtaken by COMPLETED, and one claim holds at most one row of a thread.  A failed row stays
pending until its next attempt is due, and its thread waits with it for as long as that takes.  A
*parked* row, which the peer refused for good, does not hold up its thread: a person decides about
it, and the exams go on meanwhile.

The states and their changes are `mwl.lifecycle.OUTBOX`.
"""

from __future__ import annotations

import datetime as dt
import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, and_, case, exists, func, insert, or_, select, update

from mwl import lifecycle
from mwl.errors import Refusal, Refused
from mwl.lifecycle import OutboxState
from mwl.store import tables
from mwl.store.promoted import storable
from mwl.store.transaction import Transaction, instant, stamp

TOPIC = "outbox"
"""Announced on commit when there may be something to send."""

STATUS = "status"  # the kind of a row: HL7 to a system

ERROR = 1000
"""Characters of an error that are kept: what a peer says is as long as it likes."""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # base 32 without I, L, O, U: read out on the telephone
_outbox = tables.outbox
_earlier = tables.outbox.alias("earlier")

_PENDING = _outbox.c.state == OutboxState.PENDING.value
_IS_HEAD = ~exists().where(
    _earlier.c.state == OutboxState.PENDING.value,
    _earlier.c.destination == _outbox.c.destination,
    _earlier.c.thread == _outbox.c.thread,
    _earlier.c.key < _outbox.c.key,
)


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One thing to send, as stored; instants are aware."""

    key: int
    kind: str
    destination: str  # name of the system
    thread: str
    state: OutboxState
    control_id: str
    facts: Mapping[str, Any]  # what happened, to what: event, patient, procedure, step, performed, at
    payload: bytes | None  # once composed
    created_at: dt.datetime
    due_at: dt.datetime
    attempts: int  # how often it was tried
    lease_owner: str | None
    lease_until: dt.datetime | None
    finished_at: dt.datetime | None
    last_error: str


def enqueue_status(tx: Transaction, *, destination: str, thread: str, facts: Mapping[str, Any]) -> None:
    """Write a row that tells *destination* what happened, due at once."""
    tx.connection.execute(
        insert(_outbox).values(
            kind=STATUS, destination=destination, thread=thread, state=OutboxState.PENDING.value,
            control_id=_control_id(tx.now), facts=json.dumps(facts),
            created_at=tx.stamp, due_at=tx.stamp,
        )
    )  # fmt: skip
    tx.topics.add(TOPIC)


def claim(
    tx: Transaction, owner: str, lease: dt.timedelta, limit: int, *, destination: str | None = None
) -> list[OutboxRow]:
    """Lease up to *limit* due rows, of one *destination* or of all, to *owner*, oldest first; return them."""
    due = (
        select(_outbox.c.key)
        .where(_PENDING, _IS_HEAD, _outbox.c.due_at <= tx.stamp)
        .where(or_(_outbox.c.lease_until.is_(None), _outbox.c.lease_until <= tx.stamp))
        .order_by(_outbox.c.key)
        .limit(limit)
        # Not rendered on SQLite, where BEGIN IMMEDIATE has let this transaction in alone.
        .with_for_update(skip_locked=True, of=_outbox)
    )
    if destination is not None:
        due = due.where(_outbox.c.destination == destination)
    keys = tx.connection.execute(due).scalars().all()
    if not keys:
        return []
    leased = {
        "lease_owner": owner,
        "lease_until": stamp(tx.now + lease),
        "attempts": _outbox.c.attempts + 1,
    }
    claimed = tx.connection.execute(
        update(_outbox).where(_outbox.c.key.in_(keys), _PENDING).values(leased).returning(_outbox)
    )
    return sorted(map(_row, claimed), key=lambda row: row.key)


def composed(tx: Transaction, key: int, payload: bytes) -> bytes:
    """Keep the bytes to send; return the ones that count: the first ever kept, at every attempt."""
    row = _held(tx, key)
    if row.payload is not None:
        return row.payload
    tx.connection.execute(update(_outbox).where(_outbox.c.key == key).values(payload=payload))
    return payload


def delivered(tx: Transaction, key: int) -> None:
    """Close a row that the peer accepted."""
    _move(tx, key, OutboxState.DELIVERED)


def failed(tx: Transaction, key: int, error: str, due_at: dt.datetime) -> None:
    """Give a row that did not get through back, to be tried again at *due_at*."""
    if (row := _held(tx, key)).state is not OutboxState.PENDING:
        raise Refused(Refusal.FINAL, f"the row is {row.state} already", key=key)
    _give_back(tx, key, last_error=_kept(error), due_at=stamp(due_at))


def released(tx: Transaction, keys: Collection[int]) -> None:
    """Give back rows that were claimed and not tried: they are due as before, and that was no attempt."""
    given_back = {"lease_owner": None, "lease_until": None, "attempts": _outbox.c.attempts - 1}
    claimed = and_(_outbox.c.key.in_(keys), _PENDING, _outbox.c.lease_owner.is_not(None))
    tx.connection.execute(update(_outbox).where(claimed).values(given_back))
    tx.topics.add(TOPIC)


def parked(tx: Transaction, key: int, error: str) -> None:
    """Set aside a row that the peer refused for good: a person decides."""
    _move(tx, key, OutboxState.PARKED, last_error=_kept(error))


def retry(tx: Transaction, key: int) -> None:
    """Make a parked row due again, at once and under the same control ID."""
    _move(tx, key, OutboxState.PENDING, due_at=tx.stamp)


def discard(tx: Transaction, key: int) -> None:
    """Close a row that will not be sent."""
    _move(tx, key, OutboxState.DISCARDED)


def browse(
    tx: Transaction, *, state: OutboxState | None = None, destination: str | None = None, limit: int = 100
) -> list[OutboxRow]:
    """Return rows, newest first."""
    chosen = select(_outbox).order_by(_outbox.c.key.desc()).limit(limit)
    if state is not None:
        chosen = chosen.where(_outbox.c.state == state.value)
    if destination is not None:
        chosen = chosen.where(_outbox.c.destination == destination)
    return [_row(row) for row in tx.connection.execute(chosen)]


def counts(tx: Transaction) -> dict[str, dict[OutboxState, int]]:
    """Return how many rows each destination has in each state; a state without rows is absent."""
    grouped = select(_outbox.c.destination, _outbox.c.state, func.count()).group_by(
        _outbox.c.destination, _outbox.c.state
    )
    found: dict[str, dict[OutboxState, int]] = {}
    for destination, state, count in tx.connection.execute(grouped):
        found.setdefault(destination, {})[OutboxState(state)] = count
    return found


def next_due(tx: Transaction) -> dt.datetime | None:
    """Return the instant from which a claim will find something, None when nothing is pending."""
    leased = and_(_outbox.c.lease_until.is_not(None), _outbox.c.lease_until > _outbox.c.due_at)
    claimable_at = case((leased, _outbox.c.lease_until), else_=_outbox.c.due_at)
    soonest = tx.connection.scalar(select(func.min(claimable_at)).where(_PENDING, _IS_HEAD))
    return instant(soonest) if soonest else None


def _held(tx: Transaction, key: int) -> OutboxRow:
    """Return a row, locked until the transaction ends."""
    found: Select[Any] = select(_outbox).where(_outbox.c.key == key).with_for_update()
    row = tx.connection.execute(found).one_or_none()
    if row is None:
        raise Refused(Refusal.UNKNOWN, "no such outbox row", key=key)
    return _row(row)


def _move(tx: Transaction, key: int, state: OutboxState, **columns: object) -> None:
    row = _held(tx, key)
    if state not in lifecycle.OUTBOX[row.state]:
        raise Refused(Refusal.FINAL, f"a {row.state} row cannot become {state}", key=key)
    closed = state in (OutboxState.DELIVERED, OutboxState.DISCARDED)
    _give_back(tx, key, state=state.value, finished_at=tx.stamp if closed else None, **columns)


def _give_back(tx: Transaction, key: int, **columns: object) -> None:
    released = {"lease_owner": None, "lease_until": None, **columns}
    tx.connection.execute(update(_outbox).where(_outbox.c.key == key).values(released))
    tx.topics.add(TOPIC)  # the next row of the thread may be due now


def _kept(error: str) -> str:
    return storable(error)[:ERROR]


def _control_id(now: dt.datetime) -> str:
    """Return 20 characters (MSH-10 is ST of 20): 48 bits of milliseconds, then 50 bits of chance."""
    number = int(now.timestamp() * 1000) << 50 | secrets.randbits(50)
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(95, -1, -5))


def _row(row: Row[Any]) -> OutboxRow:
    return OutboxRow(
        key=row.key, kind=row.kind, destination=row.destination, thread=row.thread,
        state=OutboxState(row.state), control_id=row.control_id, facts=json.loads(row.facts),
        payload=row.payload, created_at=instant(row.created_at), due_at=instant(row.due_at),
        attempts=row.attempts, lease_owner=row.lease_owner,
        lease_until=_optional(row.lease_until), finished_at=_optional(row.finished_at),
        last_error=row.last_error,
    )  # fmt: skip


def _optional(stamped: str | None) -> dt.datetime | None:
    return None if stamped is None else instant(stamped)
