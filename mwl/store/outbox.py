"""What must leave the house: rows written with the change that caused them, sent later, in order.

Theory of operation
-------------------

A row is born *pending* in the transaction of the change it reports, with the control ID (MSH-10) it
keeps for life: however often it is sent, the receiver can tell that it is the same message (C-33).

A worker claims rows by writing its name and an end of lease into them.  The database decides who
wins: PostgreSQL skips rows that another claim has locked, SQLite lets one writer in at a time, and
the same statements serve both.  A lease ends by the database's clock, since those of brokers differ;
all else goes by the transaction's time.  A worker that dies leaves a lease that runs out; then the row
is claimable again, and is sent again with the same control ID.  A worker that outlives the database
gives back what it could not settle then.

Rows of one *thread* (one requested procedure) to one *destination* leave in the order in which they
were written: a row can be claimed only when no earlier one is pending, so IN PROGRESS cannot be
overtaken by COMPLETED, and one claim holds at most one row of a thread.  A failed row stays
pending until its next attempt is due, and its thread waits with it for as long as that takes.  A
*parked* row, which the peer refused for good, does not hold up its thread: a person decides about
it, and the exams go on meanwhile.  So it may be *overtaken*: a later row about the same steps was
delivered, or was sent and not answered, so that it may have arrived.  It is not sent any more then, whoever
asks for it: IN PROGRESS after COMPLETED would be a lie (C-33).

The states and their changes are `mwl.lifecycle.OUTBOX`.
"""

from __future__ import annotations

import datetime as dt
import json
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row, Select, and_, bindparam, case, exists, func, or_, select, update

from mwl import lifecycle
from mwl.errors import Refusal, Refused
from mwl.lifecycle import OutboxState
from mwl.store import tables
from mwl.store.prepared import new
from mwl.store.promoted import storable
from mwl.store.transaction import Transaction, instant, stamp

TOPIC = "outbox"
"""Announced on commit when there may be something to send."""

STATUS = "status"  # the kind of a row: HL7 to a system

ABOUT = "about"
"""Key in a status row's facts: the scheduled steps it tells of."""

ERROR = 1000
"""Characters of an error that are kept: what a peer says is as long as it likes."""

PUT_BACK = dt.timedelta(minutes=5)
"""Nobody puts a row off for longer: one that is due later was written before the clock was put back."""

_LONGEST_KEY = 18  # digits that a BIGINT certainly holds
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # base 32 without I, L, O, U: read out on the telephone
_outbox = tables.outbox
_NEW = new(_outbox)
_other = tables.outbox.alias("other")

_PENDING = _outbox.c.state == OutboxState.PENDING.value
_ANOTHER_WAITS = exists().where(
    _other.c.state == OutboxState.PENDING.value,
    _other.c.destination == _outbox.c.destination,
    _other.c.thread == _outbox.c.thread,
)
_IS_HEAD = ~_ANOTHER_WAITS.where(_other.c.key < _outbox.c.key)
# What a person sends again comes before rows of which one may be under way.
_NONE_UNDER_WAY = ~_ANOTHER_WAITS.where(_other.c.key > _outbox.c.key, _other.c.lease_until > bindparam("now"))


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

    @property
    def about(self) -> frozenset[int]:
        """The scheduled steps a status row tells of, by key."""
        return frozenset(self.facts.get(ABOUT, ()))

    @property
    def event(self) -> str:
        """What a status row tells."""
        return str(self.facts.get("event", ""))


def enqueue(
    tx: Transaction, *, destination: str, thread: str, facts: Mapping[str, Any], kind: str = STATUS
) -> None:
    """Write a row that tells *destination* what happened, due at once."""
    row = {
        "kind": kind, "destination": destination, "thread": thread, "state": OutboxState.PENDING.value,
        "control_id": _control_id(tx.now), "facts": json.dumps(facts),
        "created_at": tx.stamp, "due_at": tx.stamp,
    }  # fmt: skip
    _NEW.run(tx.connection, row)
    tx.topics.add(TOPIC)


