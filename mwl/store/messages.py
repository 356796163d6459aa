"""Every message that arrived: its raw bytes, what became of it, what it is found by, what it touched.

Theory of operation.  A message is recorded, applied and answered in one transaction.  One row stands
for the same bytes of the same sender, however often they come: a duplicate gets the row's answer
again (D-30), a refused message that is sent every minute is counted and not stored every minute.

Applying a message is an *attempt*.  The row tells of the newest one, whether the message came again
or was replayed; an attempt that ended otherwise, or was replayed over, moves to `message_attempts`
with the answer it got, so that what a sender was told can always be shown.  Once a message had its
effect the row says so for good: an attempt that fails after that goes to `message_attempts` itself.

What a message is found by (`SearchKey`) is written in the same transaction, for refused ones too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from sqlalchemy import bindparam, delete, insert, select, update

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


@dataclass(frozen=True, slots=True)
class Attempt:
    """How applying a message ended."""

    outcome: str  # MSA-1 of the answer, or "ignored"; "" while there is none
    acknowledgement: bytes | None
    error: str


@dataclass(frozen=True, slots=True)
class OnRecord:
    """A message on record that is to be applied; `answered` ends it."""

    key: int
    message: MessageRecord
    earlier: Attempt | None = None  # what became of it before
    replay: bool = False  # it did not come again: a person applies it again


def arrived(tx: Transaction, message: MessageRecord) -> OnRecord:
    """Put *message* on record, or count it where the same bytes of its sender are on record."""
    return _counted(tx, message) or OnRecord(_record(tx, message), message)


def refused(tx: Transaction, message: MessageRecord, limit: Limit) -> OnRecord | None:
    """Do as `arrived` for a message that is refused; None where no room is left for such: it is not kept."""
    arrival = _counted(tx, message)
    if arrival is None and allowances.take(tx, limit, len(message.raw)):
        arrival = OnRecord(_record(tx, message), message)
    return arrival


def resumed(tx: Transaction, key: int, message: MessageRecord) -> OnRecord | None:
    """Take the message *key* up again, to replay it; it stays locked until the transaction ends.

    *message* is what is known of it now.  None where it is on record no more.
    """
    held = select(*_ATTEMPT).where(messages.c.key == key).with_for_update()
    row = tx.connection.execute(held).one_or_none()
    return None if row is None else OnRecord(key, message, Attempt(*row), replay=True)


def number_reused(tx: Transaction, arrival: OnRecord) -> bool:
    """Tell whether its sender gave the number of a message that is new here to another one before (D-30)."""
    message = arrival.message
    if arrival.earlier is not None or not message.control_id:
        return False
    facts = _facts(message)
    wanted = {name: facts[name] for name in ("control_id", "application", "facility")}
    return _SAME_NUMBER.scalar(tx.connection, {**wanted, "message": arrival.key}) is not None


def answered(
    tx: Transaction, taken: OnRecord, outcome: str, acknowledgement: bytes | None, error: str = ""
) -> None:
    """Keep what became of a message, and the bytes it was, or would have been, answered with.

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
    if earlier is not None and earlier.outcome in SETTLED and outcome not in SETTLED:
        tx.connection.execute(insert(message_attempts), {"message_key": taken.key, **attempt})
        return
    if earlier is not None:
        if taken.replay or (earlier.outcome, earlier.error) != (outcome, attempt["error"]):
            tx.connection.execute(_SET_ASIDE, {"message": taken.key})
        _refresh(tx, taken)
    _ANSWER.run(tx.connection, {"message": taken.key, **attempt})


def link(
    tx: Transaction,
    key: int,
    *,
    patients: Iterable[int] = (),
    procedures: Iterable[int] = (),
    steps: Iterable[int] = (),
) -> None:
    """Note that the message *key* touched these patients, procedures and steps.

    The patients of the procedures are looked up where none is named.
    """
    procedures = tuple(procedures)
    patients = tuple(patients) or _patients_of(tx, procedures)
    wanted = [("patient_key", each) for each in patients]
    wanted += [("procedure_key", each) for each in procedures]
    wanted += [("step_key", each) for each in steps]
    if wanted:
        known = set(map(tuple, _LINKS.all(tx.connection, {"message": key})))
        rows = [{"message_key": key, **dict.fromkeys(_LINKED), column: each} for column, each in wanted]
        distinct = {tuple(row[name] for name in _LINKED): row for row in rows}
        _NEW_LINK.run_all(tx.connection, [row for link, row in distinct.items() if link not in known])


def _counted(tx: Transaction, message: MessageRecord) -> OnRecord | None:
    """Count the bytes of *message* where they are on record; of several rows the latest counts."""
    same = {"control_id": bounded(message.control_id), "digest": message.digest}
    key = _SAME.scalar(tx.connection, same)
    if key is None:
        return None
    # The row as it is now: another broker may have answered the same bytes a moment ago.
    row = tx.connection.execute(_COUNT, {"message": key, "now": tx.stamp}).one_or_none()
    return None if row is None else OnRecord(key, message, Attempt(*row))


def _record(tx: Transaction, message: MessageRecord) -> int:
    key: int = _NEW.scalar(
        tx.connection,
        {
            "received_at": tx.stamp,
            "last_at": tx.stamp,
            "peer": storable(message.peer),
            "digest": message.digest,
            "raw": message.raw,
            "outcome": "",
            **_facts(message),
        },
    )
    _keep_keys(tx, key, message)
    return key


def _refresh(tx: Transaction, taken: OnRecord) -> None:
    """Keep what is known of a message now: its system may have been configured, its profile mended."""
    facts = _facts(taken.message)
    tx.connection.execute(update(messages).where(messages.c.key == taken.key).values(facts))
    tx.connection.execute(delete(message_keys).where(message_keys.c.message_key == taken.key))
    _keep_keys(tx, taken.key, taken.message)


def _facts(message: MessageRecord) -> dict[str, str]:
    return {
        "system": storable(message.system),
        "application": bounded(message.application),
        "facility": bounded(message.facility),
        "control_id": bounded(message.control_id),
        "kind": bounded(message.kind),
    }


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

_SAME = Prepared(
    select(messages.c.key)
    .where(messages.c.control_id == bindparam("control_id"), messages.c.digest == bindparam("digest"))
    .order_by(messages.c.key.desc())
    .limit(1)
)

_SAME_NUMBER = Prepared(
    select(messages.c.key)
    .where(
        messages.c.control_id == bindparam("control_id"),
        messages.c.application == bindparam("application"),
        messages.c.facility == bindparam("facility"),
        messages.c.key < bindparam("message"),
    )
    .limit(1)
)

_COUNT = (
    update(messages)
    .where(messages.c.key == bindparam("message"))
    .values(receipts=messages.c.receipts + 1, last_at=bindparam("now"))
    .returning(*_ATTEMPT)
)

_ANSWER = Prepared(
    update(messages)
    .where(messages.c.key == bindparam("message"))
    .values(
        {
            name: bindparam(name)
            for name in ("outcome", "acknowledgement", "error", "attempted_at", "replayed")
        }
    )
)

_SET_ASIDE = insert(message_attempts).from_select(
    ["message_key", "attempted_at", "replayed", "outcome", "acknowledgement", "error"],
    select(messages.c.key, messages.c.attempted_at, messages.c.replayed, *_ATTEMPT).where(
        messages.c.key == bindparam("message")
    ),
)
