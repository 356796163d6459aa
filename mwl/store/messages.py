"""Every message that arrived: its raw bytes, what became of it, and what it touched.

A message is recorded, applied and answered in one transaction; the answer is kept because a
repeated message gets the same one (D-30).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import bindparam, insert, select, update

from mwl.store.promoted import bounded, storable
from mwl.store.tables import message_links, messages
from mwl.store.transaction import Transaction


def digest_of(raw: bytes) -> str:
    """Return the SHA-256 of *raw*, hexadecimal: what makes a message byte-identical to another."""
    return hashlib.sha256(raw).hexdigest()


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

    @cached_property
    def digest(self) -> str:
        """See `digest_of`."""
        return digest_of(self.raw)


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message on record, and the answer it got."""

    key: int
    received_at: str  # UTC, as the tables hold instants
    outcome: str  # MSA-1 of the answer, or "ignored"; "" while there is none
    acknowledgement: bytes | None
    error: str


def record(tx: Transaction, message: MessageRecord) -> int:
    """Put *message* on record and return its key; it has no outcome yet."""
    inserted = tx.connection.execute(
        insert(messages),
        {
            "received_at": tx.stamp,
            "peer": storable(message.peer),
            "system": storable(message.system),
            "application": bounded(message.application),
            "facility": bounded(message.facility),
            "control_id": bounded(message.control_id),
            "kind": bounded(message.kind),
            "digest": message.digest,
            "raw": message.raw,
            "outcome": "",
        },
    )
    key: int = inserted.inserted_primary_key[0]  # type: ignore[index]
    return key


def answered(tx: Transaction, key: int, outcome: str, acknowledgement: bytes | None, error: str = "") -> None:
    """Keep what became of the message *key*, and the bytes it was answered with."""
    values = {"outcome": outcome, "acknowledgement": acknowledgement, "error": storable(error)}
    tx.connection.execute(_ANSWER, {"message": key, **values})


def find(
    tx: Transaction, application: str, facility: str, control_id: str, digest: str
) -> StoredMessage | None:
    """Return the latest message on record from this sender with this control ID and these bytes (D-30)."""
    wanted = {
        "application": bounded(application),
        "facility": bounded(facility),
        "control_id": bounded(control_id),
        "digest": digest,
    }
    row = tx.connection.execute(_SAME, wanted).first()
    return None if row is None else StoredMessage(*row)


def link(tx: Transaction, key: int, *, procedures: Iterable[int] = (), steps: Iterable[int] = ()) -> None:
    """Note that the message *key* touched these procedures and these steps."""
    rows = [{"message_key": key, "procedure_key": procedure, "step_key": None} for procedure in procedures]
    rows += [{"message_key": key, "procedure_key": None, "step_key": step} for step in steps]
    if rows:
        tx.connection.execute(insert(message_links), rows)


_ANSWER = (
    update(messages)
    .where(messages.c.key == bindparam("message"))
    .values(
        outcome=bindparam("outcome"),
        acknowledgement=bindparam("acknowledgement"),
        error=bindparam("error"),
    )
)

_SAME = (
    select(
        messages.c.key,
        messages.c.received_at,
        messages.c.outcome,
        messages.c.acknowledgement,
        messages.c.error,
    )
    .where(
        messages.c.control_id == bindparam("control_id"),
        messages.c.application == bindparam("application"),
        messages.c.facility == bindparam("facility"),
        messages.c.digest == bindparam("digest"),
    )
    .order_by(messages.c.key.desc())
    .limit(1)
)