def claim(
    tx: Transaction,
    owner: str,
    lease: dt.timedelta,
    limit: int,
    *,
    destination: str | None = None,
    kind: str = STATUS,
) -> list[OutboxRow]:
    """Lease up to *limit* due rows of a *kind*, of one *destination* or of all, to *owner*, oldest first.

    What was overtaken since a person had it sent again is parked.
    """
    now = stamp(tx.agreed)
    due_at = _outbox.c.due_at
    due = (
        select(_outbox.c.key)
        .where(_PENDING, _IS_HEAD, _NONE_UNDER_WAY, _outbox.c.kind == kind)
        .where(or_(due_at <= tx.stamp, due_at > stamp(tx.now + PUT_BACK)))
        .where(or_(_outbox.c.lease_until.is_(None), _outbox.c.lease_until <= now))
        .order_by(_outbox.c.key)
        .limit(limit)
        # Not rendered on SQLite, where BEGIN IMMEDIATE has let this transaction in alone.
        .with_for_update(skip_locked=True, of=_outbox)
    )
    if destination is not None:
        due = due.where(_outbox.c.destination == destination)
    keys = tx.connection.execute(due, {"now": now}).scalars().all()
    if not keys:
        return []
    leased = {
        "lease_owner": owner,
        "lease_until": stamp(tx.agreed + lease),
        "attempts": _outbox.c.attempts + 1,
    }
    claimed = tx.connection.execute(
        update(_outbox).where(_outbox.c.key.in_(keys), _PENDING).values(leased).returning(_outbox)
    )
    return _not_overtaken(tx, sorted(map(_row, claimed), key=lambda row: row.key))


def recover(tx: Transaction) -> None:
    """End the leases of workers that are gone, so that a broker that was killed goes on where it was.

    For the start of a broker.  On PostgreSQL nobody knows whose leases these are: there they run out.
    """
    if tx.connection.dialect.name == "sqlite":  # which one broker serves at a time
        leased = and_(_PENDING, _outbox.c.lease_owner.is_not(None))
        tx.connection.execute(update(_outbox).where(leased).values(lease_owner=None, lease_until=None))


def relinquish(tx: Transaction, owner: str, *, destination: str, kind: str = STATUS) -> None:
    """End the leases that *owner* still has on rows to *destination*, of which it has none under way.

    It may have been heard: the attempt counts.
    """
    mine = and_(_PENDING, _outbox.c.lease_owner == owner, _outbox.c.destination == destination)
    chosen = update(_outbox).where(mine, _outbox.c.kind == kind)
    tx.connection.execute(chosen.values(lease_owner=None, lease_until=None))


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
        raise Refused(Refusal.FINAL, f"row {key} is {row.state} already")
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


def remark(tx: Transaction, control_id: str, text: str) -> None:
    """Put *text* on record with the row of a control ID, whatever its state."""
    row = _outbox.c.control_id == control_id
    tx.connection.execute(update(_outbox).where(row).values(last_error=_kept(text)))
    tx.topics.add(TOPIC)


def retry(tx: Transaction, key: int) -> None:
    """Make a parked row due again, at once and under the same control ID.

    A status is composed anew: what the peer refused would be refused again.  Raises `Refused` (UNKNOWN;
    FINAL for a row that is not parked, or was overtaken).
    """
    row = _held(tx, key)
    if row.state is OutboxState.PENDING:
        raise Refused(Refusal.FINAL, f"row {key} is pending: it is sent again without being told to")
    if row.state is OutboxState.PARKED and (later := _overtaker(tx, row)):
        raise Refused(Refusal.FINAL, _overtaken(row, later))
    payload = None if row.kind == STATUS else row.payload
    _move(tx, key, OutboxState.PENDING, due_at=tx.stamp, payload=payload)


def discard(tx: Transaction, key: int) -> None:
    """Close a row that will not be sent."""
    _move(tx, key, OutboxState.DISCARDED)


def browse(
    tx: Transaction, *, state: OutboxState | None = None, destination: str | None = None, limit: int = 100
) -> list[OutboxRow]:
    """Return rows, newest first."""
    chosen = _chosen(state, destination).order_by(_outbox.c.key.desc()).limit(limit)
    return [_row(row) for row in tx.connection.execute(chosen)]


def get(tx: Transaction, key: int) -> OutboxRow | None:
    """Return the row of this key, None where there is none."""
    row = tx.connection.execute(select(_outbox).where(_outbox.c.key == key)).one_or_none()
    return None if row is None else _row(row)


def preceding(tx: Transaction, row: OutboxRow) -> list[OutboxRow]:
    """Return the rows of the same thread to the same destination that were written before *row*, in order."""
    return [_row(each) for each in tx.connection.execute(_of_thread(row).where(_outbox.c.key < row.key))]


def named(tx: Transaction, text: str) -> OutboxRow | None:
    """Return the row of a key or a control ID, None where there is none."""
    by_key = get(tx, int(text)) if text.isdecimal() and len(text) <= _LONGEST_KEY else None
    if by_key is not None:
        return by_key
    row = tx.connection.execute(select(_outbox).where(_outbox.c.control_id == text)).one_or_none()
    return None if row is None else _row(row)


