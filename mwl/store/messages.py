"""Every message that arrived: its raw bytes, what became of it, what it is found by, what it touched.

Theory of operation.  A message is applied, recorded and answered in one transaction.  One row stands
for the same bytes of the same sender, however often they come: a duplicate gets the row's answer
again (D-30), a refused message that is sent every minute is counted and not stored every minute.  The
row of a message that is new is written once, with its answer.

Applying a message is an *attempt*.  The row tells of the newest one, whether the message came again
or was replayed; an attempt that ended otherwise, or was replayed over, moves to `message_attempts`
with the answer it got, so that what a sender was told can always be shown.  Once a message had its
effect the row says so for good: an attempt that fails after that goes to `message_attempts` itself.

What a message is found by (`SearchKey`) is written in the same transaction, for refused ones too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, union_all, update

from mwl.store import allowances
from mwl.store.allowances import Limit
from mwl.store.prepared import Prepared, new
from mwl.store.promoted import bounded, column, storable
from mwl.store.tables import message_attempts, message_keys, message_links, messages, procedures
from mwl.store.transaction import Transaction

KEYS = 200
"""Search keys of one message at most; an order has about six."""


SETTLED = frozenset({"AA", "ignored"})
"""Outcomes after which the same bytes are not applied again (D-30)."""


def digest_of(raw: bytes) -> str:
    """Return the SHA-256 of *raw*, hexadecimal: what makes a message byte-identical to another."""
    return hashlib.sha256(raw).hexdigest()


class KeyKind(StrEnum):
    """What sort of number a message is found by."""

    PATIENT = "patient"  # patient IDs, those of a merge included
    ACCESSION = "accession"
    ORDER = "order"  # placer, filler and requested procedure


@dataclass(frozen=True, slots=True)
class SearchKey:
    """A number that a message holds."""

    kind: KeyKind
    value: str


@dataclass(frozen=True)
class MessageRecord:
    """A message as it came in, and what its header says of it; "" is unknown."""

    peer: str  # address it came from
    raw: bytes
    system: str = ""  # the configured system it was taken for
    application: str = ""  # MSH-3
    facility: str = ""  # MSH-4
    control_id: str = ""  # MSH-10
    kind: str = ""  # MSH-9, "ORM^O01"
    keys: tuple[SearchKey, ...] = ()

    @cached_property
    def digest(self) -> str:
        """See `digest_of`."""
        return digest_of(self.raw)

    @cached_property
    def facts(self) -> dict[str, str]:
        """What the header says of it, by column."""
        return {
            "system": storable(self.system),
            "application": bounded(self.application),
            "facility": bounded(self.facility),
            "control_id": bounded(self.control_id),
            "kind": bounded(self.kind),
        }


@dataclass(frozen=True, slots=True)
class Attempt:
    """How applying a message ended."""

    outcome: str  # MSA-1 of the answer, or "ignored"; "" while there is none
    acknowledgement: bytes | None
    error: str


@dataclass(slots=True)
class OnRecord:
    """A message that is to be applied; `answered` ends it."""

    message: MessageRecord
    key: int = 0  # of its row; 0 until a message that is new is answered
    earlier: Attempt | None = None  # what became of it before
    reused: bool = False  # its sender gave its number to another one before (D-30)
    replay: bool = False  # it did not come again: a person applies it again


def arrived(tx: Transaction, message: MessageRecord) -> OnRecord:
    """Begin with *message*, which is counted where the same bytes of its sender are on record."""
    return _counted(tx, message)


def refused(tx: Transaction, message: MessageRecord, limit: Limit) -> OnRecord | None:
    """Do as `arrived` for a message that is refused; None where no room is left for such: it is not kept."""
    arrival = _counted(tx, message)
    if arrival.earlier is None and not allowances.take(tx, limit, len(message.raw)):
        return None
    return arrival


def resumed(tx: Transaction, key: int, message: MessageRecord) -> OnRecord | None:
    """Take the message *key* up again, to replay it; it stays locked until the transaction ends.

    *message* is what is known of it now.  None where it is on record no more.
    """
    held = select(*_ATTEMPT).where(messages.c.key == key).with_for_update()
    row = tx.connection.execute(held).one_or_none()
    return None if row is None else OnRecord(message, key, Attempt(*row), replay=True)


def answered(
    tx: Transaction, taken: OnRecord, outcome: str, acknowledgement: bytes | None, error: str = ""
) -> None:
    """Keep a message, what became of it, and the bytes it was, or would have been, answered with.

    A replay that fails does not undo what the message did before: it is kept as an attempt beside it.
    """
    attempt = {
        "attempted_at": tx.stamp,
        "replayed": int(taken.replay),
        "outcome": outcome,
        "acknowledgement": acknowledgement,
        "error": storable(error),
    }
    earlier = taken.earlier
    if earlier is None:
        taken.key = _record(tx, taken.message, attempt)
        return
    if earlier.outcome in SETTLED and outcome not in SETTLED:
        tx.connection.execute(insert(message_attempts), {"message_key": taken.key, **attempt})
        return
    if taken.replay or (earlier.outcome, earlier.error) != (outcome, attempt["error"]):
        tx.connection.execute(_SET_ASIDE, {"message": taken.key})
    _refresh(tx, taken)
    tx.connection.execute(_ANSWER, {"message": taken.key, **attempt})


def link(
    tx: Transaction,
    key: int,
    *,
    patients: Iterable[int] = (),
    procedures: Iterable[int] = (),
    steps: Iterable[int] = (),
    again: bool = True,
) -> None:
    """Note that the message *key* touched these patients, procedures and steps.

    The patients of the procedures are looked up where none is named.  *again* is whether it may have
    touched something before.
    """
    procedures = tuple(procedures)
    patients = tuple(patients) or _patients_of(tx, procedures)
    wanted: dict[tuple[int | None, ...], None] = {(each, None, None): None for each in patients}
    wanted |= {(None, each, None): None for each in procedures}
    wanted |= {(None, None, each): None for each in steps}
    if not wanted:
        return
    known = set(map(tuple, _LINKS.all(tx.connection, {"message": key}))) if again else ()
    rows = [dict(zip(_LINKED, link, strict=True), message_key=key) for link in wanted if link not in known]
    _NEW_LINK.run_all(tx.connection, rows)


def _counted(tx: Transaction, message: MessageRecord) -> OnRecord:
    """Count the bytes of *message* where they are on record; of several rows the latest counts."""
    known = _KNOWN.all(tx.connection, {**message.facts, "digest": message.digest})
    if key := max((row.key for row in known if row.digest == message.digest), default=0):
        # The row as it is now: another broker may have answered the same bytes a moment ago.
        row = tx.connection.execute(_COUNT, {"message": key, "now": tx.stamp}).one_or_none()
        if row is not None:
            return OnRecord(message, key, Attempt(*row))
    reused = message.control_id and any(row.digest != message.digest for row in known)
    return OnRecord(message, reused=bool(reused))


def _record(tx: Transaction, message: MessageRecord, attempt: Mapping[str, Any]) -> int:
    key: int = _NEW.scalar(
        tx.connection,
        {
            "received_at": tx.stamp,
            "last_at": tx.stamp,
            "peer": storable(message.peer),
            "digest": message.digest,
            "raw": message.raw,
            **message.facts,
            **attempt,
        },
    )
    _keep_keys(tx, key, message)
    return key


def _refresh(tx: Transaction, taken: OnRecord) -> None:
    """Keep what is known of a message now: its system may have been configured, its profile mended."""
    facts = update(messages).where(messages.c.key == taken.key).values(taken.message.facts)
    tx.connection.execute(facts)
    tx.connection.execute(delete(message_keys).where(message_keys.c.message_key == taken.key))
    _keep_keys(tx, taken.key, taken.message)


def _keep_keys(tx: Transaction, key: int, message: MessageRecord) -> None:
    distinct = dict.fromkeys((each.kind.value, column(each.value)) for each in message.keys)
    rows = [{"kind": kind, "value": value, "message_key": key} for kind, value in distinct if value]
    _NEW_KEY.run_all(tx.connection, rows[:KEYS])


def _patients_of(tx: Transaction, keys: tuple[int, ...]) -> Iterable[int]:
    return tx.connection.scalars(_PATIENTS, {"keys": keys}) if keys else ()


_PATIENTS = (
    select(procedures.c.patient_key)
    .where(procedures.c.key.in_(bindparam("keys", expanding=True)))
    .distinct()
    .order_by(procedures.c.patient_key)
)

_LINKED = ("patient_key", "procedure_key", "step_key")
_LINKS = Prepared(
    select(*(message_links.c[name] for name in _LINKED)).where(
        message_links.c.message_key == bindparam("message")
    )
)

_ATTEMPT = (messages.c.outcome, messages.c.acknowledgement, messages.c.error)

_NEW, _NEW_KEY, _NEW_LINK = new(messages, key=True), new(message_keys), new(message_links)

_NUMBERED = select(messages.c.key, messages.c.digest).where(messages.c.control_id == bindparam("control_id"))
_SAME = _NUMBERED.where(messages.c.digest == bindparam("digest")).order_by(messages.c.key.desc()).limit(1)
_SAME_NUMBER = _NUMBERED.where(
    messages.c.application == bindparam("application"), messages.c.facility == bindparam("facility")
).limit(1)
# Of the same bytes the latest row, and any that its sender gave the same number.
_KNOWN = Prepared(union_all(*(select(each.subquery()) for each in (_SAME, _SAME_NUMBER))))

_COUNT = (
    update(messages)
    .where(messages.c.key == bindparam("message"))
    .values(receipts=messages.c.receipts + 1, last_at=bindparam("now"))
    .returning(*_ATTEMPT)
)

_ANSWER = update(messages).where(messages.c.key == bindparam("message"))

_SET_ASIDE = insert(message_attempts).from_select(
    ["message_key", "attempted_at", "replayed", "outcome", "acknowledgement", "error"],
    select(messages.c.key, messages.c.attempted_at, messages.c.replayed, *_ATTEMPT).where(
        messages.c.key == bindparam("message")
    ),
)
