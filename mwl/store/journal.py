"""The journal: messages on record, searched and read.

A search by a number (accession, patient, order, control ID) is answered from an index, however many
messages there are; a search by system or outcome from the index of that column, newest first.
Nothing is decided by the journal but what a person replays.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, bindparam, func, or_, select

from mwl.store import doubts
from mwl.store.messages import KeyKind, SearchKey
from mwl.store.promoted import bounded, column
from mwl.store.tables import message_attempts, message_keys, messages
from mwl.store.transaction import Transaction, stamp

_LONGEST_KEY = 18  # digits that fit into 64 bits, whatever they are


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person looks for; an empty value asks nothing.  Instants are aware."""

    keys: tuple[SearchKey, ...] = ()  # all of them
    control_id: str = ""
    system: str = ""
    kind: str = ""  # "ORM^O01", or "ORM" for any of its events
    outcomes: tuple[str, ...] = ()  # any of them
    since: dt.datetime | None = None  # came, for the last time, at or after
    until: dt.datetime | None = None  # came, for the last time, before
    doubtful: bool = False  # about an open step that it touched there are doubts


@dataclass(frozen=True, slots=True)
class Entry:
    """A message on record, without its bytes; instants are UTC, as the tables hold them."""

    key: int
    received_at: str  # for the first time
    last_at: str
    receipts: int  # how often it came
    peer: str
    system: str
    application: str
    facility: str
    control_id: str
    kind: str
    octets: int
    outcome: str  # of the newest attempt
    error: str
    attempted_at: str
    replayed: bool  # the newest attempt was a replay


@dataclass(frozen=True, slots=True)
class OtherAttempt:
    """An attempt to apply the message beside the one that counts."""

    attempted_at: str
    replayed: bool
    outcome: str
    error: str
    acknowledgement: bytes | None


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message with its bytes, the answer of the attempt that counts, and the other attempts."""

    entry: Entry
    raw: bytes
    acknowledgement: bytes | None
    keys: tuple[SearchKey, ...]
    other: tuple[OtherAttempt, ...]  # the oldest first


def search(tx: Transaction, wanted: Wanted, *, limit: int) -> list[Entry]:
    """Return the messages wanted, those that came last first."""
    last_at = _column(wanted, messages.c.last_at)
    newest = _ENTRIES.where(*_conditions(wanted)).order_by(last_at.desc(), messages.c.key.desc())
    return [_entry(row) for row in tx.connection.execute(newest.limit(limit))]


def in_order(tx: Transaction, wanted: Wanted) -> list[int]:
    """Return the keys of all messages wanted, in the order in which they first came."""
    oldest = select(messages.c.key).where(*_conditions(wanted)).order_by(messages.c.key)
    return list(tx.connection.scalars(oldest))


def named(tx: Transaction, text: str) -> int | None:
    """Return the key of the message a person names: by its key, or else by its control ID, the latest."""
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) <= _LONGEST_KEY:
        by_key = select(messages.c.key).where(messages.c.key == int(text))
        if tx.connection.scalar(by_key) is not None:
            return int(text)
    latest = search(tx, Wanted(control_id=text), limit=1) if text else []
    return latest[0].key if latest else None


def numbers(tx: Transaction, keys: Sequence[int]) -> dict[int, list[SearchKey]]:
    """Return what messages are found by, by their keys; one without a number is left out."""
    found: dict[int, list[SearchKey]] = {}
    for row in tx.connection.execute(_NUMBERS, {"keys": list(keys)}):
        found.setdefault(row.message_key, []).append(SearchKey(KeyKind(row.kind), row.value))
    return found


def read(tx: Transaction, key: int) -> StoredMessage | None:
    """Return a message, None where none has this key."""
    row = tx.connection.execute(_ONE, {"message": key}).one_or_none()
    if row is None:
        return None
    others = tx.connection.execute(_OTHERS, {"message": key})
    return StoredMessage(
        _entry(row),
        row.raw,
        row.acknowledgement,
        tuple(numbers(tx, [key]).get(key, ())),
        tuple(
            OtherAttempt(
                each.attempted_at, bool(each.replayed), each.outcome, each.error, each.acknowledgement
            )
            for each in others
        ),
    )


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    for key in wanted.keys:
        holding = select(message_keys.c.message_key).where(
            message_keys.c.kind == key.kind.value, message_keys.c.value == column(key.value)
        )
        found.append(messages.c.key.in_(holding))
    if wanted.control_id:
        found.append(messages.c.control_id == bounded(wanted.control_id))
    if wanted.system:
        found.append(_column(wanted, messages.c.system) == wanted.system)
    if wanted.kind:
        any_event = messages.c.kind.startswith(f"{wanted.kind}^", autoescape=True)
        found.append(or_(messages.c.kind == wanted.kind, any_event))
    if wanted.outcomes:
        found.append(_column(wanted, messages.c.outcome).in_(wanted.outcomes))
    if wanted.doubtful:
        found.append(messages.c.key.in_(doubts.messages_concerned()))
    if wanted.since:
        found.append(_column(wanted, messages.c.last_at) >= stamp(wanted.since))
    if wanted.until:
        found.append(_column(wanted, messages.c.last_at) < stamp(wanted.until))
    return found


def _column(wanted: Wanted, column: ColumnElement[str]) -> ColumnElement[str]:
    """Return a column, hidden from its index where a number is looked up.

    SQLite keeps no statistics by itself and would as soon walk through all messages of an outcome.
    """
    return column.concat("") if wanted.keys or wanted.control_id else column


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        row.key, row.received_at, row.last_at, row.receipts, row.peer, row.system, row.application,
        row.facility, row.control_id, row.kind, row.octets, row.outcome, row.error, row.attempted_at,
        bool(row.replayed),
    )  # fmt: skip


_COLUMNS = (
    messages.c.key,
    messages.c.received_at,
    messages.c.last_at,
    messages.c.receipts,
    messages.c.peer,
    messages.c.system,
    messages.c.application,
    messages.c.facility,
    messages.c.control_id,
    messages.c.kind,
    func.length(messages.c.raw).label("octets"),
    messages.c.outcome,
    messages.c.error,
    messages.c.attempted_at,
    messages.c.replayed,
)
_ENTRIES: Select[Any] = select(*_COLUMNS)
_ONE: Select[Any] = select(*_COLUMNS, messages.c.raw, messages.c.acknowledgement).where(
    messages.c.key == bindparam("message")
)
_NUMBERS = (
    select(message_keys.c.message_key, message_keys.c.kind, message_keys.c.value)
    .where(message_keys.c.message_key.in_(bindparam("keys", expanding=True)))
    .order_by(message_keys.c.message_key, message_keys.c.kind, message_keys.c.value)
)
_OTHERS = (
    select(
        message_attempts.c.attempted_at,
        message_attempts.c.replayed,
        message_attempts.c.outcome,
        message_attempts.c.error,
        message_attempts.c.acknowledgement,
    )
    .where(message_attempts.c.message_key == bindparam("message"))
    .order_by(message_attempts.c.key)
)