def destinations(tx: Transaction) -> set[str]:
    """Return the names of all that anything was or is to be sent to."""
    return set(tx.connection.execute(select(_outbox.c.destination).distinct()).scalars())


def keys(tx: Transaction, state: OutboxState, destination: str | None = None) -> list[int]:
    """Return the keys of all rows in a state, of one *destination* or of all, oldest first."""
    chosen = _chosen(state, destination).with_only_columns(_outbox.c.key).order_by(_outbox.c.key)
    return list(tx.connection.execute(chosen).scalars())


def _chosen(state: OutboxState | None, destination: str | None) -> Select[Any]:
    chosen = select(_outbox)
    if state is not None:
        chosen = chosen.where(_outbox.c.state == state.value)
    if destination is not None:
        chosen = chosen.where(_outbox.c.destination == destination)
    return chosen


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a destination has not got yet."""

    pending: int = 0
    parked: int = 0
    oldest: dt.datetime | None = None  # when the oldest pending row was written


def backlog(tx: Transaction) -> dict[str, Backlog]:
    """Return what each destination has not got yet; one that has got all is absent."""
    found: dict[str, Backlog] = {}
    for destination, state, count, oldest in tx.connection.execute(_BACKLOG):
        known = found.get(destination, Backlog())
        if state == OutboxState.PARKED.value:
            found[destination] = replace(known, parked=count)
        else:
            found[destination] = replace(known, pending=count, oldest=instant(oldest))
    return found


_BACKLOG = (
    select(_outbox.c.destination, _outbox.c.state, func.count(), func.min(_outbox.c.created_at))
    .where(_outbox.c.state.in_([OutboxState.PENDING.value, OutboxState.PARKED.value]))
    .group_by(_outbox.c.destination, _outbox.c.state)
)


def next_due(tx: Transaction) -> dt.datetime | None:
    """Return the instant from which a claim will find something, None when nothing is pending."""
    leased = and_(_outbox.c.lease_until.is_not(None), _outbox.c.lease_until > _outbox.c.due_at)
    claimable_at = case((leased, _outbox.c.lease_until), else_=_outbox.c.due_at)
    soonest = tx.connection.scalar(select(func.min(claimable_at)).where(_PENDING, _IS_HEAD))
    return instant(soonest) if soonest else None


def _not_overtaken(tx: Transaction, rows: Sequence[OutboxRow]) -> list[OutboxRow]:
    """Return the rows that may still be sent; the others are parked."""
    left = []
    for row in rows:
        if later := _overtaker(tx, row):
            parked(tx, row.key, _overtaken(row, later))
        else:
            left.append(row)
    return left


def _overtaker(tx: Transaction, row: OutboxRow) -> OutboxRow | None:
    """Return a later row about one of the same steps that was delivered, or may have been."""
    later = _of_thread(row, (OutboxState.DELIVERED, OutboxState.PENDING)).where(
        _outbox.c.key > row.key,
        or_(~_PENDING, _outbox.c.payload.is_not(None)),  # a status is composed when it first leaves
    )
    found = map(_row, tx.connection.execute(later))
    return next((each for each in found if each.about & row.about), None)


def _of_thread(row: OutboxRow, states: Iterable[OutboxState] = OutboxState) -> Select[Any]:
    """Return the SELECT of the rows of a row's thread and destination, in order."""
    return (
        select(_outbox)
        .where(
            _outbox.c.state.in_([state.value for state in states]),  # the index begins with it
            _outbox.c.destination == row.destination,
            _outbox.c.thread == row.thread,
        )
        .order_by(_outbox.c.key)
    )


def _overtaken(row: OutboxRow, later: OutboxRow) -> str:
    about = f"row {later.key} ({later.event}) about the same step"
    if later.state is OutboxState.PENDING:
        return f"row {row.key} ({row.event}) has to wait: {about} was sent meanwhile and may have arrived"
    return f"row {row.key} ({row.event}) was overtaken: {about} was delivered since; it can only be discarded"


def _held(tx: Transaction, key: int) -> OutboxRow:
    """Return a row, locked until the transaction ends."""
    found: Select[Any] = select(_outbox).where(_outbox.c.key == key).with_for_update()
    row = tx.connection.execute(found).one_or_none()
    if row is None:
        raise Refused(Refusal.UNKNOWN, f"there is no outbox row {key}")
    return _row(row)


def _move(tx: Transaction, key: int, state: OutboxState, **columns: object) -> None:
    row = _held(tx, key)
    if state not in lifecycle.OUTBOX[row.state]:
        raise Refused(Refusal.FINAL, f"row {key} is {row.state} and cannot become {state}")
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
